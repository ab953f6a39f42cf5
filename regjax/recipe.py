"""The recipe: the parts of one run, joined."""

import fnmatch
from typing import Any

import jax

from regjax.models import Model
from regjax.observers import Patience
from regjax.optimizers import Optimizer
from regjax.parts import child, part
from regjax.regularizers import Regularizer
from regjax.regularizers.base import Params
from regjax.tasks import Classification


@part
class Recipe:
    """Everything that decides a run besides its seed and data. Runs whose recipes have one tree structure are a group.

    Attributes:
      optimizer, regularizers, stop: parts with traced hypers; in a population `stop` holds one criterion per observer.
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


def make_mask(params: Params, decay_on: str | tuple[str, ...]) -> Params:
    """Return a tree of Python bools: which leaves penalties, decays and constraints touch.

    >>> import jax.numpy as jnp
    >>> make_mask({"a": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}, "matrices")
    {'a': {'bias': False, 'kernel': True}}
    >>> make_mask({"a": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}, ("*/bias",))
    {'a': {'bias': True, 'kernel': False}}
    """

    def chosen(path: Any, leaf: jax.Array) -> bool:
        if isinstance(decay_on, str):
            return decay_on == "all" or leaf.ndim >= 2
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in decay_on)

    return jax.tree_util.tree_map_with_path(chosen, params)
