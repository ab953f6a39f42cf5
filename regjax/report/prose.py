"""What a report says in sentences: verdicts, published numbers, single runs that mislead, runs that need a word."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.level_sentences import level_sentence
from regjax.analysis.levels import KINDS as LEVEL_TESTS
from regjax.analysis.questions import compares_two_cells, mislead, verdict_sentence
from regjax.analysis.sentences import INTERACTIONS
from regjax.analysis.table import Table, at_label
from regjax.report.tables import Column, Grid, Row, effect_rows
from regjax.report.words import clean, count, format_share, format_spread, format_value

# More contrasts than this, and single runs that mislead are told in a table.
MOST_SENTENCES = 4


class Verdict(NamedTuple):
    """A verdict on the page: its sentence, its word and whether that is good news ("good", "bad", "" for neither)."""

    sentence: str
    word: str
    tone: str


def make_verdicts(table: Table, effects: pd.DataFrame) -> tuple[list[Verdict], str]:
    """Return the verdicts of the confirmatory contrasts, and what all their sentences end with where there are several.

    The circumstances (what varied, what was held fixed) are the same for all contrasts: said once, they can be read.
    """
    rows = effect_rows(effects[effects["confirmatory"]])
    sentences = [
        clean(level_sentence(table, row) if row["kind"] in LEVEL_TESTS else verdict_sentence(table, row))
        for row in rows
    ]
    shared = ""
    if len(sentences) > 1:
        sentences, shared = _split_shared(sentences)
    return [Verdict(text, row["verdict"], verdict_tone(row)) for text, row in zip(sentences, rows, strict=True)], shared


def verdict_tone(row: Mapping[str, Any]) -> str:
    """Return whether the verdict of a row is good news ("good", "bad"); "" for neither and for interactions."""
    if row["verdict"] not in ("raises", "lowers") or row["kind"] in INTERACTIONS:
        return ""
    return {None: "", True: "good", False: "bad"}[row["better"]]


def _split_shared(sentences: Sequence[str]) -> tuple[list[str], str]:
    """Return the sentences without the clauses that all of them end with, and those clauses as a sentence."""
    clauses = [sentence.removesuffix(".").split("; ") for sentence in sentences]
    same = 0
    while same < min(map(len, clauses)) - 1 and len({c[-1 - same] for c in clauses}) == 1:
        same += 1
    if not same:
        return list(sentences), ""
    ending = "; ".join(clauses[0][len(clauses[0]) - same :])
    return ["; ".join(c[: len(c) - same]) + "." for c in clauses], f"For all of these: {ending}."


def effects_note(plan: Mapping[str, Any]) -> str:
    """Return what the rows of the table of effects are."""
    family = "p-values and intervals are adjusted together and never disagree"
    if plan.get("stein"):
        family = "their intervals (Stein's, for seeds that a pilot asked for) hold together, and there are no p-values"
    return (
        f"Effects are differences paired by seed. Confirmatory rows share one family: {family}. Exploratory rows (grey)"
        " have an interval of their own and no p-value."
    )


def diverged_sentence(table: Table) -> str:
    """Return how many of the finished runs diverged; said also when none did, but not of numbers from elsewhere."""
    if table.out is None:
        return ""
    bad, done = int((table.status.diverged >= 0).sum()), int(table.status.done.sum())
    finished = "" if done == table.status.done.size else "finished "
    return f"{bad} of {done} {finished}run{'' if done == 1 else 's'} diverged."


def missing_sentence(table: Table) -> str:
    """Return how many planned runs are not finished; empty where the study is complete."""
    absent = int((~table.status.done).sum())
    total = table.status.done.size
    if not absent:
        return ""
    if table.out is None:
        return f"{absent} of {count(total, 'pair')} of cell and seed {'has' if absent == 1 else 'have'} no number."
    return (
        f"{absent} of {count(total, 'run')} {'is' if absent == 1 else 'are'} not finished: all numbers are provisional."
    )


def marker_sentences(markers: pd.DataFrame, metric: str) -> list[str]:
    """Return where every published number falls among the runs of its cell, as `place_markers` gives it."""
    return [_marker_sentence(row, metric) for row in markers.to_dict("records")]


def _marker_sentence(row: Mapping[Any, Any], metric: str) -> str:
    value = format_value(metric, row["value"])
    where = {"best": "at the best evaluation", "last": "at the end"}.get(row["at"], f"at {row['at']}")
    head = f"{clean(row['label'])}: {value} for {clean(row['cell'])}, set beside ours {where}"
    if np.isnan(row["mean"]):
        return f"{head}; this cell has no finished run to compare it with."
    spread = f"mean {format_value(metric, row['mean'])}, SD {format_spread(metric, row['sd'])}"
    below = round(row["below"] * row["n"])
    score = "" if np.isnan(row["z"]) else f", {abs(row['z']):.1f} SD {'above' if row['z'] >= 0 else 'below'} the mean"
    verb = "falls" if below == 1 else "fall"
    return f"{head}; {below} of our {count(row['n'], 'run')} of this cell {verb} below it ({spread}{score})."


def mislead_sentence(found: Mapping[str, Any], name: str) -> str:
    """Return how often one run each would have misled, as `mislead` gives it for a contrast of two cells."""
    if not found["pairs"]:
        return f"{clean(name)}: no two finished runs to compare."
    if np.isnan(found["wrong"]):
        return f"{clean(name)}: the two cells have the same mean, so neither can mislead."
    tied = f" and would have tied in {format_share(found['tied'])}" if found["tied"] else ""
    same_tied = f" and would have tied in {format_share(found['paired_tied'])}" if found["paired_tied"] else ""
    return (
        f"{clean(name)}: with one run each, any seed against any seed, the cell that is worse on average would have"
        f" come out ahead in {format_share(found['wrong'])} of {found['pairs']} pairs{tied}; with the same seed in both"
        f" cells, in {format_share(found['paired_wrong'])}{same_tied}."
    )


def find_misled(table: Table, effects: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return {contrast: what `mislead` gives} at the primary state, for contrasts of two cells.

    Only those that are confirmatory, or both of whose cells have a published number.
    """
    marked = {marker["cell"] for marker in table.plan.get("markers") or []}
    weights = {c["name"]: np.flatnonzero(c["weights"]) for c in table.plan["contrasts"]}
    state = at_label(table.plan["primary"]["at"])
    found = {}
    for row in effect_rows(effects[(effects["at"] == state) & ~effects["kind"].isin(LEVEL_TESTS)]):
        told = row["confirmatory"] or set(weights[row["contrast"]].tolist()) <= marked
        if told and compares_two_cells(table, row):
            found[row["contrast"]] = mislead(table, row)
    return found


def misled_sentences(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a sentence per contrast; none where there are so many that a table reads better."""
    if len(found) > MOST_SENTENCES:
        return []
    return [mislead_sentence(shares, name) for name, shares in found.items()]


def misled_grid(found: Mapping[str, Mapping[str, float]]) -> Grid:
    """Return the same as a table, without rows where sentences say it."""
    parts = ("wrong", "tied", "paired_wrong", "paired_tied")
    labels = ("Any seeds: worse cell ahead", "Tied", "Same seed: worse cell ahead", "Tied")
    columns = (Column("Contrast"), Column("Pairs", True), *(Column(label, True) for label in labels))
    rows = [
        Row((clean(name), str(shares["pairs"]), *(format_share(shares[part]) for part in parts)))
        for name, shares in found.items()
    ]
    return Grid("One run of each cell", columns, tuple(rows) if len(rows) > MOST_SENTENCES else ())
