"""Exact checks: one fact each about the code that trains, and where its numbers stand in the figure of a claim."""

from typing import NamedTuple

import numpy as np


class Check(NamedTuple):
    """One fact: what was looked at, what was found, what was expected, and whether they agree.

    Attributes:
      says, got, expected, passed: as shown.
      found, wanted, tolerance: the same as numbers, None where it has none.
      panel, over, place, line: where the numbers stand in the figure: what is drawn, over what, at which number of it
        (without `over` a name), and on which of several lines; without a panel they are not drawn.
      values: all numbers of which `found` is the one looked at, such as those of the units of a layer.
    """

    says: str
    got: str
    expected: str
    passed: bool
    found: float | None = None
    wanted: float | None = None
    tolerance: float | None = None
    panel: str = ""
    over: str = ""
    place: float | str = ""
    line: str = ""
    values: tuple[float, ...] = ()

    def over_rate(self, panel: str, rate: float, line: str) -> "Check":
        """Return the check as a point of a line over dropout rates."""
        return self._replace(panel=panel, over="rate", place=rate, line=line)

    def of_units(self, panel: str, place: str, values: np.ndarray) -> "Check":
        """Return the check as a row of a figure, with the numbers of all units."""
        return self._replace(panel=panel, place=place, values=tuple(map(float, values)))


def near(says: str, got: float, expected: float, tolerance: float) -> Check:
    """Return the check that a number is what was expected, give or take `tolerance`.

    >>> near("half", 0.4999, 0.5, 1e-3)[:4]
    ('half', '0.4999', '0.5 +- 0.001', True)
    """
    margin = f" +- {tolerance:.2g}" if tolerance else ""
    passed = bool(abs(got - expected) <= tolerance)
    return Check(says, f"{got:.4g}", f"{expected:.4g}{margin}", passed, float(got), float(expected), float(tolerance))
