"""How much runs differ: spread between seeds, churn, bias and variance; and accuracy on damaged inputs."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from regjax.analysis.bias_variance import Outcome, read_outcome
from regjax.analysis.decompositions import Split, decompose, leave_out, vote_features
from regjax.analysis.table import state_values
from regjax.claims.measures.base import Measure, pseudo_values
from regjax.claims.measures.inputs import run_inputs
from regjax.claims.measures.networks import Networks, predict_labels
from regjax.claims.measures.weights import per_run
from regjax.claims.options import Metric, NotNegative, State
from regjax.config.base import choice
from regjax.keys import stream_generator
from regjax.results import Results

LOSSES = ("squared", "kl", "zero_one")
DAMAGES = ("noise", "mask")
Term = Annotated[str, choice("bias", "variance"), Field(description='"bias" or "variance"')]
Loss = Annotated[str, choice(*LOSSES)]
Damage = Annotated[str, choice(*DAMAGES)]


def log_seed_sd(results: Results, metric: Metric = "test.accuracy", at: State = "last") -> np.ndarray:
    """Return jackknife pseudo-values of the logarithm of a metric's standard deviation over seeds, [cell, seed].

    Args:
      results: of a study.
      metric: of its records.
      at: the state, "best" or "last".

    Reference: Miller, "Jackknifing variances" (1968), for the logarithm.
    """
    return _over_seeds(
        state_values(results.table, metric, {"kind": at}),
        lambda values: pseudo_values(lambda kept: _log_sd(values[kept]), len(values)),
    )


def _log_sd(values: np.ndarray) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(values.std(ddof=1)))


def churn(results: Results) -> np.ndarray:
    """Return jackknife pseudo-values of the share of test examples that two runs label differently, [cell, seed].

        mean over examples of n / (n - 1) (1 - sum_k v_k^2),   v_k the share of the n runs that say k

    Args:
      results: of a classification whose runs share a test set and keep their predictions.

    Reference: Milani Fard, Cormier, Canini, Gupta, "Launch and iterate: reducing prediction churn" (2016).
    """
    outcome = read_outcome(results.table)
    return _over_networks(outcome, _churn_values)


def _churn_values(outputs: np.ndarray, _: np.ndarray) -> np.ndarray:
    votes = vote_features(outputs)

    def statistic(kept: np.ndarray) -> float:
        n = len(kept)
        return float(n / (n - 1) * (1 - (votes[kept].mean(axis=0) ** 2).sum(axis=1)).mean())

    return pseudo_values(statistic, len(votes))


def bias_variance(results: Results, part: Term, loss: Loss = "squared") -> np.ndarray:
    """Return jackknife pseudo-values of the bias or the variance of a cell's networks on the test set, [cell, seed].

    Of squared loss (unit of `test.brier`) and of the likelihood (`test.nll`) they are those of
    `regjax.analysis.decompositions`. Of 0-1 loss (1 - `test.accuracy`) the split is Kohavi's, half that of the squared
    loss of the votes, which is smooth in them, as the jackknife needs, and sums to the risk:

        variance = 1/2 (1 - sum_k v_k^2),   bias^2 = 1/2 sum_k (y_k - v_k)^2,   v_k the share that says k, without bias

    Args:
      results: of a study whose runs share a test set and keep their predictions; with disjoint training sets
        (`seeds.replicates`, one permutation) the seeds are independent.
      part: "bias" (of squared and 0-1 loss its square) or "variance".
      loss: "squared", "kl" or "zero_one".

    Reference: Kohavi, Wolpert, "Bias plus variance decomposition for zero-one loss functions" (1996).
    """
    outcome = read_outcome(results.table)
    votes = loss == "zero_one"
    scale = 0.5 if votes else 1 / outcome.divisor if loss == "squared" else 1.0

    def values(outputs: np.ndarray, right: np.ndarray) -> np.ndarray:
        seen, kind = (vote_features(outputs), "squared") if votes else (outputs, loss)
        whole, without = decompose(seen, right, kind), leave_out(seen, right, kind)
        n = len(seen)
        return scale * np.array([n * _part(whole, part) - (n - 1) * _part(one, part) for one in without])

    return _over_networks(outcome, values)


def _part(split: Split, part: str) -> float:
    return split.bias if part == "bias" else split.variance


def _over_networks(outcome: Outcome, values: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Return numbers [cell, seed] of networks [found, R, K] and of what is right; NaN for those not there."""
    return _over_seeds(outcome.outputs.astype(float), lambda outputs: values(outputs, outcome.right))


def _over_seeds(values: np.ndarray, numbers: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return `numbers` of what each cell [cell, seed, ...] has without NaN, at its places; below 3 seeds NaN."""
    made = np.full(values.shape[:2], np.nan)
    for cell, mine in enumerate(values):
        there = np.flatnonzero(np.isfinite(mine.reshape(len(mine), -1)).all(axis=1))
        if len(there) >= 3:
            made[cell, there] = numbers(mine[there])
    return made


def damaged_accuracy(results: Results, kind: Damage = "noise", severity: NotNegative = 0.3) -> np.ndarray:
    """Return the accuracy on test examples whose inputs are damaged in a way that was not trained on, [cell, seed].

    What is drawn depends on the seed alone: the cells of a seed meet the same damage.

    Args:
      results: of a classification that keeps parameters.
      kind: "noise": Gaussian noise of standard deviation `severity` on scaled inputs; "mask": a share `severity` of
        the inputs set to 0.
      severity: how much.

    Reference: Hendrycks, Dietterich, "Benchmarking neural network robustness to common corruptions" (2019).
    """

    def number(networks: Networks) -> np.ndarray:
        inputs = [run_inputs(results, networks.cell, int(seed)) for seed in networks.seeds]
        x = np.stack([damage(i.x_test, kind, severity, int(s)) for i, s in zip(inputs, networks.seeds, strict=True)])
        said = predict_labels(results, networks, x)
        return (said == np.stack([i.y_test for i in inputs])).mean(axis=1)

    return per_run(results, number)


def damage(x: np.ndarray, kind: str, severity: float, seed: int) -> np.ndarray:
    """Return inputs [examples, ...] with noise, or with a share of them masked; as `damaged_accuracy` says."""
    rng = stream_generator(seed, f"damage {kind}")
    if kind == "noise":
        return x + np.float32(severity) * rng.standard_normal(x.shape, np.float32)
    return np.where(rng.random(x.shape, np.float32) < severity, np.float32(0), x)


MEASURES: dict[str, Measure] = {
    "log_seed_sd": Measure(log_seed_sd, "logarithm of a metric's standard deviation over seeds"),
    "churn": Measure(churn, "share of test examples that two runs of other seeds label differently"),
    "bias_variance": Measure(bias_variance, "bias or variance of the networks of a cell, in the unit of the loss"),
    "damaged_accuracy": Measure(damaged_accuracy, "accuracy on test examples with noisy or masked inputs"),
}
