"""Activations and norms between the layers of a network: their settings, and what they do."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from regjax.models.base import Misfit, Settings
from regjax.models.layers import ACTIVATIONS, Activation, Init
from regjax.models.pool import max_pool
from regjax.parts import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerSettings(Settings):
    """Settings of networks with hidden layers, which have an activation and may have a norm beside it.

        norm(x) = scale (x - mean) / sqrt(var + norm_epsilon) + bias        scale and bias per unit or channel

    Attributes:
      activation: after every hidden layer.
      norm: over what mean and variance go. "batch": all examples of the update and all places of a channel; in
        evaluation running averages of them. "ghost": the same of every `ghost_size` examples. "layer": all units (all
        channels and places) of one example. "group": `groups` groups of neighbouring units or channels of one example.
      norm_place: whether the norm comes before or after the activation.
      ghost_size: examples whose statistics "ghost" takes together, in the order of the batch; what is left of the
        batch is a smaller part. The running averages take in the parts' mean, each weighing as many examples as it has.
      groups: of "group"; divides the units or channels of every layer.
      norm_momentum: weight of the OLD value in the running averages of "batch" and "ghost", in [0, 1).
      norm_epsilon: added to the variance.
      init: distribution of the initial weights; biases start at zero. The weights of a layer depend on the key and the
        layer's name only, so that they are equal with and without norm.

    Reference: Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift" (2015); Hoffer, Hubara, Soudry, "Train longer, generalize better: closing the generalization gap in large
    batch training of neural networks" (2017), for ghost batches; Ba, Kiros, Hinton, "Layer normalization" (2016); Wu,
    He, "Group normalization" (2018). Departure: running averages are of the biased variance; ghost batches enter them
    together, not one after another; scale and bias of "layer" are per channel on images.
    """

    activation: Activation = "relu"
    norm: Literal["none", "batch", "ghost", "layer", "group"] = "none"
    norm_place: Literal["before", "after"] = "before"
    ghost_size: int = setting(default=32, range="[1, inf)")
    groups: int = setting(default=8, range="[1, inf)")
    norm_momentum: float = setting(default=0.9, range="[0, 1)")
    norm_epsilon: float = setting(default=1e-5, range="(0, inf)")
    init: Init = "glorot_uniform"

    def find_group_misfits(self, widths: Sequence[int]) -> list[Misfit]:
        """Return what is wrong with `groups` where layers have these units or channels."""
        uneven = [width for width in widths if width % self.groups] if self.norm == "group" else []
        if not uneven:
            return []
        return [Misfit("groups", f"{self.groups} for a layer of {uneven[0]}", "a divisor of the width of every layer")]


class Between(NamedTuple):
    """What stands between the layers of a network: its settings, whether it trains, the dtype of its parameters."""

    settings: LayerSettings
    train: bool
    dtype: str

    def activate(self, x: jax.Array, name: str, window: int = 1) -> jax.Array:
        """Return the activation of `x` [batch, ..., channels], max-pooled, with the norm `name` before or after."""
        x = max_pool(self.normalise(x, name, "before"), window)
        return self.normalise(ACTIVATIONS[self.settings.activation](x), name, "after")

    def normalise(self, x: jax.Array, name: str, place: str) -> jax.Array:
        """Return `x` [batch, ..., channels] as the norm `name` leaves it; `x` where there is none at this place."""
        s = self.settings
        if s.norm == "none" or s.norm_place != place:
            return x
        if s.norm == "ghost":
            return _GhostNorm(s, self.dtype, name=name)(x, self.train)
        kept: dict[str, Any] = {"epsilon": s.norm_epsilon, "param_dtype": self.dtype, "name": name}
        if s.norm == "batch":
            return nn.BatchNorm(use_running_average=not self.train, momentum=s.norm_momentum, **kept)(x)
        return nn.GroupNorm(1 if s.norm == "layer" else s.groups, **kept)(x)


class _GhostNorm(nn.Module):
    """Ghost batch norm; its parameters and statistics are those of a Linen `BatchNorm` of the same name."""

    settings: LayerSettings
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        s, channels = self.settings, x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, channels, self.dtype)
        bias = self.param("bias", nn.initializers.zeros, channels, self.dtype)
        means = self.variable("batch_stats", "mean", jnp.zeros, channels, self.dtype)
        variances = self.variable("batch_stats", "var", jnp.ones, channels, self.dtype)
        exact = x.astype(jnp.promote_types(x.dtype, jnp.float32))

        def finish(part: jax.Array, mean: jax.Array, var: jax.Array) -> jax.Array:
            last = (1,) * (part.ndim - 1) + channels
            factor = jax.lax.rsqrt(var + s.norm_epsilon) * scale.reshape(last)
            return (part - mean) * factor + bias.reshape(last)

        if not train:
            last = (1,) * (x.ndim - 1) + channels
            return finish(exact, means.value.reshape(last), variances.value.reshape(last)).astype(x.dtype)
        parts = [measure(part) for part in cut_ghosts(exact, s.ghost_size)]
        for running, values in ((means, [mean for _, mean, _ in parts]), (variances, [var for *_, var in parts])):
            shares = [part.shape[0] * part.shape[1] / len(x) for part, _, _ in parts]
            new = sum(share * value.mean(tuple(range(x.ndim))) for share, value in zip(shares, values, strict=True))
            running.value = s.norm_momentum * running.value + (1 - s.norm_momentum) * new
        done = [finish(*part).reshape(-1, *x.shape[1:]) for part in parts]
        return jnp.concatenate(done).astype(x.dtype)


def cut_ghosts(x: jax.Array, size: int) -> list[jax.Array]:
    """Return the ghost batches of `x` [batch, ...]: the full ones, and the rest as one.

    >>> [part.shape for part in cut_ghosts(jnp.ones((7, 2)), 3)]
    [(2, 3, 2), (1, 1, 2)]
    """
    end = len(x) // size * size
    parts = [x[:end].reshape(-1, size, *x.shape[1:]), x[end:][None]]
    return [part for part in parts if part.size]


def measure(part: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return ghost batches [ghosts, examples, ..., channels] with mean and variance of each, one per channel."""
    axes = tuple(range(1, part.ndim - 1))
    return part, part.mean(axes, keepdims=True), part.var(axes, keepdims=True)
