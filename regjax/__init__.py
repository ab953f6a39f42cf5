"""regjax: which regularizer helps my network on this data, by how much, in which combination, and how sure am I?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regjax.conductor import run
    from regjax.config import ConfigError, Study, load_study, parse_study
    from regjax.data import DataError, load_dataset, make_dataset
    from regjax.files import RegjaxError, StoreError
    from regjax.results import Results, load_results
    from regjax.runtime import configure

__version__ = "0.1.0"

# Public names are imported when first used: `regjax --help` and a report on a laptop need no jax.
_HOMES = {
    "ConfigError": "regjax.config",
    "DataError": "regjax.data",
    "Results": "regjax.results",
    "RegjaxError": "regjax.files",
    "StoreError": "regjax.files",
    "Study": "regjax.config",
    "configure": "regjax.runtime",
    "load_dataset": "regjax.data",
    "load_results": "regjax.results",
    "load_study": "regjax.config",
    "make_dataset": "regjax.data",
    "parse_study": "regjax.config",
    "run": "regjax.conductor",
}

__all__ = [
    "ConfigError",
    "DataError",
    "RegjaxError",
    "Results",
    "StoreError",
    "Study",
    "__version__",
    "configure",
    "load_dataset",
    "load_results",
    "load_study",
    "make_dataset",
    "parse_study",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'regjax' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
