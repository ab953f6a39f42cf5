"""Multi-layer perceptron in Flax Linen."""

import functools
from typing import Literal

import jax
from flax import linen as nn

from regjax.models.base import Model, Settings, Tap
from regjax.models.layers import ACTIVATIONS, make_dense, make_model, normalise
from regjax.parts import part, setting
from regjax.regularizers.base import Site


@part
class MLP(Settings):
    """Settings of a multi-layer perceptron: `len(widths)` hidden layers, then a linear output layer.

        h_0 = flatten(x);   h_l = activation(norm(W_l h_{l-1} + b_l));   outputs = W h_L + b

    Attributes:
      widths: units of each hidden layer, at least one layer.
      activation: applied after the norm.
      norm: "none" or "batch", between the linear map and the activation.
      init: distribution of the initial weights; biases start at zero. The weights of a layer depend on the key and the
        layer's name only, so that they are equal with and without norm.
      norm_momentum: weight of the OLD value in the running statistics of batch norm, in [0, 1).
      norm_epsilon: added to the variance.

    Reference: Ioffe, Szegedy, "Batch normalization" (2015), for the norm; running statistics are exponential averages
    of the biased batch variance.
    """

    widths: tuple[int, ...] = setting(range="[1, inf)")
    activation: Literal["relu", "tanh", "sigmoid", "gelu", "elu"] = "relu"
    norm: Literal["none", "batch"] = "none"
    init: Literal["glorot_uniform", "he_normal", "lecun_normal"] = "glorot_uniform"
    norm_momentum: float = setting(default=0.9, range="[0, 1)")
    norm_epsilon: float = setting(default=1e-5, range="(0, inf)")

    @property
    def num_hidden(self) -> int:
        """Number of hidden layers, which is the number of hidden sites."""
        return len(self.widths)

    def make(self, num_outputs: int, dtype: str = "float32") -> Model:
        """Return the network with `num_outputs` logits; the same object for the same settings.

        >>> import jax.numpy as jnp
        >>> model = MLP((4,), norm="batch").make(3)
        >>> params, stats = model.init(jax.random.key(0), jnp.ones((1, 2, 2)))
        >>> sorted(params), sorted(stats)
        (['hidden_0', 'norm_0', 'output'], ['norm_0'])
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
        tap = tap or (lambda site, h: h)
        x = tap(Site("input", "input", 0), x.reshape(x.shape[0], -1))
        for index, width in enumerate(s.widths):
            x = make_dense(s, width, self.dtype, f"hidden_{index}")(x)
            x = normalise(s, x, train, self.dtype, f"norm_{index}")
            x = tap(Site(f"hidden_{index}", "hidden", index), ACTIVATIONS[s.activation](x))
        return make_dense(s, self.num_outputs, self.dtype, "output")(x)


# Runs share a program when their recipes are equal, and a model is compared by its functions: build each once.
@functools.cache
def _make(settings: MLP, num_outputs: int, dtype: str) -> Model:
    return make_model(_Network(settings, num_outputs, dtype))
