"""Verdicts on the best level of a factor as sentences: which levels were chosen, on which seeds, and what follows."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from regjax.analysis.choice import NUM_HALVINGS, Choice
from regjax.analysis.levels import LevelTest, level_tests, place_text, slope_text
from regjax.analysis.sentences import circumstances, effect_text, listed, margin_text, metric_text, p_text, state_text
from regjax.analysis.signflip import smallest_p
from regjax.analysis.table import Table
from regjax.analysis.trend import NUM_RESAMPLES, Trend
from regjax.design import name_level


def level_sentence(table: Table, row: Mapping[str, Any]) -> str:
    """Return what a row of `level_effects` says, as one sentence.

    It names the claim, the slope or effect with its interval and p-value, the levels that were chosen and by what, on
    which seeds they were chosen and judged, lost seeds, what varied by seed and what was held fixed.

    Args:
      table: loaded run directory that the row was made from.
      row: of kind "best_level" or "trend".
    """
    test = next(one for one in level_tests(table) if one.name == row["contrast"])
    lost = _lost(table, test)
    if math.isnan(test.effect):
        return f"{test.name}: too few seeds have a result, or a stratum has no level without a diverged run{lost}."
    say = _trend_claim if test.asked["kind"] == "trend" else _effect_claim
    return f"{say(table, test, row)}{_adjusted(test)}{lost}{circumstances(table)}."


def _trend_claim(table: Table, test: LevelTest, row: Mapping[str, Any]) -> str:
    assert isinstance(test.found, Trend)
    by, factor = test.asked["by"], test.asked["factor"]
    verb = {"rises": "rises with", "falls": "falls with"}.get(row["verdict"])
    claim = f"the best {factor} {verb} {by}" if verb else f"undecided whether the best {factor} moves with {by}"
    places = listed(
        [
            f"{place_text(test, place)} at {name_level(stratum)}"
            for place, stratum in zip(test.found.best, test.strata, strict=True)
        ]
    )
    return (
        f"{test.name}: {claim}, {slope_text(test)} {effect_text(row)} ({_statistics(test)}); best by {_metric(test)} "
        f"{state_text(table, row)}: {places}{_ends(test)}; chosen on all {test.found.n} seeds, each place smoothed by "
        f"a parabola through the level and its neighbours, and again on {NUM_RESAMPLES:,} resamples of them"
    )


def _ends(test: LevelTest) -> str:
    """Return in which strata the best level is the first or last of the grid, beyond which it may lie."""
    assert isinstance(test.found, Trend)
    assert test.level_places is not None
    x = test.level_places.x
    at_end = [
        name_level(stratum)
        for best, stratum in zip(test.found.best, test.strata, strict=True)
        if best in (x.min(), x.max())
    ]
    return f"; at {listed(at_end)} that is an end of the grid, and the best level may lie beyond" if at_end else ""


def _effect_claim(table: Table, test: LevelTest, row: Mapping[str, Any]) -> str:
    assert isinstance(test.found, Choice)
    factor, first, where = test.asked["factor"], name_level(test.levels[0]), metric_text(row["metric"])
    verb = {"raises": "raised", "lowers": "lowered"}.get(row["verdict"])
    subject = f"the best level of {factor} against {first}"
    state = f"{where} {state_text(table, row)}"
    amount = effect_text(row, math.copysign(1.0, test.effect) if verb else 1.0)
    claim = f"{subject} {verb} {state} by {amount}" if verb else f"{subject}: {row['verdict']} for {state}, {amount}"
    order = np.argsort(-test.found.shares, kind="stable")
    shares = listed(
        [f"{name_level(test.levels[i])} {test.found.shares[i]:.0%}" for i in order if test.found.shares[i] > 0]
    )
    margin = table.plan["primary"].get("margin")
    return (
        f"{test.name}: {claim} ({_statistics(test)}){margin_text(row, margin)}; chosen by {_metric(test)} on one half "
        f"of {test.found.n} seeds and judged on the other, {NUM_HALVINGS} halvings both ways: {shares}"
    )


def _statistics(test: LevelTest) -> str:
    if not (math.isfinite(test.low) and math.isfinite(test.high)):
        least = smallest_p(test.found.n)
        return f"{test.found.n} seeds cannot give a p-value below {least:g}"
    family = "simultaneous " if test.num_tests > 1 else ""
    return f"{family}95% interval, {'adjusted ' if family else ''}{p_text(test.p)}"


def _adjusted(test: LevelTest) -> str:
    return f"; adjusted for {test.num_tests} tests of best levels (Bonferroni)" if test.num_tests > 1 else ""


def _metric(test: LevelTest) -> str:
    return metric_text(test.asked["choose_on"]).removesuffix(" (lower is better)")


def _lost(table: Table, test: LevelTest) -> str:
    runs = f"; {test.diverged} {'run' if test.diverged == 1 else 'runs'} diverged, whose levels are not chosen"
    total = len(table.seeds)
    return (runs if test.diverged else "") + (
        f"; {test.found.n} of {total} seeds enter" if test.found.n < total else ""
    )
