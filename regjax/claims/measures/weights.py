"""What the weights look like, which inputs they choose, and how predictions differ between seeds."""

from regjax.claims.measures.base import Measure

MEASURES: dict[str, Measure] = {}
