"""Convolution of images with max pooling, in the form that is fast on the backend at hand.

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
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap

from regjax.models.pool import Form, choose_form, find_largest, max_pool, pick, put_back

Padding = Literal["same", "valid"]

LAYOUT = ("NHWC", "HWIO", "NHWC")
# Of the patches, or the outputs, of one chunk: from half to twice as much is as fast with 1 MiB of second-level cache.
CHUNK_BYTES = 2**20


class Geometry(NamedTuple):
    """Sizes of a pooled convolution: rows of the kernel, stride, pooled squares, and the images' height and width."""

    rows: int
    stride: int
    window: int
    padding: Padding
    height: int
    width: int

    def margins(self, size: int) -> tuple[int, int]:
        """Return the zeros before and after images of this size; of an odd number the larger half comes after, as XLA.

        >>> Geometry(3, 2, 1, "same", 8, 8).margins(8), Geometry(3, 2, 1, "same", 9, 9).margins(9)
        ((0, 1), (1, 1))
        """
        if self.padding == "valid":
            return 0, 0
        total = max(0, (-(-size // self.stride) - 1) * self.stride + self.rows - size)
        return total // 2, total - total // 2

    def count(self, size: int) -> int:
        """Return how many places the kernel takes along images of this size."""
        return (size + sum(self.margins(size)) - self.rows) // self.stride + 1


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    window: int = 1,
    padding: Padding = "same",
    form: Form = "auto",
    stride: int = 1,
) -> jax.Array:
    """Return the cross-correlation of images with a kernel, plus a bias, max-pooled.

        z[b, p, q, o] = sum_ijc x[b, s p + i, s q + j, c] kernel[i, j, c, o] + bias[o];   result: `max_pool(z, window)`

    Args:
      x: images [batch, height, width, channels].
      kernel: [rows, rows, channels, outputs].
      bias: [outputs].
      window: side of the pooled squares; 1 for none.
      padding: "same" surrounds images with zeros, so many that z has ceil(height / stride) rows, of an odd number the
        larger half after the image; "valid" leaves them as they are.
      form: "patches", "native" (XLA's operations), or "auto": patches on a CPU when the program is traced. The forms
        agree up to rounding, in their gradients of any order (by reverse mode) as well.
      stride: s, the distance of neighbouring places.

    Returns:
      [batch, height' // window, width' // window, outputs].

    >>> convolve(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), jnp.ones(1), 2, "valid").ravel().tolist()
    [10.0]
    """
    if choose_form(form) == "patches":
        return _find(Geometry(len(kernel), stride, window, padding, *x.shape[1:3]), x, kernel, bias)[0]
    z = lax.conv_general_dilated(x, kernel, (stride, stride), padding.upper(), dimension_numbers=LAYOUT)
    return max_pool(z + bias.reshape(1, 1, 1, -1), window, form)


# Convolution as a product of patches, pooled at known places, is linear in the images and in the weights. Its gradients
# are linear too, and the gradients of each of the three are the other two, so that they serve every order. Those with
# respect to images and to weights are loops of their own, so that the first layer's gradient with respect to its
# input, which nothing asks for, is left out by the compiler.


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _find(g: Geometry, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """Return the pooled convolution, and the places of the largest elements."""

    @sequential_vmap
    def pooled(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        return map_chunks(
            lambda chunk: find_largest(_multiply(g, chunk, kernel, bias), g.window),
            x,
            _chunk_size(x, kernel, g),
            len(x),
        )

    return pooled(x, kernel, bias)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _choose_places(g: Geometry, x: jax.Array, kernel: jax.Array, bias: jax.Array, place: Any) -> jax.Array:
    """Return the convolution at the places given."""

    @sequential_vmap
    def picked(x: jax.Array, kernel: jax.Array, bias: jax.Array, place: Any) -> jax.Array:
        def one(chunk: tuple) -> jax.Array:
            images, places = chunk
            return pick(_multiply(g, images, kernel, bias), places, g.window)

        return map_chunks(one, (x, place), _chunk_size(x, kernel, g), len(x))

    return picked(x, kernel, bias, place)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _image_gradient(g: Geometry, slope: jax.Array, kernel: jax.Array, place: Any) -> jax.Array:
    """Return the gradient with respect to the images."""

    @sequential_vmap
    def gradient(slope: jax.Array, kernel: jax.Array, place: Any) -> jax.Array:
        def one(chunk: tuple) -> jax.Array:
            slopes, places = chunk
            return _multiply_back(g, put_back(slopes, places, g.window, *_map_size(g)), kernel)

        return map_chunks(one, (slope, place), _chunk_size(slope, kernel, g), len(slope))

    return gradient(slope, kernel, place)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weight_gradients(g: Geometry, x: jax.Array, slope: jax.Array, place: Any) -> tuple[jax.Array, jax.Array]:
    """Return the gradients with respect to kernel and bias."""
    shape = (g.rows, g.rows, x.shape[-1], slope.shape[-1])

    @sequential_vmap
    def gradients(x: jax.Array, slope: jax.Array, place: Any) -> tuple[jax.Array, jax.Array]:
        def add(totals: tuple[jax.Array, jax.Array], chunk: tuple) -> tuple[tuple[jax.Array, jax.Array], None]:
            images, slopes, places = chunk
            patches = _cut_patches(g, images)
            dz = put_back(slopes, places, g.window, *_map_size(g))
            new = jnp.tensordot(patches, dz, ((0, 1, 2), (0, 1, 2))), slopes.sum((0, 1, 2))
            return jax.tree.map(jnp.add, totals, new), None

        zero = jnp.zeros((math.prod(shape[:3]), shape[3]), x.dtype), jnp.zeros(shape[3], x.dtype)
        kernel = jax.ShapeDtypeStruct(shape, x.dtype)
        (dk, db), _ = lax.scan(add, zero, _split((x, slope, place), _chunk_size(x, kernel, g)))
        return dk.reshape(shape), db

    return gradients(x, slope, place)


def _find_forward(g: Geometry, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[Any, Any]:
    largest, place = _find(g, x, kernel, bias)
    return (largest, place), (x, kernel, place)


def _find_backward(g: Geometry, kept: Any, slopes: Any) -> tuple[jax.Array, ...]:
    x, kernel, place = kept
    return _image_gradient(g, slopes[0], kernel, place), *_weight_gradients(g, x, slopes[0], place)


def _choose_forward(g: Geometry, x: jax.Array, kernel: jax.Array, bias: jax.Array, place: Any) -> tuple[Any, Any]:
    return _choose_places(g, x, kernel, bias, place), (x, kernel, place)


def _choose_backward(g: Geometry, kept: Any, slope: jax.Array) -> tuple[Any, ...]:
    return *_find_backward(g, kept, (slope,)), None


def _image_forward(g: Geometry, slope: jax.Array, kernel: jax.Array, place: Any) -> tuple[Any, Any]:
    return _image_gradient(g, slope, kernel, place), (slope, kernel, place)


def _image_backward(g: Geometry, kept: Any, images: jax.Array) -> tuple[Any, ...]:
    slope, kernel, place = kept
    none = jnp.zeros(kernel.shape[-1], kernel.dtype)
    return _choose_places(g, images, kernel, none, place), _weight_gradients(g, images, slope, place)[0], None


def _weight_forward(g: Geometry, x: jax.Array, slope: jax.Array, place: Any) -> tuple[Any, Any]:
    return _weight_gradients(g, x, slope, place), (x, slope, place)


def _weight_backward(g: Geometry, kept: Any, weights: tuple[jax.Array, jax.Array]) -> tuple[Any, ...]:
    x, slope, place = kept
    return _image_gradient(g, slope, weights[0], place), _choose_places(g, x, *weights, place), None


_find.defvjp(_find_forward, _find_backward)
_choose_places.defvjp(_choose_forward, _choose_backward)
_image_gradient.defvjp(_image_forward, _image_backward)
_weight_gradients.defvjp(_weight_forward, _weight_backward)


def _map_size(g: Geometry) -> tuple[int, int]:
    """Return height and width of the maps before pooling."""
    return g.count(g.height), g.count(g.width)


def _cut_patches(g: Geometry, x: jax.Array) -> jax.Array:
    """Return the patches [batch, height', width', rows * rows * channels], ordered as a kernel's first three axes."""
    x = jnp.pad(x, ((0, 0), g.margins(g.height), g.margins(g.width), (0, 0)))
    height, width = ((size - 1) * g.stride + 1 for size in _map_size(g))
    shifts = [x[:, i : i + height : g.stride, j : j + width : g.stride] for i in range(g.rows) for j in range(g.rows)]
    return jnp.concatenate(shifts, axis=-1)


def _multiply(g: Geometry, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Return the convolution of a few images, as one matrix product."""
    product = _cut_patches(g, x) @ kernel.reshape(-1, kernel.shape[-1])
    return product + bias.reshape(1, 1, 1, -1)


def _multiply_back(g: Geometry, dz: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return the gradient with respect to a few images: each patch's share added where it was cut."""
    channels, outputs = kernel.shape[2:]
    shares = (dz @ kernel.reshape(-1, outputs).T).reshape(*dz.shape[:3], g.rows, g.rows, channels)
    total = jnp.zeros((len(dz), g.height, g.width, channels), dz.dtype)

    def surround(shift: int, size: int) -> tuple[int, int, int]:
        low = shift - g.margins(size)[0]
        return low, size - low - (g.count(size) - 1) * g.stride - 1, g.stride - 1

    for i in range(g.rows):
        for j in range(g.rows):
            margins = ((0, 0, 0), surround(i, g.height), surround(j, g.width), (0, 0, 0))
            total = total + lax.pad(shares[:, :, :, i, j], jnp.zeros((), dz.dtype), margins)
    return total


def _chunk_size(x: Any, kernel: Any, g: Geometry) -> int:
    """Return how many images make a chunk: a power of two, as batch sizes mostly are, so that little is filled up."""
    widest = max(math.prod(kernel.shape[:3]), kernel.shape[-1])
    image_bytes = -(-g.height // g.stride) * -(-g.width // g.stride) * widest * x.dtype.itemsize
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


def map_chunks(function: Any, tree: Any, size: int, batch: int) -> Any:
    """Return `function` of arrays [batch, ...], computed for `size` examples at a time."""
    chunks = lax.map(function, _split(tree, size))
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:batch], chunks)
