"""Regularizers that set weights to exactly zero: proximal steps of sparse penalties after the optimizer's update."""

from typing import Literal

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Params, Regularizer


def soften(w: jax.Array, threshold: jax.Array) -> jax.Array:
    """Return `w` drawn to zero by `threshold` (soft thresholding), exactly zero where it is no larger than that.

    >>> soften(jnp.array([-3.0, 0.5, 2.0]), 1.0).tolist()
    [-2.0, 0.0, 1.0]
    """
    return jnp.sign(w) * jnp.maximum(jnp.abs(w) - threshold, 0.0)


@part
class L1Proximal(Regularizer):
    """L1 by the proximal step: soft thresholding after every update, which gives exact zeros.

        w_i <- sign(w_i) max(|w_i| - lr_t * strength * d_i, 0)

    Attributes:
      metric: "euclidean": d_i = 1; "optimizer": d_i is by what the optimizer scaled coordinate i of this update (Adam:
        1 / (sqrt(v) + epsilon)), so that the minimum is that of loss + strength * |w|_1 with adaptive optimizers too.

    Reference: Daubechies, Defrise, De Mol, "An iterative thresholding algorithm for linear inverse problems with a
    sparsity constraint" (2004); Yun, Lozano, Yang, "Adaptive proximal gradient methods for structured neural networks"
    (2021), for the metric of the optimizer. Departure: with "euclidean" the threshold is lr * strength after any
    optimizer: with a momentum of SGD, whose updates of a steady gradient are 1 / (1 - momentum) times as long, the
    minimum is that of strength * (1 - momentum).
    """

    strength: float = hyper(off=0.0, range="[0, inf)", help="threshold per unit of learning rate")
    metric: Literal["euclidean", "optimizer"] = "euclidean"

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters after soft thresholding at lr * strength, in the optimizer's metric if so set."""
        threshold = now.lr * self.strength
        if self.metric == "euclidean":
            return now.alter(lambda w, _: soften(w, threshold), params)
        scales = now.metric()  # type: ignore[misc]
        return jax.tree.map(lambda chosen, w, d: soften(w, threshold * d) if chosen else w, now.mask, params, scales)


@part
class ElasticNet(Regularizer):
    """Elastic net by its proximal step: exact zeros from its L1 part, shrinkage from its L2 part.

        strength * (l1_ratio * |w|_1 + (1 - l1_ratio) / 2 * ||w||_2**2)
        w_i <- sign(w_i) max(|w_i| - lr_t * strength * l1_ratio, 0) / (1 + lr_t * strength * (1 - l1_ratio))

    Reference: Zou, Hastie, "Regularization and variable selection via the elastic net" (2005), the naive one; Parikh,
    Boyd, "Proximal algorithms" (2014), for the step. Departure: after any optimizer the step is Euclidean, as that of
    `l1_proximal`, with the same effect of momentum.
    """

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of both parts, per unit of learning rate")
    l1_ratio: float = hyper(range="[0, 1]", default=0.5, help="share of the L1 part; the rest is that of L2")

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters after the proximal step."""
        first = now.lr * self.strength * self.l1_ratio
        second = 1 + now.lr * self.strength * (1 - self.l1_ratio)
        return now.alter(lambda w, _: soften(w, first) / second, params)


@part
class GroupLasso(Regularizer):
    """Group lasso by its proximal step: all weights that leave one input feature become exactly zero together.

        strength * sum_j sqrt(p) ||w_j||_2,   w_j row j of a dense kernel: the p weights out of feature j
        w_j <- w_j * max(1 - lr_t * strength * sqrt(p) / ||w_j||_2, 0)

    In the first layer a row of zeros is a feature that the network does not use (unless a shortcut around that layer
    reads it, `model.skip`); in a later one, a unit.

    Attributes:
      layers: "first": the first selected dense kernel, in the order of the layers' names ("hidden_0", or "output" where
        there is no hidden layer); "all": every selected dense kernel. Kernels of convolutions are left alone.

    Reference: Yuan, Lin, "Model selection and estimation in regression with grouped variables" (2006); Scardapane,
    Comminiello, Hussain, Uncini, "Group sparse regularization for deep neural networks" (2017), for these groups.
    Departure: after any optimizer the step is Euclidean, as that of `l1_proximal`, with the same effect of momentum.
    """

    strength: float = hyper(off=0.0, range="[0, inf)", help="coefficient of the rows' norms, per unit of learning rate")
    layers: Literal["first", "all"] = "first"

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters after the block soft threshold of every row."""
        leaves, shape = jax.tree.flatten(params)
        dense = [i for i, chosen in enumerate(jax.tree.leaves(now.mask)) if chosen and leaves[i].ndim == 2]
        for index in dense[:1] if self.layers == "first" else dense:
            w = leaves[index]
            norm = jnp.linalg.norm(w, axis=1, keepdims=True)
            threshold = now.lr * self.strength * w.shape[1] ** 0.5
            kept = jnp.maximum(1 - threshold / jnp.where(norm > 0, norm, 1.0), 0.0)
            leaves[index] = w * kept
        return jax.tree.unflatten(shape, leaves)
