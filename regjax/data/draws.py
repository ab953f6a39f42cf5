"""What the makers of synthetic data share: a generator for sizes that were checked, and what several of them draw."""

import numpy as np

from regjax.data.checks import DataError, check_number, check_sizes
from regjax.keys import stream_generator

MOST_VALUES = 2**30  # of the inputs: 4 GiB


def make_generator(num_examples: int, num_features: int, seed: int, width: int = 0) -> np.random.Generator:
    """Return what a synthetic set is drawn by; of a row `width` values are held at once, or as many as features.

    Raises:
      DataError: a number is out of its range, or the values do not fit into memory.
    """
    check_sizes(num_examples=(num_examples, 2), num_features=(num_features, 1), seed=(seed, 0))
    if (num_values := num_examples * max(num_features, width)) > MOST_VALUES:
        raise DataError(f"data.num_examples: got {num_values} values in all, expected at most {MOST_VALUES}")
    return stream_generator(seed, "data")


def draw_support(rng: np.random.Generator, num_informative: int, num_features: int) -> np.ndarray:
    """Return which features matter, int [num_informative], sorted; DataError for more than there are."""
    check_sizes(num_informative=(num_informative, 1))
    if num_informative > num_features:
        raise DataError(f"data.num_informative: got {num_informative}, expected at most num_features, {num_features}")
    return np.sort(rng.permutation(num_features)[:num_informative])


def draw_weights(rng: np.random.Generator, num_features: int, signal: float) -> np.ndarray:
    """Return weights [F] of any direction, of norm `signal`: the SD of the log odds that they make of normal inputs."""
    check_number("signal", signal, lambda value: value > 0, "a number > 0")
    weights = rng.standard_normal(num_features)
    return weights * (signal / np.linalg.norm(weights))


def draw_labels(rng: np.random.Generator, odds: np.ndarray) -> np.ndarray:
    """Return labels [N] int32, 1 with the probability that log odds [N] say."""
    # A logistic draw below the log odds has just that probability.
    return (rng.logistic(size=len(odds)) < odds).astype(np.int32)
