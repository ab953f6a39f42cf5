"""Regularizers that act on the gradient before the optimizer: clipping and noise."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Params, Regularizer, Site

# Examples of a usual batch: the planner weighs draws by the example, this noise is drawn once for a whole update.
USUAL_BATCH = 64


@part
class ClipNorm(Regularizer):
    """Gradient clipping by the norm of the whole gradient.

        g <- g * min(1, bound / ||g||_2),   ||g|| over all parameters

    The gradient is that of the loss with all penalties. Decays and proximal steps are not part of it.

    Reference: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks" (2013).
    """

    bound: float = hyper(off=float("inf"), range="(0, inf]", help="largest Euclidean norm of the gradient")

    def gradient(self, gradients: Params, now: Now) -> Params:
        """Return the gradient, shortened to the bound where it is longer."""
        norm = jnp.sqrt(sum((jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradients)), jnp.zeros(())))
        long = norm > self.bound
        factor = self.bound / jnp.where(long, norm, 1.0)
        # A choice, not a factor of one: a product here could be fused with the optimizer's sums, and change their bits.
        return jax.tree.map(lambda g: jnp.where(long, g * factor, g), gradients)


@part
class ClipValue(Regularizer):
    """Gradient clipping by value: every coordinate alone.

        g_i <- min(max(g_i, -bound), bound)

    The gradient is that of the loss with all penalties. Its direction may change; `clip_norm` keeps it.

    Reference: Mikolov, "Statistical language models based on neural networks" (2012).
    """

    bound: float = hyper(off=float("inf"), range="(0, inf]", help="largest absolute value of a gradient's coordinate")

    def gradient(self, gradients: Params, now: Now) -> Params:
        """Return the gradient with every coordinate brought into [-bound, bound]."""
        return jax.tree.map(lambda g: jnp.clip(g, -self.bound, self.bound), gradients)


@part
class GradientNoise(Regularizer):
    """Gradient noise that fades: normal noise is added to the gradient of all parameters.

        g <- g + n,   n_i ~ N(0, scale / (1 + t)**decay),   t updates made so far

    Added after any clipping. All cells of a seed draw the same normal numbers. A scale of None leaves the draws out.

    Reference: Neelakantan, Vilnis, Le, Sutskever, Kaiser, Kurach, Martens, "Adding gradient noise improves learning for
    very deep networks" (2015); `scale` is their eta, a variance.
    """

    costly: ClassVar[tuple[str, ...]] = ("scale",)
    streams: ClassVar[tuple[str, ...]] = ("noise",)

    scale: float | None = hyper(off=0.0, range="[0, inf)", help="variance of the noise at the first update")
    decay: float = hyper(range="[0, inf)", default=0.55, help="power of time that the variance falls by")

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return one draw per parameter and update, shared out among the examples of a usual batch."""
        return num_params / USUAL_BATCH

    def gradient(self, gradients: Params, now: Now) -> Params:
        """Return the gradient with noise; as it is where the scale is None."""
        if self.scale is None:
            return gradients
        deviation = jnp.sqrt(self.scale / (1.0 + now.step) ** self.decay)

        def add(path: Any, g: jax.Array) -> jax.Array:
            key = now.draw("noise", "gradient/" + jax.tree_util.keystr(path, simple=True, separator="/"))
            return jnp.where(deviation > 0, g + deviation * jax.random.normal(key, g.shape, g.dtype), g)

        return jax.tree_util.tree_map_with_path(add, gradients)
