"""Noise on the weights that the forward pass uses."""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Params, Regularizer, Site
from regjax.regularizers.draws import NORMAL_DRAWS, draw_normal, drop

# The planner counts draws by the example, while weights are drawn by the update: of this many examples.
EXAMPLES = 128


def alter_drawn(function: Callable[[jax.Array, jax.Array], jax.Array], params: Params, now: Now, name: str) -> Params:
    """Return `params` with `function(key, leaf)` in place of every selected leaf, each with a key of its own."""

    def one(path: tuple, chosen: bool, leaf: jax.Array) -> jax.Array:
        place = jax.tree_util.keystr(path, simple=True, separator="/")
        key = now.draw("noise", f"{name}_{place}")
        # draws come in rows, which a single number has none of
        return function(key, jnp.atleast_1d(leaf)).reshape(leaf.shape) if chosen else leaf

    return jax.tree_util.tree_map_with_path(one, now.mask, params)


@part
class DropConnect(Regularizer):
    """DropConnect: weights, not units, are zeroed at random in training.

        W_ij <- m_ij W_ij / (1 - rate),   m_ij ~ Bernoulli(1 - rate), drawn anew for each update

    Acts on the weights that penalties act on (`model.decay_on`), so by default on no bias. For last
    bits beside batch norm see `GaussianDropout`.

    Reference: Wan, Zeiler, Zhang, LeCun, Fergus, "Regularization of neural networks using DropConnect" (2013).
    Departure: one mask serves all examples of an update, theirs is drawn for each example; inference uses the mean
    weights, theirs samples a Gaussian that matches the moments of each unit; rates are rounded to 2**-16.
    """

    costly: ClassVar[tuple[str, ...]] = ("rate",)
    streams: ClassVar[tuple[str, ...]] = ("noise",)

    rate: float | None = hyper(off=0.0, range="[0, 1)", help="drop probability of a weight")

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return one draw per weight and update, shared by its examples."""
        return num_params / EXAMPLES

    def weights(self, params: Params, now: Now) -> Params:
        """Return the parameters with selected weights dropped."""
        if self.rate is None:
            return params
        rate = jnp.asarray(self.rate)
        # A product with ones is exact, but XLA fuses it with what reads the gradient, and the last bits change.
        return alter_drawn(lambda key, w: jnp.where(rate > 0, drop(key, w, rate), w), params, now, "dropconnect")


@part
class WeightNoise(Regularizer):
    """Gaussian noise on the weights in training.

        W_ij <- W_ij + scale z_ij,   z_ij ~ N(0, 1), drawn anew for each update

    The gradient is that at the noisy weights, and is applied to those without noise. Acts on the weights that
    penalties act on (`model.decay_on`).

    Reference: An, "The effects of adding noise during backpropagation training on a generalization performance"
    (1996); Graves, "Practical variational inference for neural networks" (2011). Departure: the scale is given, not
    learned; one draw serves all examples of an update.
    """

    costly: ClassVar[tuple[str, ...]] = ("scale",)
    streams: ClassVar[tuple[str, ...]] = ("noise",)

    scale: float | None = hyper(off=0.0, range="[0, inf)", help="standard deviation of the noise on a weight")

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return one normal draw per weight and update, shared by its examples."""
        return NORMAL_DRAWS * num_params / EXAMPLES

    def weights(self, params: Params, now: Now) -> Params:
        """Return the parameters with noise on selected weights."""
        scale = self.scale
        if scale is None:
            return params
        return alter_drawn(lambda key, w: w + scale * draw_normal(key, w.shape, w.dtype), params, now, "weight_noise")
