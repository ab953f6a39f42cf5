"""Which studies keep what their networks predict for every test example, and how much room that takes."""

from regjax.config import Study
from regjax.data import Dataset
from regjax.tasks import Task

# Of [measure] predictions = "auto": float32 outputs of all cells and seeds beyond this many bytes are not kept.
MOST_BYTES = 64_000_000


def predictions_bytes(study: Study, num_cells: int, num_test: int, task: Task) -> int:
    """Return the bytes of all predictions: cells x seeds x test examples x outputs x 4."""
    return 4 * num_cells * study.seeds.most * num_test * len(task.prediction_names)


def keeps_predictions(study: Study, dataset: Dataset, num_cells: int, num_test: int, task: Task) -> bool:
    """Return whether the reported runs keep predictions.

    "test" says so, "none" says not; "auto" keeps them where all runs have one test set and they take at most
    `MOST_BYTES`: they give the interval about new examples, which runs with test sets of their own do not have.
    """
    asked = study.measure.predictions
    if asked != "auto":
        return asked == "test"
    pooled = study.data.split is not None or not dataset.parts
    own_tests = pooled and "split" in study.seeds.vary
    return not own_tests and predictions_bytes(study, num_cells, num_test, task) <= MOST_BYTES


def predictions_text(kept: bool, study: Study, num_cells: int, num_test: int, task: Task) -> str:
    """Return what `regjax plan` says of the predictions."""
    size = f"{predictions_bytes(study, num_cells, num_test, task) / 1e6:.3g} MB"
    if kept:
        return f"predictions: kept for {num_test} test examples per run, {size} in all"
    if study.measure.predictions == "none":
        return "predictions: not kept, as the study says"
    large = predictions_bytes(study, num_cells, num_test, task) > MOST_BYTES
    why = (
        f"they take {size}, more than {MOST_BYTES / 1e6:.0f} MB" if large else "each seed has test examples of its own"
    )
    return f'predictions: not kept, as {why}; [measure] predictions = "test" keeps them'
