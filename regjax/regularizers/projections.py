"""Regularizers that act on the weights after the optimizer's update: decays, thresholds, constraints."""

import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Params, Regularizer


@part
class Decay(Regularizer):
    """Decoupled weight decay.

        w_{t+1} = w_t - lr_t u_t - lr_t * strength * w_t,   u_t the optimizer's direction

    Reference: Loshchilov, Hutter, "Decoupled weight decay regularization" (2019). Departure: the decay is multiplied
    by the learning rate, as in PyTorch and optax, not only by the schedule as in the paper.
    """

    strength: float = hyper(off=0.0, range="[0, inf)", help="decay of the weights per unit of learning rate")

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters less lr * strength * weights before the update."""
        return now.alter(lambda w, before: w - now.lr * self.strength * before, params)


@part
class L1Proximal(Regularizer):
    """L1 by the proximal step: soft thresholding after every update, which gives exact zeros.

        w <- sign(w) max(|w| - lr_t * strength, 0)

    Reference: Daubechies, Defrise, De Mol, "An iterative thresholding algorithm for linear inverse problems with a
    sparsity constraint" (2004). Departure: after any optimizer, adaptive ones too, the threshold is lr * strength for
    every weight; the metric of the optimizer is not used.
    """

    strength: float = hyper(off=0.0, range="[0, inf)", help="threshold per unit of learning rate")

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters after soft thresholding at lr * strength."""
        threshold = now.lr * self.strength
        return now.alter(lambda w, _: jnp.sign(w) * jnp.maximum(jnp.abs(w) - threshold, 0.0), params)


@part
class MaxNorm(Regularizer):
    """Max-norm constraint: the incoming weight vector of every unit stays in a ball.

        w_j <- w_j * min(1, bound / ||w_j||_2),   w_j all weights into unit j (every axis but the last)

    Reference: Srebro, Shraibman, "Rank, trace-norm and max-norm" (2005); used with dropout by Srivastava et al.
    (2014). Applied after every update, to the output layer too.
    """

    bound: float = hyper(off=float("inf"), range="(0, inf]", help="largest Euclidean norm of a unit's incoming weights")

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters with every selected matrix's columns projected to norm <= bound."""

        def clip(w, _):
            if w.ndim < 2:
                return w
            norm = jnp.sqrt(jnp.sum(jnp.square(w), axis=tuple(range(w.ndim - 1)), keepdims=True))
            return w * jnp.where(norm > self.bound, self.bound / jnp.where(norm > 0, norm, 1.0), 1.0)

        return now.alter(clip, params)
