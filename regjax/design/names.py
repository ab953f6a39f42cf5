"""Levels in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def name_level(level: Any, levels: Sequence[Any] = ()) -> str:
    """Return a level in words: numbers in short form, in full where two levels of the factor would read alike.

    >>> name_level(0.5), name_level(float("inf")), name_level(True), name_level((128, 64)), name_level("batch")
    ('0.5', 'off', 'true', '[128, 64]', 'batch')
    """
    short = _write(level, "g")
    return _write(level, "") if sum(_write(other, "g") == short for other in levels) > 1 else short


def name_all(levels: Sequence[Any]) -> list[str]:
    """Return the names of all levels of a factor, as `name_level` gives them."""
    short = [_write(level, "g") for level in levels]
    count = Counter(short)
    return [_write(level, "") if count[name] > 1 else name for level, name in zip(levels, short, strict=True)]


def _write(level: Any, form: str) -> str:
    if isinstance(level, bool):
        return "true" if level else "false"
    if isinstance(level, float):
        return "off" if level == float("inf") else format(level, form) if form else repr(level)
    if isinstance(level, (tuple, list)):
        return "[" + ", ".join(_write(item, form) for item in level) + "]"
    return str(level)


def name_levels(factors: Mapping[str, Sequence[Any]]) -> dict[str, dict[Any, str]]:
    """Return {path: {level: its name}} of all factors."""
    return {path: dict(zip(levels, name_all(levels), strict=True)) for path, levels in factors.items()}
