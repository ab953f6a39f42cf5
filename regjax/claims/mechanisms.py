"""Exact checks of what a regularizer is said to do: facts about the code that trains, not estimates.

Each runs the very functions that an update and an evaluation are made of, on a few drawn examples. Draws come from
fixed keys; where chance is left, what is expected has a tolerance of five standard deviations.
"""

import itertools
import math
from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from regjax.claims.facts import Check, near
from regjax.claims.small_networks import (
    BATCH,
    CLASSES,
    around_norm,
    draw_examples,
    infer,
    moved_by_update,
    noisy_passes,
)
from regjax.config.base import choice
from regjax.config.fields import words
from regjax.regularizers.draws import drop
from regjax.regularizers.noise import Dropout

Rate = Annotated[float, Field(gt=0, lt=1, description="a number above 0 and below 1")]
MOMENTS = ("norm", "next_layer", "inference")
Moments = Annotated[str, choice(*MOMENTS), Field(description=words(MOMENTS))]
# Where a claim's figure has the exact checks beside that of the rate which was declared.
RATES = (0.1, 0.5, 0.8)
ZEROED, FACTOR = "share of hidden units that are zero", "factor on the weights at inference"
MEAN, VARIANCE = "mean of a unit over the batch", "variance of a unit over the batch"


def dropout_zeroes(rate: Rate = 0.2, kind: type[Dropout] = Dropout) -> list[Check]:
    """Return what dropout does to the units of a network in updates and at inference.

    Args:
      rate: drop probability.
      kind: the dropout that is looked at.
    """
    part = kind(hidden=rate, input=None)
    x, labels = draw_examples()
    (before, after), (_, later) = noisy_passes(part, x)
    zero, zero_later = after == 0, later == 0
    scale, again, same = 1 / (1 - rate), (zero == zero_later).mean(), rate**2 + (1 - rate) ** 2
    moved_off, moved_on = moved_by_update(part, x, labels)
    plain, noisy = (infer(p, x)[0] for p in (kind(hidden=0.0, input=None), part))
    return [
        *(check for one in (rate, *RATES) for check in _check_zeroed(one, kind, x)),
        near("factor on the units that are left, 1 / (1 - rate): largest", (after / before)[~zero].max(), scale, 1e-4),
        near("the same: smallest", (after / before)[~zero].min(), scale, 1e-4),
        near("share of units that the next update treats alike, rate^2 + (1 - rate)^2 if drawn anew", again, same,
             5 * math.sqrt(same * (1 - same) / zero.size)),
        near(f"masks among the {BATCH} examples of a batch", len(np.unique(zero, axis=0)), BATCH, 0),
        near("largest change that an update makes to weights of a zeroed unit (batch of one)", moved_off, 0, 0),
        Check("largest change that it makes to weights of the others", f"{moved_on:.2g}", "above 0", moved_on > 0,
              moved_on),
        near("outputs at inference: largest difference to the same network without dropout",
             float(np.abs(plain - noisy).max()), 0, 0),
    ]  # fmt: skip


def _check_zeroed(rate: float, kind: type[Dropout], x: np.ndarray) -> list[Check]:
    """Return the checks of the share of units that are zero, in an update and at inference."""
    part = kind(hidden=rate, input=None)
    zero, idle = noisy_passes(part, x)[0][1] == 0, infer(part, x)[1] == 0
    chance = 5 * math.sqrt(rate * (1 - rate) / zero.size)
    return [
        near(f"share of {zero.size:,} hidden units that an update at rate {rate:g} zeroes", zero.mean(), rate, chance)
        .over_rate(ZEROED, rate, "in an update"),
        near(f"the same at inference, rate {rate:g}", idle.mean(), 0, 0).over_rate(ZEROED, rate, "at inference"),
    ]  # fmt: skip


def inference_factor(rate: Rate = 0.2) -> list[Check]:
    """Return by what weights are multiplied at inference, held against the rate itself.

    Args:
      rate: drop probability that is asked about; 0.5 is looked at as well.
    """
    x, _ = draw_examples()
    inverted = infer(Dropout(hidden=rate, input=None), x)[0] / infer(Dropout(hidden=0.0, input=None), x)[0]
    return [
        near(f"inverted dropout at rate {rate:g} (here, Keras, PyTorch): factor on weights at inference",
             float(inverted.mean()), rate, 1e-4).over_rate(FACTOR, rate, "inverted dropout"),
        near(f"classical dropout at rate {rate:g} (nothing divided in training): factor that keeps the mean of what "
             "the next layer reads", _classical_factor(rate), rate, 5e-3).over_rate(FACTOR, rate, "classical dropout"),
        near("the same at rate 0.5, where rate and 1 - rate are one number", _classical_factor(0.5), 0.5, 5e-3)
        .over_rate(FACTOR, 0.5, "classical dropout"),
    ]  # fmt: skip


def mean_is_kept(rate: Rate = 0.2) -> list[Check]:
    """Return how the mean over dropout's noise compares with what is used at inference.

    Args:
      rate: drop probability.
    """
    return [
        near(f"inverted dropout at rate {rate:g}: mean of a unit over its noise, by the unit",
             _classical_factor(rate) / (1 - rate), 1.0, 5e-3),
        near(f"classical dropout at rate {rate:g}: the same, which is 1 - rate", _classical_factor(rate), 1 - rate,
             5e-3),
    ]  # fmt: skip


def geometric_mean(rate: Rate = 0.5) -> list[Check]:
    """Return how scaled weights compare with the mean over all masks of the 8 units that a softmax reads.

    Args:
      rate: drop probability.

    Reference: Baldi, Sadowski, "Understanding dropout" (2013): equal for the normalised geometric mean.
    """
    generator = np.random.default_rng(0)
    h, kernel = generator.normal(size=8), generator.normal(size=(8, CLASSES))
    masks = np.array(list(itertools.product([0, 1], repeat=8)))
    weights = np.where(masks == 1, 1 - rate, rate).prod(axis=1)
    logits = (masks * h) @ kernel
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    scaled = _softmax((1 - rate) * h @ kernel)
    geometric, arithmetic = _softmax(weights @ logs), weights @ np.exp(logs)
    return [
        near(f"scaled weights and the geometric mean over all {len(masks)} masks: largest difference of a probability",
             float(np.abs(scaled - geometric).max()), 0, 1e-12),
        Check("scaled weights and the mean that Monte-Carlo dropout tends to: largest difference",
              f"{np.abs(scaled - arithmetic).max():.2g}", "above 0", bool(np.abs(scaled - arithmetic).max() > 1e-6)),
    ]  # fmt: skip


def batch_norm_moments(of: Moments) -> list[Check]:
    """Return mean and variance over a batch of what batch norm makes, held against 0 and 1.

    Args:
      of: "norm": what leaves the norm in training, before its own scale and bias; "next_layer": what the next layer
        reads in training; "inference": what leaves the norm at inference, before its own scale and bias.
    """
    if of == "norm":
        entering, leaving = around_norm("after", True)
        return [
            *_check_entering(entering),
            *_check_moments("before the norm's scale and bias", "leaves the norm", leaving),
        ]
    if of == "next_layer":
        plain, learned = around_norm("before", True)[1], around_norm("after", True, 2.0, 0.5)[1]
        return [
            *_check_moments("with the norm before the ReLU, scale 1 and bias 0", "ReLU of the norm", plain),
            *_check_moments("with scale 2 and bias 0.5 learned, the norm after", "norm, scale 2, bias 0.5", learned),
        ]
    leaving = around_norm("after", False)[1]
    return _check_moments(f"over {BATCH} new examples, by running averages", "leaves it at inference", leaving)


def _check_entering(h: np.ndarray) -> list[Check]:
    """Return the checks that units [examples, units] are not normalised before they enter the norm."""
    mean, var = h.mean(axis=0), h.var(axis=0)
    far, uneven = (float(v[np.abs(v - wanted).argmax()]) for v, wanted in ((mean, 0), (var, 1)))
    said, place = "as it enters the norm", "enters the norm"
    return [
        Check(f"mean furthest from 0 of a unit {said}", f"{far:.4g}", "not 0", abs(far) > 0.1, far)
        .of_units(MEAN, place, mean),
        Check(f"variance furthest from 1 of a unit {said}", f"{uneven:.4g}", "not 1", abs(uneven - 1) > 0.1, uneven)
        .of_units(VARIANCE, place, var),
    ]  # fmt: skip


def _check_moments(what: str, place: str, h: np.ndarray) -> list[Check]:
    """Return the checks of means and variances of units [examples, units] furthest from 0 and 1."""
    mean, var = h.mean(axis=0), h.var(axis=0)
    return [
        near(f"mean furthest from 0 of a unit, {what}", float(mean[np.abs(mean).argmax()]), 0.0, 1e-5)
        .of_units(MEAN, place, mean),
        near(f"variance furthest from 1 of a unit, {what}", float(var[np.abs(var - 1).argmax()]), 1.0, 1e-3)
        .of_units(VARIANCE, place, var),
    ]  # fmt: skip


def _classical_factor(rate: float) -> float:
    """Return the mean over a million units of dropout's mask alone, without the division that training makes."""
    kept = drop(jax.random.key(0), jnp.ones((1000, 1000)), rate)
    return float(np.asarray(kept, np.float64).mean() * (1 - rate))


def _softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


# {name: function of its options that returns its checks}
MECHANISMS: dict[str, Callable[..., list[Check]]] = {
    "dropout_zeroes": dropout_zeroes,
    "inference_factor": inference_factor,
    "mean_is_kept": mean_is_kept,
    "geometric_mean": geometric_mean,
    "batch_norm_moments": batch_norm_moments,
}
