"""Examples mixed with each other, inputs and targets alike."""

from typing import ClassVar

import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Batch, Now, Regularizer
from regjax.regularizers.draws import draw_beta


@part
class Mixup(Regularizer):
    """Mixup: every example is blended with another of the batch.

        x_i <- lambda x_i + (1 - lambda) x_j,   y_i <- lambda y_i + (1 - lambda) y_j,   j = i + 1 modulo the batch
        lambda = max(b, 1 - b),   b ~ Beta(alpha, alpha), one for each update

    As alpha goes to 0 lambda goes to 1, continuously for given draws. Training metrics of a batch are measured against
    the labels of x_i.

    Reference: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization" (2018). Departure: the
    partner is the next example, theirs that of a drawn permutation: batches are in random order. The larger of b and
    1 - b weighs the example itself: the loss of a batch has the same distribution, since i and j are exchangeable.
    """

    streams: ClassVar[tuple[str, ...]] = ("augment",)

    alpha: float = hyper(off=0.0, range="[0, inf)", help="both parameters of the Beta distribution of the weights")

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch with every example blended with the next."""
        drawn = draw_beta(now.draw("augment", "mixup"), self.alpha)
        own = jnp.where(self.alpha > 0, jnp.maximum(drawn, 1 - drawn), 1).astype(batch.x.dtype)
        x, y = (jnp.where(own < 1, own * v + (1 - own) * jnp.roll(v, -1, axis=0), v) for v in (batch.x, batch.y))
        return batch._replace(x=x, y=y)
