"""What a network is trained for: how labels are encoded, the loss, the metrics."""

import jax
import jax.numpy as jnp
import optax

from regjax.parts import part


@part
class Classification:
    """Classification into `num_classes` classes by softmax and cross-entropy.

    loss = -sum_k y_k log softmax(outputs)_k
    """

    num_classes: int

    def encode(self, labels: jax.Array) -> jax.Array:
        """Return one-hot float targets [batch, num_classes] of integer labels [batch].

        >>> Classification(3).encode(jnp.array([2]))
        Array([[0., 0., 1.]], dtype=float32)
        """
        return jax.nn.one_hot(labels, self.num_classes)

    def loss(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Return the cross-entropy [batch] in nats of logits against (soft) targets, both [batch, num_classes]."""
        return optax.softmax_cross_entropy(outputs, targets.astype(outputs.dtype))

    def metrics(self, outputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        """Return per-example metrics [batch]: `nll` in nats, `accuracy` 0 or 1 (a tie goes to the lower class)."""
        return {
            "nll": optax.softmax_cross_entropy_with_integer_labels(outputs, labels),
            "accuracy": (jnp.argmax(outputs, -1) == labels).astype(outputs.dtype),
        }

    def predict(self, outputs: jax.Array) -> jax.Array:
        """Return class probabilities [batch, num_classes]."""
        return jax.nn.softmax(outputs)

    def link(self, predictions: jax.Array) -> jax.Array:
        """Return outputs [batch, num_classes] whose predictions these are: log p, finite at p = 0."""
        return jnp.log(jnp.maximum(predictions, jnp.finfo(predictions.dtype).tiny))


# Metric -> whether larger is better.
METRICS = {"nll": False, "accuracy": True}
