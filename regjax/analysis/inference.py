"""Inference for the contrasts of a study: effects of every seed, intervals, p-values and the verdict they allow."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from regjax.analysis.convolution import Counts, count_effects, fits, flip_counts
from regjax.analysis.signflip import EXACT_SEEDS, SignFlip, sign_flip
from regjax.analysis.stein import stein_intervals

ALPHA = 0.05
# One constant, so that a table computed twice has the same numbers.
SEED = 20_260_101
NO_DIFFERENCE = "no difference beyond the margin"


def contrast_weights(contrasts: Sequence[Mapping[str, Any]], num_cells: int) -> np.ndarray:
    """Return the weights of contrasts of a plan, [contrast, cell]; also of none."""
    return np.array([c["weights"] for c in contrasts], dtype=np.float64).reshape(len(contrasts), num_cells)


class Effects(NamedTuple):
    """Effects of every seed: `values` [contrast, seed], `resolution` [contrast], and the same `counts` where exact."""

    values: np.ndarray
    resolution: np.ndarray
    counts: Counts | None


def seed_effects(weights: np.ndarray, values: np.ndarray, total: int = 0) -> Effects:
    """Return the effects of contrasts of these values.

    Args:
      weights: [contrast, cell].
      values: [cell, seed], NaN where a run has none.
      total: number of examples of which the values are shares, 0 where they are no such shares.
    """
    counts = count_effects(weights, values, total) if total else None
    return Effects(contrast_values(weights, values), rounding(weights, values), counts)


def join_effects(parts: Sequence[Effects]) -> Effects:
    """Return the contrasts of several `Effects` as one."""
    counted = [part.counts for part in parts if part.counts is not None]
    counts = Counts(*map(np.concatenate, zip(*counted, strict=True))) if len(counted) == len(parts) else None
    values = np.concatenate([part.values for part in parts])
    return Effects(values, np.concatenate([part.resolution for part in parts]), counts)


def contrast_values(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the effect of every seed, [contrast, seed]: d_ks = sum over c of weights_kc values_cs.

    NaN where a cell that the contrast weighs has no value. Effects of the size of float32 rounding are set to 0.

    Args:
      weights: [contrast, cell].
      values: [cell, seed], NaN where a run has none.

    >>> contrast_values(np.array([[-1.0, 1.0, 0.0]]), np.array([[0.5, 0.5], [0.75, 0.5], [np.nan, 0.0]])).tolist()
    [[0.25, 0.0]]
    """
    missing = np.isnan(values)
    effects = weights @ np.where(missing, 0.0, values)
    effects = np.where(np.abs(effects) <= seed_rounding(weights, values), 0.0, effects)
    return np.where((weights != 0).astype(float) @ missing > 0, np.nan, effects)


def seed_rounding(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return by how much each effect of float32 values may be off through their rounding alone, [contrast, seed].

    eps times the sum over c of |weights_kc values_cs|: cells that a contrast does not weigh, and other seeds, may have
    values of any size.

    Args:
      weights: [contrast, cell].
      values: [cell, seed], NaN where a run has none.
    """
    return np.finfo(np.float32).eps * (np.abs(weights) @ np.abs(np.where(np.isnan(values), 0.0, values)))


def rounding(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return by how much two effects of a contrast may differ through rounding alone, the most over seeds, [contrast].

    Records are float32, so equal differences of accuracies differ by this much once they are computed: they are ties.
    """
    return seed_rounding(weights, values).max(axis=1, initial=0.0)


def infer(effects: Effects, confirmatory: np.ndarray) -> dict[str, np.ndarray]:
    """Return columns n, effect, low, high, p, sd, seeds_positive, seeds_negative, [contrast] each.

    Args:
      effects: of every seed.
      confirmatory: [contrast], which form the family whose intervals hold at once; the others have no p.
    """
    values = effects.values
    columns = {name: np.full(len(values), np.nan) for name in ("n", "effect", "low", "high", "p", "sd")}
    for joint, which in ((True, confirmatory), (False, ~confirmatory)):
        found = _flip(effects, which, joint)
        for name, column in columns.items():
            column[which] = getattr(found, name)
    columns["p"][~confirmatory] = np.nan
    counts = {"seeds_positive": (values > 0).sum(axis=1), "seeds_negative": (values < 0).sum(axis=1)}
    return {**columns, "n": columns["n"].astype(np.int64), **counts}


def infer_study(plan: Mapping[str, Any], effects: Effects, confirmatory: np.ndarray) -> dict[str, np.ndarray]:
    """Return what `infer` does, with two-stage (Stein) intervals and no p where a pilot gave the number of seeds."""
    found = infer(effects, confirmatory)
    if not plan.get("stein"):
        return found
    level = np.where(confirmatory, ALPHA / max(confirmatory.sum(), 1), ALPHA)
    low, high = stein_intervals(effects.values, plan["stein"]["pilot"], level, effects.resolution)
    # The number of seeds hangs on the pilot, where sign flips are not exchangeable: no p-value.
    return found | {"low": low, "high": high, "p": np.full(len(confirmatory), np.nan)}


def _flip(effects: Effects, which: np.ndarray, joint: bool) -> SignFlip:
    """Return the inference for some contrasts: from all flips where they can be counted, else from drawn ones.

    Flips are counted for contrasts one by one, so a family of several beyond `EXACT_SEEDS` seeds has drawn flips.
    """
    counts = _countable(effects, which, joint)
    if counts is not None:
        return flip_counts(counts, ALPHA)
    rng = np.random.default_rng(SEED)
    return sign_flip(effects.values[which], rng, joint=joint, alpha=ALPHA, resolution=effects.resolution[which])


def _countable(effects: Effects, which: np.ndarray, joint: bool) -> Counts | None:
    """Return the counts whose flips are counted instead of drawn; None where they are not."""
    alone = not (joint and which.sum() > 1)
    if effects.counts is None or _num_seeds(effects, which) <= EXACT_SEEDS or not alone:
        return None
    counts = Counts(effects.counts.counts[which], effects.counts.step[which])
    return counts if fits(counts.counts) else None


def _num_seeds(effects: Effects, which: np.ndarray) -> int:
    return int((~np.isnan(effects.values[which])).any(axis=0).sum())


def takes_all_flips(effects: Effects, which: np.ndarray) -> bool:
    """Return whether the inference for a family takes all sign flips; else `NUM_FLIPS` drawn ones.

    Args:
      effects: of every seed.
      which: [contrast], which form the family.
    """
    return _num_seeds(effects, which) <= EXACT_SEEDS or _countable(effects, which, joint=True) is not None


def judge(low: float, high: float, margin: float | None) -> str:
    """Return the verdict that an interval allows.

    Args:
      low: lower end; NaN where there is no interval.
      high: upper end.
      margin: smallest difference that matters, in the unit of the effect; None where the study names none.

    >>> judge(0.01, 0.03, None), judge(-0.004, 0.002, 0.005), judge(-0.004, 0.002, None)
    ('raises', 'no difference beyond the margin', 'undecided')
    """
    if margin is not None and -margin < low and high < margin:
        return NO_DIFFERENCE
    return "raises" if low > 0 else "lowers" if high < 0 else "undecided"
