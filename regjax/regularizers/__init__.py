"""Regularizers: anything a study can switch off. The order of the table is the order of application."""

from regjax.regularizers.activity import ActivationL1, ActivationL2, ConfidencePenalty, KLSparsity
from regjax.regularizers.base import Batch, Now, Regularizer, Seen, Site
from regjax.regularizers.gradients import ClipNorm, ClipValue, GradientNoise
from regjax.regularizers.matrices import L2SP, Orthogonality, SpectralNorm
from regjax.regularizers.noise import Dropout
from regjax.regularizers.penalties import L1, L2, LabelSmoothing
from regjax.regularizers.projections import Decay, MaxNorm, NonNegativity, UnitNorm
from regjax.regularizers.proximal import ElasticNet, GroupLasso, L1Proximal
from regjax.regularizers.schedule import Scheduled
from regjax.regularizers.smoothness import GradientPenalty, Jacobian

# Examples, activations, loss; then the gradient: clipped before noise is added; then the weights: decays, thresholds,
# constraints on signs before those on lengths, which keep signs.
REGULARIZERS: dict[str, type[Regularizer]] = {
    "label_smoothing": LabelSmoothing,
    "dropout": Dropout,
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
}

__all__ = [
    "L1",
    "L2",
    "L2SP",
    "REGULARIZERS",
    "ActivationL1",
    "ActivationL2",
    "Batch",
    "ClipNorm",
    "ClipValue",
    "ConfidencePenalty",
    "Decay",
    "Dropout",
    "ElasticNet",
    "GradientNoise",
    "GradientPenalty",
    "GroupLasso",
    "Jacobian",
    "KLSparsity",
    "L1Proximal",
    "LabelSmoothing",
    "MaxNorm",
    "NonNegativity",
    "Now",
    "Orthogonality",
    "Regularizer",
    "Scheduled",
    "Seen",
    "Site",
    "SpectralNorm",
    "UnitNorm",
]
