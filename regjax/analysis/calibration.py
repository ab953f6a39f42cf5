"""Calibration: how far the probability that a network gives its choice is from how often the choice is right.

    ECE = sum over bins b of n_b / n |mean confidence in b - share right in b|

over bins that hold equally many examples each ("equal mass"); confidence is the probability of the chosen class.
Plug-in values are above 0 even for a calibrated network, the more so the fewer examples a bin has.

Reference: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning" (2015), for
ECE; Nguyen, O'Connor, "Posterior calibration and exploratory analysis for natural language processing models" (2015),
for bins of equal mass. Departure: edges are quantiles, so that examples of one confidence share a bin; bins that are
empty for that are left out. The recorded metric `ece` has bins of equal width (Guo et al. 2017) and other values.
"""

from typing import NamedTuple

import numpy as np

from regjax.analysis.newdata import example_losses
from regjax.analysis.predictions import Predictions

NUM_BINS = 15


class Calibration(NamedTuple):
    """Calibration of every run.

    Attributes:
      confidence, right: [cell, seed, bin] means; NaN in bins that do not occur.
      ece, nll, brier: [cell, seed]; NaN of runs that are not done or diverged.
    """

    confidence: np.ndarray
    right: np.ndarray
    ece: np.ndarray
    nll: np.ndarray
    brier: np.ndarray


def bin_calibration(confidence: np.ndarray, right: np.ndarray, num_bins: int = NUM_BINS) -> np.ndarray:
    """Return [3, bin]: mean confidence, share right, and number of examples; NaN and 0 in bins that do not occur.

    Args:
      confidence: [example] in [0, 1].
      right: [example], 1 where the choice is right.
      num_bins: of equal mass.

    >>> bin_calibration(np.array([0.6, 0.7, 0.8, 0.9]), np.array([0, 1, 1, 1]), 2).round(2).tolist()
    [[0.65, 0.85], [0.5, 1.0], [2.0, 2.0]]
    """
    edges = np.quantile(confidence, np.linspace(0, 1, num_bins + 1)[1:-1])
    place = np.searchsorted(edges, confidence)
    counts, sums, hits = (
        np.bincount(place, weights=of, minlength=num_bins) for of in (np.ones(len(place)), confidence, right)
    )
    known = np.where(counts > 0, counts, np.nan)
    return np.array([sums / known, hits / known, counts])


def expected_error(bins: np.ndarray) -> float:
    """Return the ECE of bins from `bin_calibration`.

    >>> round(expected_error(np.array([[0.65, 0.85], [0.5, 1.0], [2.0, 2.0]])), 2)
    0.15
    """
    confidence, right, counts = bins
    return float(np.nansum(counts * np.abs(confidence - right)) / counts.sum())


def calibrate(kept: Predictions) -> Calibration:
    """Return the calibration of all runs from their class probabilities."""
    accuracy, nll, brier = (_class_losses(kept, name) for name in ("accuracy", "nll", "brier"))
    outputs = kept.outputs.astype(np.float64)
    highest = np.maximum(outputs, 1 - outputs)[..., 0] if outputs.shape[-1] == 1 else outputs.max(axis=-1)
    shape = kept.outputs.shape[:2]
    bins, ece = np.full((3, *shape, NUM_BINS), np.nan), np.full(shape, np.nan)
    for cell, seed in np.ndindex(shape):
        here = ~np.isnan(highest[cell, seed])
        if here.any():
            found = bin_calibration(highest[cell, seed][here], accuracy[cell, seed][here])
            bins[:, cell, seed], ece[cell, seed] = found, expected_error(found)
    return Calibration(bins[0], bins[1], ece, _mean(nll), _mean(brier))


def _class_losses(kept: Predictions, name: str) -> np.ndarray:
    losses = example_losses(kept, name)
    assert losses is not None
    return losses


def _mean(losses: np.ndarray) -> np.ndarray:
    """Return the mean over the examples that a run has, NaN where it has none."""
    known = ~np.isnan(losses)
    counts = known.sum(axis=-1)
    return np.where(known, losses, 0.0).sum(axis=-1) / np.where(counts > 0, counts, np.nan)
