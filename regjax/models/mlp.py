"""Multi-layer perceptron in Flax Linen."""

import functools

import jax
from flax import linen as nn

from regjax.models.base import Misfit, Model, Tap
from regjax.models.layers import make_dense, make_model, name_sites
from regjax.models.norms import Between, LayerSettings
from regjax.parts import part, setting


@part
class MLP(LayerSettings):
    """Settings of a multi-layer perceptron: `len(widths)` hidden layers, then a linear output layer.

        h_0 = flatten(x);   h_l = activation(norm(W_l h_{l-1} + b_l)) [+ S_l h_{l-1}];   outputs = W h_L + b

    The term in brackets is the shortcut of `skip`: S_l is the identity where h_l is as wide as h_{l-1}, else learned.

    Attributes:
      widths: units of each hidden layer, at least one layer.
      skip: whether every hidden layer is added to its input; a learned S_l is named "skip_l", l from 0. What is
        added is a residual branch, on which stochastic depth acts.

    The others are described at `LayerSettings`.

    Reference: He, Zhang, Ren, Sun, "Deep residual learning for image recognition" (2016), for shortcuts. Departure:
    they go around single layers, and nothing comes after the sum.
    """

    widths: tuple[int, ...] = setting(range="[1, inf)")
    skip: bool = False

    @property
    def num_hidden(self) -> int:
        """Number of hidden layers, which is the number of hidden sites."""
        return len(self.widths)

    def find_misfits(self, shape: tuple[int, ...] | None = None) -> list[Misfit]:
        """Return what is wrong with the settings; inputs may have any shape."""
        return self.find_group_misfits(self.widths)

    def make(self, num_outputs: int, dtype: str = "float32") -> Model:
        """Return the network with `num_outputs` logits; the same object for the same settings.

        >>> import jax.numpy as jnp
        >>> model = MLP((4,), norm="batch", skip=True).make(3)
        >>> params, stats = model.init(jax.random.key(0), jnp.ones((1, 2, 3)))
        >>> sorted(params), sorted(stats)
        (['hidden_0', 'norm_0', 'output', 'skip_0'], ['norm_0'])
        """
        return _make(self, num_outputs, dtype)


class _Network(nn.Module):
    """The Linen module behind `MLP`. Layers are named: Linen seeds a parameter by its path."""

    settings: MLP
    num_outputs: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, tap: Tap | None, train: bool) -> jax.Array:
        s = self.settings
        between = Between(s, train, self.dtype)
        site = name_sites(tap, {"input": 1, "hidden": s.num_hidden, "residual": s.num_hidden})
        x = site("input", 0, x.reshape(x.shape[0], -1))
        for index, width in enumerate(s.widths):
            h = make_dense(s, width, self.dtype, f"hidden_{index}", s.has_bias)(x)
            h = between.activate(h, f"norm_{index}")
            if s.skip:
                equal = x.shape[-1] == width
                h = site("residual", index, h)
                h = h + (x if equal else make_dense(s, width, self.dtype, f"skip_{index}", bias=False)(x))
            x = site("hidden", index, h)
        return make_dense(s, self.num_outputs, self.dtype, "output")(x)


# Runs share a program when their recipes are equal, and a model is compared by its functions: build each once.
@functools.cache
def _make(settings: MLP, num_outputs: int, dtype: str) -> Model:
    return make_model(_Network(settings, num_outputs, dtype))
