"""Regularizers that look for flat minima."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Params, Regularizer


@part
class SAM(Regularizer):
    """Sharpness-aware minimization: the gradient is taken where the loss nearby is highest, to first order.

        g = grad L(w + radius * grad L(w) / ||grad L(w)||_2),   the norm over all parameters

    L is the whole objective of the update: the same examples, the same noise, penalties included. What an update
    records of its batch, and batch statistics, are of w.

    Reference: Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-aware minimization for efficiently improving
    generalization" (2021). Departure: where the gradient is zero w stays where it is.
    """

    costly: ClassVar[tuple[str, ...]] = ("radius",)
    passes: ClassVar[float] = 1.0

    radius: float | None = hyper(off=0.0, range="[0, inf)", help="distance to the point whose gradient is taken")

    def ascend(self, params: Params, gradients: Params, now: Now) -> Params | None:
        """Return the parameters `radius` up the gradient; None where the radius is None."""
        if self.radius is None:
            return None
        norm = jnp.sqrt(sum((jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradients)), jnp.zeros(())))
        scale = self.radius / jnp.where(norm > 0, norm, 1.0)
        return jax.tree.map(lambda w, g: w + scale * g, params, gradients)
