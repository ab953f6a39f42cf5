"""Tasks with classes: softmax over many, one logit for two."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from regjax.parts import part
from regjax.tasks.base import NO_FIT, Fit, Sums, Task

# Intervals of equal width in which confidence is compared with accuracy.
ECE_BINS = 15


def sum_classes(p: jax.Array, labels: jax.Array, right: jax.Array, confidence: jax.Array) -> dict[str, jax.Array]:
    """Return the quantities that every task with classes measures from class probabilities.

    Args:
      p: [batch, classes].
      labels: [batch] integers.
      right: [batch], 1 where the chosen class is the label's, else 0.
      confidence: [batch], the probability of the chosen class.
    """
    truth = jax.nn.one_hot(labels, p.shape[-1], dtype=p.dtype)
    place = jnp.clip(jnp.ceil(confidence * ECE_BINS).astype(jnp.int32) - 1, 0, ECE_BINS - 1)
    inside = jax.nn.one_hot(place, ECE_BINS, dtype=p.dtype)
    return {
        "accuracy": right,
        "overconfidence": inside * (confidence - right)[:, None],
        "class_right": truth * right[:, None],
        "class_count": truth,
    }


def summarise_classes(sums: Sums, count: int) -> dict[str, Any]:
    """Return {metric: value} of sums over `count` examples with classes.

    ece = sum over bins of |sum over the bin of (confidence - right)| / count
    balanced_accuracy = mean over the classes that occur of (right of the class / count of the class)
    """
    present = sums["class_count"] > 0
    recall = sums["class_right"] / (sums["class_count"] + ~present)
    return {
        "nll": sums["nll"] / count,
        "accuracy": sums["accuracy"] / count,
        "balanced_accuracy": recall.sum(-1) / present.sum(-1),
        "brier": sums["brier"] / count,
        "ece": abs(sums["overconfidence"]).sum(-1) / count,
    }


@part
class Classification(Task):
    """Classification into `num_classes` classes by softmax and cross-entropy.

        loss = -sum_k w_k y_k log softmax(outputs)_k

    Class weights w_k are 1 where none are given. The mean over a batch is over its examples, whatever their weights.
    Metrics are never weighted: nll in nats, accuracy (a tie goes to the lower class), balanced_accuracy (the mean over
    classes of the share that is right), brier = sum_k (p_k - y_k)^2, ece over 15 bins of confidence.

    Reference: Brier, "Verification of forecasts expressed in terms of probability" (1950); Guo, Pleiss, Sun,
    Weinberger, "On calibration of modern neural networks" (2017), for ece. Departure: weights w_k are not divided by
    their mean over the batch, as some libraries do: a batch of rare classes counts more.
    """

    num_classes: int
    has_classes: ClassVar[bool] = True
    batch_names: ClassVar[tuple[str, ...]] = ("nll", "accuracy")

    @property
    def num_outputs(self) -> int:
        """One logit per class."""
        return self.num_classes

    @property
    def prediction_names(self) -> tuple[str, ...]:
        """One probability per class: p0, p1, ..."""
        return tuple(f"p{k}" for k in range(self.num_classes))

    def encode(self, labels: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return one-hot float targets [batch, num_classes] of integer labels [batch].

        >>> Classification(3).encode(jnp.array([2]))
        Array([[0., 0., 1.]], dtype=float32)
        """
        return jax.nn.one_hot(labels, self.num_classes)

    def loss(self, outputs: jax.Array, targets: jax.Array, weights: jax.Array | None = None) -> jax.Array:
        """Return the cross-entropy [batch] in nats of logits against (soft) targets, both [batch, num_classes]."""
        targets = targets.astype(outputs.dtype)
        return optax.softmax_cross_entropy(outputs, targets if weights is None else targets * weights)

    def batch_metrics(self, outputs: jax.Array, labels: jax.Array, fit: Fit = NO_FIT) -> dict[str, jax.Array]:
        """Return `nll` in nats and `accuracy` 0 or 1 (a tie goes to the lower class), [batch] each."""
        return {
            "nll": optax.softmax_cross_entropy_with_integer_labels(outputs, labels),
            "accuracy": (jnp.argmax(outputs, -1) == labels).astype(outputs.dtype),
        }

    def metrics(self, outputs: jax.Array, labels: jax.Array, fit: Fit = NO_FIT) -> dict[str, jax.Array]:
        """Return the quantities [batch] or [batch, k] of integer labels [batch]."""
        cheap = self.batch_metrics(outputs, labels)
        p = jax.nn.softmax(outputs)
        found = sum_classes(p, labels, cheap["accuracy"], jnp.max(p, -1))
        return {**found, "nll": cheap["nll"], "brier": jnp.sum(jnp.square(p - found["class_count"]), -1)}

    def summarise(self, sums: Sums, count: int) -> dict[str, Any]:
        """Return {metric: value} of sums over `count` examples."""
        return summarise_classes(sums, count)

    def predict(self, outputs: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return class probabilities [batch, num_classes]."""
        return jax.nn.softmax(outputs)

    def link(self, averaged: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return outputs [batch, num_classes] whose predictions these are: log p, finite at p = 0."""
        return jnp.log(jnp.maximum(averaged, jnp.finfo(averaged.dtype).tiny))


@part
class Binary(Task):
    """Two classes by one logit: the log odds of class 1.

        p = sigmoid(output);   loss = -w_1 y log p - w_0 (1 - y) log(1 - p)

    Class weights w_0, w_1 are 1 where none are given; metrics are never weighted. Metrics as of `Classification`, but
    brier = (p - y)^2, half of what it is there.

    Reference: Brier, "Verification of forecasts expressed in terms of probability" (1950). Departure: as
    scikit-learn, of the two forms of the Brier score the one over one class.
    """

    has_classes: ClassVar[bool] = False
    batch_names: ClassVar[tuple[str, ...]] = ("nll", "accuracy")

    @property
    def num_outputs(self) -> int:
        """One logit."""
        return 1

    @property
    def prediction_names(self) -> tuple[str, ...]:
        """The probability of class 1."""
        return ("p1",)

    def encode(self, labels: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return float targets [batch, 1] of labels [batch], 0 or 1."""
        return labels.astype(jnp.float32)[:, None]

    def loss(self, outputs: jax.Array, targets: jax.Array, weights: jax.Array | None = None) -> jax.Array:
        """Return the cross-entropy [batch] in nats of logits against (soft) targets, both [batch, 1]."""
        y = targets.astype(outputs.dtype)
        if weights is None:
            return optax.sigmoid_binary_cross_entropy(outputs, y)[:, 0]
        ones, zeros = jax.nn.log_sigmoid(outputs), jax.nn.log_sigmoid(-outputs)
        return (-weights[:, 1:] * y * ones - weights[:, :1] * (1 - y) * zeros)[:, 0]

    def batch_metrics(self, outputs: jax.Array, labels: jax.Array, fit: Fit = NO_FIT) -> dict[str, jax.Array]:
        """Return `nll` in nats and `accuracy` 0 or 1 (a logit of 0 is class 0), [batch] each."""
        right = (outputs[:, 0] > 0) == (labels == 1)
        return {"nll": self.loss(outputs, self.encode(labels)), "accuracy": right.astype(outputs.dtype)}

    def metrics(self, outputs: jax.Array, labels: jax.Array, fit: Fit = NO_FIT) -> dict[str, jax.Array]:
        """Return the quantities [batch] or [batch, k] of labels [batch], 0 or 1."""
        cheap = self.batch_metrics(outputs, labels)
        p = jax.nn.sigmoid(outputs)
        both = jnp.concatenate([1 - p, p], -1)
        found = sum_classes(both, labels, cheap["accuracy"], jax.nn.sigmoid(jnp.abs(outputs[:, 0])))
        return {**found, "nll": cheap["nll"], "brier": jnp.square(p - self.encode(labels).astype(p.dtype))[:, 0]}

    def summarise(self, sums: Sums, count: int) -> dict[str, Any]:
        """Return {metric: value} of sums over `count` examples."""
        return summarise_classes(sums, count)

    def predict(self, outputs: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return the probability of class 1, [batch, 1]."""
        return jax.nn.sigmoid(outputs)

    def averaged(self, outputs: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return the probabilities of both classes, [batch, 2]: of one near 1 the other's digits would be lost."""
        return jax.nn.sigmoid(jnp.concatenate([-outputs, outputs], -1))

    def link(self, averaged: jax.Array, fit: Fit = NO_FIT) -> jax.Array:
        """Return the logits [batch, 1] of which these are the probabilities of both classes, finite at 0 and 1."""
        log_p = jnp.log(jnp.maximum(averaged, jnp.finfo(averaged.dtype).tiny))
        return log_p[:, 1:] - log_p[:, :1]
