"""Regularizers that act on the weights after the optimizer's update: decays and constraints."""

import jax
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
            norm = measure_columns(w)
            return w * jnp.where(norm > self.bound, self.bound / jnp.where(norm > 0, norm, 1.0), 1.0)

        return now.alter(clip, params)


@part
class UnitNorm(Regularizer):
    """Unit-norm constraint: the incoming weight vector of every unit has length one.

        w_j <- w_j * (1 - share + share / ||w_j||_2),   w_j all weights into unit j (every axis but the last)

    A share of 1 is the constraint; less goes that share of the way to it after every update. A vector of zeros has no
    direction and stays. The initial weights are as they are.

    Reference: Douglas, Amari, Kung, "On gradient adaptation with unit-norm constraints" (2000). Departure: a share of
    the way.
    """

    share: float = hyper(off=0.0, range="[0, 1]", help="share of the way to length one after every update")

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters with the columns of every selected matrix moved to norm 1."""

        def scale(w, _):
            if w.ndim < 2:
                return w
            norm = measure_columns(w)
            return w * jnp.where(norm > 0, 1 - self.share + self.share / jnp.where(norm > 0, norm, 1.0), 1.0)

        return now.alter(scale, params)


@part
class NonNegativity(Regularizer):
    """Non-negativity constraint: no weight is below zero.

        w_i <- w_i - share * min(w_i, 0)

    A share of 1 is the constraint; less takes that share off every negative weight after every update.

    Reference: Chorowski, Zurada, "Learning understandable neural networks with nonnegative weight constraints" (2015).
    Departure: the projection after any optimizer; a share of the way, where theirs has a quadratic penalty.
    """

    share: float = hyper(off=0.0, range="[0, 1]", help="share of a negative weight taken off after every update")

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters with the selected negative weights moved towards zero."""
        return now.alter(lambda w, _: jnp.where(w < 0, w - self.share * w, w), params)


def measure_columns(w: jax.Array) -> jax.Array:
    """Return the norm of the weights into every unit, with the axes of `w`."""
    return jnp.sqrt(jnp.sum(jnp.square(w), axis=tuple(range(w.ndim - 1)), keepdims=True))
