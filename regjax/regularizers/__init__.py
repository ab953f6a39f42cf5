"""Regularizers: anything a study can switch off. The order of the table is the order of application."""

from regjax.regularizers.activity import ActivationL1, ActivationL2, ConfidencePenalty, KLSparsity
from regjax.regularizers.adversarial import FGSM
from regjax.regularizers.augment import Augment, InputNoise
from regjax.regularizers.averaging import Lookahead
from regjax.regularizers.base import Batch, Now, Regularizer, Seen, Site
from regjax.regularizers.boxes import CutMix, Cutout, RandomErasing
from regjax.regularizers.branches import StochasticDepth
from regjax.regularizers.gradients import ClipNorm, ClipValue, GradientNoise
from regjax.regularizers.labels import LabelNoise
from regjax.regularizers.matrices import L2SP, Orthogonality, SpectralNorm
from regjax.regularizers.mixing import Mixup
from regjax.regularizers.noise import AlphaDropout, Dropout, GaussianDropout, SpatialDropout
from regjax.regularizers.penalties import L1, L2, LabelSmoothing
from regjax.regularizers.projections import Decay, MaxNorm, NonNegativity, UnitNorm
from regjax.regularizers.proximal import ElasticNet, GroupLasso, L1Proximal
from regjax.regularizers.schedule import Scheduled
from regjax.regularizers.sharpness import SAM
from regjax.regularizers.smoothness import GradientPenalty, Jacobian
from regjax.regularizers.weight_noise import DropConnect, WeightNoise

# Labels are corrupted before anything blends them; images are moved, then hidden, then mixed, so that what is mixed is
# as it would be alone; smoothing and noise come last, on what is trained on. The gradient is clipped before noise is
# added. Of the weights: decays, thresholds, constraints on signs before those on lengths, which keep signs.
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
    "l2_sp": L2SP,
    "orthogonality": Orthogonality,
    "spectral_norm": SpectralNorm,
    "activation_l1": ActivationL1,
    "activation_l2": ActivationL2,
    "kl_sparsity": KLSparsity,
    "confidence_penalty": ConfidencePenalty,
    "jacobian": Jacobian,
    "gradient_penalty": GradientPenalty,
    "sam": SAM,
    "clip_norm": ClipNorm,
    "clip_value": ClipValue,
    "gradient_noise": GradientNoise,
    "decay": Decay,
    "l1_proximal": L1Proximal,
    "elastic_net": ElasticNet,
    "group_lasso": GroupLasso,
    "non_negativity": NonNegativity,
    "max_norm": MaxNorm,
    "unit_norm": UnitNorm,
    "lookahead": Lookahead,
}

__all__ = [
    "FGSM",
    "L1",
    "L2",
    "L2SP",
    "REGULARIZERS",
    "SAM",
    "ActivationL1",
    "ActivationL2",
    "AlphaDropout",
    "Augment",
    "Batch",
    "ClipNorm",
    "ClipValue",
    "ConfidencePenalty",
    "CutMix",
    "Cutout",
    "Decay",
    "DropConnect",
    "Dropout",
    "ElasticNet",
    "GaussianDropout",
    "GradientNoise",
    "GradientPenalty",
    "GroupLasso",
    "InputNoise",
    "Jacobian",
    "KLSparsity",
    "L1Proximal",
    "LabelNoise",
    "LabelSmoothing",
    "Lookahead",
    "MaxNorm",
    "Mixup",
    "NonNegativity",
    "Now",
    "Orthogonality",
    "RandomErasing",
    "Regularizer",
    "Scheduled",
    "Seen",
    "Site",
    "SpatialDropout",
    "SpectralNorm",
    "StochasticDepth",
    "UnitNorm",
    "WeightNoise",
]
