"""Parts as users write them in files of their own: a network in plain jax, one with settings, two regularizers."""

import jax
import jax.numpy as jnp

import regjax

WIDTH = 12


def init(key, x):
    """Return parameters of one hidden layer, and no batch statistics."""
    size = x[0].size
    first, second = jax.random.split(key)
    hidden = jax.random.normal(first, (size, WIDTH)) / jnp.sqrt(size)
    return {"hidden": {"kernel": hidden}, "output": {"kernel": jax.random.normal(second, (WIDTH, 10)) / 4}}, {}


def apply(params, stats, x, tap, train):
    """Return logits; the hidden activations are a site."""
    x = tap(regjax.Site("input", "input", 0), x.reshape(len(x), -1))
    h = tap(regjax.Site("hidden_0", "hidden", 0), jnp.tanh(x @ params["hidden"]["kernel"]))
    return regjax.Forward(h @ params["output"]["kernel"], stats)


PLAIN = regjax.Model(init, apply, num_hidden=1)


@regjax.part
class Scaled(regjax.ModelSettings):
    """Settings of the same network with a factor on its activations."""

    factor: float = regjax.setting(range="(0, inf)", default=1.0)

    @property
    def num_hidden(self):
        """One hidden layer."""
        return 1

    def make(self, num_outputs, dtype="float32"):
        """Return the network."""
        return make_scaled(self.factor)


MADE = {}


def make_scaled(factor):
    """Return one object per factor."""

    def scaled(params, stats, x, tap, train):
        found = apply(params, stats, x, tap, train)
        return found._replace(outputs=found.outputs * factor)

    return MADE.setdefault(factor, regjax.Model(init, scaled, num_hidden=1))


@regjax.part
class L2Again(regjax.Regularizer):
    """The coupled L2 penalty, written by a user."""

    strength: float = regjax.hyper(off=0.0, range="[0, inf)", help="coefficient of half the sum of squares")

    def penalty(self, seen, now):
        """Return strength / 2 * sum of squares."""
        return 0.5 * self.strength * sum(jnp.sum(jnp.square(w)) for w in now.select(seen.params))


@regjax.part
class L2Once(L2Again):
    """As L2Again, under another name."""


@regjax.part
class Picky(L2Again):
    """A penalty that asks for what no network has."""

    needs = ("sound",)
