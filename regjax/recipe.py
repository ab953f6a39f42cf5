"""The recipe: the parts of one run, joined."""

import fnmatch
from typing import Any

import jax
import jax.numpy as jnp

from regjax.models import Forward, Model
from regjax.models.base import Stats, Tap
from regjax.observers import Observer
from regjax.optimizers import Optimizer
from regjax.parts import child, part
from regjax.regularizers import Regularizer
from regjax.regularizers.base import Params
from regjax.tasks import Task

# What a study's `training.precision` means: precision of float32 matrix products, and the dtype of the network's
# arithmetic where it is another than that of its parameters. CPUs compute float32 products in full in every case.
MATMULS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "default"}
ARITHMETIC = {"bfloat16": jnp.bfloat16}


@part
class Recipe:
    """Everything that decides a run besides its seed and data. Runs whose recipes have one tree structure are a group.

    Attributes:
      optimizer, regularizers, observer: parts with traced hypers; in a population the leaves of `observer` have a
        leading axis: several of them watch one course of training.
      model, task: static.
      batch_size: examples of an update.
      steps: updates of a full run.
      every: updates between two evaluations; divides `steps`.
      decay_on: leaves that penalties, decays and constraints touch: "matrices" (two axes or more), "all", or patterns
        over paths such as "hidden_0/kernel" ("*" spans slashes).
      monitor: metric of the validation set that best state and stopping judge, one of the task's.
      moments: states kept beside the live one: "best", or a step (the state there, or the last before an early stop).
      train_examples: how many training examples evaluations without noise are made on.
      precision: "float32", "tf32" or "bfloat16"; parameters, loss, optimizer and records are float32 in every case.
    """

    optimizer: Optimizer = child()
    regularizers: tuple[Regularizer, ...] = child()
    observer: Observer = child()
    model: Model
    task: Task
    batch_size: int
    steps: int
    every: int
    decay_on: str | tuple[str, ...]
    monitor: str
    moments: tuple[str | int, ...]
    train_examples: int
    precision: str = "float32"

    def forward(self, params: Params, stats: Stats, x: jax.Array, tap: Tap, train: bool) -> Forward:
        """Return the network's outputs and statistics in the dtype of `x`, computed in the recipe's precision."""
        return apply_model(self.model, self.precision, params, stats, x, tap, train)


def apply_model(
    model: Model, precision: str, params: Params, stats: Stats, x: jax.Array, tap: Tap, train: bool
) -> Forward:
    """Return `model.apply` with parameters and inputs rounded to the precision's dtype, and outputs in that of `x`.

    Gradients pass through the rounding, so that they and the parameters they update stay as they are.
    """
    dtype = ARITHMETIC.get(precision, x.dtype)
    found = model.apply(jax.tree.map(lambda w: w.astype(dtype), params), stats, x.astype(dtype), tap, train)
    return Forward(found.outputs.astype(x.dtype), found.stats)


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
