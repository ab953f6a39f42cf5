"""regjax: which regularizer helps my network on this data, by how much, in which combination, and how sure am I?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regjax.conductor import run
    from regjax.config import ConfigError, Study, load_study, parse_study
    from regjax.data import DataError, load_dataset, make_dataset
    from regjax.files import RegjaxError, StoreError
    from regjax.foreign import analyze
    from regjax.models import Forward, Model, ModelSettings
    from regjax.parts import hyper, part, setting
    from regjax.regularizers import Batch, Now, Regularizer, Seen, Site
    from regjax.results import Results, load_results
    from regjax.runtime import RuntimeCheck, check_runtime, configure
    from regjax.stop import Interrupted, Stop

__version__ = "0.1.0"

# Public names are imported when first used: `regjax --help` and a report on a laptop need no jax.
_HOMES = {
    "Batch": "regjax.regularizers",
    "ConfigError": "regjax.config",
    "DataError": "regjax.data",
    "Forward": "regjax.models",
    "Interrupted": "regjax.stop",
    "Model": "regjax.models",
    "ModelSettings": "regjax.models",
    "Now": "regjax.regularizers",
    "RegjaxError": "regjax.files",
    "Regularizer": "regjax.regularizers",
    "Results": "regjax.results",
    "RuntimeCheck": "regjax.runtime",
    "Seen": "regjax.regularizers",
    "Site": "regjax.regularizers",
    "Stop": "regjax.stop",
    "StoreError": "regjax.files",
    "Study": "regjax.config",
    "analyze": "regjax.foreign",
    "check_runtime": "regjax.runtime",
    "configure": "regjax.runtime",
    "hyper": "regjax.parts",
    "load_dataset": "regjax.data",
    "load_results": "regjax.results",
    "load_study": "regjax.config",
    "make_dataset": "regjax.data",
    "parse_study": "regjax.config",
    "part": "regjax.parts",
    "run": "regjax.conductor",
    "setting": "regjax.parts",
}

__all__ = [
    "Batch",
    "ConfigError",
    "DataError",
    "Forward",
    "Interrupted",
    "Model",
    "ModelSettings",
    "Now",
    "RegjaxError",
    "Regularizer",
    "Results",
    "RuntimeCheck",
    "Seen",
    "Site",
    "Stop",
    "StoreError",
    "Study",
    "__version__",
    "analyze",
    "check_runtime",
    "configure",
    "hyper",
    "load_dataset",
    "load_results",
    "load_study",
    "make_dataset",
    "parse_study",
    "part",
    "run",
    "setting",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'regjax' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
