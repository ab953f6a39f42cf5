"""Study files: TOML in, overrides from the command line."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regjax.config.parse import parse_study
from regjax.config.paths import flatten
from regjax.config.problems import ConfigError, Problem, dotted, printable, show
from regjax.config.study import Study

LARGEST = 1_000_000  # bytes of a study file
LONGEST_PATH = 1000  # characters that a message repeats
PATH_TABLES = ("factors", "fixed", "tune")  # their keys are paths, quoted or nested
KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""


def load_study(path: Path | str, overrides: Sequence[str] = ()) -> Study:
    """Return the checked study of a TOML file: defaults < file < overrides.

    Args:
      path: the study file; paths in it are relative to its folder.
      overrides: such as "training.epochs=3" or 'factors."dropout.hidden"=[0.0, 0.2]'; the value is read as TOML, or as
        text where that is impossible.

    Raises:
      ConfigError: the file cannot be read, or lists every problem that was found in it.
    """
    path = Path(path)
    mapping = read_toml(path)
    for override in overrides:
        apply_override(mapping, override)
    return parse_study(mapping, path.parent)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
      ConfigError: there is no such file, it is too large, no UTF-8, or no TOML; the last with the line.
    """
    place = printable(str(path)[:LONGEST_PATH])
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError([Problem(place, f"more than {LARGEST} bytes", "a study file of at most 1 MB")])
        return tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
    except FileNotFoundError:
        raise ConfigError([Problem(place, "no such file", "the path of a study file (TOML)")]) from None
    except OSError as error:
        raise ConfigError([Problem(place, error.strerror or str(error), "a study file that can be read")]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(place, f"bytes that are no UTF-8 in line {line}", "UTF-8 text")]) from None
    except RecursionError:
        raise ConfigError([Problem(place, "deep nesting", "a study file as in configs/")]) from None
    except ConfigError:
        raise
    except ValueError as error:  # tomllib.TOMLDecodeError; int() of thousands of digits; a path with a NUL
        raise ConfigError([Problem(place, f"no TOML: {printable(str(error)[:LONGEST_PATH])}", "a TOML file")]) from None


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
