"""Losses split into bias and variance, from what N networks of N training sets predict for the same examples.

Each split needs of the networks only a sum over them of some features [example, feature], so that leaving one out is a
subtraction. Averages are over the test examples; the risk is the mean loss of a single network.

Reference: Yang, Yu, You, Steinhardt, Ma, "Rethinking bias-variance trade-off for generalization of neural networks"
(2020), for squared loss; Heskes, "Bias/variance decompositions for likelihood-based estimators" (1998), for the
likelihood; Domingos, "A unified bias-variance decomposition" (2000), for 0-1 loss. Departure: of 0-1 loss the biased
variance of several classes is the share that is right where the main prediction is wrong, with which the sum is exact
for any number of classes.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Smallest normal float32: a probability that was rounded to 0 stands for some number below it.
TINY = float(np.finfo(np.float32).tiny)


class Split(NamedTuple):
    """Means over the test examples: risk = bias + variance.

    `unbiased`, `biased`: of 0-1 loss the two shares that `variance` is the difference of; NaN for the others.
    """

    risk: float
    bias: float
    variance: float
    unbiased: float = np.nan
    biased: float = np.nan


class Loss(NamedTuple):
    """How a loss is split: `features` of predictions [..., K] are [..., F]; `split(sum, n, right)` their parts."""

    features: Callable[[np.ndarray], np.ndarray]
    split: Callable[[np.ndarray, int, np.ndarray], Split]


def squared_features(outputs: np.ndarray) -> np.ndarray:
    """Return predictions f [..., K] with ||f||^2 beside them, [..., K + 1]."""
    return np.concatenate([outputs, (outputs**2).sum(axis=-1, keepdims=True)], axis=-1)


def split_squared(total: np.ndarray, n: int, right: np.ndarray) -> Split:
    """Return the unbiased split of the mean squared error.

    variance = n / (n - 1) [mean_k ||f_k||^2 - ||fbar||^2], bias^2 = risk - variance = ||fbar - y||^2 - variance / n.
    Both are without bias for any n >= 2 and networks trained independently; so bias^2 may come out below 0. It
    contains the noise of y.

    Args:
      total: [R, K + 1] sum over the networks of `squared_features`.
      n: networks.
      right: [R, K] values, or one-hot classes.

    >>> split_squared(squared_features(np.array([[[1.0]], [[3.0]]])).sum(axis=0), 2, np.array([[2.0]]))[:3]
    (1.0, -1.0, 2.0)
    """
    mean, square = total[:, :-1] / n, total[:, -1] / n
    risk = float((square - 2 * (mean * right).sum(axis=1) + (right**2).sum(axis=1)).mean())
    variance = float(n / (n - 1) * (square - (mean**2).sum(axis=1)).mean()) if n > 1 else np.nan
    return Split(risk, risk - variance, variance)


def log_features(outputs: np.ndarray) -> np.ndarray:
    """Return log probabilities; those rounded to 0 count as `TINY`."""
    from scipy.special import log_softmax

    return log_softmax(np.log(np.maximum(outputs, TINY)), axis=-1)


def split_likelihood(total: np.ndarray, n: int, right: np.ndarray) -> Split:
    """Return the split of the negative log likelihood about the geometric mean of the networks, exact for every n.

    pbar = exp(mean_k log p_k) / Z; bias = -log pbar(y), the NLL of the ensemble that averages logits;
    variance = mean_k KL(pbar || p_k) = -log Z.

    It is a plug-in: at n networks the variance is too small by about 1/n of itself, the bias too large by as much.

    Args:
      total: [R, K] sum over the networks of `log_features`.
      n: networks.
      right: [R, K] one-hot classes.
    """
    from scipy.special import logsumexp

    mean = total / n
    log_z = logsumexp(mean, axis=1)
    risk, variance = float(-(mean * right).sum(axis=1).mean()), float(-log_z.mean())
    return Split(risk, risk - variance, variance if n > 1 else np.nan)


def vote_features(outputs: np.ndarray) -> np.ndarray:
    """Return votes: 1 for the class of the largest probability (the lowest of equal ones), else 0."""
    return np.eye(outputs.shape[-1])[outputs.argmax(axis=-1)]


def split_zero_one(total: np.ndarray, n: int, right: np.ndarray) -> Split:
    """Return Domingos' split of the share of errors.

    The main prediction of an example is what most networks say (of equally many the lowest class). bias = share of
    examples where it is wrong. Where it is right, dissent costs: `unbiased` = sum of the shares that dissent. Where it
    is wrong, dissent may help: `biased` = sum of the shares that are right (for two classes, that dissent). Over the
    number of examples, risk = bias + unbiased - biased; `variance` is that difference, and may be negative.

    It is a plug-in; with two networks a vote is often a tie.

    Args:
      total: [R, K] votes of the networks.
      n: networks.
      right: [R, K] one-hot classes.
    """
    hit = (total * right).sum(axis=1) / n
    correct = total.argmax(axis=1) == right.argmax(axis=1)
    unbiased, biased = float(np.where(correct, 1 - hit, 0.0).mean()), float(np.where(correct, 0.0, hit).mean())
    return Split(float(1 - hit.mean()), float((~correct).mean()), unbiased - biased, unbiased, biased)


LOSSES = {
    "squared": Loss(squared_features, split_squared),
    "kl": Loss(log_features, split_likelihood),
    "zero_one": Loss(vote_features, split_zero_one),
}


def decompose(outputs: np.ndarray, right: np.ndarray, loss: str = "squared") -> Split:
    """Return risk, bias and variance of networks on the same examples.

    Args:
      outputs: [N, R, K] probabilities, or values for squared loss.
      right: [R, K] one-hot classes, or values.
      loss: "squared", "kl" or "zero_one".

    >>> votes = np.array([[[0.9, 0.1]], [[0.2, 0.8]], [[0.7, 0.3]]])
    >>> split = decompose(votes, np.array([[1.0, 0.0]]), "zero_one")
    >>> split.bias, round(split.variance, 3)
    (0.0, 0.333)
    """
    chosen = LOSSES[loss]
    return chosen.split(chosen.features(np.asarray(outputs, float)).sum(axis=0), len(outputs), right)


def leave_out(outputs: np.ndarray, right: np.ndarray, loss: str) -> list[Split]:
    """Return the split without each of the networks in turn; arguments as for `decompose`."""
    chosen = LOSSES[loss]
    features = chosen.features(np.asarray(outputs, float))
    total = features.sum(axis=0)
    return [chosen.split(total - own, len(outputs) - 1, right) for own in features]


def distribution_variance(losses: np.ndarray) -> tuple[float, float]:
    """Return the variance over runs of the mean loss on this test set, and on the distribution it was drawn from.

    test = Var_h(err_S); sigma^2 = R / (R - 1) [Var_h(err_S) - (1 / R^2) sum_i Var_h(err_i)], without bias for test
    examples drawn independently. On a finite test set runs differ largely by chance of which examples they miss;
    sigma^2 is what would be left on an endless one. The estimate may be negative.

    Args:
      losses: [run, R], at least two runs and two examples.

    Reference: Jordan, "On the variance of neural network training with respect to test sets and distributions" (2024).

    >>> distribution_variance(np.array([[0.0, 1.0], [1.0, 0.0]]))
    (0.0, -0.5)
    """
    size = losses.shape[1]
    on_set = float(losses.mean(axis=1).var(ddof=1))
    return on_set, size / (size - 1) * (on_set - float(losses.var(axis=0, ddof=1).sum()) / size**2)
