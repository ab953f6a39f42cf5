"""Averages over the course of training: of weights, and of the predictions of several networks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from regjax.parts import derived, hyper, part

# (params, stats) of a network
Network = tuple[Any, Any]


@part
class EMA:
    """Exponential moving average of the weights: evaluation, best state and predictions are of the average.

        a_t = (1 - c_t) a_{t-1} + c_t w_t,   c_t = (1 - decay) / (1 - decay**t),   t updates made

    That is sum_s decay**(t-s) w_s over the sum of its coefficients: the initial weights have no share. Batch statistics
    are averaged in the same way. Training itself goes on with the weights w_t.

    Reference: Polyak, Juditsky, "Acceleration of stochastic approximation by averaging" (1992); the correction of the
    start is that of Kingma, Ba, "Adam" (2015). Departure: none from `optax.ema` of the weights with debias.
    """

    decay: float = hyper(off=0.0, range="[0, 1)", help="share of the old average that an update keeps")

    def init(self, network: Network) -> Network:
        """Return the average before the first update."""
        return network

    def follow(self, average: Network, network: Network, step: jax.Array) -> Network:
        """Return the average after update `step` (from 0)."""
        # By expm1: of a decay near 1 the power's last bit would be the first of the difference.
        share = (1 - self.decay) / -jnp.expm1((step + 1) * jnp.log(self.decay))
        return jax.tree.map(lambda a, w: (1 - share) * a + share * w, average, network)


class SWAMemory(NamedTuple):
    """Average parameters of so many evaluations."""

    averaged: jax.Array
    params: Any


@part
class SWA:
    """Stochastic weight averaging: the plain mean of the weights at every evaluation from `start` on.

        a = mean of w_t over the evaluations with t / T >= start

    Batch statistics are estimated anew, on the training examples, whenever two or more weights are averaged. At start
    1, the off value, only the last weights count. Learning rates as in the reference (constant or cyclic) are the
    study's `[optimizer] schedule`.

    Reference: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson, "Averaging weights leads to wider optima and better
    generalization" (2018). Departure: weights are taken at evaluations (`training.evaluate_every`); statistics are the
    mean over batches of evaluation size, without dropout and other noise.
    """

    start: float = hyper(off=1.0, range="[0, 1]", help="share of the updates after which weights are averaged")

    def init(self, params: Any) -> SWAMemory:
        """Return the average before the first update."""
        return SWAMemory(jnp.float32(0), params)

    def collect(self, memory: SWAMemory, params: Any, step: jax.Array, steps: int) -> SWAMemory:
        """Return the average with the weights of this evaluation, after `step` of `steps` updates."""
        # A little less than start * steps: the rounding of float32 must not leave an evaluation out.
        taken = (step >= (1 - 1e-6) * steps * self.start).astype(memory.averaged.dtype)
        count = memory.averaged + taken
        share = taken / jnp.maximum(count, 1)
        average = jax.tree.map(lambda a, w: (1 - share) * a + share * w, memory.params, params)
        return SWAMemory(count, average)

    def of(self, memory: SWAMemory, network: Network, estimate: Callable[[Any], Any]) -> Network:
        """Return the averaged network, or `network` before `start`; `estimate` gives the statistics of parameters."""
        params, stats = network
        params = jax.tree.map(lambda a, w: jnp.where(memory.averaged > 0, a, w), memory.params, params)
        if jax.tree.leaves(stats):
            stats = jax.tree.map(lambda e, s: jnp.where(memory.averaged > 1, e, s), estimate(params), stats)
        return params, stats


class SnapshotMemory(NamedTuple):
    """Networks [count, ...] at the ends of cycles, and which of them are there."""

    taken: jax.Array
    network: Network


@part
class Snapshots:
    """Snapshot ensemble: predictions are averaged over the networks at the ends of `count` cycles.

        p(x) = 1/count sum_i p_i(x),   p_i after i T / count updates, i = 1..count

    Before a cycle has ended the live network stands in for it. The learning rate falls in cycles where the study says
    `schedule = { name = "cosine", cycles = count }`.

    Attributes:
      room: largest count of the group's runs, which is what memory is held for.

    Reference: Huang, Li, Pleiss, Liu, Hopcroft, Weinberger, "Snapshot ensembles: train 1, get M for free" (2017).
    """

    count: float = hyper(off=1.0, range="[1, 64]", integer=True, help="networks of the ensemble, one per cycle")
    room: int = derived(1)

    def init(self, network: Network) -> SnapshotMemory:
        """Return the memory before the first update: no snapshot."""
        held = jax.tree.map(lambda leaf: jnp.zeros((self.room - 1, *leaf.shape), leaf.dtype), network)
        return SnapshotMemory(jnp.zeros(self.room - 1, bool), held)

    def collect(self, memory: SnapshotMemory, network: Network, step: jax.Array, steps: int) -> SnapshotMemory:
        """Return the memory with this network, where a cycle ends after `step` of `steps` updates."""
        count = jnp.round(self.count).astype(jnp.int32)
        cycle = jnp.where(step * count % steps == 0, step * count // steps - 1, -1)
        here = jnp.arange(self.room - 1) == cycle
        held = jax.tree.map(
            lambda old, new: jnp.where(here.reshape(-1, *[1] * new.ndim), new, old), memory.network, network
        )
        return SnapshotMemory(memory.taken | here, held)

    def of(self, memory: SnapshotMemory, network: Network) -> Network:
        """Return the networks [room, ...]: snapshots, the live one where there is none yet and in the last place."""

        def choose(held: jax.Array, live: jax.Array) -> jax.Array:
            first = jnp.where(memory.taken.reshape(-1, *[1] * live.ndim), held, live)
            return jnp.concatenate([first, live[None]])

        return jax.tree.map(choose, memory.network, network)

    @property
    def weights(self) -> jax.Array:
        """Weight of each network in the mean, [room]: the last place and the first count - 1."""
        place = jnp.arange(self.room)
        return ((place == self.room - 1) | (place < jnp.round(self.count) - 1)) / jnp.round(self.count)


@part
class MCDropout:
    """Monte-Carlo dropout: predictions are averaged over `samples` forward passes with the noise of training.

        p(x) = 1/k sum_{i=1..k} p(x; noise_i),   off: one pass without noise (weight scaling)

    All noise inside the network and on its weights is drawn as in training; batch norm uses its running statistics.
    Levels of `samples` watch one course of training, so that a curve over k costs evaluations only. Sample i draws the
    same noise at every evaluation.

    Reference: Gal, Ghahramani, "Dropout as a Bayesian approximation: representing model uncertainty in deep learning"
    (2016); Srivastava et al., "Dropout" (2014), section 7.5, for the comparison with weight scaling. Departure: noise
    on the inputs by `input_noise` and augmentation are not sampled.
    """

    samples: float = hyper(off=0.0, range="[0, 1000]", integer=True, help="forward passes with noise that are averaged")
