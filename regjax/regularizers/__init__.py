"""Regularizers: anything a study can switch off. The order of the table is the order of application."""

from regjax.regularizers.averaging import Lookahead
from regjax.regularizers.base import Batch, Now, Regularizer, Seen, Site
from regjax.regularizers.noise import Dropout
from regjax.regularizers.penalties import L1, L2, LabelSmoothing
from regjax.regularizers.projections import Decay, L1Proximal, MaxNorm
from regjax.regularizers.schedule import Scheduled
from regjax.regularizers.sharpness import SAM

REGULARIZERS: dict[str, type[Regularizer]] = {
    "label_smoothing": LabelSmoothing,
    "dropout": Dropout,
    "l1": L1,
    "l2": L2,
    "sam": SAM,
    "decay": Decay,
    "l1_proximal": L1Proximal,
    "max_norm": MaxNorm,
    "lookahead": Lookahead,
}

__all__ = [
    "L1",
    "L2",
    "REGULARIZERS",
    "SAM",
    "Batch",
    "Decay",
    "Dropout",
    "L1Proximal",
    "LabelSmoothing",
    "Lookahead",
    "MaxNorm",
    "Now",
    "Regularizer",
    "Scheduled",
    "Seen",
    "Site",
]
