"""What is done to labels: corruption that stays for the whole training."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.extend.random import threefry_2x32

from regjax.keys import hash_name, stream_key
from regjax.parts import hyper, part
from regjax.regularizers.base import Batch, Now, Regularizer


@part
class LabelNoise(Regularizer):
    """Label noise: a share of the training examples is mislabelled, once and for all.

        y_i <- a class other than y_i, uniformly, where u_i < rate;   u_i ~ U(0, 1), one for each row of the data set

    The draws depend on the seed and the example's row, so that an example has one label in all epochs, batches and
    cells, and what is mislabelled at a rate is mislabelled at every higher one. A test of other regularizers more than
    one itself. Metrics, those of the training split too, are measured against the given labels.

    Reference: Angluin, Laird, "Learning from noisy examples" (1988), for two classes; Zhang, Bengio, Hardt, Recht,
    Vinyals, "Understanding deep learning requires rethinking generalization" (2017). Departure: the new label is never
    the given one, so that `rate` is the share of wrong labels.
    """

    streams: ClassVar[tuple[str, ...]] = ("labels",)
    needs: ClassVar[tuple[str, ...]] = ("classes",)

    rate: float = hyper(off=0.0, range="[0, 1]", help="share of the training examples that are mislabelled")

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch with one-hot targets of other classes where examples are mislabelled."""
        classes = batch.y.shape[-1]
        key = jax.random.fold_in(stream_key(now.seeds["labels"], "labels"), hash_name("label_noise"))
        rows = batch.rows.astype(jnp.uint32)
        # Counter mode: the block of a row is its draw, whatever batch it is in.
        chance, other = threefry_2x32(jax.random.key_data(key), jnp.stack([rows, jnp.zeros_like(rows)]))
        wrong = (chance.astype(jnp.float32) / 2.0**32 < self.rate) | (jnp.asarray(self.rate) >= 1)
        step = 1 + (other % max(classes - 1, 1)).astype(jnp.int32)
        labels = (jnp.argmax(batch.y, axis=-1) + step) % classes
        return batch._replace(
            y=jnp.where(wrong[:, None], jax.nn.one_hot(labels, classes, dtype=batch.y.dtype), batch.y)
        )
