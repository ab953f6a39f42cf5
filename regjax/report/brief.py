"""Verdicts in one short sentence each, for the first screen of the page and for notebooks."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from regjax.analysis.effects import NO_DIFFERENCE
from regjax.analysis.levels import KINDS as LEVEL_TESTS
from regjax.analysis.sentences import INTERACTIONS, effect_text, p_text
from regjax.report.methods import margin_text
from regjax.report.prose import Verdict, verdict_tone
from regjax.report.tables import effect_rows
from regjax.report.words import clean, metric_words


def brief_verdicts(effects: pd.DataFrame, margin: float | None) -> list[Verdict]:
    """Return a short sentence per confirmatory contrast, in the order of the rows.

    Args:
      effects: from `ranked_effects`.
      margin: smallest effect that matters, in the metric's own unit; None where there is none.
    """
    rows = effect_rows(effects[effects["confirmatory"]])
    return [Verdict(clean(brief_sentence(row, margin)), _word(row), verdict_tone(row)) for row in rows]


def _word(row: Mapping[str, Any]) -> str:
    """Return the verdict as a heading; an interaction raises and lowers nothing, it has a sign."""
    if row["kind"] not in INTERACTIONS:
        return str(row["verdict"])
    signs = {
        "raises": "positive interaction",
        "lowers": "negative interaction",
        NO_DIFFERENCE: "no interaction beyond the margin",
    }
    return signs.get(row["verdict"], row["verdict"])


def brief_sentence(row: Mapping[str, Any], margin: float | None) -> str:
    """Return what a confirmatory row of effects says, as briefly as it can be said.

    >>> row = {"contrast": "dropout: 0.5 vs 0", "kind": "simple", "metric": "test.accuracy", "verdict": "raises",
    ...        "effect": 0.0049, "low": 0.0044, "high": 0.0054, "p": 1e-5, "n": 30, "seeds_positive": 30}
    >>> brief_sentence(row, None)
    'dropout 0.5 vs 0 raised test accuracy by 0.49 pp [0.44, 0.54], adjusted p < 0.001, 30 of 30 seeds.'
    """
    name = str(row["contrast"])
    if row["kind"] not in INTERACTIONS:
        name = name.replace(": ", " from " if row["kind"] == "slope" and " vs " not in name else " ", 1)
    what = metric_words(row["metric"])
    if math.isnan(row["effect"]):
        return f"{name}: no seed has a result{'' if row.get('diverged') else ' yet'}."
    down = row["verdict"] == "lowers" and row["kind"] not in INTERACTIONS
    numbers = f"{effect_text(row, -1.0 if down else 1.0)}{_evidence(row)}."
    if row["verdict"] == "undecided":
        return f"{name}: undecided for {what}, {numbers}"
    if row["verdict"] == NO_DIFFERENCE:
        if row["kind"] in INTERACTIONS:
            return f"{name}: no interaction for {what} beyond {margin_text(row['metric'], margin or 0.0)}, {numbers}"
        return f"{name} changed {what} by less than {margin_text(row['metric'], margin or 0.0)}: {numbers}"
    if row["kind"] in INTERACTIONS:
        return f"{name}: {'positive' if row['verdict'] == 'raises' else 'negative'} for {what}, {numbers}"
    return f"{name} {'lowered' if down else 'raised'} {what} by {numbers}"


def _evidence(row: Mapping[str, Any]) -> str:
    """Return the p-value and in how many seeds the effect has the sign of the mean."""
    agree = row["seeds_positive"] if row["effect"] >= 0 else row["seeds_negative"]
    p = "" if math.isnan(row["p"]) else f", adjusted {p_text(row['p'])}"
    if row["kind"] in LEVEL_TESTS:
        return p  # a best level is one of all seeds together
    side = ""
    if row["verdict"] not in ("raises", "lowers"):
        side = f" {'above' if row['effect'] >= 0 else 'below'} 0"
    return f"{p}, {agree} of {row['n']} seeds{side}"
