"""A tiny network with maps and residual branches, for regularizers that act there."""

import dataclasses
import functools

from flax import linen as nn

from regjax.models.base import Model
from regjax.models.layers import make_model
from regjax.regularizers.base import Site

WIDTH, BRANCHES, MAP = 12, 2, (2, 2, 3)


class _Network(nn.Module):
    """A hidden layer read as maps of three channels, then residual branches of one layer each."""

    num_outputs: int
    dtype: str

    @nn.compact
    def __call__(self, x, tap, train):
        tap = tap or (lambda site, h: h)
        dense = functools.partial(nn.Dense, param_dtype=self.dtype)
        h = nn.relu(dense(WIDTH, name="hidden_0")(tap(Site("input", "input", 0, 1), x.reshape(x.shape[0], -1))))
        h = tap(Site("hidden_0", "hidden", 0, 1), h.reshape(-1, *MAP)).reshape(-1, WIDTH)
        for index in range(BRANCHES):
            branch = nn.relu(dense(WIDTH, name=f"branch_{index}")(h))
            h = h + tap(Site(f"branch_{index}", "residual", index, BRANCHES), branch)
        return dense(self.num_outputs, name="output")(h)


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Settings of the tiny network; it has none."""

    def make(self, num_outputs: int, dtype: str = "float32") -> Model:
        """Return the network."""
        return _make(num_outputs, dtype)


@functools.cache
def _make(num_outputs: int, dtype: str) -> Model:
    return make_model(_Network(num_outputs, dtype))
