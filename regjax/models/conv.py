"""Convolution and max pooling of images, each in the form that is fast on the backend at hand.

On a CPU XLA's own convolution has a slow gradient, grouped convolutions (what vmap makes of it) are slower still, and
so is the gradient of `reduce_window`. There a convolution is a matrix product of patches, cut into chunks of the batch
whose patches stay in the second-level cache, pooled before they leave it; the members of a vmapped population go
through it one by one, so that a chunk is as large for many as for one. In units of the time of an update of
28x28-32C3-P2-64C3-P2-256-10 at batch 128 inside of a scan, one core per model: 1; members side by side 1.1 to 1.35;
without chunks 1.4 to 1.7; as nine shifted products 1.9; by `conv_general_dilated_patches` 2.6; by XLA's own some 30.
On other backends XLA's own operations are taken; nothing was measured there.

Reference: Chellapilla, Puri, Simard, "High performance convolutional neural networks for document processing" (2006),
for the matrix product. Departure: in chunks, with the pooling inside, so that patches need never be stored.
"""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap

Form = Literal["auto", "patches", "native"]
Padding = Literal["same", "valid"]

LAYOUT = ("NHWC", "HWIO", "NHWC")
# Of the patches, or the outputs, of one chunk: from half to twice as much is as fast with 1 MiB of second-level cache.
CHUNK_BYTES = 2**20


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    window: int = 1,
    padding: Padding = "same",
    form: Form = "auto",
) -> jax.Array:
    """Return the cross-correlation of images with a kernel at stride 1, plus a bias, max-pooled.

        z[b, p, q, o] = sum_ijc x[b, p + i, q + j, c] kernel[i, j, c, o] + bias[o];   result: `max_pool(z, window)`

    Args:
      x: images [batch, height, width, channels].
      kernel: [rows, rows, channels, outputs].
      bias: [outputs].
      window: side of the pooled squares; 1 for none.
      padding: "same" surrounds images with zeros, rows - 1 in all, so that z is as large as x; "valid" leaves them.
      form: "patches", "native" (XLA's operations), or "auto": patches on a CPU when the program is traced. The forms
        agree up to rounding, in their gradients as well.

    Returns:
      [batch, height' // window, width' // window, outputs].

    >>> convolve(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), jnp.ones(1), 2, "valid").ravel().tolist()
    [10.0]
    """
    if _choose(form) == "patches":
        return _convolve(x, kernel, bias, window, padding)
    z = lax.conv_general_dilated(x, kernel, (1, 1), padding.upper(), dimension_numbers=LAYOUT)
    return max_pool(z + bias.reshape(1, 1, 1, -1), window, form)


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
    if _choose(form) == "patches":
        return _pool(z, window)
    squares = (1, window, window, 1)
    return lax.reduce_window(z, -jnp.inf, lax.max, squares, squares, "VALID")


def _choose(form: Form) -> str:
    if form != "auto":
        return form
    return "patches" if jax.default_backend() == "cpu" else "native"


# Max pooling that remembers where the largest elements were: one byte per square, no scatter.


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _pool(z: jax.Array, window: int) -> jax.Array:
    return _find_largest(z, window)[0]


def _pool_forward(z: jax.Array, window: int) -> tuple[jax.Array, Any]:
    largest, place = _find_largest(z, window)
    # an array without elements carries the static height and width to the backward pass
    return largest, (place, jnp.zeros((*z.shape[1:3], 0)))


def _pool_backward(window: int, kept: Any, g: jax.Array) -> tuple[jax.Array]:
    place, size = kept
    return (_put_back(g, place, window, *size.shape[:2]),)


_pool.defvjp(_pool_forward, _pool_backward)


def _find_largest(z: jax.Array, window: int) -> tuple[jax.Array, jax.Array | None]:
    """Return the largest value of each square, and its place in the square as int8 (None where a square is a pixel)."""
    if window == 1:
        return z, None
    z = z[:, : z.shape[1] // window * window, : z.shape[2] // window * window]
    largest, *others = [z[:, i::window, j::window] for i in range(window) for j in range(window)]
    place = jnp.zeros(largest.shape, jnp.int8)
    for index, value in enumerate(others, 1):
        place = jnp.where(value > largest, jnp.int8(index), place)
        largest = jnp.maximum(value, largest)
    return largest, place


def _put_back(g: jax.Array, place: jax.Array | None, window: int, height: int, width: int) -> jax.Array:
    """Return [batch, height, width, channels] with each `g` at its place in its square, zero elsewhere."""
    if place is None:
        return g
    batch, rows, columns, channels = g.shape
    shape = (batch, rows, window, columns, window, channels)
    here = window * lax.broadcasted_iota(jnp.int8, shape, 2) + lax.broadcasted_iota(jnp.int8, shape, 4)
    spread = jnp.where(place[:, :, None, :, None] == here, g[:, :, None, :, None], jnp.zeros((), g.dtype))
    z = spread.reshape(batch, rows * window, columns * window, channels)
    return jnp.pad(z, ((0, 0), (0, height - z.shape[1]), (0, width - z.shape[2]), (0, 0)))


# Convolution as a product of patches. The gradients with respect to images and to weights are loops of their own, so
# that the first layer's gradient with respect to its input, which nothing asks for, is left out by the compiler.


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _convolve(x: jax.Array, kernel: jax.Array, bias: jax.Array, window: int, padding: Padding) -> jax.Array:
    @sequential_vmap
    def pooled(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        return _map_chunks(
            lambda chunk: _find_largest(_multiply(chunk, kernel, bias, padding), window)[0], x, x, kernel
        )

    return pooled(x, kernel, bias)


def _convolve_forward(
    x: jax.Array, kernel: jax.Array, bias: jax.Array, window: int, padding: Padding
) -> tuple[jax.Array, Any]:
    @sequential_vmap
    def pooled(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        return _map_chunks(lambda chunk: _find_largest(_multiply(chunk, kernel, bias, padding), window), x, x, kernel)

    largest, place = pooled(x, kernel, bias)
    return largest, (x, kernel, place)


def _convolve_backward(window: int, padding: Padding, kept: Any, g: jax.Array) -> tuple[jax.Array, ...]:
    x, kernel, place = kept
    low, high = _margins(kernel, padding)
    shrunk = len(kernel) - 1 - low - high
    height, width = x.shape[1] - shrunk, x.shape[2] - shrunk

    @sequential_vmap
    def input_gradient(x: jax.Array, kernel: jax.Array, place: Any, g: jax.Array) -> jax.Array:
        def one(chunk: tuple) -> jax.Array:
            pooled, places = chunk
            return _multiply_back(_put_back(pooled, places, window, height, width), kernel, low, x.shape[1:3])

        return _map_chunks(one, (g, place), x, kernel)

    @sequential_vmap
    def weight_gradients(x: jax.Array, kernel: jax.Array, place: Any, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        def add(totals: tuple[jax.Array, jax.Array], chunk: tuple) -> tuple[tuple[jax.Array, jax.Array], None]:
            images, pooled, places = chunk
            patches = _cut_patches(images, len(kernel), low, high)
            dz = _put_back(pooled, places, window, height, width)
            new = jnp.tensordot(patches, dz, ((0, 1, 2), (0, 1, 2))), pooled.sum((0, 1, 2))
            return jax.tree.map(jnp.add, totals, new), None

        outputs = kernel.shape[-1]
        zero = jnp.zeros((kernel[..., 0].size, outputs), x.dtype), jnp.zeros(outputs, x.dtype)
        (dk, db), _ = lax.scan(add, zero, _split((x, g, place), _chunk_size(x, kernel)))
        return dk.reshape(kernel.shape), db

    return input_gradient(x, kernel, place, g), *weight_gradients(x, kernel, place, g)


_convolve.defvjp(_convolve_forward, _convolve_backward)


def _margins(kernel: jax.Array, padding: Padding) -> tuple[int, int]:
    """Return the rows of zeros before and after an image; of an odd number the larger half comes after, as in XLA."""
    total = len(kernel) - 1 if padding == "same" else 0
    return total // 2, total - total // 2


def _cut_patches(x: jax.Array, rows: int, low: int, high: int) -> jax.Array:
    """Return the patches [batch, height', width', rows * rows * channels], ordered as a kernel's first three axes."""
    x = jnp.pad(x, ((0, 0), (low, high), (low, high), (0, 0)))
    height, width = x.shape[1] - rows + 1, x.shape[2] - rows + 1
    shifts = [x[:, i : i + height, j : j + width] for i in range(rows) for j in range(rows)]
    return jnp.concatenate(shifts, axis=-1)


def _multiply(x: jax.Array, kernel: jax.Array, bias: jax.Array, padding: Padding) -> jax.Array:
    """Return the convolution of a few images, as one matrix product."""
    product = _cut_patches(x, len(kernel), *_margins(kernel, padding)) @ kernel.reshape(-1, kernel.shape[-1])
    return product + bias.reshape(1, 1, 1, -1)


def _multiply_back(dz: jax.Array, kernel: jax.Array, low: int, size: tuple[int, ...]) -> jax.Array:
    """Return the gradient with respect to a few images of this size: each patch's share added where it was cut."""
    rows, _, channels, outputs = kernel.shape
    batch, height, width, _ = dz.shape
    shares = (dz @ kernel.reshape(-1, outputs).T).reshape(batch, height, width, rows, rows, channels)
    total = jnp.zeros((batch, *size, channels), dz.dtype)
    for i in range(rows):
        for j in range(rows):
            up, left = i - low, j - low
            margins = ((0, 0, 0), (up, size[0] - height - up, 0), (left, size[1] - width - left, 0), (0, 0, 0))
            total = total + lax.pad(shares[:, :, :, i, j], jnp.zeros((), dz.dtype), margins)
    return total


def _chunk_size(x: jax.Array, kernel: jax.Array) -> int:
    """Return how many images make a chunk: a power of two, as batch sizes mostly are, so that little is filled up."""
    widest = max(kernel[..., 0].size, kernel.shape[-1])
    image_bytes = x.shape[1] * x.shape[2] * widest * x.dtype.itemsize
    fitting = max(1, CHUNK_BYTES // image_bytes)
    return min(-(-len(x) // 2), 2 ** (fitting.bit_length() - 1))


def _split(tree: Any, size: int) -> Any:
    """Return arrays [batch, ...] as [chunks, size, ...], filled up with zeros.

    There are two chunks at least: a loop of one is no loop to the compiler, which would fuse what it computes with what
    is around it, and the last bits of sums would then depend on regularizers that are off.
    """

    def split(a: jax.Array) -> jax.Array:
        chunks = max(2, -(-len(a) // size))
        filled = jnp.pad(a, ((0, chunks * size - len(a)), *[(0, 0)] * (a.ndim - 1)))
        return filled.reshape(chunks, size, *a.shape[1:])

    return jax.tree.map(split, tree)


def _map_chunks(function: Any, tree: Any, x: jax.Array, kernel: jax.Array) -> Any:
    """Return `function` of arrays [batch, ...], computed for a chunk of the images `x` at a time."""
    chunks = lax.map(function, _split(tree, _chunk_size(x, kernel)))
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[: len(x)], chunks)
