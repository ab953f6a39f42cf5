"""Overrides of single values, as the command line gives them: training.epochs=3."""

import re
import tomllib
from typing import Any

from regjax.config.paths import flatten
from regjax.config.problems import ConfigError, Problem, dotted, show

PATH_TABLES = ("factors", "fixed", "tune")  # their keys are paths, quoted or nested
KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""


def apply_override(mapping: dict[str, Any], override: str) -> None:
    """Set one value in a study's mapping, in place.

    Args:
      mapping: as read from TOML.
      override: KEY=VALUE, the key dotted as in TOML.

    Raises:
      ConfigError: it is no KEY=VALUE, or its key leads through something that is no table.

    >>> study = {"training": {"epochs": 10}}
    >>> apply_override(study, "training.epochs=3")
    >>> study
    {'training': {'epochs': 3}}
    """
    found = re.fullmatch(rf"\s*({KEY}(?:\s*\.\s*{KEY})*)\s*=(.*)", override, re.DOTALL)
    if found is None:
        raise ConfigError([Problem("override", show(override), "KEY=VALUE such as training.epochs=3")])
    keys = [key.strip("\"'") for key in re.findall(KEY, found[1])]
    value = _read_value(found[2].strip())
    if keys[0] in PATH_TABLES and len(keys) > 1:
        table = mapping.setdefault(keys[0], {})
        if isinstance(table, dict):
            flat, problems = flatten(table, keys[0])
            if problems:
                raise ConfigError(problems)
            mapping[keys[0]] = flat
        keys = [keys[0], ".".join(keys[1:])]
    for depth, key in enumerate(keys[:-1], 1):
        mapping = mapping.setdefault(key, {})
        if not isinstance(mapping, dict):
            raise ConfigError([Problem(dotted(*keys), f"a value at {dotted(*keys[:depth])}", "a table there")])
    mapping[keys[-1]] = value


def _read_value(text: str) -> Any:
    """Return the TOML value that `text` writes, or the text itself."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return found["value"] if list(found) == ["value"] else text
