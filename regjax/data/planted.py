"""Synthetic data with planted outliers, and with classes that no feature tells alone."""

import numpy as np

from regjax.data.base import Dataset, make_dataset
from regjax.data.checks import DataError, check_noise, check_number
from regjax.data.draws import draw_labels, draw_support, draw_weights, make_generator


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
    check_number("outliers", outliers, lambda value: 0 <= value < 1, "a number in [0, 1)")
    check_number("distance", distance, lambda value: value >= 1, "a number >= 1")
    rng = make_generator(num_examples, num_features, seed)
    weights = draw_weights(rng, num_features, signal)
    x = rng.standard_normal((num_examples, num_features), np.float32)
    far = rng.random(num_examples) < outliers
    labels = draw_labels(rng, np.where(far, 0.0, x @ weights))
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
    check_noise(noise)
    rng = make_generator(num_examples, num_features, seed)
    support = draw_support(rng, num_informative, num_features)
    x = rng.standard_normal((num_examples, num_features), np.float32)
    labels = x[:, support].astype(float).prod(axis=1) + noise * rng.standard_normal(num_examples) > 0
    return make_dataset("parity", x, labels.astype(np.int32), truth={"support": support})
