"""What the rest of regjax knows of a model: two pure functions on plain dicts."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from regjax.regularizers.base import Site

Params = Any
Stats = Any
Tap = Callable[[Site, jax.Array], jax.Array]


class Forward(NamedTuple):
    """Result of a forward pass: `outputs` [batch, classes] logits, `stats` batch statistics after it ({} for none)."""

    outputs: jax.Array
    stats: Stats


@dataclasses.dataclass(frozen=True)
class Model:
    """A network as two pure functions.

    Attributes:
      init: (key, x [batch, ...]) -> (params, stats): nested dicts of arrays; weights depend on the key only.
      apply: (params, stats, x, tap, train) -> Forward. `tap(site, activations)` is called at every site and its
        result used; `train` says whether batch norm uses and updates the statistics of this batch.
      num_hidden: number of hidden sites, for a network given from Python: a study may give a value for each.
      version: the user's own mark of a network given from Python, part of the identity of its runs.
    """

    init: Callable[[jax.Array, jax.Array], tuple[Params, Stats]]
    apply: Callable[[Params, Stats, jax.Array, Tap, bool], Forward]
    num_hidden: int = 0
    version: str = ""


class Misfit(NamedTuple):
    """What is wrong with a model's setting `key`, alone or on given inputs: what was got, what is expected."""

    key: str
    got: str
    expected: str


class Settings:
    """Settings of a network, as a study's table `[model]` gives them: the base of every row of MODELS."""

    @property
    def num_hidden(self) -> int:
        """Number of hidden layers, which is the number of hidden sites."""
        raise NotImplementedError

    def find_misfits(self, shape: tuple[int, ...] | None = None) -> list[Misfit]:
        """Return what is wrong with the settings, on inputs `[batch, *shape]` where `shape` is given."""
        return []

    def make(self, num_outputs: int, dtype: str = "float32") -> Model:
        """Return the network with `num_outputs` outputs; the same object for the same settings."""
        raise NotImplementedError
