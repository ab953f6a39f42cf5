"""Vision transformer in Flax Linen."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from regjax.models.base import Misfit, Model, Settings, Tap
from regjax.models.layers import Init, make_dense, make_model, name_sites
from regjax.parts import part, setting

EPSILON = 1e-6
SPREAD = 0.02  # of the initial position embeddings


@part
class ViT(Settings):
    """Settings of a vision transformer: patches as tokens, pre-norm blocks of attention and MLP, linear output layer.

        h = [c;] E patches(x) + P
        h <- h + A_o attention(norm(h));   h <- h + W_2 gelu(W_1 norm(h) + b_1) + b_2        for every block
        attention = softmax(Q K^T / sqrt(d)) V per head, d = width / heads
        outputs = W pool(norm(h)) + b

    The norm is layer norm of each token. Inputs are images [batch, height, width] or [batch, height, width, channels].

    Attributes:
      patch: rows and columns of a patch; divides height and width of the images.
      width: of a token.
      depth: number of blocks.
      heads: of each attention; divides `width`.
      mlp_width: units of the hidden layer of each block's MLP.
      pool: "mean" of all tokens, or the learned class "token" c beside them.
      init: distribution of the initial weights; biases and c start at zero, P at a normal with deviation 0.02. The
        weights of a layer depend on the key and the layer's name only.

    Noise for hidden layers acts after the gelu of each block; noise for residual branches (stochastic depth) on what
    attention and MLP add to h, two branches per block. P is a matrix: penalties touch it unless `decay_on` is, say,
    ["*/kernel"].

    Reference: Dosovitskiy, Beyer, Kolesnikov, et al., "An image is worth 16x16 words: transformers for image
    recognition at scale" (2021). Departure: by default the mean of the tokens; no dropout of its own; the output layer
    does not start at zero; the gelu is the tanh approximation.
    """

    patch: int = setting(default=4, range="[1, inf)")
    width: int = setting(default=64, range="[1, inf)")
    depth: int = setting(default=4, range="[1, inf)")
    heads: int = setting(default=4, range="[1, inf)")
    mlp_width: int = setting(default=128, range="[1, inf)")
    pool: Literal["mean", "token"] = "mean"
    init: Init = "glorot_uniform"

    @property
    def num_hidden(self) -> int:
        """Number of blocks, which is the number of hidden sites and half of that of residual sites."""
        return self.depth

    def find_misfits(self, shape: tuple[int, ...] | None = None) -> list[Misfit]:
        """Return what is wrong with the settings, on inputs [batch, *shape] where `shape` is given.

        >>> ViT(patch=3).find_misfits((8, 9))
        [Misfit(key='patch', got='3 for images of 8 x 9', expected='a divisor of height and width')]
        """
        misfits = []
        if self.width % self.heads:
            misfits.append(Misfit("heads", f"{self.heads} for width = {self.width}", "a divisor of the width"))
        if shape is not None and len(shape) not in (2, 3):
            expected = "images [height, width] or [height, width, channels]"
            misfits.append(Misfit("name", f'"vit" for inputs of shape {list(shape)}', expected))
        elif shape is not None and (shape[0] % self.patch or shape[1] % self.patch):
            got = f"{self.patch} for images of {shape[0]} x {shape[1]}"
            misfits.append(Misfit("patch", got, "a divisor of height and width"))
        return misfits

    def make(self, num_outputs: int, dtype: str = "float32") -> Model:
        """Return the network with `num_outputs` logits; the same object for the same settings.

        >>> settings = ViT(width=8, depth=1, heads=2, mlp_width=5, pool="token")
        >>> params, _ = settings.make(3).init(jax.random.key(0), jnp.ones((1, 8, 8)))
        >>> params["embed"]["kernel"].shape, params["position"]["table"].shape, params["hidden_0"]["kernel"].shape
        ((16, 8), (5, 8), (8, 5))
        """
        return _make(self, num_outputs, dtype)


class _Table(nn.Module):
    """Numbers that are learned by themselves; a module, since Linen seeds a parameter by its path."""

    shape: tuple[int, ...]
    spread: float
    dtype: str

    @nn.compact
    def __call__(self) -> jax.Array:
        init = nn.initializers.normal(self.spread) if self.spread else nn.initializers.zeros
        return self.param("table", init, self.shape, self.dtype)


class _Network(nn.Module):
    """The Linen module behind `ViT`. Layers are named: Linen seeds a parameter by its path."""

    settings: ViT
    num_outputs: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, tap: Tap | None, train: bool) -> jax.Array:
        s, dtype = self.settings, self.dtype
        site = name_sites(tap, {"input": 1, "hidden": s.depth, "residual": 2 * s.depth})
        x = site("input", 0, x[..., None] if x.ndim == 3 else x)
        h = _dense(s, s.width, dtype, "embed", cut_patches(x, s.patch))
        if s.pool == "token":
            token = _Table((s.width,), 0.0, dtype, name="token")().reshape(1, 1, -1)
            h = jnp.concatenate([jnp.broadcast_to(token, (len(h), 1, s.width)), h], axis=1)
        h = h + _Table(h.shape[1:], SPREAD, dtype, name="position")()[None]
        for index in range(s.depth):
            heads = _attend(s, _norm(dtype, f"norm_{2 * index}", h), dtype, index)
            h = h + site("residual", 2 * index, heads)
            hidden = _dense(s, s.mlp_width, dtype, f"hidden_{index}", _norm(dtype, f"norm_{2 * index + 1}", h))
            hidden = site("hidden", index, nn.gelu(hidden))
            h = h + site("residual", 2 * index + 1, _dense(s, s.width, dtype, f"shrink_{index}", hidden))
        h = _norm(dtype, "norm_output", h)
        return make_dense(s, self.num_outputs, dtype, "output")(h[:, 0] if s.pool == "token" else h.mean(1))


def cut_patches(x: jax.Array, size: int) -> jax.Array:
    """Return the patches of images [batch, height, width, channels], row by row: [batch, patches, size^2 channels]."""
    batch, height, width, channels = x.shape
    squares = x.reshape(batch, height // size, size, width // size, size, channels).swapaxes(2, 3)
    return squares.reshape(batch, -1, size * size * channels)


def _dense(settings: ViT, width: int, dtype: str, name: str, x: jax.Array) -> jax.Array:
    """Return the linear layer `name` of every token of `x` [batch, tokens, units]."""
    flat = make_dense(settings, width, dtype, name)(x.reshape(-1, x.shape[-1]))
    return flat.reshape(*x.shape[:-1], width)


def _norm(dtype: str, name: str, x: jax.Array) -> jax.Array:
    return nn.LayerNorm(epsilon=EPSILON, param_dtype=dtype, name=name)(x)


def _attend(s: ViT, x: jax.Array, dtype: str, index: int) -> jax.Array:
    """Return what the tokens `x` [batch, tokens, width] read from one another, mixed over the heads."""
    parts = [_dense(s, s.width, dtype, f"{name}_{index}", x) for name in ("query", "key", "value")]
    query, key, value = [part.reshape(*x.shape[:2], s.heads, -1) for part in parts]
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) * (s.width // s.heads) ** -0.5
    # in float32 at least: the sum of many small shares
    shares = jax.nn.softmax(scores.astype(jnp.promote_types(x.dtype, jnp.float32))).astype(x.dtype)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", shares, value)
    return _dense(s, s.width, dtype, f"mix_{index}", mixed.reshape(x.shape))


# Runs share a program when their recipes are equal, and a model is compared by its functions: build each once.
@functools.cache
def _make(settings: ViT, num_outputs: int, dtype: str) -> Model:
    return make_model(_Network(settings, num_outputs, dtype))
