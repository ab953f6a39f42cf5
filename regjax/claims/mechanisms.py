"""Exact checks of what a regularizer is said to do: facts about the code that trains, not estimates."""

from collections.abc import Callable
from typing import NamedTuple


class Check(NamedTuple):
    """One fact: what was looked at, what was found, what was expected, and whether they agree."""

    says: str
    got: str
    expected: str
    passed: bool


# {name: function of nothing that returns its checks}
MECHANISMS: dict[str, Callable[[], list[Check]]] = {}
