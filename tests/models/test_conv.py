"""Convolution and max pooling: the forms agree with each other and with the formula."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from regjax.models.conv import CHUNK_BYTES, convolve
from regjax.models.pool import max_pool

# 110 images of 9 x 8 x 4 are more than one chunk, and do not fill the last.
BATCH, HEIGHT, WIDTH, CHANNELS, OUTPUTS = 110, 9, 8, 4, 6
SHAPES = [(3, 1, "same"), (3, 2, "valid"), (5, 2, "same"), (5, 1, "valid")]


def make_inputs(rows, dtype=np.float32):
    """Return images, a kernel and a bias."""
    generator = np.random.default_rng(rows)
    shapes = (BATCH, HEIGHT, WIDTH, CHANNELS), (rows, rows, CHANNELS, OUTPUTS), (OUTPUTS,)
    return [generator.normal(size=shape).astype(dtype) for shape in shapes]


@functools.partial(jax.jit, static_argnums=(3, 4, 5, 6))
def values_and_gradients(x, kernel, bias, window, padding, form, stride=1):
    """Return the outputs, and the gradients of a sum of their squares weighted by position."""

    def total(x, kernel, bias):
        y = convolve(x, kernel, bias, window, padding, form, stride)
        return jnp.mean(jnp.cos(jnp.arange(y.size, dtype=y.dtype).reshape(y.shape)) * y**2), y

    (_, y), gradients = jax.value_and_grad(total, (0, 1, 2), has_aux=True)(x, kernel, bias)
    return y, *gradients


@pytest.mark.parametrize(("rows", "window", "padding"), [*SHAPES, (2, 3, "same")])
def test_forms_agree(rows, window, padding):
    """Outputs and all gradients of the forms agree to rounding, over several chunks, at odd and even sizes."""
    x, kernel, bias = make_inputs(rows)
    assert HEIGHT * WIDTH * max(rows**2 * CHANNELS, OUTPUTS) * 4 * BATCH > CHUNK_BYTES or rows < 3
    patches, native = (values_and_gradients(x, kernel, bias, window, padding, form) for form in ("patches", "native"))

    for ours, theirs in zip(patches, native, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(("rows", "window", "padding"), SHAPES)
def test_formula(rows, window, padding):
    """In float64 outputs are those of the sum over patches, and pooled the largest of each square."""
    x, kernel, bias = make_inputs(rows, np.float64)
    margin = rows // 2 if padding == "same" else 0
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    cut = np.lib.stride_tricks.sliding_window_view(padded, (rows, rows), axis=(1, 2))
    z = np.einsum("bpqcij,ijco->bpqo", cut, kernel) + bias
    height, width = z.shape[1] // window, z.shape[2] // window
    squares = z[:, : height * window, : width * window].reshape(BATCH, height, window, width, window, OUTPUTS)

    with jax.enable_x64(True):
        found = convolve(*map(jnp.asarray, (x, kernel, bias)), window, padding, "patches")
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, squares.max((2, 4)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("window", [2, 3])
def test_of_equal_elements_the_first_gets_the_gradient(window):
    """With many ties the forms' pooling gradients are equal, and go to one element of each square."""
    z = jnp.asarray(np.random.default_rng(0).integers(3, size=(5, 7, 8, 3)), jnp.float32)

    def gradient(form):
        return jax.jit(jax.grad(lambda z: jnp.sum(max_pool(z, window, form))))(z)

    patches = gradient("patches")
    np.testing.assert_array_equal(patches, gradient("native"))
    assert patches.sum() == 5 * (7 // window) * (8 // window) * 3
    flat = jax.grad(lambda z: jnp.sum(max_pool(z, 2, "patches")))(jnp.ones((1, 2, 2, 1)))
    assert flat.ravel().tolist() == [1, 0, 0, 0]


def test_the_largest_window():
    """A square of 11 x 11 is the largest whose place fits a byte; the gradient finds its last element."""
    z = jnp.arange(121.0).reshape(1, 11, 11, 1)
    slope = jax.jit(jax.grad(lambda z: max_pool(z, 11, "patches").sum()))(z)
    assert (slope.ravel()[-1], slope.sum()) == (1, 1)


def test_members_one_by_one_equal_members_alone():
    """Under vmap, nested and with shared arguments as well, each member has the bits that it has alone."""
    x, _, bias = make_inputs(3)
    kernels = np.random.default_rng(1).normal(size=(2, 3, 3, 3, CHANNELS, OUTPUTS)).astype(np.float32)
    run = functools.partial(values_and_gradients, window=2, padding="same", form="patches")
    nested = jax.vmap(jax.vmap(run, (None, 0, None)), (None, 0, None))(x, kernels, bias)

    for row in range(2):
        for column in range(3):
            alone = run(x, kernels[row, column], bias)
            for many, one in zip(nested, alone, strict=True):
                np.testing.assert_array_equal(many[row, column], one)


def test_unused_input_gradient_is_left_out():
    """The compiled gradient with respect to the kernel alone makes two matrix products, not three."""
    x, kernel, bias = make_inputs(3)

    def count(argnums):
        gradient = jax.grad(lambda x, k: jnp.sum(convolve(x, k, bias, 2, "same", "patches") ** 2), argnums)
        text = jax.jit(gradient).lower(x, kernel).compile().as_text()
        return text.count(" dot(")

    assert (count(1), count((0, 1))) == (2, 3)


@pytest.mark.parametrize(
    ("rows", "window", "padding"), [(3, 1, "same"), (1, 1, "same"), (3, 2, "same"), (2, 1, "valid")]
)
def test_forms_agree_at_stride_two(rows, window, padding):
    """At stride 2 outputs and gradients are those of XLA's convolution, at an odd and an even size, for 1 x 1 too."""
    inputs = make_inputs(rows)
    patches, native = (values_and_gradients(*inputs, window, padding, form, 2) for form in ("patches", "native"))

    for ours, theirs in zip(patches, native, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(("rows", "window", "stride"), [(3, 2, 1), (2, 1, 2)])
def test_gradients_of_gradients_agree(rows, window, stride):
    """In float64 the third derivatives of the forms agree, by reverse mode over reverse mode, under vmap as well."""
    generator = np.random.default_rng(0)
    inputs = [generator.normal(size=shape) for shape in ((3, 5, 4, 2), (rows, rows, 2, 3), (3,))]

    def first(form, *args):
        return jnp.sum(jnp.sin(convolve(*args, window, "same", form, stride)))

    def second(form, *args):
        return sum(jnp.sum(jnp.sin(slope)) for slope in jax.grad(first, (1, 2, 3))(form, *args))

    def third(form, *args):
        return sum(jnp.sum(jnp.sin(slope)) for slope in jax.grad(second, (1, 2, 3))(form, *args))

    with jax.enable_x64(True):
        args = [jnp.asarray(a)[None] * jnp.asarray([1.0, -0.5]).reshape(2, *[1] * a.ndim) for a in inputs]
        found, expected = (
            jax.jit(jax.vmap(functools.partial(jax.grad(third, (1, 2, 3)), form)))(*args)
            for form in ("patches", "native")
        )
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 * np.abs(theirs).max())
