"""What a regularizer may alter, and what it is given: the interface that `train.step` calls."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax

from regjax.keys import hash_name, stream_key

Params = Any  # nested dict of arrays


@dataclasses.dataclass(frozen=True)
class Site:
    """A place in the network where activations can be altered.

    Attributes:
      name: unique in the model, e.g. "hidden_0".
      kind: "input"; "hidden", what the next layer reads; "residual", a branch before it is added to its shortcut.
      index: number among the sites of this kind in the model, from 0; of a hidden site that of the hidden layer.
      count: how many sites of this kind the model has.
    """

    name: str
    kind: str
    index: int
    count: int = 0


class Batch(NamedTuple):
    """Examples of one update: `x` [batch, ...] scaled inputs, `y` [batch, classes] float targets."""

    x: jax.Array
    y: jax.Array


class Now(NamedTuple):
    """The moment at which a regularizer acts.

    Attributes:
      step: number of updates made so far, an unbatched int32.
      lr: learning rate of this update.
      seeds: {stream: uint32 seed} of this run.
      before: parameters before this update.
      mask: tree like the parameters, True for the leaves that penalties, decays and constraints touch.
    """

    step: jax.Array
    lr: jax.Array
    seeds: dict[str, jax.Array]
    before: Params
    mask: Params

    def draw(self, stream: str, name: str = "") -> jax.Array:
        """Return the key of a stream at this step; `name` separates the places that draw from one stream."""
        key = jax.random.fold_in(stream_key(self.seeds[stream], stream), self.step)
        return jax.random.fold_in(key, hash_name(name))

    def select(self, params: Params) -> list[jax.Array]:
        """Return the leaves of `params` that the study lets penalties touch."""
        pairs = zip(jax.tree.leaves(params), jax.tree.leaves(self.mask), strict=True)
        return [leaf for leaf, chosen in pairs if chosen]

    def alter(self, function: Callable[[jax.Array, jax.Array], jax.Array], params: Params) -> Params:
        """Return `params` with `function(leaf, leaf before the update)` in place of every selected leaf."""
        return jax.tree.map(
            lambda chosen, leaf, before: function(leaf, before) if chosen else leaf, self.mask, params, self.before
        )


class Regularizer:
    """Changes training in at most four places; every default is the identity.

    At its off value a regularizer must leave the program's numbers bit for bit as if it were absent.

    Attributes:
      costly: hypers that cost time even at their off value; such a hyper is None in a group of runs that all have it
        off, and what it does is left out.
    """

    costly: ClassVar[tuple[str, ...]] = ()

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch that is trained on."""
        return batch

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return the activations `x` [batch, ...] of a site in training mode."""
        return x

    def penalty(self, params: Params, now: Now) -> jax.Array | None:
        """Return a scalar added to the mean loss, or None for nothing."""
        return None

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters after the optimizer's update has been applied."""
        return params
