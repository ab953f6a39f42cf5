"""Residual network of small images in Flax Linen."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from regjax.models.base import Misfit, Model, Tap
from regjax.models.layers import ACTIVATIONS, Convolution, make_dense, make_model, name_sites
from regjax.models.norms import Between, LayerSettings
from regjax.parts import part, setting

SMALLEST = 8  # height and width of the smallest images: the last stage has maps of 2 x 2
STAGES = 3


@part
class ResNet(LayerSettings):
    """Settings of a residual network as for CIFAR: a convolution, three stages of n blocks, a linear output layer.

        h = activation(norm(conv(x)))                                                    width channels
        h <- activation(shortcut(h) + norm(conv(activation(norm(conv(h))))))             for every block
        outputs = W mean(h) + b                                                          mean over all places

    Convolutions are 3 x 3. The stages have `width`, 2 `width` and 4 `width` channels; the first block of the second and
    of the third halves height and width by a stride of 2. With `norm_place = "after"` each norm stands after the
    activation instead, that of a block's second convolution after the activation of the sum. Inputs are images
    [batch, height, width] or [batch, height, width, channels], at least 8 x 8.

    Attributes:
      depth: 6 n + 2, the number of layers with weights without those of the shortcuts.
      width: channels of the first stage.
      shortcut: where a block changes the shape, "projection" is a convolution of 1 x 1 with stride 2 and a norm of its
        own, "pad" every second pixel with channels of zeros behind; elsewhere both are the identity.

    The others are described at `LayerSettings`. Noise for hidden layers acts on what a block gives; noise for residual
    branches (stochastic depth) on what is added to the shortcut.

    Reference: He, Zhang, Ren, Sun, "Deep residual learning for image recognition" (2016), section 4.2; "pad" is their
    option A, "projection" option B. Departure: convolutions have a bias; zeros around images as XLA puts them, at
    stride 2 and an even size behind the image only; the norm may be another than batch norm, or none.
    """

    depth: int = setting(default=8, range="[8, inf)")
    width: int = setting(default=16, range="[1, inf)")
    shortcut: Literal["projection", "pad"] = "projection"
    norm: Literal["none", "batch", "ghost", "layer", "group"] = "batch"

    @property
    def num_hidden(self) -> int:
        """Number of blocks, which is the number of hidden and of residual sites."""
        return (self.depth - 2) // 2

    def find_misfits(self, shape: tuple[int, ...] | None = None) -> list[Misfit]:
        """Return what is wrong with the settings, on inputs [batch, *shape] where `shape` is given.

        >>> ResNet(depth=18).find_misfits()[0].expected
        '6 n + 2: 14 or 20'
        """
        misfits = self.find_group_misfits([self.width])
        if (self.depth - 2) % 6:
            below = (self.depth - 2) // 6 * 6 + 2
            misfits.append(Misfit("depth", str(self.depth), f"6 n + 2: {below} or {below + 6}"))
        if shape is not None and (len(shape) not in (2, 3) or min(shape[:2]) < SMALLEST):
            expected = f"images [height, width] or [height, width, channels], at least {SMALLEST} x {SMALLEST}"
            misfits.append(Misfit("name", f'"resnet" for inputs of shape {list(shape)}', expected))
        return misfits

    def make(self, num_outputs: int, dtype: str = "float32") -> Model:
        """Return the network with `num_outputs` logits; the same object for the same settings.

        >>> import jax.numpy as jnp
        >>> params, _ = ResNet(width=2, norm="none").make(3).init(jax.random.key(0), jnp.ones((1, 8, 8)))
        >>> {name: layer["kernel"].shape for name, layer in params.items() if name.startswith(("skip", "output"))}
        {'skip_1': (1, 1, 2, 4), 'skip_2': (1, 1, 4, 8), 'output': (8, 3)}
        """
        return _make(self, num_outputs, dtype)


class _Network(nn.Module):
    """The Linen module behind `ResNet`. Layers are named: Linen seeds a parameter by its path."""

    settings: ResNet
    num_outputs: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, tap: Tap | None, train: bool) -> jax.Array:
        s, dtype = self.settings, self.dtype
        blocks = s.num_hidden
        between = Between(s, train, dtype)
        site = name_sites(tap, {"input": 1, "hidden": blocks, "residual": blocks})
        x = site("input", 0, x[..., None] if x.ndim == 3 else x)
        x = between.activate(Convolution(s, s.width, 3, dtype, has_bias=s.has_bias, name="stem")(x), "norm_stem")
        for index in range(blocks):
            stage, place = divmod(index, blocks // STAGES)
            channels, stride = s.width * 2**stage, 2 if stage and not place else 1
            first, second = f"conv_{2 * index}", f"conv_{2 * index + 1}"
            h = Convolution(s, channels, 3, dtype, stride, has_bias=s.has_bias, name=first)(x)
            h = between.activate(h, f"norm_{2 * index}")
            h = Convolution(s, channels, 3, dtype, has_bias=s.has_bias, name=second)(h)
            h = site("residual", index, between.normalise(h, f"norm_{2 * index + 1}", "before"))
            h = ACTIVATIONS[s.activation](h + _shorten(s, between, x, stride, index))
            x = site("hidden", index, between.normalise(h, f"norm_{2 * index + 1}", "after"))
        return make_dense(s, self.num_outputs, dtype, "output")(x.mean((1, 2)))


def _shorten(s: ResNet, between: Between, x: jax.Array, stride: int, index: int) -> jax.Array:
    """Return the shortcut of block `index`, of the shape that its branch has."""
    if stride == 1:
        return x
    channels = x.shape[-1]
    if s.shortcut == "pad":
        return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (0, channels)))
    x = Convolution(s, 2 * channels, 1, between.dtype, stride, has_bias=s.has_bias, name=f"skip_{index}")(x)
    return between.normalise(x, f"norm_skip_{index}", "before")


# Runs share a program when their recipes are equal, and a model is compared by its functions: build each once.
@functools.cache
def _make(settings: ResNet, num_outputs: int, dtype: str) -> Model:
    return make_model(_Network(settings, num_outputs, dtype))
