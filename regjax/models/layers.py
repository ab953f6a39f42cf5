"""What the networks share: activations, initial weights, layers, and a Linen module as two pure functions."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from regjax.models.base import Forward, Model, Params, Stats, Tap
from regjax.models.conv import Padding, convolve
from regjax.regularizers.base import Site

Activation = Literal["relu", "tanh", "sigmoid", "gelu", "elu", "selu"]
ACTIVATIONS = {
    "relu": nn.relu,
    "tanh": nn.tanh,
    "sigmoid": nn.sigmoid,
    "gelu": nn.gelu,
    "elu": nn.elu,
    "selu": nn.selu,
}
Init = Literal["glorot_uniform", "he_normal", "lecun_normal"]
INITS = {
    "glorot_uniform": nn.initializers.glorot_uniform,
    "he_normal": nn.initializers.he_normal,
    "lecun_normal": nn.initializers.lecun_normal,
    "zeros": nn.initializers.zeros_init,
}


@jax.custom_vjp
def multiply(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return `x` [batch, inputs] times `kernel` [inputs, outputs], with the kernel's gradient laid out like the kernel.

    jax's own rule makes the gradient transposed. XLA then reads it against its layout in every update of a moment,
    which on a CPU took a third of the time of a 784-512-512-10 network's step.
    """
    return x @ kernel


def _multiply(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x @ kernel, (x, kernel)


def _multiply_back(saved: tuple[jax.Array, jax.Array], slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    return slope @ kernel.T, jax.lax.dot_general(x, slope, (((0,), (0,)), ((), ())))


multiply.defvjp(_multiply, _multiply_back)


def make_dense(settings: Any, width: int, dtype: str, name: str, bias: bool = True) -> nn.Dense:
    """Return a linear layer with the settings' initial weights; it takes [batch, inputs]."""
    return nn.Dense(
        width,
        use_bias=bias,
        kernel_init=INITS[settings.init](),
        param_dtype=dtype,
        dot_general=lambda x, kernel, *_, **__: multiply(x, kernel),
        name=name,
    )


class Convolution(nn.Module):
    """A convolution, pooled where `window` is more than 1; its parameters are those of a Linen `Conv` of the same name.

    Attributes:
      settings: their `init` is the distribution of the initial weights.
      channels: of the result.
      kernel, stride, window, padding: as for `convolve`.
      dtype: of the parameters.
      has_bias: whether a bias is added.
    """

    settings: Any
    channels: int
    kernel: int
    dtype: str
    stride: int = 1
    window: int = 1
    padding: Padding = "same"
    has_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the maps of images [batch, height, width, channels]."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.channels)
        kernel = self.param("kernel", INITS[self.settings.init](), shape, self.dtype)
        zeros = nn.initializers.zeros
        bias = self.param("bias", zeros, (self.channels,), self.dtype) if self.has_bias else jnp.zeros(self.channels)
        bias = bias.astype(x.dtype)
        return convolve(x, kernel, bias, self.window, self.padding, stride=self.stride)


def name_sites(tap: Tap | None, counts: dict[str, int]) -> Callable[[str, int, jax.Array], jax.Array]:
    """Return (kind, index, activations) -> what the tap makes of them.

    Args:
      tap: as `Model.apply` is given it; None for none.
      counts: {kind of site: how many there are in the model}.
    """
    if tap is None:
        return lambda kind, index, h: h
    return lambda kind, index, h: tap(
        Site(kind if kind == "input" else f"{kind}_{index}", kind, index, counts[kind]), h
    )


def make_model(network: nn.Module) -> Model:
    """Return a Linen module with `__call__(x, tap or None, train) -> outputs` as two pure functions."""

    def init(key: jax.Array, x: jax.Array) -> tuple[Params, Stats]:
        variables = network.init({"params": key}, x, None, False)
        return variables["params"], variables.get("batch_stats", {})

    def apply(params: Params, stats: Stats, x: jax.Array, tap: Tap, train: bool) -> Forward:
        outputs, new = network.apply(
            {"params": params, "batch_stats": stats}, x, tap, train, mutable=["batch_stats"] if train else []
        )
        return Forward(outputs, new.get("batch_stats", {}) if train else stats)

    return Model(init, apply)
