"""Synthetic data with known answers: drawn from a number, the same for every seed of a study."""

import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from regjax.data.base import Dataset, make_dataset
from regjax.data.checks import DataError, check_noise, check_number, check_sizes
from regjax.data.draws import draw_labels, draw_support, draw_weights, make_generator
from regjax.data.planted import make_contaminated, make_parity


def make_sparse_linear(
    num_examples: int = 1000,
    num_features: int = 100,
    num_informative: int = 10,
    noise: float = 1.0,
    copies: int = 1,
    seed: int = 0,
) -> Dataset:
    """Return a regression in which few features matter.

        x ~ N(0, I_F);   y = x w + noise e,   e ~ N(0, 1);   w_j = s_j u_j on the support, 0 elsewhere,
        s_j = -1 or 1, u_j ~ U[1, 2]

    Args:
      num_examples: rows, at least 2.
      num_features: features F.
      num_informative: size of the support, 1 to F.
      noise: standard deviation of the noise, at least 0.
      copies: C, how many times the features stand in x, one block after the other; y is that of one.
      seed: fixes the draw, in [0, 2**32).

    Returns:
      x [N, C F], y [N], float32; truth: weights [C F] (w / C in each block, of all that predict best those of least
      norm), support [C num_informative] (sorted), mse = noise^2, the least expected squared error of any predictor.

    Raises:
      DataError: an argument is out of its range.
    """
    check_sizes(num_features=(num_features, 1), copies=(copies, 1))
    check_noise(noise)
    rng = make_generator(num_examples, num_features, seed, num_features * copies)
    support = draw_support(rng, num_informative, num_features)
    weights = np.zeros(num_features)
    weights[support] = rng.choice([-1.0, 1.0], num_informative) * rng.uniform(1, 2, num_informative)
    x = rng.standard_normal((num_examples, num_features), np.float32)
    y = x @ weights + noise * rng.standard_normal(num_examples)
    weights = np.tile(weights / copies, copies)
    truth = {"weights": weights, "support": np.flatnonzero(weights), "mse": np.array(noise**2)}
    return make_dataset("sparse_linear", np.tile(x, copies), y, truth=truth)


def make_ridge_linear(
    num_examples: int = 1000,
    num_features: int = 50,
    correlation: float = 0.5,
    noise: float = 1.0,
    seed: int = 0,
) -> Dataset:
    """Return a regression on correlated features, all of which matter.

        x ~ N(0, C),  C_ij = correlation^|i - j|;   w ~ N(0, I_F / F);   y = x w + noise e,   e ~ N(0, 1)

    `ridge_optimum` gives what a linear model with an L2 penalty must converge to.

    Args:
      num_examples: rows, at least 2.
      num_features: features F.
      correlation: of neighbouring features, in [0, 1).
      noise: standard deviation of the noise, at least 0.
      seed: fixes the draw, in [0, 2**32).

    Returns:
      x [N, F], y [N], float32; truth: weights [F], mse = noise^2, the least expected squared error of any predictor.

    Raises:
      DataError: an argument is out of its range.
    """
    check_noise(noise)
    check_number("correlation", correlation, lambda value: 0 <= value < 1, "a number in [0, 1)")
    rng = make_generator(num_examples, num_features, seed)
    weights = rng.standard_normal(num_features) / math.sqrt(num_features)
    x = rng.standard_normal((num_examples, num_features))
    for column in range(1, num_features):
        x[:, column] = correlation * x[:, column - 1] + math.sqrt(1 - correlation**2) * x[:, column]
    x = x.astype(np.float32)
    y = x @ weights + noise * rng.standard_normal(num_examples)
    return make_dataset("ridge_linear", x, y, truth={"weights": weights, "mse": np.array(noise**2)})


def make_teacher(
    num_examples: int = 2000,
    num_features: int = 20,
    num_hidden: int = 32,
    num_classes: int = 10,
    noise: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Return labels, or values, that a random two-layer network gives.

        x ~ N(0, I_F);   f = tanh(x A) B,   A_ij ~ N(0, 4 / F),  B_jk ~ N(0, 1 / H)
        labels: argmax_k (f_k + noise g_k),  g_k ~ Gumbel(0, 1),  so that P(k | x) = softmax(f / noise)_k
        values (num_classes = 0): f + noise e,  e ~ N(0, 1),  one output

    Args:
      num_examples: rows, at least 2.
      num_features: features F.
      num_hidden: hidden units H.
      num_classes: classes, at least 2; 0 for values.
      noise: how much chance there is beside the network, at least 0.
      seed: fixes the draw, in [0, 2**32).

    Returns:
      x [N, F] float32, y [N] int32 or float32; truth: hidden A [F, H], output B [H, K], and of labels error and nll
      (the least expected ones there can be on these x: means of 1 - max_k P and of the entropy of P), of values
      mse = noise^2.

    Raises:
      DataError: an argument is out of its range, or a class does not occur.
    """
    check_sizes(num_hidden=(num_hidden, 1), num_classes=(num_classes, 0))
    check_noise(noise)
    if num_classes == 1:
        raise DataError("data.num_classes: got 1, expected at least 2, or 0 for a regression")
    rng = make_generator(num_examples, num_features, seed, max(num_hidden, num_classes))
    hidden = 2 * rng.standard_normal((num_features, num_hidden)) / math.sqrt(num_features)
    output = rng.standard_normal((num_hidden, num_classes or 1)) / math.sqrt(num_hidden)
    x = rng.standard_normal((num_examples, num_features), np.float32)
    values = np.tanh(x @ hidden) @ output
    truth = {"hidden": hidden, "output": output}
    if not num_classes:
        y = values[:, 0] + noise * rng.standard_normal(num_examples)
        return make_dataset("teacher", x, y, truth={**truth, "mse": np.array(noise**2)})
    labels = np.argmax(values + noise * rng.gumbel(size=values.shape), axis=1)
    absent = np.setdiff1d(np.arange(num_classes), labels)
    if absent.size:
        raise DataError(
            f"teacher: class {absent[0]} of {num_classes} does not occur; take more examples or another seed"
        )
    return make_dataset("teacher", x, labels, truth=truth | _find_bayes(values, noise))


def make_logistic(num_examples: int = 1000, num_features: int = 20, signal: float = 2.0, seed: int = 0) -> Dataset:
    """Return two classes whose log odds are linear.

        x ~ N(0, I_F);   w = signal v / |v|,  v ~ N(0, I_F);   P(y = 1 | x) = p = 1 / (1 + exp(-x w))

    Args:
      num_examples: rows, at least 2.
      num_features: features F.
      signal: standard deviation of the log odds, more than 0; the more, the easier.
      seed: fixes the draw, in [0, 2**32).

    Returns:
      x [N, F] float32, y [N] int32; truth: weights [F], error and nll: the least expected ones there can be on these
      x, means of min(p, 1 - p) and of -p log p - (1 - p) log(1 - p).

    Raises:
      DataError: an argument is out of its range.
    """
    rng = make_generator(num_examples, num_features, seed)
    weights = draw_weights(rng, num_features, signal)
    x = rng.standard_normal((num_examples, num_features), np.float32)
    odds = x @ weights
    labels = draw_labels(rng, odds)
    truth = {"weights": weights, **_find_bayes(np.stack([np.zeros_like(odds), odds], axis=1), 1.0)}
    return make_dataset("logistic", x, labels, truth=truth)


SYNTHETIC: dict[str, Callable[..., Dataset]] = {
    "sparse_linear": make_sparse_linear,
    "ridge_linear": make_ridge_linear,
    "teacher": make_teacher,
    "logistic": make_logistic,
    "parity": make_parity,
    "contaminated": make_contaminated,
}


def make_synthetic(name: str, settings: Mapping[str, Any]) -> Dataset:
    """Return the synthetic set of this name; DataError for a setting that it does not know."""
    known = list(inspect.signature(SYNTHETIC[name]).parameters)
    for key in settings:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise DataError(f"data.{key}: is no key of {name!r}, expected one of {', '.join(known)}{hint}")
    return SYNTHETIC[name](**settings)


def ridge_optimum(x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (weights, bias) of the linear model with the least penalised loss.

        1 / (N k) sum_i |y_i - x_i w - b|^2 + strength / 2 |w|^2

    the mean squared error over examples and outputs, and the penalty of `l2.strength`; the bias is not penalised.

    Args:
      x: inputs [N, ...], taken as [N, F].
      y: values [N] or [N, k]; k is 1 for [N].
      strength: of the penalty, more than 0, or 0 where x has full rank.

    Returns:
      float64: weights [F] and bias [] for y [N], else [F, k] and [k].

    Raises:
      DataError: the optimum is not unique.

    Reference: Hoerl, Kennard, "Ridge regression: biased estimation for nonorthogonal problems" (1970).
    Departure: the loss is a mean over examples and outputs; theirs is a sum, k_theirs = strength N k / 2.

    >>> weights, bias = ridge_optimum(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]), 0.0)
    >>> [round(float(v), 6) for v in (weights[0], bias)]
    [2.0, 1.0]
    """
    x, y = np.asarray(x, np.float64).reshape(len(x), -1), np.asarray(y, np.float64)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    centred = x - mean_x
    gram = centred.T @ centred + strength * y.size / 2 * np.eye(x.shape[1])
    if np.linalg.matrix_rank(gram, hermitian=True) < len(gram):
        raise DataError(f"the optimum is not unique at strength {strength}; take a strength > 0")
    weights = np.linalg.solve(gram, centred.T @ (y - mean_y))
    return weights, mean_y - mean_x @ weights


def _find_bayes(values: np.ndarray, noise: float) -> dict[str, np.ndarray]:
    """Return the least error and nll where P(k | x) = softmax(values / noise); noise 0 leaves nothing to chance."""
    if noise == 0:
        return {"error": np.array(0.0), "nll": np.array(0.0)}
    scaled = (values - values.max(axis=1, keepdims=True)) / noise
    log_p = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    return {"error": np.mean(1 - p.max(axis=1)), "nll": np.mean(-np.sum(p * log_p, axis=1))}
