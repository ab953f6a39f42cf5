"""The oracles of all regularizers: one for every row of REGULARIZERS; the contract tests fail where one is missing."""

from reference import ORACLES as REFERENCE
from reference_averages import AVERAGES
from reference_noise import NOISE_ORACLES
from reference_penalties import PENALTY_ORACLES

ORACLES = REFERENCE | AVERAGES | NOISE_ORACLES | PENALTY_ORACLES
