"""Activations and norms between the layers of a network: their settings, and what they do."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from regjax.models.base import Misfit, Settings
from regjax.models.conv import map_chunks
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
        layer's name only, so that they are equal with and without norm. Layers right before "batch" or "ghost" have no
        bias: the norm's own takes its place.

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

    @property
    def has_bias(self) -> bool:
        """Whether a layer before a norm has a bias: a norm over the batch that follows it at once would take it away.

        Its gradient would be rounding alone, of which Adam makes steps of full size.
        """
        return self.norm not in ("batch", "ghost") or self.norm_place == "after"

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
        if s.norm == "batch":
            return nn.BatchNorm(
                use_running_average=not self.train,
                momentum=s.norm_momentum,
                epsilon=s.norm_epsilon,
                param_dtype=self.dtype,
                name=name,
            )(x)
        return _BlockNorm(s, self.dtype, name=name)(x, self.train)


class _BlockNorm(nn.Module):
    """The norms "ghost", "layer" and "group"; parameters and statistics are those of a Linen norm of the same name."""

    settings: LayerSettings
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        s, channels = self.settings, x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,), self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,), self.dtype)
        exact = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if s.norm == "ghost":
            normed = self.normalise_ghosts(exact, train)
        else:
            groups = 1 if s.norm == "layer" else s.groups
            normed, _, _ = standardise(exact.reshape(len(x), -1, groups, channels // groups), s.norm_epsilon)
        last = (1,) * (x.ndim - 1) + (channels,)
        return (normed.reshape(x.shape) * scale.reshape(last) + bias.reshape(last)).astype(x.dtype)

    def normalise_ghosts(self, x: jax.Array, train: bool) -> jax.Array:
        """Return `x` by the statistics of its ghost batches, in evaluation by the running averages; update these."""
        s, channels = self.settings, x.shape[-1]
        running = [self.variable("batch_stats", name, make, (channels,), self.dtype)
                   for name, make in (("mean", jnp.zeros), ("var", jnp.ones))]  # fmt: skip
        if not train:
            mean, var = (kept.value.reshape((1,) * (x.ndim - 1) + (channels,)) for kept in running)
            return (x - mean) * jax.lax.rsqrt(var + s.norm_epsilon)
        parts = cut_ghosts(x, s.ghost_size)
        found = [standardise(part.reshape(len(part), -1, channels, 1), s.norm_epsilon) for part in parts]
        shares = [part.shape[0] * part.shape[1] / len(x) for part in parts]
        for place, kept in enumerate(running, 1):
            new = sum(share * each[place].mean(0) for share, each in zip(shares, found, strict=True))
            kept.value = s.norm_momentum * kept.value + (1 - s.norm_momentum) * new
        return jnp.concatenate([each[0].reshape(-1, channels) for each in found]).reshape(x.shape)


def cut_ghosts(x: jax.Array, size: int) -> list[jax.Array]:
    """Return the ghost batches of `x` [batch, ...]: the full ones, and the rest as one.

    >>> [part.shape for part in cut_ghosts(jnp.ones((7, 2)), 3)]
    [(2, 3, 2), (1, 1, 2)]
    """
    end = len(x) // size * size
    parts = [x[:end].reshape(-1, size, *x.shape[1:]), x[end:][None]]
    return [part for part in parts if part.size]


def standardise(x: jax.Array, epsilon: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return `x` [blocks, places, groups, units] with mean 0 and variance 1 over places and units; mean and variance.

    In a loop of two: fused with what is around it, the last bits of its sums would depend on regularizers that are off.

    >>> normed, mean, var = standardise(jnp.arange(4.0).reshape(1, 2, 1, 2), 0.0)
    >>> mean.tolist(), var.tolist(), round(float(normed.max()), 4)
    ([[1.5]], [[1.25]], 1.3416)
    """

    def one(chunk: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean, var = chunk.mean((1, 3), keepdims=True), chunk.var((1, 3), keepdims=True)
        return (chunk - mean) * jax.lax.rsqrt(var + epsilon), mean[:, 0, :, 0], var[:, 0, :, 0]

    return map_chunks(one, x, -(-len(x) // 2), len(x))
