"""Several studies: p-values adjusted for all of them, and cells ranked over the data sets of studies alike."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.appendix import join_ties, signed_rank
from regjax.analysis.effects import ALPHA, declared_effects, describe_cells, good_sign
from regjax.analysis.multiplicity import benjamini_hochberg, holm
from regjax.analysis.table import Table, reference_cell
from regjax.files import RegjaxError

# With fewer data sets the ranks can hardly differ by a critical difference.
LEAST_SETS = 6


def pool_p(tables: Mapping[str, Table]) -> pd.DataFrame:
    """Return every confirmatory row of all studies with its p adjusted once more, across the studies.

    Each p is adjusted within its study already: adjusting it again is conservative.

    Args:
      tables: {name: loaded run directory}.

    Returns:
      Columns study, contrast, metric, n, effect, p, p_holm, p_bh (Benjamini-Hochberg).
    """
    frames = []
    for name, table in tables.items():
        effects = declared_effects(table)
        frames.append(effects[effects["confirmatory"]].assign(study=name))
    pooled = pd.concat(frames, ignore_index=True)[["study", "contrast", "metric", "n", "effect", "p"]]
    return pooled.assign(p_holm=holm(pooled["p"]), p_bh=benjamini_hochberg(pooled["p"]))


class Ranks(NamedTuple):
    """Cells compared over data sets.

    Attributes:
      cells: names in the order of the first study: the baseline first, where the design has one.
      metric: what is ranked.
      sets: names of the data sets that have a mean of every cell.
      means: [set, cell] means over seeds.
      ranks: [cell] average ranks, 1 is best; ties share their mean rank.
      friedman_p: Friedman's test that all cells rank alike; NaN below three cells or two sets.
      p: [cell] Wilcoxon signed-rank over data sets against the baseline (NaN there, and everywhere where the design has
        none), and p_holm adjusted for all cells.
      distance: the critical difference of average ranks; NaN below six sets.
      groups: (first, last) in the order of rising ranks: largest groups of cells that are not shown to differ.
    """

    cells: tuple[str, ...]
    metric: str
    sets: tuple[str, ...]
    means: np.ndarray
    ranks: np.ndarray
    friedman_p: float
    p: np.ndarray
    p_holm: np.ndarray
    distance: float
    groups: list[tuple[int, int]]


def rank_cells(tables: Mapping[str, Table]) -> Ranks:
    """Return cells ranked over the data sets of studies that have the same cells and metric.

    Args:
      tables: {name: loaded run directory}, each on another data set.

    Raises:
      RegjaxError: the studies differ in cells or metric, share a data set, or it is not known what is better.

    Reference: Demsar, "Statistical comparisons of classifiers over multiple data sets" (2006); Friedman, "The use of
    ranks to avoid the assumption of normality" (1937). Departure: p-values against the baseline are Wilcoxon's.
    """
    cells, metric = _check(tables)
    means = np.array([describe_cells(t).set_index("cell")["mean"].reindex(list(cells)) for t in tables.values()])
    known = ~np.isnan(means).any(axis=1)
    sets = tuple(name for name, whole in zip(tables, known, strict=True) if whole)
    if not sets:
        raise RegjaxError("no study has finished runs of every cell; there is nothing to rank")
    ranks, friedman_p = rank_rows(means[known], good_sign(metric))
    ties = _find_ties(means[known])
    p = np.array([np.nan, *(signed_rank(means[known, c] - means[known, 0], ties) for c in range(1, len(cells)))])
    if any(reference_cell(table.plan) is None for table in tables.values()):
        p = np.full(len(cells), np.nan)
    distance = critical_difference(len(cells), len(sets)) if len(sets) >= LEAST_SETS else np.nan
    groups = [] if np.isnan(distance) else find_groups(np.sort(ranks), distance)
    return Ranks(cells, metric, sets, means[known], ranks, friedman_p, p, holm(p), distance, groups)


def _check(tables: Mapping[str, Table]) -> tuple[tuple[str, ...], str]:
    first, *_others = tables.values()
    cells, metric = first.cells, str(first.plan["primary"]["metric"])
    if len(set(cells)) < 2:
        raise RegjaxError("the studies have one cell only; there is nothing to rank")
    for name, table in tables.items():
        if set(table.cells) != set(cells) or table.cells[0] != cells[0]:
            raise RegjaxError(f"{name} has other cells than the first study; only equal cells are ranked")
        if (own := table.plan["primary"]["metric"]) != metric:
            raise RegjaxError(f"{name} is about {own}, the first study about {metric}; only equal metrics are ranked")
    digests = [table.plan.get("data", {}).get("digest", name) for name, table in tables.items()]
    if len(set(digests)) < len(digests):
        raise RegjaxError("two of the studies have the same data; ranks need another data set each")
    if not good_sign(metric):
        raise RegjaxError(f"more of {metric} is neither better nor worse; there is nothing to rank by")
    return cells, metric


def _find_ties(means: np.ndarray) -> np.ndarray:
    """Return what is float32 rounding of a difference of two cells, by data set: [set] of means [set, cell]."""
    return 2 * np.finfo(np.float32).eps * np.abs(means).max(axis=1, initial=0.0)


def rank_rows(means: np.ndarray, sign: int) -> tuple[np.ndarray, float]:
    """Return average ranks [cell] (1 is best) and the p-value of Friedman's test.

    Args:
      means: [set, cell], no NaN.
      sign: 1 where larger is better, -1 where smaller is.

    >>> rank_rows(np.array([[0.9, 0.8, 0.8], [0.7, 0.9, 0.6]]), 1)[0].tolist()
    [1.5, 1.75, 2.75]
    """
    from scipy.stats import friedmanchisquare, rankdata

    ranks = np.array([rankdata(-sign * join_ties(row, tie)) for row, tie in zip(means, _find_ties(means), strict=True)])
    if len(means) < 2 or ranks.shape[1] < 3:
        return ranks.mean(axis=0), np.nan
    # All tied everywhere: nothing differs, where the statistic would be 0/0.
    p = 1.0 if (np.ptp(ranks, axis=1) == 0).all() else float(friedmanchisquare(*ranks.T).pvalue)
    return ranks.mean(axis=0), p


def critical_difference(num_cells: int, num_sets: int) -> float:
    """Return by how much two average ranks must differ to be told apart at 5% by Nemenyi's test.

        CD = q sqrt(k (k + 1) / (6 N)),  q the 95% quantile of the studentized range of k / sqrt(2)

    >>> print(f"{critical_difference(4, 14):.2f}")
    1.25

    Reference: Nemenyi, "Distribution-free multiple comparisons" (1963); Demsar (2006).
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - ALPHA, num_cells, np.inf)) / np.sqrt(2)
    return q * float(np.sqrt(num_cells * (num_cells + 1) / (6 * num_sets)))


def find_groups(ranks: np.ndarray, distance: float) -> list[tuple[int, int]]:
    """Return (first, last) of the largest groups of at least two rising ranks that span less than `distance`.

    >>> find_groups(np.array([1.0, 1.5, 2.2, 4.0]), 1.0)
    [(0, 1), (1, 2)]
    """
    groups: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int((ranks < ranks[first] + distance).sum()) - 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups
