"""Regularizers: anything a study can switch off. The order of the table is the order of application."""

from regjax.regularizers.base import Batch, Now, Regularizer, Seen, Site
from regjax.regularizers.noise import Dropout
from regjax.regularizers.penalties import L1, L2, LabelSmoothing
from regjax.regularizers.projections import Decay, L1Proximal, MaxNorm
from regjax.regularizers.schedule import Scheduled

REGULARIZERS: dict[str, type[Regularizer]] = {
    "label_smoothing": LabelSmoothing,
    "dropout": Dropout,
    "l1": L1,
    "l2": L2,
    "decay": Decay,
    "l1_proximal": L1Proximal,
    "max_norm": MaxNorm,
}

__all__ = [
    "L1",
    "L2",
    "REGULARIZERS",
    "Batch",
    "Decay",
    "Dropout",
    "L1Proximal",
    "LabelSmoothing",
    "MaxNorm",
    "Now",
    "Regularizer",
    "Scheduled",
    "Seen",
    "Site",
]
