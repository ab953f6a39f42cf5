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

# What they are; docs/study-file.md holds the same words.
ABOUT = {
    "nll": "mean negative log likelihood of the label, in nats",
    "accuracy": "share that is right; a tie goes to the lower class",
    "balanced_accuracy": "mean over the classes that occur of the share of each that is right",
    "brier": "mean of sum_k (p_k - y_k)^2; of a binary task (p - y)^2, half of it",
    "ece": "expected calibration error: 15 bins of confidence (0, 1/15], ..., sum of |confidence - accuracy| by their "
    "shares",
    "mse": "mean squared error in the units of y, mean over outputs",
    "mae": "mean absolute error in the units of y, mean over outputs",
    "r2": "1 - SSE / SST about the mean of the same split, mean over outputs",
    "gap": "train less test of accuracies and r2, test less train of all else: positive is worse on test",
    "weight_norm": "Euclidean norm of the weights that model.decay_on selects",
    "zero_fraction": "share of the weights that model.decay_on selects that is 0",
    "near_zero_fraction": "share of the weights that model.decay_on selects that is below 0.001 in size",
}


def metric_names(metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names under which a study may ask for these metrics.

    >>> metric_names(("mse",))
    ('test.mse', 'validation.mse', 'train.mse', 'gap.mse', 'weight_norm', 'zero_fraction', 'near_zero_fraction')
    """
    return (*(f"{split}.{name}" for split in (*SPLITS, GAP) for name in metrics), *OF_WEIGHTS)


def tuning_metric(primary: str, monitor: str) -> str:
    """Return the validation metric that nuisance hypers are tuned by: the primary's, of the weights the monitored one.

    >>> tuning_metric("gap.accuracy", "validation.nll"), tuning_metric("weight_norm", "validation.nll")
    ('validation.accuracy', 'validation.nll')
    """
    name = primary.rpartition(".")[2]
    return f"validation.{name if name in METRICS else monitor.rpartition('.')[2]}"


def larger_is_better(metric: str) -> bool | None:
    """Return whether larger values of "<split>.<name>" are better, None where that is not known.

    >>> larger_is_better("test.r2"), larger_is_better("gap.r2"), larger_is_better("weight_norm")
    (True, False, None)
    """
    split, _, name = metric.rpartition(".")
    if name in METRICS:
        return METRICS[name] and split != GAP
    return False if name == "loss" else None
