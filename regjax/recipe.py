"""The recipe: the parts of one run, joined."""

from regjax.models import Model
from regjax.observers import Patience
from regjax.optimizers import Optimizer
from regjax.parts import child, part
from regjax.regularizers import Regularizer
from regjax.tasks import Classification


@part
class Recipe:
    """Everything that decides a run besides its seed and data. Runs whose recipes have one tree structure are a group.

    Attributes:
      optimizer, regularizers, stop: parts with traced hypers.
      model, task: static.
      batch_size: examples of an update.
      steps: updates of a full run.
      every: updates between two evaluations; divides `steps`.
      decay_on: leaves that penalties, decays and constraints touch: "matrices" (two axes or more), "all", or patterns
        over paths such as "hidden_0/kernel" ("*" spans slashes).
      monitor: metric of the validation set that best state and stopping judge: "nll" or "accuracy".
      moments: states kept beside the live one: "best", or a step (the state there, or the last before an early stop).
      train_examples: how many training examples evaluations without noise are made on.
    """

    optimizer: Optimizer = child()
    regularizers: tuple[Regularizer, ...] = child()
    stop: Patience = child()
    model: Model
    task: Classification
    batch_size: int
    steps: int
    every: int
    decay_on: str | tuple[str, ...]
    monitor: str
    moments: tuple[str | int, ...]
    train_examples: int
