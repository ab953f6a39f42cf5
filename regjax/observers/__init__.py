"""What watches training and does not alter it: averages of weights and predictions, stopping criteria."""

import math
from collections.abc import Callable
from typing import Any

import jax

from regjax.observers.averages import EMA, SWA, MCDropout, Network, Snapshots
from regjax.observers.stopping import EarlyStopping, Watch
from regjax.parts import child, part


@part
class Observer:
    """What is looked at of a course of training, and when that ends: averages in this order, then stopping.

    ema averages the weights of every update, swa averages what ema gives, snapshots are taken of what swa gives,
    mc_dropout samples each network. What no run of a group uses is None. Each of them at its off value hands on the
    live network.
    """

    stop: EarlyStopping = child()
    ema: EMA | None = child(None)
    swa: SWA | None = child(None)
    snapshots: Snapshots | None = child(None)
    mc_dropout: MCDropout | None = child(None)

    @property
    def looks(self) -> bool:
        """Whether evaluation sees anything but the live network without noise."""
        return any(part is not None for part in (self.ema, self.swa, self.snapshots, self.mc_dropout))

    @property
    def can_stop(self) -> bool:
        """Whether a run may end before its last update."""
        return any(math.isfinite(threshold) for threshold in self.stop.thresholds)

    def init(self, network: Network) -> dict[str, Any]:
        """Return the memory of the averages before the first update."""
        made: dict[str, Any] = {}
        if self.ema is not None:
            made["ema"] = self.ema.init(network)
        if self.swa is not None:
            made["swa"] = self.swa.init(network[0])
        if self.snapshots is not None:
            made["snapshots"] = self.snapshots.init(network)
        return made

    def follow(self, memory: dict[str, Any], network: Network, step: jax.Array) -> dict[str, Any]:
        """Return the memory after update `step` (from 0)."""
        if self.ema is None:
            return memory
        return memory | {"ema": self.ema.follow(memory["ema"], network, step)}

    def look(
        self, memory: dict[str, Any], network: Network, step: jax.Array, steps: int, estimate: Callable[[Any], Any]
    ) -> tuple[dict[str, Any], Network]:
        """Return the memory after an evaluation, and the network that is evaluated; networks [room, ...] of snapshots.

        Args:
          memory: before it.
          network: the live one.
          step: updates made so far, of `steps`.
          estimate: parameters -> batch statistics on the training examples.
        """
        memory = dict(memory)
        if self.ema is not None:
            network = memory["ema"]
        if self.swa is not None:
            memory["swa"] = self.swa.collect(memory["swa"], network[0], step, steps)
            network = self.swa.of(memory["swa"], network, estimate)
        if self.snapshots is not None:
            memory["snapshots"] = self.snapshots.collect(memory["snapshots"], network, step, steps)
            network = self.snapshots.of(memory["snapshots"], network)
        return memory, network


# Name in a study -> part. The averages are fields of `Observer`; "early_stopping" is its `stop`.
OBSERVERS: dict[str, type] = {
    "ema": EMA,
    "swa": SWA,
    "snapshots": Snapshots,
    "mc_dropout": MCDropout,
    "early_stopping": EarlyStopping,
}

__all__ = ["EMA", "OBSERVERS", "SWA", "EarlyStopping", "MCDropout", "Network", "Observer", "Snapshots", "Watch"]
