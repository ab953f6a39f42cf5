"""Regularizers that act on what the network puts out: activations of hidden units, and predictions."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Regularizer, Seen

# Added to mean activations before their logarithm, so that the slope of a unit that is never active stays finite.
FLOOR = 1e-4


def find_hidden(seen: Seen) -> list[jax.Array]:
    """Return the activations [batch, ...] of every hidden site, without noise, in the dtype of the outputs."""
    return [h.astype(seen.outputs.dtype) for site, h in seen.activations.items() if site.kind == "hidden"]


@part
class ActivationL1(Regularizer):
    """L1 penalty on hidden activations.

        loss <- loss + strength * mean over examples of sum_j |h_j|,   j every unit of every hidden layer

    Makes few units active for any one example. Activations are those before dropout and other noise.

    Reference: Glorot, Bordes, Bengio, "Deep sparse rectifier neural networks" (2011). Departure: none; the mean over
    the batch and the sum over units are those of Keras' `activity_regularizer`.
    """

    needs: ClassVar[tuple[str, ...]] = ("hidden",)

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of an example's sum of absolute activations")

    def penalty(self, seen: Seen, now: Now) -> jax.Array:
        """Return strength * mean over the batch of sum |h|."""
        total = sum((jnp.sum(jnp.abs(h)) for h in find_hidden(seen)), jnp.zeros(()))
        return self.strength * total / len(seen.outputs)


@part
class ActivationL2(Regularizer):
    """L2 penalty on hidden activations.

        loss <- loss + strength / 2 * mean over examples of sum_j h_j**2,   j every unit of every hidden layer

    Keeps activations small. Activations are those before dropout and other noise. In one program with batch norm and
    two more penalties on activations its off value is not absent to the last bit: on a CPU gradients then differ by
    1e-8.

    Reference: Merity, McCann, Socher, "Revisiting activation regularization for language RNNs" (2017). Departure: of
    all hidden layers, before dropout instead of after it, the square of the norm instead of the norm, and the half.
    """

    needs: ClassVar[tuple[str, ...]] = ("hidden",)

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of half an example's squared activations")

    def penalty(self, seen: Seen, now: Now) -> jax.Array:
        """Return strength / 2 * mean over the batch of sum h**2."""
        total = sum((jnp.sum(jnp.square(h)) for h in find_hidden(seen)), jnp.zeros(()))
        return 0.5 * self.strength * total / len(seen.outputs)


@part
class KLSparsity(Regularizer):
    """Sparse activations: the mean activation of every hidden unit is drawn to a small target.

        loss <- loss + strength * sum_j KL(target || q_j),   q_j = a_j / (1 + a_j),   a_j = mean |h_j| + 0.0001
        KL(t || q) = t log(t / q) + (1 - t) log((1 - t) / (1 - q))

    The mean is over the examples of the batch, and in a convolution over all places of a channel: j are the channels.
    A unit is content at the mean activation target / (1 - target), next to the target where that is small.

    Reference: Lee, Ekanadham, Ng, "Sparse deep belief net model for visual area V2" (2008); Srivastava et al.,
    "Dropout" (2014), Table 9. Departure: the first has the squared difference from the target in place of KL; q_j is
    the mean activation itself in networks of sigmoids; a ReLU has no upper end, so the mean absolute activation is
    brought into (0, 1) by a / (1 + a), for every kind of activation.
    """

    needs: ClassVar[tuple[str, ...]] = ("hidden",)

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of the divergences, summed over hidden units")
    target: float = hyper(range="(0, 1)", default=0.05, help="mean activation that hidden units are drawn to")

    def penalty(self, seen: Seen, now: Now) -> jax.Array:
        """Return strength * sum over hidden units of KL(target || mean activation)."""

        def diverge(h: jax.Array) -> jax.Array:
            a = jnp.mean(jnp.abs(h), axis=tuple(range(h.ndim - 1))) + FLOOR
            # log q = log a - log(1 + a), log(1 - q) = -log(1 + a)
            return jnp.sum(jnp.log1p(a) - self.target * jnp.log(a))

        entropy = -self.target * jnp.log(self.target) - (1 - self.target) * jnp.log1p(-self.target)
        hidden = find_hidden(seen)
        total = sum((diverge(h) for h in hidden), jnp.zeros(()))
        return self.strength * (total - entropy * sum(h.shape[-1] for h in hidden))


@part
class ConfidencePenalty(Regularizer):
    """Confidence penalty: predictions of low entropy cost.

        loss <- loss - strength * mean over examples of H(p),   H(p) = -sum_k p_k log p_k,   p = softmax(outputs)

    Reference: Pereyra, Tucker, Chorowski, Kaiser, Hinton, "Regularizing neural networks by penalizing confident output
    distributions" (2017). Departure: none; without their threshold, at which the penalty would end.
    """

    needs: ClassVar[tuple[str, ...]] = ("classes",)

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of the mean entropy of the predictions")

    def penalty(self, seen: Seen, now: Now) -> jax.Array:
        """Return -strength * mean entropy; from logits, so that a probability of zero has no infinite logarithm."""
        log_p = jax.nn.log_softmax(seen.outputs)
        return self.strength * jnp.mean(jnp.sum(jnp.exp(log_p) * log_p, axis=-1))
