"""Dropout of hidden units and inputs, and its relatives."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from regjax.parts import hyper, part
from regjax.regularizers.base import Now, Regularizer, Site
from regjax.regularizers.draws import NORMAL_DRAWS, draw_normal, drop

# The negative limit of SELU, to which alpha dropout sets a unit: -lambda alpha of Klambauer et al. (2017).
SELU_LIMIT = -1.7580993408473766


def pick(rate: Any, site: Site) -> jax.Array:
    """Return the rate of a hidden layer, of one rate for all or a list with one for each."""
    rate = jnp.asarray(rate)
    return rate[site.index] if rate.ndim else rate


@part
class Dropout(Regularizer):
    """Dropout: units are zeroed at random in training and none at inference.

        h_i <- m_i h_i / (1 - rate),   m_i ~ Bernoulli(1 - rate), drawn anew for each example and update

    Applied to the input and after the activation of every hidden layer. All cells of a seed draw the same uniforms.
    A rate of None leaves out its sites, draws included: for a group of runs in which all have that rate off. It is part
    of the program's structure, so that members with None and with a number never share a program.

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural
    networks from overfitting" (2014). Departure: `rate` is the probability to DROP, theirs to retain; the scaling is
    done in training (inverted dropout), so that weights need no scaling at inference; rates are rounded to 2**-16.
    """

    costly: ClassVar[tuple[str, ...]] = ("hidden", "input")
    streams: ClassVar[tuple[str, ...]] = ("dropout",)

    hidden: float | None = hyper(
        off=0.0, range="[0, 1)", per_layer=True, help="drop probability after each hidden layer"
    )
    input: float | None = hyper(off=0.0, range="[0, 1)", help="drop probability of input features")

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return one draw per activation of the sites that the hyper acts on."""
        return sum(size for site, size in sites if site.kind == key)

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return `x` with units dropped at the rate of this site; `x` itself where that is None, or of other kinds."""
        given = {"input": self.input, "hidden": self.hidden}.get(site.kind)
        if given is None:
            return x
        return drop(now.draw("dropout", site.name), x, pick(given, site))


@part
class GaussianDropout(Regularizer):
    """Multiplicative Gaussian noise with the mean and the variance of dropout.

        h_i <- h_i (1 + sqrt(rate / (1 - rate)) z_i),   z_i ~ N(0, 1), drawn anew for each example and update

    Applied where dropout is; a rate p has the noise variance p / (1 - p) of dropout at rate p, with no unit ever zero.
    Off, in one program with other noise that is off and with batch norm, last bits may differ from those of a program
    without (2e-7 after 100 updates); alone they do not.

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural
    networks from overfitting" (2014), section 10. Departure: stated by the DROP probability; the normal draws are
    those of `draw_normal`.
    """

    costly: ClassVar[tuple[str, ...]] = ("hidden", "input")
    streams: ClassVar[tuple[str, ...]] = ("dropout",)

    hidden: float | None = hyper(
        off=0.0, range="[0, 1)", per_layer=True, help="drop probability with the same variance, after each hidden layer"
    )
    input: float | None = hyper(off=0.0, range="[0, 1)", help="the same, of input features")

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return one normal draw per activation of the sites that the hyper acts on."""
        return NORMAL_DRAWS * sum(size for site, size in sites if site.kind == key)

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return `x` times the noise of this site; `x` itself where the rate is None."""
        given = {"input": self.input, "hidden": self.hidden}.get(site.kind)
        if given is None:
            return x
        rate = pick(given, site)
        z = draw_normal(now.draw("dropout", f"gaussian_{site.name}"), x.shape, x.dtype)
        return x * (1 + jnp.sqrt(rate / (1 - rate)).astype(x.dtype) * z)


@part
class AlphaDropout(Regularizer):
    """Dropout for self-normalising networks: it keeps the mean and the variance of standardised activations.

        h_i <- a (m_i h_i + (1 - m_i) c) + b,   m_i ~ Bernoulli(q), q = 1 - rate,   c = SELU(-inf) = -1.7581
        a = (q + c^2 q (1 - q))^(-1/2),   b = -a (1 - q) c

    Mean 0 and variance 1 stay what they are. Applied after the activation of every hidden layer, which is to be SELU.
    For last bits beside batch norm see `GaussianDropout`.

    Reference: Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks" (2017). Departure: rates
    are rounded to 2**-16.
    """

    costly: ClassVar[tuple[str, ...]] = ("rate",)
    streams: ClassVar[tuple[str, ...]] = ("dropout",)
    needs: ClassVar[tuple[str, ...]] = ("hidden",)

    rate: float | None = hyper(
        off=0.0, range="[0, 1)", per_layer=True, help="probability to set a hidden unit to SELU's negative limit"
    )

    @classmethod
    def count_draws(cls, key: str, sites: list[tuple[Site, int]], num_params: int, num_inputs: int) -> float:
        """Return one draw per hidden unit."""
        return sum(size for site, size in sites if site.kind == "hidden")

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return `x` with units set to SELU's limit, shifted and scaled; `x` itself where the rate is None."""
        if site.kind != "hidden" or self.rate is None:
            return x
        rate = pick(self.rate, site)
        # What survives at one in place of `x`: the mask, and nothing of its scale.
        kept = drop(now.draw("dropout", f"alpha_{site.name}"), jnp.ones_like(x), rate) > 0
        a = 1 / jnp.sqrt((1 - rate) * (1 + SELU_LIMIT**2 * rate))
        noisy = a * jnp.where(kept, x, SELU_LIMIT) - a * rate * SELU_LIMIT
        # Of the dtype of `x`: under bfloat16 later layers would else compute in float32, at rate 0 too.
        return jnp.where(rate > 0, noisy.astype(x.dtype), x)


@part
class SpatialDropout(Regularizer):
    """Dropout of whole channels of convolutional layers.

        h[:, :, c] <- m_c h[:, :, c] / (1 - rate),   m_c ~ Bernoulli(1 - rate), anew for each example and update

    Neighbouring places of a map are alike, so that dropping single ones leaves their content. Acts on hidden
    activations [batch, height, width, channels] and on no others.

    Reference: Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using convolutional networks"
    (2015). Departure: inverted scaling, rates rounded to 2**-16.
    """

    streams: ClassVar[tuple[str, ...]] = ("dropout",)
    needs: ClassVar[tuple[str, ...]] = ("channels",)

    rate: float = hyper(off=0.0, range="[0, 1)", per_layer=True, help="drop probability of a hidden channel")

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return `x` with channels dropped, `x` itself where it has no places."""
        if site.kind != "hidden" or x.ndim != 4:
            return x
        ones = jnp.ones((x.shape[0], 1, 1, x.shape[3]), x.dtype)
        return x * drop(now.draw("dropout", f"spatial_{site.name}"), ones, pick(self.rate, site))
