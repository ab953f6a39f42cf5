"""Convolutional network in Flax Linen."""

import functools
from typing import Literal

import jax
from flax import linen as nn

from regjax.models.base import Misfit, Model, Tap
from regjax.models.layers import Convolution, make_dense, make_model, name_sites
from regjax.models.norms import Between, LayerSettings
from regjax.parts import part, setting


@part
class CNN(LayerSettings):
    """Settings of a convolutional network: convolutions with max pooling, dense layers, then a linear output layer.

        h_l = activation(pool(norm(kernel_l * h_{l-1} + b_l)))     for every convolution
        h_l = activation(norm(W_l flatten(h_{l-1}) + b_l))         for every dense layer
        outputs = W flatten(h_L) + b

    Inputs are images [batch, height, width] or [batch, height, width, channels]. Pooling comes before the activation:
    the same numbers as after it where the activation does not decrease (all but gelu), at a fraction of the work.
    Dropout and whatever else acts on a hidden layer acts on h_l, on what the next layer reads.

    Attributes:
      channels: of each convolution, at least one.
      kernel: rows and columns of all kernels, usually odd.
      pool: side of the pooled squares after each convolution, 1 for none; one number serves all convolutions. What
        does not fill a square is left out.
      padding: "same" keeps height and width by zeros around the images, "valid" loses `kernel - 1` of each.
      dense: units of each dense layer after the convolutions.

    The others are described at `LayerSettings`; a kernel's fans are counted over a whole patch.

    Reference: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition" (1998).
    Departure: max pooling without weights, every map reads all maps of the layer before.
    """

    channels: tuple[int, ...] = setting(range="[1, inf)")
    kernel: int = setting(default=3, range="[1, inf)")
    # above 11 the place in a square would not fit a byte, in which `max_pool` remembers it
    pool: tuple[int, ...] = setting(default=(2,), range="[1, 11]")
    padding: Literal["same", "valid"] = "same"
    dense: tuple[int, ...] = setting(default=(), range="[1, inf)")

    @property
    def num_hidden(self) -> int:
        """Number of convolutions and dense layers, which is the number of hidden sites."""
        return len(self.channels) + len(self.dense)

    @property
    def windows(self) -> tuple[int, ...]:
        """The side of the pooled squares after each convolution."""
        return self.pool * len(self.channels) if len(self.pool) == 1 else self.pool

    def find_misfits(self, shape: tuple[int, ...] | None = None) -> list[Misfit]:
        """Return what is wrong with the settings, on inputs [batch, *shape] where `shape` is given.

        >>> CNN((8, 8), pool=(4,)).find_misfits((8, 8, 1))[0].got
        '4 after convolution 1, whose maps are 2 x 2'
        """
        if misfits := self.find_group_misfits((*self.channels, *self.dense)):
            return misfits
        if len(self.windows) != len(self.channels):
            return [Misfit("pool", f"{len(self.pool)} values", f"{len(self.channels)}, one per convolution, or one")]
        if shape is None:
            return []
        if len(shape) not in (2, 3):
            images = 'images [height, width] or [height, width, channels]; "mlp" takes inputs of any shape'
            return [Misfit("name", f'"cnn" for inputs of shape {list(shape)}', images)]
        size = shape[:2]
        for index, window in enumerate(self.windows):
            if self.padding == "valid":
                if self.kernel > min(size):
                    got = f"{self.kernel} for convolution {index}, whose input is {size[0]} x {size[1]}"
                    return [Misfit("kernel", got, 'a kernel that fits, fewer channels, or padding = "same"')]
                size = (size[0] - self.kernel + 1, size[1] - self.kernel + 1)
            if window > min(size):
                got = f"{window} after convolution {index}, whose maps are {size[0]} x {size[1]}"
                return [Misfit("pool", got, "squares that fit, one number per convolution, 1 for none")]
            size = (size[0] // window, size[1] // window)
        return []

    def make(self, num_outputs: int, dtype: str = "float32") -> Model:
        """Return the network with `num_outputs` logits; the same object for the same settings.

        >>> import jax.numpy as jnp
        >>> params, _ = CNN((4,), dense=(5,)).make(3).init(jax.random.key(0), jnp.ones((1, 8, 8)))
        >>> {name: layer["kernel"].shape for name, layer in params.items()}
        {'hidden_0': (3, 3, 1, 4), 'hidden_1': (64, 5), 'output': (5, 3)}
        """
        return _make(self, num_outputs, dtype)


class _Network(nn.Module):
    """The Linen module behind `CNN`. Layers are named: Linen seeds a parameter by its path."""

    settings: CNN
    num_outputs: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, tap: Tap | None, train: bool) -> jax.Array:
        s = self.settings
        between = Between(s, train, self.dtype)
        site = name_sites(tap, {"input": 1, "hidden": s.num_hidden})
        # A norm before the pooling needs all values, so that the pooling cannot be done within the convolution.
        apart = s.norm != "none" and s.norm_place == "before"
        x = site("input", 0, x[..., None] if x.ndim == 3 else x)
        for index, width in enumerate((*s.channels, *s.dense)):
            name, window = f"hidden_{index}", 1
            if index < len(s.channels):
                window, within = (s.windows[index], 1) if apart else (1, s.windows[index])
                x = Convolution(s, width, s.kernel, self.dtype, 1, within, s.padding, s.has_bias, name=name)(x)
            else:
                x = make_dense(s, width, self.dtype, name, s.has_bias)(x.reshape(x.shape[0], -1))
            x = site("hidden", index, between.activate(x, f"norm_{index}", window))
        return make_dense(s, self.num_outputs, self.dtype, "output")(x.reshape(x.shape[0], -1))


# Runs share a program when their recipes are equal, and a model is compared by its functions: build each once.
@functools.cache
def _make(settings: CNN, num_outputs: int, dtype: str) -> Model:
    return make_model(_Network(settings, num_outputs, dtype))
