"""Regularizers that add to the loss or reshape its targets."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Batch, Now, Regularizer, Seen


@part
class L1(Regularizer):
    """L1 penalty, minimised by subgradients.

        loss <- loss + strength * sum_i |w_i|,   d|w|/dw = sign(w), 0 at 0

    Shrinks weights by a constant amount; under a gradient method they hover around zero and are hardly ever exactly
    zero. For exact zeros use `l1_proximal`.

    Reference: Tibshirani, "Regression shrinkage and selection via the lasso" (1996), for the penalty; Langford, Li,
    Zhang, "Sparse online learning via truncated gradient" (2009), for why subgradients do not give zeros.
    """

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of the sum of absolute weights")

    def penalty(self, seen: Seen, now: Now) -> jax.Array:
        """Return strength * sum |w| over the selected leaves."""
        return self.strength * sum((jnp.sum(jnp.abs(w)) for w in now.select(seen.params)), jnp.zeros(()))


@part
class L2(Regularizer):
    """L2 penalty, coupled: its gradient passes through the optimizer.

        loss <- loss + strength / 2 * sum_i w_i**2,   gradient strength * w_i

    With an adaptive optimizer this differs from `decay`; with plain sgd the two agree. Keras' `L2(l)` is
    strength = 2 l; PyTorch's `weight_decay` of SGD and Adam is this strength.

    Reference: Hoerl, Kennard, "Ridge regression" (1970); Loshchilov, Hutter, "Decoupled weight decay regularization"
    (2019), for the difference to decay.
    """

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of half the sum of squared weights")

    def penalty(self, seen: Seen, now: Now) -> jax.Array:
        """Return strength / 2 * sum w**2 over the selected leaves."""
        return 0.5 * self.strength * sum((jnp.sum(jnp.square(w)) for w in now.select(seen.params)), jnp.zeros(()))


@part
class LabelSmoothing(Regularizer):
    """Label smoothing: targets are mixed with the uniform distribution.

        y <- (1 - strength) y + strength / K

    Metrics are always measured against the unsmoothed labels.

    Reference: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer vision"
    (2016).
    """

    needs: ClassVar[tuple[str, ...]] = ("classes",)

    strength: float = hyper(off=0.0, range="[0, 1]", help="share of the uniform distribution in the targets")

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch with smoothed targets."""
        return batch._replace(y=(1 - self.strength) * batch.y + self.strength / batch.y.shape[-1])
