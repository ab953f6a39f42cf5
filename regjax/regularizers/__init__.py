"""Regularizers: anything a study can switch off. The order of the table is the order of application."""

from regjax.regularizers.adversarial import FGSM
from regjax.regularizers.augment import Augment, InputNoise
from regjax.regularizers.averaging import Lookahead
from regjax.regularizers.base import Batch, Now, Regularizer, Seen, Site
from regjax.regularizers.boxes import CutMix, Cutout, RandomErasing
from regjax.regularizers.branches import StochasticDepth
from regjax.regularizers.labels import LabelNoise
from regjax.regularizers.mixing import Mixup
from regjax.regularizers.noise import AlphaDropout, Dropout, GaussianDropout, SpatialDropout
from regjax.regularizers.penalties import L1, L2, LabelSmoothing
from regjax.regularizers.projections import Decay, L1Proximal, MaxNorm
from regjax.regularizers.schedule import Scheduled
from regjax.regularizers.sharpness import SAM
from regjax.regularizers.weight_noise import DropConnect, WeightNoise

# Labels are corrupted before anything blends them; images are moved, then hidden, then mixed, so that what is mixed is
# as it would be alone; smoothing and noise come last, on what is trained on.
REGULARIZERS: dict[str, type[Regularizer]] = {
    "label_noise": LabelNoise,
    "augment": Augment,
    "random_erasing": RandomErasing,
    "cutout": Cutout,
    "mixup": Mixup,
    "cutmix": CutMix,
    "label_smoothing": LabelSmoothing,
    "input_noise": InputNoise,
    "dropconnect": DropConnect,
    "weight_noise": WeightNoise,
    "dropout": Dropout,
    "gaussian_dropout": GaussianDropout,
    "alpha_dropout": AlphaDropout,
    "spatial_dropout": SpatialDropout,
    "stochastic_depth": StochasticDepth,
    "fgsm": FGSM,
    "l1": L1,
    "l2": L2,
    "sam": SAM,
    "decay": Decay,
    "l1_proximal": L1Proximal,
    "max_norm": MaxNorm,
    "lookahead": Lookahead,
}

__all__ = [
    "FGSM",
    "L1",
    "L2",
    "REGULARIZERS",
    "SAM",
    "AlphaDropout",
    "Augment",
    "Batch",
    "CutMix",
    "Cutout",
    "Decay",
    "DropConnect",
    "Dropout",
    "GaussianDropout",
    "InputNoise",
    "L1Proximal",
    "LabelNoise",
    "LabelSmoothing",
    "Lookahead",
    "MaxNorm",
    "Mixup",
    "Now",
    "RandomErasing",
    "Regularizer",
    "Scheduled",
    "Seen",
    "Site",
    "SpatialDropout",
    "StochasticDepth",
    "WeightNoise",
]
