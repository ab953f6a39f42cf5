"""Copies of what TOML gives, or could have given: what passes can be shown, compared and stored."""

from collections.abc import Mapping
from typing import Any

from regjax.config.problems import ConfigError, Problem, dotted, show

DEEPEST = 12


def copy_tables(mapping: Any) -> dict[str, Any]:
    """Return a copy of the mapping, or raise if it holds what TOML could not have given."""
    plain, problems = copy_plain(mapping)
    if not isinstance(plain, dict):
        problems = [Problem("study", show(mapping), "a table with question, primary, data, ...")]
    if problems:
        raise ConfigError(problems)
    return plain


def copy_plain(value: Any, *place: str | int) -> tuple[Any, list[Problem]]:
    """Return a copy made of dict, list, str, int, float, bool and None only, and what else there was.

    What passes can be shown, compared and stored: no numbers beyond 64 bits, no deep nesting, no control characters.
    """
    if len(place) > DEEPEST:
        return None, [Problem(dotted(*place), "deep nesting", f"at most {DEEPEST} levels")]
    if isinstance(value, Mapping):
        problems = [
            Problem(dotted(*place) or "study", "a key that is no text", "text keys")
            for k in value
            if not isinstance(k, str)
        ]
        pairs = {k: copy_plain(v, *place, k) for k, v in value.items() if isinstance(k, str)}
        keys = [problem for k in pairs for problem in _find_text_problems(k, dotted(*place, k))]
        problems += keys + [problem for _, more in pairs.values() for problem in more]
        return {k: v for k, (v, _) in pairs.items()}, problems
    if isinstance(value, (list, tuple)):
        items = [copy_plain(item, *place, index) for index, item in enumerate(value)]
        return [item for item, _ in items], [problem for _, more in items for problem in more]
    path = dotted(*place)
    if value is None or isinstance(value, (bool, float)):
        return value, []
    if isinstance(value, str):
        return value, _find_text_problems(value, path)
    if isinstance(value, int):
        return value, [] if abs(value) < 2**63 else [Problem(path, show(value), "an integer of at most 64 bits")]
    return None, [Problem(path, show(value), "text, a number, true, false, a list or a table")]


def _find_text_problems(text: str, path: str) -> list[Problem]:
    if all(c.isprintable() or c in "\n\t\r" or (c.isspace() and c > " ") for c in text):
        return []
    return [Problem(path, show(text), "text without control characters")]
