"""What noise and outliers do to a network, and how its error depends on data and size."""

from regjax.claims.measures.base import Measure

MEASURES: dict[str, Measure] = {}
