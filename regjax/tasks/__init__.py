"""What a network is trained for: how labels are encoded, the loss, the metrics."""

from regjax.metrics import METRICS
from regjax.tasks.base import NO_FIT, Fit, Task
from regjax.tasks.classes import Binary, Classification
from regjax.tasks.regression import Regression

__all__ = ["METRICS", "NO_FIT", "Binary", "Classification", "Fit", "Regression", "Task", "default_task", "make_task"]


def make_task(name: str | None, num_classes: int, num_targets: int) -> Task:
    """Return the task of a name on this data; without a name the one that the data suggests.

    Args:
      name: "classification", "binary", "regression", or None: regression where labels are no classes.
      num_classes: of the data, 0 where its labels are real values.
      num_targets: values per label.
    """
    name = name or default_task(num_classes)
    if name == "regression":
        return Regression(num_targets)
    return Binary() if name == "binary" else Classification(num_classes)


def default_task(num_classes: int) -> str:
    """Return the name of the task that data suggests.

    >>> default_task(10), default_task(0)
    ('classification', 'regression')
    """
    return "classification" if num_classes else "regression"
