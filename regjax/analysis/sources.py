"""Sources of the seed-to-seed variance: the share of each stream of randomness, from runs that redraw it alone.

Let y = f(x_1, ..., x_K) be the metric of a run, x_k the draws of stream k, independent of each other. Two shares of
V = Var(y) belong to a stream:

    first order  V_k / V = Var(E[y | x_k]) / V        what it does alone: so much less variance if it were held fixed
    total        T_k / V = E[Var(y | x_others)] / V   variance of runs that differ in it alone, interactions included

For seeds a, b let y_a, y_b be their runs, z_a the run with stream k of b and all others of a, z_b the other way round.
With D_a = z_a - y_a and D_b = z_b - y_b,

    T_k: (D_a^2 + D_b^2) / 4        V_k: -D_a D_b / 2        V: (y_a - y_b)^2 / 2 and (z_a - z_b)^2 / 2

have these means, whatever f is; T_k - V_k = (D_a + D_b)^2 / 4 is never negative, and 0 in every pair where the stream
does not interact. Pairs are independent of each other; a share is the ratio of two means over pairs, V being the mean
of the 1 + K squares of a pair. The intervals of the total share, and of that of the interactions, (T_k - V_k) / V, are
Student's t with pairs - 1 degrees of freedom about the logarithm of the ratio, with the jackknife's standard error over
pairs; that of the first-order share, their difference, is put together from both (Zou and Donner).

References: Sobol', "Sensitivity estimates for nonlinear mathematical models" (1993); Jansen, "Analysis of variance
designs for model output" (1999), for T_k; Saltelli et al., "Variance based sensitivity analysis of model output"
(2010); Zou, Donner, "Construction of confidence limits about effect measures: a general approach" (2008), for the
difference. Bouthillier et al., "Accounting for variance in machine learning benchmarks" (2021), for the question.
Departure: seeds swap draws in pairs, so that y_a, y_b serve twice and neither mean nor variance is estimated apart.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.inference import ALPHA
from regjax.analysis.table import At, Table, at_label, make_table, state_values
from regjax.store import done_runs, iter_queues

# Fewer pairs have no interval: with two the jackknife has one degree of freedom.
FEWEST_PAIRS = 3
COLUMNS = ("cell", "stream", "metric", "at", "n", "total", "low", "high", "first", "first_low", "first_high", "sd",
           "sd_all")  # fmt: skip


class Ends(NamedTuple):
    """Shares [stream] with the ends of their intervals; NaN where there is none."""

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def cut(self) -> "Ends":
        """Return the same within [0, 1], where shares lie."""
        return Ends(*(np.clip(values, 0.0, 1.0) for values in self))


class Shares(NamedTuple):
    """Total and first-order shares of the variance, `num_pairs` of seeds.

    `sd` [stream] is that of runs that differ in the stream alone, `sd_all` that of runs that differ in all.
    """

    num_pairs: int
    total: Ends
    first: Ends
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
    frames = []
    for index, cell in enumerate(table.cells if asked["cells"] == "all" else table.cells[:1]):
        found = estimate(values[index][pairs], swapped[:, index][:, pairs])
        frame = pd.DataFrame({"stream": asked["streams"], "sd": found.sd, "sd_all": found.sd_all})
        frame["total"], frame["low"], frame["high"] = found.total
        frame["first"], frame["first_low"], frame["first_high"] = found.first
        frames.append(frame.assign(cell=cell, metric=metric, at=at_label(at), n=found.num_pairs))
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]


def load_swapped(table: Table) -> Table:
    """Return the runs that redraw a stream; their cells are all of the first stream, then all of the second, ..."""
    assert table.out is not None
    streams, num_cells = table.plan["sources"]["streams"], len(table.cells)
    runs = table.planned[table.planned["wave"] == "sources"]
    runs = runs.assign(cell=runs["cell"] + num_cells * runs["stream"].map({k: i for i, k in enumerate(streams)}))
    cells = [{"name": f"{cell} {stream}"} for stream in streams for cell in table.cells]
    return make_table(table.out, {"cells": cells, "seeds": table.seeds, "primary": table.plan["primary"]}, runs)


def count_mixed(table: Table) -> int:
    """Return how many pairs of seeds have runs of a cell from different layouts or devices, whose rounding differs."""
    assert table.out is not None
    pair_of = {seed: index for index, pair in enumerate(table.plan["sources"]["pairs"]) for seed in pair}
    runs, queues, owner = table.planned, dict(iter_queues(table.out)), done_runs(table.out)
    runs = runs[(runs["wave"] != "tune") & runs["seed"].isin(list(pair_of))]
    found: dict[tuple[int, int], set[str]] = {}
    for run, cell, seed in zip(runs["run"], runs["cell"], runs["seed"], strict=True):
        if run in owner and owner[run].chunk in queues:
            queue = queues[owner[run].chunk]
            program = str([queue[key] for key in ("layout", "devices", "data")])
            found.setdefault((cell, pair_of[seed]), set()).add(program)
    return len({pair for (_, pair), programs in found.items() if len(programs) > 1})


def estimate(y: np.ndarray, z: np.ndarray) -> Shares:
    """Return the shares of streams from pairs of seeds (see the module).

    Args:
      y: [pair, 2] metric of both seeds' runs, NaN for none.
      z: [stream, pair, 2] metric of the same with the stream of the other seed of the pair.
    """
    kept = ~(np.isnan(y).any(axis=1) | np.isnan(z).any(axis=(0, 2)))
    y, z = y[kept].astype(np.float64), z[:, kept].astype(np.float64)
    nothing = Ends(*[np.full(len(z), np.nan)] * 3)
    if not len(y):
        return Shares(0, nothing, nothing, nothing.share, np.nan)
    change = z - y
    total, mixed = (change**2).sum(axis=2) / 4, change.sum(axis=2) ** 2 / 4
    swapped = (np.diff(z, axis=2)[..., 0] ** 2).sum(axis=0)
    whole = (np.diff(y, axis=1)[:, 0] ** 2 + swapped) / (2 * (1 + len(z)))
    sd = np.sqrt(total.mean(axis=1))
    if not whole.any():
        return Shares(len(y), nothing, nothing, sd, 0.0)
    all_of, interactions = ratio_ends(total, whole), ratio_ends(mixed, whole)
    first = join_ends(all_of, interactions, correlate(total, mixed, whole))
    return Shares(len(y), all_of.cut(), first.cut(), sd, float(np.sqrt(whole.mean())))


def leave_out(parts: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the ratios of sums over pairs without each pair in turn, [stream, pair]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (parts.sum(axis=1, keepdims=True) - parts) / (whole.sum() - whole)


def ratio_ends(parts: np.ndarray, whole: np.ndarray) -> Ends:
    """Return the ratios of means over pairs with t intervals about their logarithm.

    The interval is [0, 0] where no run of the stream changed, and [0, 1] where the jackknife says nothing: only one
    pair changed.

    Args:
      parts: [stream, pair], none negative.
      whole: [pair], none negative, not all 0.
    """
    from scipy.stats import t

    n, share = len(whole), parts.sum(axis=1) / whole.sum()
    reach = t.ppf(1 - ALPHA / 2, n - 1) if n >= FEWEST_PAIRS else np.nan
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error = np.sqrt((n - 1) * np.log(leave_out(parts, whole)).var(axis=1))
        low, high = share * np.exp(-reach * error), share * np.exp(reach * error)
    vague, none = ~np.isfinite(error), ~parts.any(axis=1)
    low, high = (np.where(none, 0.0, np.where(vague, end, x)) for end, x in ((0.0, low), (1.0, high)))
    return Ends(share, low if np.isfinite(reach) else low * np.nan, high if np.isfinite(reach) else high * np.nan)


def correlate(first: np.ndarray, second: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the correlation [stream] of two estimated shares, by the jackknife; 0 where one does not vary."""
    left = [leave_out(parts, whole) for parts in (first, second)]
    with np.errstate(divide="ignore", invalid="ignore"):
        left = [ratios - ratios.mean(axis=1, keepdims=True) for ratios in left]
        found = (left[0] * left[1]).sum(axis=1) / np.sqrt((left[0] ** 2).sum(axis=1) * (left[1] ** 2).sum(axis=1))
    return np.nan_to_num(found)


def join_ends(more: Ends, less: Ends, correlation: np.ndarray) -> Ends:
    """Return the difference of two estimates with an interval made of theirs."""
    share = more.share - less.share

    def reach(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(a**2 - 2 * correlation * a * b + b**2, 0.0))

    low = share - reach(more.share - more.low, less.high - less.share)
    return Ends(share, low, share + reach(more.high - more.share, less.share - less.low))
