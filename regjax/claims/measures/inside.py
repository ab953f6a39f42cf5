"""What happens between input and output: units, noise at inference, gradients, shifts of activations."""

from regjax.claims.measures.base import Measure

MEASURES: dict[str, Measure] = {}
