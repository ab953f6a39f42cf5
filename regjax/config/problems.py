"""What is wrong with a study file: every problem with its place, what was got, what was expected, the nearest name."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from regjax.files import RegjaxError, printable

SHOWN = 60  # characters of a value that a message repeats
MOST_PROBLEMS = 50  # lines of a message


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
      path: dotted place in the study, e.g. `factors."dropout.hidden"`.
      got: what stands there; begins with "unknown" for a name that does not exist.
      expected: what may stand there.
      hint: what to do about it, may be empty.
    """

    path: str
    got: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        if self.got.startswith("unknown "):
            return f"{self.path}: {self.got}" + (f"; {self.hint}" if self.hint else "") + f" ({self.expected})"
        expected = f", expected {self.expected}" if self.expected else ""
        return f"{self.path}: got {self.got}{expected}" + (f"; {self.hint}" if self.hint else "")


class ConfigError(RegjaxError, ValueError):
    """A study that cannot be run; `problems` lists all that was found, `str` has one line for each, at most 50."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        lines = [str(problem) for problem in self.problems[:MOST_PROBLEMS]]
        left = len(self.problems) - len(lines)
        super().__init__("\n".join([*lines, *([f"... and {left} problems more"] if left else [])]))


class UnfitError(ValueError):
    """A single value that is not admitted: what was expected instead, and a hint."""

    def __init__(self, expected: str, hint: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint


def show(value: Any) -> str:
    """Return a value as TOML would write it, shortened, with unprintable characters escaped.

    >>> show({"count": 10, "take": "last"})
    '{ count = 10, take = "last" }'
    """
    text = _write(value)
    text = text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
    return printable(text)


def _write(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value[: 2 * SHOWN], ensure_ascii=False)
    if isinstance(value, int):
        return str(value) if abs(value) < 2**64 else "a huge integer"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_write(v) for v in value[:SHOWN]) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quote(k)} = {_write(v)}" for k, v in list(value.items())[:SHOWN]) + " }"
    return f"a {type(value).__name__}"


MOST_LISTED = 24  # names in a message


def quote(key: Any) -> str:
    """Return one key as it stands in a dotted path: bare where TOML allows, else in quotes."""
    text = str(key)[: 2 * SHOWN]
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else show(text)


def dotted(*keys: str | int, under: str = "") -> str:
    """Return the dotted path of nested keys and list positions, below a place that is dotted already.

    >>> dotted("report", "markers", 1, "when", "dropout.hidden")
    'report.markers[1].when."dropout.hidden"'
    >>> dotted("dropout.hidden", under="contrasts[0].of")
    'contrasts[0].of."dropout.hidden"'
    """
    text = under + "".join(f"[{key}]" if isinstance(key, int) else f".{quote(key)}" for key in keys)
    return text.removeprefix(".")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return 'did you mean "..."?' for the nearest of the known names, or "" when none is near."""
    found = difflib.get_close_matches(name[:100].lower(), sorted(known), n=1, cutoff=0.6)
    return f'did you mean "{found[0]}"?' if found else ""


def unknown(path: str, kind: str, name: str, known: Sequence[str], owner: str, lister: str = "") -> Problem:
    """Return the problem of a name that does not exist.

    Args:
      path: dotted place.
      kind: what is unknown, with the name, e.g. 'hyper "hiden" of dropout'.
      name: the name as written, to which the nearest is sought.
      known: names that exist.
      owner: words before the list of known names, e.g. "dropout has". Of many names those that resemble are listed.
      lister: a command that lists all names, where there are many.
    """
    listed = list(known)
    if len(listed) > MOST_LISTED:
        near = difflib.get_close_matches(name[:100].lower(), sorted(known), n=5, cutoff=0.3)
        listed = [*near, f"... ({len(listed)} in all{f'; `{lister}` lists them' if lister else ''})"]
    return Problem(path, f"unknown {kind}", f"{owner}: {', '.join(listed)}", nearest(name, known))
