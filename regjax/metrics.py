"""Names of what is measured: which task has which metric, what is better, how it is called. Needs no library."""

# Metric -> whether larger is better.
METRICS = {
    "nll": False,
    "accuracy": True,
    "balanced_accuracy": True,
    "brier": False,
    "ece": False,
    "mse": False,
    "mae": False,
    "r2": True,
}
_OF_CLASSES = ("nll", "accuracy", "balanced_accuracy", "brier", "ece")
TASK_METRICS = {"classification": _OF_CLASSES, "binary": _OF_CLASSES, "regression": ("mse", "mae", "r2")}
# Of the weights that `model.decay_on` selects; they belong to no split, and neither more nor less of them is better.
OF_WEIGHTS = ("weight_norm", "zero_fraction", "near_zero_fraction")
SPLITS = ("test", "validation", "train")
# The generalization gap: by how much a metric is worse on test than on training examples.
GAP = "gap"
# What is called otherwise in sentences than in tables.
WORDS = {"nll": "NLL", "brier": "Brier score", "ece": "ECE", "mse": "MSE", "mae": "MAE", "r2": "R²"}


def metric_names(metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names under which a study may ask for these metrics.

    >>> metric_names(("mse",))
    ('test.mse', 'validation.mse', 'train.mse', 'gap.mse', 'weight_norm', 'zero_fraction', 'near_zero_fraction')
    """
    return (*(f"{split}.{name}" for split in (*SPLITS, GAP) for name in metrics), *OF_WEIGHTS)


def larger_is_better(metric: str) -> bool | None:
    """Return whether larger values of "<split>.<name>" are better, None where that is not known.

    >>> larger_is_better("test.r2"), larger_is_better("gap.r2"), larger_is_better("weight_norm")
    (True, False, None)
    """
    split, _, name = metric.rpartition(".")
    if name in METRICS:
        return METRICS[name] and split != GAP
    return False if name == "loss" else None
