"""Sources of the seed-to-seed variance: the share of each stream of randomness, from runs that redraw it alone.

Let y = f(x_1, ..., x_K) be the metric of a run, x_k the draws of stream k, independent of each other. Two shares of
V = Var(y) belong to a stream:

    first order  V_k / V = Var(E[y | x_k]) / V        what it does alone, on average over the others
    total        T_k / V = E[Var(y | x_others)] / V   what is lost by holding it fixed: with all its interactions

For seeds a, b let y_a, y_b be their runs, z_a the run with stream k of b and all others of a, z_b the other way round.
With D_a = z_a - y_a and D_b = z_b - y_b,

    T_k: (D_a^2 + D_b^2) / 4        V_k: -D_a D_b / 2        V: ((y_a - y_b)^2 + (z_a - z_b)^2) / 4

have these means, whatever f is; T_k - V_k = (D_a + D_b)^2 / 4 is never negative, and 0 in every pair where the stream
does not interact. Pairs are independent of each other; a share is the ratio of two means over pairs. V is averaged
over the streams, too. Intervals are Student's t with pairs - 1 degrees of freedom about the ratio, or for totals its
logarithm, with the jackknife's standard error over pairs.

References: Sobol', "Sensitivity estimates for nonlinear mathematical models" (1993); Jansen, "Analysis of variance
designs for model output" (1999), for T_k; Saltelli et al., "Variance based sensitivity analysis of model output"
(2010). Bouthillier et al., "Accounting for variance in machine learning benchmarks" (2021), for the question.
Departure: seeds swap draws in pairs, so that y_a, y_b serve twice and neither mean nor variance is estimated apart.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.inference import ALPHA
from regjax.analysis.table import At, Table, at_label, make_table, state_values
from regjax.store import done_runs, iter_queues, load_runs

# Fewer pairs have no interval: with two the jackknife has one degree of freedom.
FEWEST_PAIRS = 3
COLUMNS = ("cell", "stream", "metric", "at", "n", "total", "low", "high", "first", "first_low", "first_high", "sd",
           "sd_all")  # fmt: skip


class Shares(NamedTuple):
    """Shares of the variance, arrays [stream]; `sd` of runs that differ in that stream alone, `sd_all` in all.

    `n` is the number of pairs of seeds. Shares and their ends are cut to [0, 1]; NaN where there is none.
    """

    n: int
    total: np.ndarray
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    first_low: np.ndarray
    first_high: np.ndarray
    sd: np.ndarray
    sd_all: float


def make_sources(table: Table, at: At | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return one row per cell and stream: how much of the variance between seeds comes from that stream.

    Args:
      table: loaded run directory of a study with `[measure] sources`.
      at: state; the primary one when None.
      metric: "<split>.<name>"; the primary one when None.

    Returns:
      Columns cell, stream, metric, at, n (pairs of seeds whose runs all have a value), total (share in [0, 1], with
      interactions), low, high (95% interval), first (share of the stream alone), first_low, first_high, sd (of runs
      that differ in the stream alone, unit of the metric) and sd_all (of runs that differ in all streams). Intervals
      are NaN below three pairs. No rows where the study asks for no sources.
    """
    asked, primary = table.plan.get("sources"), table.plan["primary"]
    if not asked or table.out is None:
        return pd.DataFrame(columns=list(COLUMNS))
    metric, at = metric or primary["metric"], at or primary["at"]
    values, swapped = state_values(table, metric, at), state_values(load_swapped(table), metric, at)
    pairs = np.array([[table.seeds.index(seed) for seed in pair] for pair in asked["pairs"]]).reshape(-1, 2)
    swapped = swapped.reshape(len(asked["streams"]), len(table.cells), -1)
    rows = []
    for index, cell in enumerate(table.cells if asked["cells"] == "all" else table.cells[:1]):
        found = estimate(values[index][pairs], swapped[:, index][:, pairs])
        head = {"cell": cell, "metric": metric, "at": at_label(at), "n": found.n, "sd_all": found.sd_all}
        for k, stream in enumerate(asked["streams"]):
            numbers = {name: value[k] for name, value in found._asdict().items() if isinstance(value, np.ndarray)}
            rows.append({**head, "stream": stream, **numbers})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def load_swapped(table: Table) -> Table:
    """Return the runs that redraw a stream; their cells are all of the first stream, then all of the second, ..."""
    assert table.out is not None
    streams, num_cells = table.plan["sources"]["streams"], len(table.cells)
    runs = load_runs(table.out)
    runs = runs[runs["wave"] == "sources"]
    runs = runs.assign(cell=runs["cell"] + num_cells * runs["stream"].map({k: i for i, k in enumerate(streams)}))
    cells = [{"name": f"{cell} {stream}"} for stream in streams for cell in table.cells]
    return make_table(table.out, {"cells": cells, "seeds": table.seeds, "primary": table.plan["primary"]}, runs)


def count_programs(table: Table) -> int:
    """Return how many layouts, devices or ways of data the runs compared were trained with; rounding differs then."""
    assert table.out is not None
    runs = load_runs(table.out)
    seeds = {seed for pair in table.plan["sources"]["pairs"] for seed in pair}
    compared = runs[(runs["wave"] != "tune") & runs["seed"].isin(seeds)]
    queues, owner = dict(iter_queues(table.out)), done_runs(table.out)
    found = {
        (group, *(str(queues[owner[run].chunk][key]) for key in ("layout", "devices", "data")))
        for run, group in zip(compared["run"], compared["group"], strict=True)
        if run in owner and owner[run].chunk in queues
    }
    return len(found) - len({group for group, *_ in found}) + 1


def estimate(y: np.ndarray, z: np.ndarray) -> Shares:
    """Return the shares of streams from pairs of seeds (see the module).

    Args:
      y: [pair, 2] metric of both seeds' runs, NaN for none.
      z: [stream, pair, 2] metric of the same with the stream of the other seed of the pair.
    """
    kept = ~(np.isnan(y).any(axis=1) | np.isnan(z).any(axis=(0, 2)))
    y, z = y[kept].astype(np.float64), z[:, kept].astype(np.float64)
    n, none = len(y), np.full(len(z), np.nan)
    if not n:
        return Shares(0, *[none] * 7, np.nan)
    change = z - y
    total, first = (change**2).sum(axis=2) / 4, -change.prod(axis=2) / 2
    mean_of_streams = (np.diff(z, axis=2)[..., 0] ** 2).sum(axis=0)
    variance = (np.diff(y, axis=1)[:, 0] ** 2 + mean_of_streams) / (2 * (1 + len(z)))
    if not variance.any():
        return Shares(n, *[none] * 6, np.sqrt(total.mean(axis=1)), 0.0)
    low, high = log_ends(total, variance)
    share, error, reach = jackknife(first, variance)
    cut = [np.clip(x, 0.0, 1.0) for x in (
        total.mean(axis=1) / variance.mean(), low, high, share, share - reach * error, share + reach * error
    )]  # fmt: skip
    return Shares(n, *cut, np.sqrt(total.mean(axis=1)), float(np.sqrt(variance.mean())))


def jackknife(parts: np.ndarray, whole: np.ndarray, log: bool = False) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the ratios of means [stream] (or their logarithms), standard errors, and the reach of t in these.

    Args:
      parts: [stream, pair].
      whole: [pair], positive somewhere.
      log: whether the logarithm is taken.
    """
    from scipy.stats import t

    n = len(whole)
    ratio = parts.sum(axis=1) / whole.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        left = (parts.sum(axis=1, keepdims=True) - parts) / (whole.sum() - whole)
        ratio, left = (np.log(ratio), np.log(left)) if log else (ratio, left)
        error = np.sqrt((n - 1) * left.var(axis=1))
    return ratio, error, float(t.ppf(1 - ALPHA / 2, n - 1)) if n >= FEWEST_PAIRS else np.nan


def log_ends(total: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of intervals of total shares, [stream].

    They are 0 and 0 where no run changed at all, 0 and 1 where only one pair did, or nothing else varied without one.
    """
    share, error, reach = jackknife(total, variance, log=True)
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = np.exp(share - reach * error), np.exp(share + reach * error)
    some = total.any(axis=1)
    vague = some & ~np.isfinite(error)
    enough = np.isfinite(reach)
    low, high = np.where(vague, 0.0, low), np.where(vague, 1.0, high)
    return tuple(np.where(enough, np.where(some, end, 0.0), np.nan) for end in (low, high))  # type: ignore[return-value]
