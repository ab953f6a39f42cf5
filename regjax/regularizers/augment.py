"""What is done to the inputs of an update: noise, mirror images, shifts."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Batch, Now, Regularizer, Site
from regjax.regularizers.draws import GRID, NORMAL_DRAWS, draw_half_words, draw_normal, draw_uniform


@part
class InputNoise(Regularizer):
    """Gaussian noise on the inputs in training.

        x_i <- x_i + scale z_i,   z_i ~ N(0, 1), drawn anew for each example and update

    The scale is in the units of the scaled inputs. For a linear model of K targets under this package's squared error
    (no half, mean over targets) it is in expectation `l2` of strength 2 scale^2 / K.

    Reference: Bishop, "Training with noise is equivalent to Tikhonov regularization" (1995). Departure: none; the
    normal draws are those of `draw_normal`.
    """

    costly: ClassVar[tuple[str, ...]] = ("scale",)
    streams: ClassVar[tuple[str, ...]] = ("noise",)

    scale: float | None = hyper(off=0.0, range="[0, inf)", help="standard deviation of the noise on scaled inputs")

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return one normal draw per input feature."""
        return NORMAL_DRAWS * num_inputs

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch with noise on its inputs."""
        if self.scale is None:
            return batch
        noise = draw_normal(now.draw("noise", "input_noise"), batch.x.shape, batch.x.dtype)
        return batch._replace(x=jnp.where(self.scale > 0, batch.x + self.scale * noise, batch.x))


def shift_images(x: jax.Array, down: jax.Array, right: jax.Array) -> jax.Array:
    """Return images moved down and right, with zeros where nothing moved in.

    Args:
      x: images [batch, height, width, ...].
      down, right: pixels, int32 [batch].

    >>> shift_images(jnp.arange(1, 5).reshape(1, 2, 2), jnp.array([1]), jnp.array([0]))
    Array([[[0, 0],
            [1, 2]]], dtype=int32)
    """

    def move(x: jax.Array, by: jax.Array, axis: int) -> jax.Array:
        source = jnp.arange(x.shape[axis], dtype=jnp.int32)[None] - by[:, None]
        shape = [1] * x.ndim
        shape[0], shape[axis] = source.shape
        inside = (source >= 0) & (source < x.shape[axis])
        moved = jnp.take_along_axis(x, jnp.clip(source, 0, x.shape[axis] - 1).reshape(shape), axis)
        return jnp.where(inside.reshape(shape), moved, jnp.zeros((), x.dtype))

    # Rows, then columns: half the time of one gather of single pixels on a CPU.
    return move(move(x, down, 1), right, 2)


@part
class Augment(Regularizer):
    """Mirror images and small shifts of training images.

        x[r, c] <- x[r, W - 1 - c]       with probability flip
        x[r, c] <- x[r - d, c - e]       0 where outside;   d, e integers, uniform in [-shift, shift]

    Drawn anew for each example and update. Padding images by `shift` zeros and cropping them at random, as is done for
    CIFAR, is the same as a shift; there is no hyper of its own for it. A shift is rounded to whole pixels, and zero is
    zero after scaling.

    Reference: Simard, Steinkraus, Platt, "Best practices for convolutional neural networks applied to visual document
    analysis" (2003), for shifts; He, Zhang, Ren, Sun, "Deep residual learning for image recognition" (2016), for both.
    Departure: none.
    """

    costly: ClassVar[tuple[str, ...]] = ("shift",)
    streams: ClassVar[tuple[str, ...]] = ("augment",)
    needs: ClassVar[tuple[str, ...]] = ("images",)

    flip: float = hyper(off=0.0, range="[0, 1]", help="probability of a horizontal flip, usually 0.5")
    shift: float | None = hyper(
        off=0.0, range="[0, inf)", integer=True, help="largest shift in pixels, padded with zeros"
    )

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return what moving the pixels costs, in draws: about half of one each."""
        return 0.5 * num_inputs

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch with some images flipped and all shifted."""
        x, size = batch.x, batch.x.shape[0]
        words = draw_half_words(now.draw("augment", "flip"), (size,))
        flipped = words < jnp.round(jnp.asarray(self.flip) * GRID).astype(jnp.uint32)
        x = jnp.where(flipped.reshape(-1, *[1] * (x.ndim - 1)), x[:, :, ::-1], x)
        if self.shift is not None:
            largest = jnp.minimum(jnp.round(self.shift), max(x.shape[1:3])).astype(jnp.int32)
            u = draw_uniform(now.draw("augment", "shift"), (2, size))
            by = jnp.floor(u * (2 * largest + 1)).astype(jnp.int32) - largest
            x = shift_images(x, by[0], by[1])
        return batch._replace(x=x)
