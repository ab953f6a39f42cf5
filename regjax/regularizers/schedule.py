"""Regularizers that begin late or end early."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from regjax.parts import child, hyper, hypers, part
from regjax.regularizers.base import Now, Params, Regularizer


@part
class Scheduled(Regularizer):
    """A regularizer that acts in a part of the training only, and is off before and after.

        hyper_t = hyper where round(begin T) <= t < round(end T), else its off value;   t updates made of T planned

    A study writes `begin` and `end` beside the hypers of any regularizer: `"l1.begin" = 0.9` adds L1 for the last
    tenth of the updates, `"decay.end" = 0.5` drops the decay for the second half.

    Reference: Srivastava et al., "Dropout" (2014), Table 9, for L1 towards the end; Golatkar, Achille, Soatto, "Time
    matters in regularizing deep networks" (2019), for decay that ends early.
    """

    part: Regularizer = child()
    begin: float = hyper(range="[0, 1]", default=0.0, help="share of the updates before the regularizer acts")
    end: float = hyper(range="[0, 1]", default=1.0, help="share of the updates after which it is off")

    def at(self, now: Now) -> Regularizer:
        """Return the regularizer, with every hyper that has an off value there outside of its time."""
        # Steps are compared, not shares: XLA rounds a quotient in more than one way.
        begin, end = (jnp.round(jnp.asarray(share) * now.steps) for share in (self.begin, self.end))
        active = (now.step >= begin) & ((now.step < end) | (self.end >= 1))
        switches = {name: h.off for name, h in hypers(type(self.part)).items() if h.off is not None}
        given = {name: getattr(self.part, name) for name in switches}
        return dataclasses.replace(  # type: ignore[type-var]
            self.part,
            **{
                # a tree: a hyper with one value per layer is a tuple
                name: jax.tree.map(lambda level, off=switches[name]: jnp.where(active, level, off), value)
                for name, value in given.items()
                if value is not None
            },
        )

    def init(self, params: Params) -> Any:
        """Return the regularizer's own memory."""
        return self.part.init(params)


# What a study may write beside the hypers of any regularizer.
TIMES = ("begin", "end")
