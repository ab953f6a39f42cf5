"""A checklist of what readers need to repeat and to trust a study, answered from its plan and results."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.effects import ALPHA
from regjax.analysis.levels import KINDS as LEVEL_KINDS
from regjax.analysis.power import least_p
from regjax.analysis.sentences import listed
from regjax.analysis.table import Table, at_label
from regjax.analysis.trend import smallest_p as level_p
from regjax.metrics import tuning_metric
from regjax.report.extra import Extra
from regjax.report.methods import Done, margin_text, total_seconds, used_devices
from regjax.report.prose import missing_sentence
from regjax.report.selection import tuned_paths
from regjax.report.tables import Column, Grid, Row, seed_ranges, settings_grid, state_words
from regjax.report.words import (
    STREAM_WORDS,
    clean,
    count,
    format_seconds,
    metric_words,
)

ELSEWHERE = "the numbers come from another program; say it in the paper"


class Item(NamedTuple):
    """An item: what readers ask, the answer ("" where there is none), and what to do where there is none."""

    asked: str
    answer: str
    advice: str = ""


def make_checklist(table: Table, effects: pd.DataFrame, done: Done) -> Extra:
    """Return the section with the checklist.

    Args:
      table: of a run directory, or of numbers from elsewhere.
      effects: from `all_effects`.
      done: what `store.iter_done` yields.
    """
    items = [*_question_items(table), *_run_items(table, effects)]
    items += [*_own_items(table), *_source_items(table, done)] if table.out else [*_foreign_items()]
    items += _statistics_items(table, effects)
    rows = tuple(Row((item.asked, "yes" if item.answer else "no", clean(item.answer or item.advice))) for item in items)
    grid = Grid("Reproducibility checklist", (Column("Item"), Column("Stated"), Column("Answer, or what to do")), rows)
    open_ = sum(not item.answer for item in items)
    sentence = f"{len(items) - open_} of {count(len(items), 'item')} are answered by this study itself."
    return Extra("checklist", "Reproducibility checklist", (sentence,), grids=(grid,))


def _question_items(table: Table) -> Iterator[Item]:
    primary = table.plan["primary"]
    metric, margin = primary["metric"], primary.get("margin")
    outcome = f"{metric_words(metric)} {state_words(at_label(primary['at']))}"
    yield Item("Primary outcome named beforehand", outcome if table.out else "", ELSEWHERE)
    advice = "none is named; give a margin, so that the absence of an effect can be shown"
    yield Item("Smallest effect that matters", margin_text(metric, margin) if margin else "", advice)


def _run_items(table: Table, effects: pd.DataFrame) -> Iterator[Item]:
    num_cells, num_seeds = len(table.cells), len(table.seeds)
    size = f"{count(num_cells, 'cell')} of {count(num_seeds, 'seed')} ({seed_ranges(table.seeds)})"
    yield Item("Number of runs", f"{size}: {count(num_cells * num_seeds, 'run')}")
    yield _enough_item(table, effects)
    lost = count(int((table.status.diverged >= 0).sum()), "run")
    told = f"{lost} diverged, counted in every table; none is left out by hand"
    absent = missing_sentence(table)
    whole = told if table.out else "every pair of cell and seed has a number"
    yield Item(
        "All runs reported, failures counted", "" if absent else whole, f"{absent} Complete them, or say why not."
    )


def _enough_item(table: Table, effects: pd.DataFrame) -> Item:
    """Return whether the seeds that entered the comparisons give intervals, by the rule of the intervals shown."""
    judged = effects[effects["confirmatory"].astype(bool)]
    judged = judged if len(judged) else effects
    fewest = int(judged["n"].min()) if len(judged) else 0
    number = int(effects["confirmatory"].sum())
    metric = str(table.plan["primary"]["metric"])
    if table.plan.get("stein"):
        finite = len(judged) > 0 and bool(np.isfinite(judged["low"]).all())
        told = "two-stage intervals from the pilot; no p-values"
        return Item("Enough seeds for an interval", told if finite else "", "the pilot leaves no SD; take more seeds")
    tests = int(effects["kind"].isin(LEVEL_KINDS).sum())
    least = tests * level_p(fewest) if tests else least_p(fewest, number, metric)
    told = f"smallest possible p-value {least:.2g}" if number else f"at least {count(fewest, 'seed')} each"
    advice = f"{count(fewest, 'seed')} cannot give p <= 0.05 or a finite interval; take more"
    return Item("Enough seeds for an interval", told if least <= ALPHA else "", advice)


def _own_items(table: Table) -> Iterator[Item]:
    plan = table.plan
    data, monitor = plan["data"], metric_words(str(plan["monitor"]))
    streams = listed([STREAM_WORDS.get(stream, stream) for stream in plan["vary"]])
    yield Item("What a seed varies", streams, "nothing; name streams in seeds.vary")
    again = "drawn anew by every seed" if "split" in plan["vary"] else "the same for all seeds"
    sizes = f"{data['num_train']:,} training, {data['num_validation']:,} validation, {data['num_test']:,} test"
    yield Item("Split and its sizes", f"{sizes}; {again}")
    tuned = listed(tuned_paths(plan))
    by = metric_words(tuning_metric(str(plan["primary"]["metric"]), str(plan["monitor"])))
    chooses = f"{monitor} chooses states and stops{f'; {by} tunes' if tuned else ''}" if data["num_validation"] else ""
    yield Item("Selection without the test part", chooses, "there is no validation part; add one before selecting")
    yield Item("All hyperparameters, defaults included", f"{len(settings_grid(plan).rows)} settings in their table")
    advice = "nothing was tuned: a cell may do better with another learning rate; add [tune], or say so"
    yield Item("Other hyperparameters tuned alike in every cell", tuned and f"{tuned}, on other seeds", advice)


def _source_items(table: Table, done: Done) -> Iterator[Item]:
    plan = table.plan
    devices, seconds = listed(used_devices(plan, done)), total_seconds(done)
    spent = f"{devices}, {format_seconds(seconds)} in all" if devices and seconds else ""
    yield Item("Hardware and compute", spent, "no finished part says so; run the study to its end")
    versions = listed([f"{name} {version}" for name, version in plan["versions"].items()])
    yield Item("Versions of the software", versions, "none are stored; run the study anew")
    commit = str(plan.get("commit") or "")
    changed = f"{commit}: the tree had changes that are not committed; commit them and run again"
    advice = changed if commit else "not known; run from a git checkout"
    yield Item("Version of the code", "" if commit.endswith("+") else commit, advice)
    yield Item("Exact command", str(plan.get("command") or ""), "not known; use `regjax run` with a study file")
    yield Item("Identity of the data", f"{plan['data']['name']}, digest {plan['data']['digest']}")


def _foreign_items() -> Iterator[Item]:
    for asked in ("What a seed varies", "Split and its sizes", "Selection without the test part",
                  "All hyperparameters, defaults included", "Hardware and compute", "Versions of the software",
                  "Version of the code", "Identity of the data"):  # fmt: skip
        yield Item(asked, "", ELSEWHERE)


def _statistics_items(table: Table, effects: pd.DataFrame) -> Iterator[Item]:
    number = int(effects["confirmatory"].sum())
    kind = "Stein's two-stage" if table.plan.get("stein") else "sign-flip"
    kind = f"bootstrap intervals of best levels and {kind}" if table.plan.get("level_contrasts") else kind
    curves = "; curves show the middle 80% of seeds" if table.out else ""
    yield Item("Error bars defined", f"95% {kind} intervals of effects paired over seeds{curves}")
    together = "alone, which needs no adjustment" if number == 1 else "adjusted together"
    adjusted = f"{count(number, 'confirmatory contrast')}, {together}; all else is marked exploratory"
    advice = "no contrast is confirmatory; declare those that the conclusions rest on"
    yield Item("Several comparisons adjusted for", adjusted if number else "", advice)
    advice = "none; keep predictions (measure.predictions), or let seeds draw the split"
    yield Item("Interval about new examples", "beside each effect" if any(effects["scope"]) else "", advice)
