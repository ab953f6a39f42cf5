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
    """Examples of one update.

    Attributes:
      x: scaled inputs [batch, ...].
      y: float targets [batch, outputs]; one-hot for classes.
      rows: which examples of the data set these are, int32 [batch].
    """

    x: jax.Array
    y: jax.Array
    rows: jax.Array


class Seen(NamedTuple):
    """What a penalty may look at: the forward pass of an update, and the functions it was made by.

    Attributes:
      params: parameters, those that are trained.
      batch: the examples.
      outputs: of the network [batch, outputs].
      activations: {site: [batch, ...]} of input and hidden sites, as they entered the site, before any noise there.
      network: inputs [batch, ...] -> outputs, with the parameters, noise and batch norm of this update.
      loss: (outputs, targets) -> the task's loss [batch].
      predict: outputs -> the task's predictions [batch, outputs], such as probabilities.
    """

    params: Params
    batch: Batch
    outputs: jax.Array
    activations: dict[Site, jax.Array]
    network: Callable[[jax.Array], jax.Array]
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    predict: Callable[[jax.Array], jax.Array]


class Now(NamedTuple):
    """The moment at which a regularizer acts.

    Attributes:
      step: number of updates made so far, an unbatched int32.
      steps: number of planned updates, a Python int.
      lr: learning rate of this update.
      seeds: {stream: uint32 seed} of this run.
      before: parameters before this update.
      mask: tree like the parameters, True for the leaves that penalties, decays and constraints touch.
      metric: () -> tree like the parameters, by what the optimizer has scaled each coordinate of this update; only
        `project` may ask for it.
      memory: what the regularizer has kept, from `init` or the last `remember`.
    """

    step: jax.Array
    steps: int
    lr: jax.Array
    seeds: dict[str, jax.Array]
    before: Params
    mask: Params
    metric: Callable[[], Params] | None = None
    memory: Any = ()

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
    """Changes training in a few places; every default is the identity.

    At its off value a regularizer must leave the program's numbers bit for bit as if it were absent. In an update the
    places come in this order, and in each the regularizers in the order of their table:
    batch, weights, site, penalty, ascend, gradient, (update), project, remember.

    Attributes:
      costly: hypers that cost time even at their off value; such a hyper is None in a group of runs that all have it
        off, and what it does is left out.
      passes: forward and backward passes over the network that an update costs more when the costly hypers are there.
      streams: what it draws from.
      needs: what of data, task or model it cannot do without: "images", "classes", "residual" (branches that are
        added to a shortcut), "hidden" (hidden layers) or "channels" (convolutional ones).
    """

    costly: ClassVar[tuple[str, ...]] = ()
    passes: ClassVar[float] = 0.0
    streams: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return the draws for one example that the costly hyper `key` makes even at its off value.

        Args:
          key: name of the hyper.
          sites: every site with its activations per example.
          num_params, num_inputs: parameters of the network, features of an example.
        """
        return 0.0

    def at(self, now: Now) -> "Regularizer":
        """Return the regularizer as it is at this moment."""
        return self

    def init(self, params: Params) -> Any:
        """Return the memory before the first update, a tree of arrays."""
        return ()

    def batch(self, batch: Batch, now: Now) -> Batch:
        """Return the batch that is trained on."""
        return batch

    def weights(self, params: Params, now: Now) -> Params:
        """Return the parameters that the forward pass uses; `mc_dropout` samples them too, without memory."""
        return params

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return the noisy activations of a site from `x` [batch, ...]; `mc_dropout` samples them, without memory."""
        return x

    def penalty(self, seen: Seen, now: Now) -> jax.Array | None:
        """Return a scalar added to the mean loss, or None for nothing."""
        return None

    def ascend(self, params: Params, gradients: Params, now: Now) -> Params | None:
        """Return parameters at which the gradient is taken anew, or None to leave it as it is."""
        return None

    def gradient(self, gradients: Params, now: Now) -> Params:
        """Return the gradient that the optimizer is given."""
        return gradients

    def project(self, params: Params, now: Now) -> Params:
        """Return the parameters after the optimizer's update has been applied."""
        return params

    def remember(self, params: Params, now: Now) -> Any:
        """Return the memory after an update that ended in `params`."""
        return now.memory
