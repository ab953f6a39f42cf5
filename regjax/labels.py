"""What a study makes of the labels of its data: the task, and the metric that is monitored."""

import dataclasses
from collections.abc import Iterator

from regjax.config import ConfigError, Problem, Study, find_task_problems
from regjax.data import Dataset
from regjax.metrics import TASK_METRICS
from regjax.tasks import Task, default_task, make_task


def count_targets(dataset: Dataset) -> int:
    """Return the values per label."""
    return dataset.y.shape[1] if dataset.y.ndim == 2 else 1


def resolve_task(study: Study, dataset: Dataset) -> tuple[Study, Task]:
    """Return the study with its monitor filled in, and its task on this data.

    Raises:
      ConfigError: the study asks of these labels what they cannot give.
    """
    name = study.task.name or default_task(dataset.num_classes)
    problems = [
        *find_task_problems(study.task, name, study.primary, study.training),
        *find_label_problems(study, name, dataset),
    ]
    if problems:
        raise ConfigError(problems)
    # Of each task the first metric is what it is trained on.
    monitor = study.training.monitor or f"validation.{TASK_METRICS[name][0]}"
    training = study.training.model_copy(update={"monitor": monitor})
    return dataclasses.replace(study, training=training), make_task(name, dataset.num_classes, count_targets(dataset))


def find_label_problems(study: Study, name: str, dataset: Dataset) -> Iterator[Problem]:
    """Find tasks and class weights that do not fit the labels of the data."""
    classes, weights = dataset.num_classes, study.task.class_weights
    if name != "regression" and not classes:
        hint = f"the labels of {dataset.name} are real values; for classes write them as integers"
        yield Problem("task.name", f'"{name}"', '"regression"', hint)
    elif name == "binary" and classes != 2:
        yield Problem("task.name", '"binary"', '"classification"', f"{dataset.name} has {classes} classes")
    elif isinstance(weights, tuple) and len(weights) != classes:
        yield Problem("task.class_weights", f"{len(weights)} numbers", f"{classes}, one per class of {dataset.name}")
