"""Regularizers that act by noise in the forward pass."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.extend.random import threefry_2x32

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Regularizer, Site

# One block of the generator serves four draws: on a CPU the draws are all that dropout costs. A rate is thereby rounded
# to a multiple of 2**-16 (error at most 8e-6), and the scale is the reciprocal of the rounded rate: no bias is left.
GRID = 2**16


def draw_half_words(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return independent uniform draws of 16 bits, as uint32 in [0, 2**16).

    The generator is Threefry-2x32 with 20 rounds in counter mode: a block enciphers the counts (i, i + blocks) under
    the key and gives two words, a word gives its low and its high half. All four halves are used.

    Args:
      key: threefry key; consumed.
      shape: [batch, ...]; the batch is drawn in whole blocks, four rows at a time.

    Reference: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011). Departure: none, but
    `jax.random.bits` follows a flag of jax, and by its default XORs the two words of each block into one.
    """
    rows = -(-shape[0] // 4)
    counts = jnp.arange(2 * rows * math.prod(shape[1:]), dtype=jnp.uint32).reshape(2, rows, *shape[1:])
    words = threefry_2x32(jax.random.key_data(key), counts)
    # Halves by a shift along a new axis would save a copy, but XLA then fuses the draws with the layers around them:
    # beside batch norm the last bits of a run with dropout off were seen to differ from those of one without dropout.
    halves = jnp.concatenate([words & 0xFFFF, words >> 16])
    return halves.reshape(4 * rows, *shape[1:])[: shape[0]]


def drop(key: jax.Array, x: jax.Array, rate: jax.Array) -> jax.Array:
    """Return `x` with each element zeroed with probability `rate` and the others divided by `1 - rate`.

        y_i = m_i x_i / (1 - rate),   m_i ~ Bernoulli(1 - rate)

    For one key the masks of different rates are nested: what survives a high rate survives every lower one.

    Args:
      key: threefry key; consumed.
      x: activations [batch, ...].
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
    A rate of None leaves out its sites, draws included: for a group of runs in which all have that rate off. It is part
    of the program's structure, so that members with None and with a number never share a program.

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural
    networks from overfitting" (2014). Departure: `rate` is the probability to DROP, theirs to retain; the scaling is
    done in training (inverted dropout), so that weights need no scaling at inference; rates are rounded to 2**-16.
    """

    costly: ClassVar[tuple[str, ...]] = ("hidden", "input")
    streams: ClassVar[tuple[str, ...]] = ("dropout",)

    hidden: float | None = hyper(
        off=0.0, range="[0, 1)", per_layer=True, help="drop probability after each hidden layer"
    )
    input: float | None = hyper(off=0.0, range="[0, 1)", help="drop probability of input features")

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return one draw per activation of the sites that the hyper acts on."""
        return sum(size for site, size in sites if site.kind == key)

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return `x` with units dropped at the rate of this site; `x` itself where that is None, or of other kinds."""
        given = {"input": self.input, "hidden": self.hidden}.get(site.kind)
        if given is None:
            return x
        rate = jnp.asarray(given)
        return drop(now.draw("dropout", site.name), x, rate[site.index] if rate.ndim else rate)
