"""Study files: TOML in."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regjax.config.parse import parse_study
from regjax.config.problems import ConfigError, Problem, printable
from regjax.config.study import Study

LARGEST = 1_000_000  # bytes of a study file
LONGEST_PATH = 1000  # characters that a message repeats


def load_study(path: Path | str, overrides: Sequence[str] = (), **given: Any) -> Study:
    """Return the checked study of a TOML file: defaults < file < overrides.

    Args:
      path: the study file; paths in it are relative to its folder.
      overrides: such as "training.epochs=3" or 'factors."dropout.hidden"=[0.0, 0.2]'; the value is read as TOML, or as
        text where that is impossible.
      given: `model` and `regularizers` given from Python, as for `parse_study`.

    Raises:
      ConfigError: the file cannot be read, or lists every problem that was found in it.
    """
    path = Path(path)
    return parse_study(read_toml(path), path.parent, overrides, **given)


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
