"""Factors that are ranges, and designs whose cells are drawn from them: at random, or as a Latin hypercube."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regjax.keys import stream_generator

if TYPE_CHECKING:
    from regjax.config import Design

SPACE_FILLING = ("random", "latin_hypercube")
MOST_POINTS = 1000


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, on a logarithmic scale if `log`; whole ones if `integer`.

    `off` is the level of the factor in the cell with everything off, None where there is no such cell.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False
    off: Any = None

    def place(self, shares: np.ndarray) -> list[Any]:
        """Return the levels at shares u in [0, 1) of the range.

            x = low + u (high - low),  log x in place of x where the scale is logarithmic

        Whole numbers are the integer parts of levels between low and high + 1. Others have six significant digits.

        >>> Range(1e-4, 1.0, log=True).place(np.array([0.0, 0.5])), Range(1, 3, integer=True).place(np.array([0.9]))
        ([0.0001, 0.01], [3])
        """
        top = self.high + 1 if self.integer else self.high
        low, high = (math.log(self.low), math.log(top)) if self.log else (self.low, top)
        values = low + np.asarray(shares) * (high - low)
        found = (np.exp(values) if self.log else values).tolist()
        if self.integer:
            # exp(log(n)) may lie just below n.
            found = [type(self.low)(math.floor(value * (1 + 1e-12) if self.log else value)) for value in found]
        else:
            found = [float(f"{value:.6g}") for value in found]
        return [min(max(value, self.low), self.high) for value in found]

    def code(self, level: float) -> float:
        """Return where a level lies: 0 at the low end, 1 at the high one, linear in the level or in its logarithm.

        >>> Range(1e-4, 1.0, log=True).code(0.01), Range(0.0, 0.8).code(0.2)
        (0.5, 0.25)
        """
        if self.log:
            return math.log(level / self.low) / math.log(self.high / self.low)
        return (level - self.low) / (self.high - self.low)

    def table(self) -> dict[str, Any]:
        """Return the range as a study file writes it."""
        off = {} if self.off is None else {"off": self.off}
        return {**off, "log_range" if self.log else "range": [self.low, self.high]}

    def facts(self) -> dict[str, Any]:
        """Return the range as the plan stores it."""
        return {key: value for key, value in asdict(self).items() if key != "off"}


class Drawn(tuple):
    """Levels of a factor that is a range, as a design drew them: rising, after the off level if there is one.

    Until the design has drawn them they are the two ends.
    """

    span: Range

    def __new__(cls, levels: Iterable[Any], span: Range) -> "Drawn":
        """Return these levels of a range."""
        made = super().__new__(cls, levels)
        made.span = span
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Return the arguments of a copy."""
        return tuple(self), self.span


def draw_shares(design: "Design", path: str) -> np.ndarray:
    """Return where the points of a design lie in the range of a factor, [point] in [0, 1).

    Random: independent and uniform. Latin hypercube: of N equal bins each holds one point, uniform within its bin. The
    draw depends on `design.draw` and the factor's path alone, not on seeds or other factors.

    Reference: McKay, Beckman, Conover, "A comparison of three methods for selecting values of input variables in the
    analysis of output from a computer code" (1979).
    """
    rng, points = stream_generator(design.draw, f"design {path}"), design.points or 0
    if design.kind == "random":
        return rng.random(points)
    return (rng.permutation(points) + rng.random(points)) / points


def draw_choices(design: "Design", path: str, size: int) -> np.ndarray:
    """Return positions of the levels of a factor with a list of `size` levels, [point].

    Random: independent and uniform. Latin hypercube: every level floor(N / size) or one more times, in random order.
    """
    rng, points = stream_generator(design.draw, f"design {path}"), design.points or 0
    if design.kind == "random":
        return rng.integers(size, size=points)
    return rng.permutation(size)[rng.permutation(points) % size]


def draw_levels(design: "Design", path: str, span: Range) -> Drawn:
    """Return the levels that a design uses of a range."""
    off = [] if span.off is None else [span.off]
    drawn = sorted(set(span.place(draw_shares(design, path))) - set(off))
    return Drawn([*off, *drawn], span)
