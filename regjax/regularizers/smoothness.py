"""Penalties on how the network answers to small changes of its input."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part, setting
from regjax.regularizers.base import Now, Regularizer, Seen
from regjax.regularizers.draws import GRID, draw_half_words


@part
class Jacobian(Regularizer):
    """Jacobian regularization: outputs that change little with the input, estimated by random projections.

        loss <- loss + strength / 2 * mean over examples of ||d z / d x||_F**2,   z the outputs (logits)
        ||J||_F**2 ~ mean over projections of ||v^T J||**2,   v_k = +1 or -1 at random, anew for each example and update

    The estimate has no bias. With batch norm, what an example does to the others' outputs is counted as its own.
    A strength of None leaves out the pass and the draws.

    Attributes:
      projections: random vectors per example and update; each costs about one pass.

    Reference: Hoffman, Roberts, Yaida, "Robust learning with Jacobian regularization" (2019). Departure: v is a vector
    of signs (as in Hutchinson's estimator of a trace), where theirs is uniform on a sphere of the same radius.
    """

    costly: ClassVar[tuple[str, ...]] = ("strength",)
    passes: ClassVar[float] = 1.0
    streams: ClassVar[tuple[str, ...]] = ("noise",)

    strength: float | None = hyper(off=0.0, range="[0, inf)", help="coefficient of half the squared Jacobian")
    projections: int = setting(default=1, range="[1, inf)")

    def penalty(self, seen: Seen, now: Now) -> jax.Array | None:
        """Return strength / 2 * mean estimate of ||d outputs / d x||**2; None where the strength is None."""
        if self.strength is None:
            return None
        outputs, pull = jax.vjp(seen.network, seen.batch.x)
        total = jnp.zeros(())
        for index in range(self.projections):
            words = draw_half_words(now.draw("noise", f"jacobian_{index}"), outputs.shape)
            signs = jnp.where(words < GRID // 2, 1.0, -1.0).astype(outputs.dtype)
            total = total + jnp.sum(jnp.square(pull(signs)[0]))
        return 0.5 * self.strength * total / (self.projections * len(outputs))


@part
class GradientPenalty(Regularizer):
    """Double backpropagation: a loss that changes little with the input.

        loss <- loss + strength / 2 * mean over examples of ||d l / d x||**2,   l the example's loss

    With batch norm, what an example does to the others' losses is counted as its own. A strength of None leaves out the
    pass.

    Reference: Drucker, LeCun, "Improving generalization performance using double backpropagation" (1992).
    """

    costly: ClassVar[tuple[str, ...]] = ("strength",)
    passes: ClassVar[float] = 1.0

    strength: float | None = hyper(off=0.0, range="[0, inf)", help="coefficient of half the squared slope")

    def penalty(self, seen: Seen, now: Now) -> jax.Array | None:
        """Return strength / 2 * mean of ||d loss / d x||**2; None where the strength is None."""
        if self.strength is None:
            return None
        slopes = jax.grad(lambda x: jnp.sum(seen.loss(seen.network(x), seen.batch.y)))(seen.batch.x)
        return 0.5 * self.strength * jnp.sum(jnp.square(slopes)) / len(slopes)
