"""What a researcher would want to know of a study and its data before the training."""

import numpy as np

from regjax.data import Dataset
from regjax.data.duplicates import count_repeated
from regjax.plan import Plan, find_rows, find_twins
from regjax.report.repeated import repeated_sentence

UNEVEN = 30  # times that SDs of features may differ before the notices of a study say so


def find_notices(plan: Plan, dataset: Dataset, repeated: int | None = None) -> list[str]:
    """Return what a researcher would want to know before the training: twin cells, inputs far from the unit range.

    `repeated` is what `find_repeated` says, which no wave changes; None where it was not asked yet.
    """
    notices = [f'"{b}" is the same as "{a}": what differs does nothing there' for a, b in find_twins(plan)[:5]]
    if dataset.note:
        notices.append(f"{dataset.name}: {dataset.note}")
    repeated = find_repeated(plan, dataset) if repeated is None else repeated
    if repeated:
        notices.append(f"{dataset.name}: {repeated_sentence(repeated, plan.groups[0].counts['test'])}")
    if dataset.x.dtype != np.uint8 and plan.study.data.scale != "standard":
        largest = max(float(dataset.x.max()), -float(dataset.x.min()))
        if largest > 100:
            notices.append(f'inputs reach {largest:.4g} and are not scaled; consider data.scale = "standard"')
        elif (ratio := find_spread(dataset.x)) > UNEVEN:
            notices.append(
                f'features differ {ratio:.0f}-fold in spread and are not scaled; consider data.scale = "standard"'
            )
    return notices


def find_spread(x: np.ndarray) -> float:
    """Return by how many times the SDs of the features of a table differ; 1 for other inputs.

    Args:
      x: inputs [N, ...]; the first 10,000 rows are looked at, and features that never change are left out.

    >>> find_spread(np.array([[1.0, 100.0, 7.0], [3.0, 900.0, 7.0]]))
    400.0
    """
    spread = x[:10_000].std(axis=0, dtype=np.float64) if x.ndim == 2 else np.ones(1)
    spread = spread[spread > 0]
    return float(spread.max() / spread.min()) if spread.size else 1.0


def find_repeated(plan: Plan, dataset: Dataset) -> int:
    """Return how many test examples of the first run are training or validation examples too."""
    return count_repeated(dataset.x, find_rows(plan.study, dataset, plan.groups[0].runs[0]))
