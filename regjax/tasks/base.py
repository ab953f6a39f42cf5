"""What a network is trained for: the interface that training, evaluation and recording call."""

import abc
from typing import Any, ClassVar, NamedTuple

import jax

from regjax.metrics import METRICS

Sums = dict[str, Any]  # {quantity: sums over examples}, arrays of NumPy or jax


class Fit(NamedTuple):
    """What a task takes from the training rows of a seed, shaped like a batch of one; None for what it needs not.

    Attributes:
      weights: how much each class counts in the loss, [1, classes].
      shift, spread: targets are (y - shift) / spread, [1, outputs]; of regression only.
      centre: the training rows' mean of y, [1, outputs], near which squares are summed; of regression only.
    """

    weights: jax.Array | None = None
    shift: Any = None
    spread: Any = None
    centre: Any = None


NO_FIT = Fit()


class Task(abc.ABC):
    """What a network is trained for. Tasks hold static settings only; what is fitted to data is passed to them.

    Attributes:
      has_classes: whether there is an output for each class, and targets are distributions over them.
      batch_names: what `batch_metrics` measures.
    """

    has_classes: ClassVar[bool]
    batch_names: ClassVar[tuple[str, ...]]

    @property
    @abc.abstractmethod
    def num_outputs(self) -> int:
        """Outputs of the network."""

    @property
    @abc.abstractmethod
    def prediction_names(self) -> tuple[str, ...]:
        """What the columns of `predict` are called in tables."""

    @abc.abstractmethod
    def encode(self, labels: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return float targets [batch, outputs] of labels [batch] or [batch, outputs]."""

    @abc.abstractmethod
    def loss(self, outputs: jax.Array, targets: jax.Array, weights: jax.Array | None = None) -> jax.Array:
        """Return the loss [batch] of outputs against targets, both [batch, outputs].

        Args:
          outputs: of the network.
          targets: as `encode` gives them, or mixtures of such.
          weights: how much each class counts, [1, classes]; None for all the same.
        """

    @abc.abstractmethod
    def batch_metrics(self, outputs: jax.Array, labels: jax.Array, fit: Fit = NO_FIT) -> dict[str, jax.Array]:
        """Return {metric: [batch]}: what is cheap enough to be measured at every update; means of it are recorded."""

    @abc.abstractmethod
    def metrics(self, outputs: jax.Array, labels: jax.Array, fit: Fit = NO_FIT) -> dict[str, jax.Array]:
        """Return {quantity: [batch] or [batch, k]} whose sums over a split `summarise` needs."""

    @abc.abstractmethod
    def summarise(self, sums: Sums, count: int) -> dict[str, Any]:
        """Return {metric: value} of the sums of `metrics` over `count` examples, [...] or [..., k] each.

        Written in operators alone, so that the host computes it in float64 and a device in its own arithmetic.
        """

    @abc.abstractmethod
    def predict(self, outputs: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return predictions [batch, outputs]."""

    def averaged(self, outputs: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return what is averaged over several networks, [batch, k]: the predictions, unless they leave digits out."""
        return self.predict(outputs, fit)

    @abc.abstractmethod
    def link(self, averaged: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return outputs [batch, outputs] of which `averaged` gives these."""

    def monitor(self, name: str, sums: Sums, count: int) -> Any:
        """Return what best state and stopping judge of a metric, smaller is better.

        That is 1 - accuracy for accuracies and 1 - r2 = SSE / SST for r2: errors, whose ratios mean something.
        """
        found = self.summarise(sums, count)
        return 1.0 - found[name] if METRICS[name] else found[name]
