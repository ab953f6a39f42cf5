"""Regularizers that act by noise in the forward pass."""

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Regularizer, Site

# One 32-bit word serves two draws: threefry is up to half of a CPU training step. A rate is thereby rounded to a
# multiple of 2**-16 (error at most 8e-6), and the scale is the reciprocal of the rounded rate, so no bias is left.
GRID = 2**16


def draw_half_words(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return independent uniform uint16 draws of the given shape."""
    size = 1
    for length in shape:
        size *= length
    words = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
    halves = jnp.concatenate([words & 0xFFFF, words >> 16])
    return halves[:size].reshape(shape)


def drop(key: jax.Array, x: jax.Array, rate: jax.Array) -> jax.Array:
    """Return `x` with each element zeroed with probability `rate` and the others divided by `1 - rate`.

        y_i = m_i x_i / (1 - rate),   m_i ~ Bernoulli(1 - rate)

    For one key the masks of different rates are nested: what survives a high rate survives every lower one.

    Args:
      key: jax key; consumed.
      x: activations, any shape.
      rate: drop probability in [0, 1], may be traced; rounded to a multiple of 2**-16.

    Returns:
      Array like `x`. At rate 0 it is `x` bit for bit; at rate 1 it is zero, with zero (finite) gradients.

    >>> x = jnp.ones(3)
    >>> bool((drop(jax.random.key(0), x, 0.0) == x).all())
    True
    """
    threshold = jnp.round((1.0 - jnp.asarray(rate)) * GRID)
    kept = draw_half_words(key, x.shape) < threshold.astype(jnp.uint32)
    scale = jnp.where(threshold > 0, GRID / jnp.maximum(threshold, 1.0), 0.0).astype(x.dtype)
    return jnp.where(kept, x * scale, jnp.zeros((), x.dtype))


@part
class Dropout(Regularizer):
    """Dropout: units are zeroed at random in training and none at inference.

        h_i <- m_i h_i / (1 - rate),   m_i ~ Bernoulli(1 - rate), drawn anew for each example and update

    Applied to the input and after the activation of every hidden layer. All cells of a seed draw the same uniforms.

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural
    networks from overfitting" (2014). Departure: `rate` is the probability to DROP, theirs to retain; the scaling is
    done in training (inverted dropout), so that weights need no scaling at inference; rates are rounded to 2**-16.
    """

    hidden: float = hyper(off=0.0, range="[0, 1)", per_layer=True, help="drop probability after each hidden layer")
    input: float = hyper(off=0.0, range="[0, 1)", help="drop probability of input features")

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return `x` with units dropped at the rate of this site."""
        rate = jnp.asarray(self.input if site.kind == "input" else self.hidden)
        return drop(now.draw("dropout", site.name), x, rate[site.index] if rate.ndim else rate)
