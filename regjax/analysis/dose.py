"""Dose and response: the effect of every level of a factor against its first, and of the best of them."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.choice import choose_level
from regjax.analysis.effects import ALPHA, SEED, contrast_values, good_sign, rounding
from regjax.analysis.levels import as_number, level_values
from regjax.analysis.signflip import sign_flip
from regjax.analysis.table import Table, state_values
from regjax.design import SPACE_FILLING, level_cells, name_level

FEWEST_LEVELS = 3


def dose_factors(plan: Mapping[str, Any]) -> list[str]:
    """Return the factors with three or more levels that are all numbers and that the design compares in a stratum."""
    if (plan.get("design") or {}).get("kind") in SPACE_FILLING:
        return []
    return [
        factor["path"]
        for factor in plan["factors"]
        if len(factor["levels"]) >= FEWEST_LEVELS
        and all(as_number(level) is not None for level in factor["levels"])
        and any(weights is not None for _, weights in _by_stratum(plan, factor["path"]))
    ]


def omitted_strata(plan: Mapping[str, Any], path: str) -> list[str]:
    """Return the names of the strata in which some level of a factor has no cell, so that none is compared there."""
    return [name for name, weights in _by_stratum(plan, path) if weights is None]


def is_averaged(plan: Mapping[str, Any]) -> bool:
    """Return whether every combination is run, so that a level is averaged over the other factors."""
    return len(plan["cells"]) == np.prod([len(factor["levels"]) for factor in plan["factors"]], dtype=object)


def _weights(plan: Mapping[str, Any], path: str, stratum: Mapping[str, Any]) -> np.ndarray | None:
    """Return weights [level, cell] of the mean of each level in a stratum, None where a level has no cell there."""
    factors = {factor["path"]: factor["levels"] for factor in plan["factors"]}
    masks = level_cells([cell["levels"] for cell in plan["cells"]], factors, path, stratum)
    return masks / masks.sum(axis=1, keepdims=True) if masks.any(axis=1).all() else None


def _by_stratum(plan: Mapping[str, Any], path: str) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yield the name and the weights of every stratum in which a factor is looked at, "all" where none is named."""
    named = (plan["study"].get("design") or {}).get("strata") or []
    levels = {f["path"]: f["levels"] for f in plan["factors"] if f["path"] in named and f["path"] != path}
    for combination in itertools.product(*levels.values()):
        stratum = dict(zip(levels, combination, strict=True))
        name = ", ".join(f"{key}={name_level(level)}" for key, level in stratum.items())
        yield name or "all", _weights(plan, path, stratum)


def _find(table: Table, path: str) -> tuple[list[Any], list[tuple[str, np.ndarray]]]:
    """Return the levels of a factor and, per stratum that has all of them, its name and weights [level, cell]."""
    known = dose_factors(table.plan)
    if path not in known:
        expected = ", ".join(known) or "none of this study"
        raise ValueError(f"got factor {path!r}, expected one with three numeric levels that are compared: {expected}")
    levels = next(factor["levels"] for factor in table.plan["factors"] if factor["path"] == path)
    strata = _by_stratum(table.plan, path)
    return levels, [(name, weights) for name, weights in strata if weights is not None]


def dose_response(table: Table, path: str) -> pd.DataFrame:
    """Return the effect of every level but the first against the first, on the primary metric; exploratory.

    In a full factorial levels are averaged over the other factors, else the others are at their first levels. The 95%
    intervals hold for all levels of a stratum at once.

    Args:
      table: loaded run directory.
      path: factor with three or more numeric levels.

    Returns:
      Columns level, stratum ("all" where the design names none), effect, low, high, n (seeds).

    Raises:
      ValueError: there is no such factor.
    """
    levels, strata = _find(table, path)
    primary = table.plan["primary"]
    values = state_values(table, primary["metric"], primary["at"])
    frames = []
    for name, means in strata:
        weights = means[1:] - means[0]
        found = sign_flip(
            contrast_values(weights, values), np.random.default_rng(SEED), alpha=ALPHA,
            resolution=rounding(weights, values),
        )  # fmt: skip
        columns = {key: getattr(found, key) for key in ("effect", "low", "high", "n")}
        frames.append(pd.DataFrame({"level": pd.Series(levels[1:], dtype=object), "stratum": name, **columns}))
    return pd.concat(frames, ignore_index=True)


def best_level(table: Table, path: str) -> pd.DataFrame:
    """Return the effect of the best level, chosen on validation and on other seeds than those that judge it.

    Seeds with an unfinished run, or with a diverged one at the first level, drop out; another level at which a run
    diverged is not chosen.

    Args:
      table: loaded run directory.
      path: factor with three or more numeric levels.

    Returns:
      One row per stratum: stratum, chosen (level that all seeds choose), effect, low, high (95%), n (seeds), shares
      ({level as text: share of halvings that choose it}), naive_level and naive (best level by the primary metric and
      its effect, on the same seeds: optimistic).

    Raises:
      ValueError: there is no such factor, or the primary metric has no validation counterpart with a good direction.
    """
    levels, strata = _find(table, path)
    primary = table.plan["primary"]
    chosen_on = f"validation.{primary['metric'].rpartition('.')[2]}"
    sign, direction = good_sign(chosen_on), good_sign(primary["metric"])
    if not sign or not direction:
        expected = "one that is known to be good or bad, on validation too"
        raise ValueError(f"got the primary metric {primary['metric']!r}, expected {expected}")
    if chosen_on not in table.records.columns:
        raise ValueError(f"got numbers without {chosen_on}, by which a best level is chosen; run a study that has it")
    validation, test = (state_values(table, metric, primary["at"]) for metric in (chosen_on, primary["metric"]))
    rows = []
    for name, means in strata:
        scores, shown = (level_values(means, values) for values in (sign * validation, test))
        done = table.status.done[means.any(axis=0)].all(axis=0)
        kept = done & np.isfinite(scores[0]) & np.isfinite(shown[0])
        lost = ~(np.isfinite(scores) & np.isfinite(shown))
        found = choose_level(np.where(lost, -np.inf, scores)[:, kept], shown[:, kept], direction)
        shares = {name_level(level): float(share) for level, share in zip(levels, found.shares, strict=True)}
        ends = {"effect": found.effect, "low": found.low, "high": found.high, "n": found.n, "shares": shares}
        naive = {"naive_level": levels[found.naive_level], "naive": found.naive}
        rows.append({"stratum": name, "chosen": levels[found.level], **ends, **naive})
    return pd.DataFrame(rows)
