"""Bias and variance of the cells of a study, from the predictions that it keeps, with intervals and paired effects.

What the networks of a cell differ in says what their variance is of:

- disjoint parts (`[seeds] replicates`): independent training sets. The split is made within each permutation of the
  training rows, over its parts. Permutations cut the same rows anew, so they are the units of inference.
- bootstrap: training sets drawn with replacement from the same rows; one split over all seeds.
- no replicates, `data.train_size` drawn: overlapping subsets of the same rows; one split over all seeds.
- neither: the training rows are the same; what varies is the luck of the optimisation.

In the last three there is one split, and its standard error is the jackknife's over seeds. All intervals are Student's
t, are for these rows and this test set, and are not corrected for how many are looked at.

Reference: Efron, Tibshirani, "An introduction to the bootstrap" (1993), for the jackknife.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.decompositions import LOSSES, Split, decompose, distribution_variance, leave_out
from regjax.analysis.effects import ALPHA
from regjax.analysis.predictions import Predictions, stack_predictions
from regjax.analysis.table import Table, reference_cell

# Metrics of the test part in whose unit the risk of a loss is.
UNITS = {"squared": ("brier", "mse"), "kl": ("nll",), "zero_one": ("accuracy",)}


class Outcome(NamedTuple):
    """What the networks predict and what is right.

    Attributes:
      outputs: [cell, seed, R, K] values, or probabilities of all classes, of both for a binary task; NaN where missing.
      right: [R, K] values, or one-hot classes.
      classes: whether K are classes.
      divisor: of the squared error: the metrics are means over targets, and over the classes of a binary task.
    """

    outputs: np.ndarray
    right: np.ndarray
    classes: bool
    divisor: int


def make_bias_variance(
    table: Table, loss: str = "squared", margin: float | None = None, outcome: Outcome | None = None
) -> pd.DataFrame:
    """Return one row per cell: risk, bias and variance on the test set, their intervals and their change.

    Args:
      table: loaded run directory with predictions of one test set.
      loss: "squared" (of probabilities as `test.brier`, of values as `test.mse`), "kl" (`test.nll`) or "zero_one"
        (1 - `test.accuracy`).
      margin: by how much the bias may rise, in the unit of the risk; None for the study's, where its primary metric is
        that of the loss.
      outcome: from `read_outcome`, where it is at hand.

    Returns:
      Columns cell, loss, source ("disjoint parts", "bootstrap", "subsets" or "optimisation"), n (networks of a split),
      units (splits that are averaged: permutations), risk, bias (of squared loss bias^2), variance, unbiased and biased
      (of 0-1 loss); bias_low, bias_high, bias_effect (less the reference cell), bias_effect_low, bias_effect_high, the
      same of variance; verdict (see `judge_trade`) and left_out (seeds not used: not done or diverged in some cell).
      Where the design has no reference cell the changes are NaN and the verdicts "".
      Ends of 95% intervals are NaN for one permutation, below 3 seeds, and for 0-1 loss without permutations.

    Raises:
      ValueError: there are no predictions, they are of several test sets, or the loss is not one of these labels.
    """
    from scipy.stats import t

    outcome = outcome or read_outcome(table)
    known = list(LOSSES) if outcome.classes else ["squared"]
    if loss not in known:
        raise ValueError(f"got loss {loss!r}, expected {', '.join(map(repr, known))}")
    replicates = table.plan.get("replicates")
    parts = int(replicates["parts"]) if replicates and replicates["kind"] == "disjoint" else None
    used, cells = _complete_seeds(outcome.outputs, parts)
    n = parts or used.size
    if n < 2 or not used.size:
        raise ValueError(f"got {used.size} seeds done in all cells, expected {parts or 2} or more for a variance")
    groups = used.reshape(-1, n)
    means, (spread, paired), df = _estimate(outcome, groups, cells, loss, within=parts is not None)
    luck = "subsets" if "subset" in table.plan["vary"] else "optimisation"
    source = "disjoint parts" if parts else "bootstrap" if replicates else luck
    frame = pd.DataFrame({"cell": table.cells, "loss": loss, "source": source, "n": n, "units": len(groups)})
    frame = frame.assign(**dict(zip(Split._fields, means.T, strict=True)))
    reach = t.ppf(1 - ALPHA / 2, df) if df > 0 else np.nan
    for index, name in ((1, "bias"), (2, "variance")):
        for suffix, values, error in (("", means, spread), ("_effect", means - means[0], paired)):
            frame[f"{name}{suffix}"] = values[:, index]
            frame[f"{name}{suffix}_low"] = values[:, index] - reach * error[:, index]
            frame[f"{name}{suffix}_high"] = values[:, index] + reach * error[:, index]
    margin = _study_margin(table, loss) if margin is None else margin
    ends = frame[["variance_effect_low", "variance_effect_high", "bias_effect_high"]].to_numpy()
    frame["verdict"] = ["baseline", *(judge_trade(low, high, bias, margin) for low, high, bias in ends[1:])]
    if reference_cell(table.plan) is None:
        frame[[name for name in frame.columns if "_effect" in name]], frame["verdict"] = np.nan, ""
    frame["left_out"] = len(table.seeds) - used.size
    return frame


def _estimate(
    outcome: Outcome, groups: np.ndarray, cells: np.ndarray, loss: str, *, within: bool
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], int]:
    """Return the splits [cell, field], the standard errors of them and of their change to cell 0, degrees of freedom.

    Args:
      outcome: predictions.
      groups: [unit, n] places of the seeds that are split together.
      cells: [cell] which cells have predictions.
      loss: name of the loss.
      within: whether the groups are units of inference; else the one group is jackknifed.
    """
    scale = 1.0 / outcome.divisor if loss == "squared" else 1.0
    splits, samples = [], []
    for cell in range(len(cells)):
        networks = [outcome.outputs[cell, group] for group in groups]
        here = [decompose(some, outcome.right, loss) for some in networks]
        sample = here if within else leave_out(networks[0], outcome.right, loss)
        known = scale if cells[cell] else np.nan
        splits.append(known * np.mean(here, axis=0))
        samples.append(known * np.array(sample))
    drawn = np.array(samples)  # [cell, unit or network left out, field]
    num = drawn.shape[1]
    # A vote is not smooth, so that leaving one out does not tell how far it may be off.
    usable = num > 1 if within else num > 2 and loss != "zero_one"
    factor = (1 / num if within else (num - 1) ** 2 / num) if usable else np.nan
    both = (drawn, drawn - drawn[:1])
    spread, paired = (np.sqrt(factor * some.var(axis=1, ddof=1 if usable else 0)) for some in both)
    return np.array(splits), (spread, paired), num - 1


def judge_trade(variance_low: float, variance_high: float, bias_high: float, margin: float | None) -> str:
    """Return what a regularizer traded, by the ends of 95% intervals of its effects on variance and bias.

    Args:
      variance_low, variance_high: interval of the change of the variance; NaN where there is none.
      bias_high: upper end of the change of the bias.
      margin: the rise of the bias that does not matter, None where none is named.

    >>> judge_trade(-0.03, -0.01, 0.001, 0.005), judge_trade(-0.03, 0.01, 0.001, 0.005)
    ('variance down, bias rise below the margin', 'undecided')
    >>> judge_trade(-0.03, -0.01, 0.02, 0.005)
    'variance down, bias may rise beyond the margin'
    """
    if variance_high < 0:
        if margin is None:
            return "variance down, no margin for the bias"
        return f"variance down, bias {'rise below' if bias_high < margin else 'may rise beyond'} the margin"
    return "variance up" if variance_low > 0 else "undecided"


def make_variances(table: Table, outcome: Outcome | None = None) -> pd.DataFrame:
    """Return one row per cell: how much its runs differ on this test set, and on the distribution behind it.

    Args:
      table: loaded run directory with predictions of one test set.
      outcome: from `read_outcome`, where it is at hand.

    Returns:
      Columns cell, loss ("zero_one", of values "squared"), n (runs), examples, test_variance, test_sd,
      distribution_variance (without bias; may be negative) and distribution_sd (NaN where that is negative).

    Raises:
      ValueError: there are no predictions, or they are of several test sets.
    """
    outcome = outcome or read_outcome(table)
    loss = "zero_one" if outcome.classes else "squared"
    rows = []
    for name, outputs in zip(table.cells, outcome.outputs, strict=True):
        done = outputs[~np.isnan(outputs).any(axis=(1, 2))].astype(float)
        if outcome.classes:
            losses = (done.argmax(axis=2) != outcome.right.argmax(axis=1)).astype(float)
        else:
            losses = ((done - outcome.right) ** 2).mean(axis=2)
        on_set, beyond = distribution_variance(losses) if min(losses.shape) > 1 else (np.nan, np.nan)
        sd = np.sqrt(beyond) if beyond >= 0 else np.nan
        row = {"cell": name, "loss": loss, "n": len(losses), "examples": losses.shape[1]}
        rows.append({**row, "test_variance": on_set, "test_sd": np.sqrt(on_set),
                     "distribution_variance": beyond, "distribution_sd": sd})  # fmt: skip
    return pd.DataFrame(rows)


def read_outcome(table: Table) -> Outcome:
    """Return what a study's networks predict: and what is right, from its predictions.

    Raises:
      ValueError: there are no predictions, or they are of several test sets.
    """
    found = stack_predictions(table)
    if found is None:
        raise ValueError('got a study without predictions, expected one with [measure] predictions = "test"')
    if "split" in table.plan["vary"]:
        raise ValueError("got runs with test sets of their own, expected one: leave split out of seeds.vary")
    return _arrange(found, is_regression(table))


def is_regression(table: Table) -> bool:
    """Return whether a study predicts values, not classes."""
    named = table.plan["study"].get("task", {}).get("name")
    return bool(named == "regression" or not table.plan.get("data", {}).get("num_classes"))


def _arrange(found: Predictions, regression: bool) -> Outcome:
    outputs = found.outputs
    if regression:
        return Outcome(outputs, found.labels.reshape(len(found.rows), -1).astype(float), False, outputs.shape[-1])
    divisor = 2 if outputs.shape[-1] == 1 else 1
    if divisor == 2:
        outputs = np.concatenate([1 - outputs, outputs], axis=-1)
    return Outcome(outputs, np.eye(outputs.shape[-1])[found.labels.astype(int)], True, divisor)


def _study_margin(table: Table, loss: str) -> float | None:
    primary = table.plan["primary"]
    return primary.get("margin") if primary["metric"] in [f"test.{name}" for name in UNITS[loss]] else None


def _complete_seeds(outputs: np.ndarray, parts: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the seeds (whole permutations) done in all cells that have any, and a mask of those cells.

    All cells are split over the same seeds: plug-in splits depend on how many there are.
    """
    done = ~np.isnan(outputs).any(axis=(2, 3))
    cells = done.any(axis=1)
    whole = done[cells].all(axis=0) & cells.any()
    if parts:
        whole = np.repeat(whole.reshape(-1, parts).all(axis=1), parts)
    return np.flatnonzero(whole), cells
