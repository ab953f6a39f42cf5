"""Rectangles of training images: set to zero, or replaced by those of other images."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part, setting
from regjax.regularizers.base import Batch, Now, Regularizer
from regjax.regularizers.draws import draw_beta, draw_uniform


def cover(start: jax.Array, side: jax.Array, length: int) -> jax.Array:
    """Return which of `length` places lie in [start, start + side), bool [..., length].

    >>> cover(jnp.array(-1), jnp.array(3), 4).tolist()
    [True, True, False, False]
    """
    place = jnp.arange(length, dtype=jnp.int32).reshape((1,) * start.ndim + (length,))
    return (place >= start[..., None]) & (place < (start + side)[..., None])


def find_box(
    centre: jax.Array, height: jax.Array, width: jax.Array, shape: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Return which rows and columns of images lie in a rectangle around a uniform centre, cut at the border.

        rows floor(v H) - floor(height / 2) + 0 .. height - 1,   columns likewise

    For one centre a larger rectangle holds a smaller one.

    Args:
      centre: (v, u) uniform in (0, 1) [2, ...].
      height, width: whole pixels [...], int32.
      shape: (H, W) of the images.

    Returns:
      (rows [..., H], columns [..., W]), bool.
    """

    def along(u: jax.Array, side: jax.Array, length: int) -> jax.Array:
        return cover(jnp.floor(u * length).astype(jnp.int32) - side // 2, side, length)

    return along(centre[0], height, shape[0]), along(centre[1], width, shape[1])


def blot(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Return images [batch, H, W, ...] that are zero where both `rows` [batch, H] and `columns` [batch, W] are true."""
    box = rows[:, :, None] & columns[:, None, :]
    return jnp.where(box.reshape(*box.shape, *[1] * (x.ndim - 3)), jnp.zeros((), x.dtype), x)


@part
class Cutout(Regularizer):
    """Cutout: a square of every training image is set to zero.

        x[r, c] <- 0 inside of a square of side `size` whose centre is uniform over the image

    Drawn anew for each example and update. The square is cut at the border, so that less is hidden there. Zero is zero
    after scaling: black with `data.scale = "unit"`, the mean with `"standard"`. The side is rounded to whole pixels.

    Reference: DeVries, Taylor, "Improved regularization of convolutional neural networks with cutout" (2017).
    Departure: an odd side stays odd.
    """

    streams: ClassVar[tuple[str, ...]] = ("augment",)
    needs: ClassVar[tuple[str, ...]] = ("images",)

    size: float = hyper(
        off=0.0, range="[0, inf)", integer=True, help="side in pixels of the square that is set to zero"
    )

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch with a square of every image set to zero."""
        shape = batch.x.shape[1:3]
        # Twice the image covers it from any centre.
        side = jnp.minimum(jnp.round(self.size), 2 * max(shape)).astype(jnp.int32)
        centre = draw_uniform(now.draw("augment", "cutout"), (2, batch.x.shape[0]))
        return batch._replace(x=blot(batch.x, *find_box(centre, side[None], side[None], shape)))


@part
class RandomErasing(Regularizer):
    """Random erasing: with probability `rate` a rectangle of random size and shape is set to zero.

        area = H W U(smallest, largest),   aspect ~ U(aspect, 1 / aspect),
        height = sqrt(area * aspect),   width = sqrt(area / aspect),   its place uniform inside of the image

    Drawn anew for each example and update; examples erased at a rate are erased at every higher one.

    Attributes:
      smallest, largest: share of the image's area.
      aspect: smallest height / width; the largest is its reciprocal.

    Reference: Zhong, Zheng, Kang, Li, Yang, "Random erasing data augmentation" (2020). Departure: the rectangle is
    zero (after scaling), theirs is noise or a mean; sides are rounded and cut to the image's, where theirs draw anew.
    """

    streams: ClassVar[tuple[str, ...]] = ("augment",)
    needs: ClassVar[tuple[str, ...]] = ("images",)

    rate: float = hyper(off=0.0, range="[0, 1]", help="probability that a rectangle of an image is set to zero")
    smallest: float = setting(default=0.02, range="(0, 1]")
    largest: float = setting(default=0.4, range="(0, 1]")
    aspect: float = setting(default=0.3, range="(0, 1]")

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch with a rectangle of some images set to zero."""
        height, width = batch.x.shape[1:3]
        u = draw_uniform(now.draw("augment", "random_erasing"), (5, batch.x.shape[0]))
        area = height * width * (self.smallest + u[1] * (self.largest - self.smallest))
        aspect = self.aspect + u[2] * (1 / self.aspect - self.aspect)

        def along(side: jax.Array, u: jax.Array, length: int) -> jax.Array:
            whole = jnp.minimum(jnp.round(side), length).astype(jnp.int32)
            return cover(jnp.floor(u * (length - whole + 1)).astype(jnp.int32), whole, length)

        rows = along(jnp.sqrt(area * aspect), u[3], height) & (u[0] < self.rate)[:, None]
        return batch._replace(x=blot(batch.x, rows, along(jnp.sqrt(area / aspect), u[4], width)))


@part
class CutMix(Regularizer):
    """CutMix: a rectangle of every image is replaced by that of another image of the batch, labels in proportion.

        x_i <- x_j inside of the rectangle,   y_i <- (1 - a) y_i + a y_j,   a its share of the image, j = i + 1
        sides sqrt(1 - lambda) of the image's, rounded,   lambda ~ Beta(alpha, alpha), centre uniform, one for each
        update; cut at the border

    Training metrics of a batch are measured against the labels of x_i.

    Reference: Yun, Han, Oh, Chun, Choe, Yoo, "CutMix: regularization strategy to train strong classifiers with
    localizable features" (2019). Departure: the partner is the next example, theirs that of a drawn permutation:
    batches are in random order; an odd side stays odd; theirs acts in a share of the updates only, ours in all.
    """

    streams: ClassVar[tuple[str, ...]] = ("augment",)
    needs: ClassVar[tuple[str, ...]] = ("images",)

    alpha: float = hyper(off=0.0, range="[0, inf)", help="both parameters of the Beta distribution of the area kept")

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch with a rectangle of every image replaced by that of the next."""
        x, y, (height, width) = batch.x, batch.y, batch.x.shape[1:3]
        share = jnp.where(self.alpha > 0, 1 - draw_beta(now.draw("augment", "cutmix"), self.alpha), 0)
        tall, wide = (jnp.round(jnp.sqrt(share) * length).astype(jnp.int32) for length in (height, width))
        centre = draw_uniform(now.draw("augment", "cutmix_place"), (2,))
        rows, columns = find_box(centre, tall, wide, (height, width))
        box = (rows[:, None] & columns[None]).reshape(1, height, width, *[1] * (x.ndim - 3))
        taken = jnp.mean(box.astype(y.dtype))
        mixed = jnp.where(taken > 0, (1 - taken) * y + taken * jnp.roll(y, -1, axis=0), y)
        return batch._replace(x=jnp.where(box, jnp.roll(x, -1, axis=0), x), y=mixed)
