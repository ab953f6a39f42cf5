"""Noise on the branches of residual networks."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Regularizer, Site
from regjax.regularizers.draws import drop


@part
class StochasticDepth(Regularizer):
    """Stochastic depth: residual branches are dropped at random, deeper ones more often.

        h_{l+1} = h_l + m_l f_l(h_l) / (1 - r_l),   m_l ~ Bernoulli(1 - r_l),   r_l = rate (l + 1) / L,   l = 0 .. L - 1

    A branch is dropped for each example on its own, anew in each update; at inference all branches are there.

    Reference: Huang, Sun, Liu, Sedra, Weinberger, "Deep networks with stochastic depth" (2016). Departure: survivors
    are divided by 1 - r_l in training in place of a factor at inference; theirs drops a block for the whole batch and
    saves its time, which a program of fixed shape cannot; rates are rounded to 2**-16.
    """

    streams: ClassVar[tuple[str, ...]] = ("dropout",)
    needs: ClassVar[tuple[str, ...]] = ("residual",)

    rate: float = hyper(off=0.0, range="[0, 1)", help="drop probability of the last residual branch")

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return a residual branch with examples dropped at the rate of its depth."""
        if site.kind != "residual":
            return x
        ones = jnp.ones((x.shape[0],) + (1,) * (x.ndim - 1), x.dtype)
        return x * drop(now.draw("dropout", f"depth_{site.name}"), ones, self.rate * ((site.index + 1) / site.count))
