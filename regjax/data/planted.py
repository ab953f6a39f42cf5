"""Synthetic data with planted outliers, and with classes that no feature tells alone."""

import math
from typing import Any

import numpy as np

from regjax.data.base import Dataset, make_dataset
from regjax.data.checks import DataError, check_noise, check_sizes, check_support
from regjax.keys import stream_generator

MOST_VALUES = 2**30  # of the inputs: 4 GiB


def make_generator(seed: int, num_values: int) -> np.random.Generator:
    """Return what a synthetic set is drawn by; DataError for more input values than fit into memory."""
    if num_values > MOST_VALUES:
        raise DataError(f"data.num_examples: got {num_values} values in all, expected at most {MOST_VALUES}")
    return stream_generator(seed, "data")


def make_contaminated(
    num_examples: int = 1000,
    num_features: int = 20,
    signal: float = 4.0,
    outliers: float = 0.1,
    distance: float = 3.0,
    seed: int = 0,
) -> Dataset:
    """Return two classes whose log odds are linear, and among them outliers: far away, their labels drawn by a coin.

        x ~ N(0, I_F);   w = signal v / |v|,  v ~ N(0, I_F);   P(y = 1 | x) = 1 / (1 + exp(-x w))
        of outliers   x ~ N(0, distance^2 I_F),   P(y = 1 | x) = 1 / 2

    Args:
      num_examples: rows, at least 2.
      num_features: features F.
      signal: standard deviation of the log odds, more than 0.
      outliers: share of the rows that are outliers, in [0, 1); every row is one with this probability.
      distance: how many times farther from the centre they lie, at least 1.
      seed: fixes the draw, in [0, 2**32).

    Returns:
      x [N, F] float32, y [N] int32; truth: weights [F], outliers [N] bool. Training and test parts hold equally many
      in expectation.

    Raises:
      DataError: an argument is out of its range, or a class does not occur.

    Reference: Tukey, "A survey of sampling from contaminated distributions" (1960), for the inputs.
    """
    check_sizes(num_examples=(num_examples, 2), num_features=(num_features, 1), seed=(seed, 0))
    _check_number("signal", signal, 0 < signal < math.inf, "a number > 0")
    _check_number("outliers", outliers, 0 <= outliers < 1, "a number in [0, 1)")
    _check_number("distance", distance, 1 <= distance < math.inf, "a number >= 1")
    rng = make_generator(seed, num_examples * num_features)
    weights = rng.standard_normal(num_features)
    weights *= signal / np.linalg.norm(weights)
    x = rng.standard_normal((num_examples, num_features), np.float32)
    far = rng.random(num_examples) < outliers
    odds = np.where(far, 0.0, x @ weights)
    # A logistic draw below the log odds has just that probability.
    labels = (rng.logistic(size=num_examples) < odds).astype(np.int32)
    if len(set(labels.tolist())) < 2:
        raise DataError("contaminated: a class does not occur; take more examples or another seed")
    x = np.where(far[:, None], np.float32(distance) * x, x)
    return make_dataset("contaminated", x, labels, truth={"weights": weights, "outliers": far})


def make_parity(
    num_examples: int = 1000,
    num_features: int = 100,
    num_informative: int = 2,
    noise: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Return two classes that few features make together and none alone: of two features, exclusive or.

        x ~ N(0, I_F);   y = 1 where (prod over the support of x_j) + noise e > 0, else 0,   e ~ N(0, 1)

    No linear function of x tells the classes apart: y is uncorrelated with every feature.

    Args:
      num_examples: rows, at least 2.
      num_features: features F.
      num_informative: size of the support, 1 (which is linear) to F.
      noise: standard deviation of the noise, at least 0.
      seed: fixes the draw, in [0, 2**32).

    Returns:
      x [N, F] float32, y [N] int32; truth: support [num_informative] (sorted).

    Raises:
      DataError: an argument is out of its range.

    Reference: Guyon, Gunn, Ben-Hur, Dror, "Result analysis of the NIPS 2003 feature selection challenge" (2005), for
    Madelon, where five features do so. Departure: theirs are clusters on the corners of a hypercube, with redundant
    features beside them.
    """
    check_sizes(num_examples=(num_examples, 2), num_features=(num_features, 1), seed=(seed, 0))
    check_sizes(num_informative=(num_informative, 1))
    check_noise(noise)
    check_support(num_informative, num_features)
    rng = make_generator(seed, num_examples * num_features)
    support = np.sort(rng.permutation(num_features)[:num_informative])
    x = rng.standard_normal((num_examples, num_features), np.float32)
    labels = x[:, support].astype(float).prod(axis=1) + noise * rng.standard_normal(num_examples) > 0
    return make_dataset("parity", x, labels.astype(np.int32), truth={"support": support})


def _check_number(name: str, value: Any, sound: bool, expected: str) -> None:
    if isinstance(value, bool) or not sound:
        raise DataError(f"data.{name}: got {value!r}, expected {expected}")
