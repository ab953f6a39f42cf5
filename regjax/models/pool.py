"""Max pooling of images, in the form that is fast on the backend at hand: XLA's gradient of it is slow on a CPU."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

Form = Literal["auto", "patches", "native"]


def max_pool(z: jax.Array, window: int, form: Form = "auto") -> jax.Array:
    """Return the largest value of each square of `window` x `window`; what does not fill a square is left out.

    The gradient goes to the largest element of a square, of equal ones to the first in row-major order.

    Args:
      z: images [batch, height, width, channels].
      window: side of the squares, at most 11; 1 returns `z`.
      form: as for `convolve`.
    """
    if window == 1:
        return z
    if choose_form(form) == "patches":
        return _pool(window, z)[0]
    squares = (1, window, window, 1)
    return lax.reduce_window(z, -jnp.inf, lax.max, squares, squares, "VALID")


def choose_form(form: Form) -> str:
    """Return the form that "auto" stands for on this backend, any other as it is."""
    if form != "auto":
        return form
    return "patches" if jax.default_backend() == "cpu" else "native"


# Max pooling that remembers where the largest elements were: one byte per square, no scatter. The forward pass of a
# rule calls the function that the rule is for, here and in `conv`, so that gradients of gradients go by the rule too.


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pool(window: int, z: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    return find_largest(z, window)


def _pool_forward(window: int, z: jax.Array) -> tuple[Any, Any]:
    largest, place = _pool(window, z)
    # an array without elements carries the static height and width to the backward pass
    return (largest, place), (place, jnp.zeros((*z.shape[1:3], 0)))


def _pool_backward(window: int, kept: Any, slopes: Any) -> tuple[jax.Array]:
    place, size = kept
    return (put_back(slopes[0], place, window, *size.shape[:2]),)


_pool.defvjp(_pool_forward, _pool_backward)


def find_largest(z: jax.Array, window: int) -> tuple[jax.Array, jax.Array | None]:
    """Return the largest value of each square, and its place in the square as int8 (None where a square is a pixel)."""
    if window == 1:
        return z, None
    largest, *others = _cut_squares(z, window)
    place = jnp.zeros(largest.shape, jnp.int8)
    for index, value in enumerate(others, 1):
        place = jnp.where(value > largest, jnp.int8(index), place)
        largest = jnp.maximum(value, largest)
    return largest, place


def _cut_squares(z: jax.Array, window: int) -> list[jax.Array]:
    """Return the elements of all squares: first the first of each, then the second, in row-major order."""
    z = z[:, : z.shape[1] // window * window, : z.shape[2] // window * window]
    return [z[:, i::window, j::window] for i in range(window) for j in range(window)]


def pick(z: jax.Array, place: jax.Array | None, window: int) -> jax.Array:
    """Return the element of each square that lies at its place: the transpose of `put_back`."""
    if place is None:
        return z
    picked, *others = _cut_squares(z, window)
    for index, value in enumerate(others, 1):
        picked = jnp.where(place == index, value, picked)
    return picked


def put_back(g: jax.Array, place: jax.Array | None, window: int, height: int, width: int) -> jax.Array:
    """Return [batch, height, width, channels] with each `g` at its place in its square, zero elsewhere."""
    if place is None:
        return g
    batch, rows, columns, channels = g.shape
    shape = (batch, rows, window, columns, window, channels)
    here = window * lax.broadcasted_iota(jnp.int8, shape, 2) + lax.broadcasted_iota(jnp.int8, shape, 4)
    spread = jnp.where(place[:, :, None, :, None] == here, g[:, :, None, :, None], jnp.zeros((), g.dtype))
    z = spread.reshape(batch, rows * window, columns * window, channels)
    return jnp.pad(z, ((0, 0), (0, height - z.shape[1]), (0, width - z.shape[2]), (0, 0)))
