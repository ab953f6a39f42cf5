"""Regularizers that average the weights that are trained on; `regjax.observers` has averages that only watch."""

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part, setting
from regjax.regularizers.base import Now, Params, Regularizer


@part
class Lookahead(Regularizer):
    """Lookahead: after every `steps` updates the weights go back to a share of the way that they have gone.

        where steps divides t:  w <- s + alpha (w - s),  s <- w;   t updates made, s the initial weights at first

    The optimizer's own memory goes on. This comes after decays, proximal steps and constraints: between two points of
    the ball of `max_norm` it stays in it, while a weight is zero where both points have it zero only, and lengths fall
    short of `unit_norm`.

    Attributes:
      steps: updates between two of these (k).

    Reference: Zhang, Lucas, Hinton, Ba, "Lookahead optimizer: k steps forward, 1 step back" (2019). Departure: none
    from `optax.lookahead`; evaluation sees the fast weights, which are the slow ones where `steps` divides
    `training.evaluate_every`.
    """

    alpha: float = hyper(off=1.0, range="(0, 1]", help="share of the way that is kept")
    steps: int = setting(default=5, range="[1, inf)")

    def init(self, params: Params) -> Params:
        """Return the slow weights before the first update."""
        return params

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters, after every `steps` updates between the slow and the fast ones."""
        back = self.ends(now) & (self.alpha < 1)
        return jax.tree.map(lambda w, s: jnp.where(back, s + self.alpha * (w - s), w), params, now.memory)

    def remember(self, params: Params, now: Now) -> Params:
        """Return the slow weights."""
        return jax.tree.map(lambda w, s: jnp.where(self.ends(now), w, s), params, now.memory)

    def ends(self, now: Now) -> jax.Array:
        """Return whether this update is the last of `steps`."""
        return (now.step + 1) % self.steps == 0
