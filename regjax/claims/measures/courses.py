"""How training goes: steps to a target, where it stops, what it costs."""

from regjax.claims.measures.base import Measure

MEASURES: dict[str, Measure] = {}
