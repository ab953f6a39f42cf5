"""Linear model in Flax Linen."""

import functools
from typing import Literal

import jax
from flax import linen as nn

from regjax.models.base import Model, Settings, Tap
from regjax.models.layers import make_dense, make_model, name_sites
from regjax.parts import part


@part
class Linear(Settings):
    """Settings of a model without hidden layer; with the softmax of classification, multinomial logistic regression.

        outputs = W flatten(x) + b

    Attributes:
      bias: whether there is a b.
      init: distribution of the initial weights; "zeros" makes all runs begin at the same point, where the classes are
        equally likely. The bias starts at zero.

    Reference: Cox, "The regression analysis of binary sequences" (1958), for two classes. Departure: one row of W for
    every class, so that the outputs are determined up to a number added to all of them.
    """

    bias: bool = True
    init: Literal["glorot_uniform", "he_normal", "lecun_normal", "zeros"] = "glorot_uniform"

    @property
    def num_hidden(self) -> int:
        """Zero: the input is the only site."""
        return 0

    def make(self, num_outputs: int, dtype: str = "float32") -> Model:
        """Return the model with `num_outputs` logits; the same object for the same settings.

        >>> import jax.numpy as jnp
        >>> params, stats = Linear(init="zeros").make(3).init(jax.random.key(0), jnp.ones((1, 2, 2)))
        >>> params["output"]["kernel"].shape, params["output"]["bias"].tolist(), stats
        ((4, 3), [0.0, 0.0, 0.0], {})
        """
        return _make(self, num_outputs, dtype)


class _Network(nn.Module):
    """The Linen module behind `Linear`."""

    settings: Linear
    num_outputs: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, tap: Tap | None, train: bool) -> jax.Array:
        s = self.settings
        x = name_sites(tap, {"input": 1})("input", 0, x.reshape(x.shape[0], -1))
        return make_dense(s, self.num_outputs, self.dtype, "output", s.bias)(x)


# Runs share a program when their recipes are equal, and a model is compared by its functions: build each once.
@functools.cache
def _make(settings: Linear, num_outputs: int, dtype: str) -> Model:
    return make_model(_Network(settings, num_outputs, dtype))
