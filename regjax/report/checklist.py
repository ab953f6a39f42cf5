"""A checklist of what readers need to repeat and to trust a study, answered from its plan and results."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from regjax.analysis.sentences import listed
from regjax.analysis.signflip import smallest_p
from regjax.analysis.table import Table, at_label
from regjax.report.extra import Extra
from regjax.report.methods import Done, margin_text, total_seconds, used_devices
from regjax.report.prose import missing_sentence
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
    """An item: what readers ask, whether it is answered, and the answer or what to do about it."""

    asked: str
    answered: bool
    text: str


def make_checklist(table: Table, effects: pd.DataFrame, done: Done) -> Extra:
    """Return the section with the checklist.

    Args:
      table: of a run directory, or of numbers from elsewhere.
      effects: from `all_effects`.
      done: what `store.iter_done` yields.
    """
    items = [*_question_items(table), *_run_items(table)]
    items += [*_own_items(table), *_source_items(table, done)] if table.out else [*_foreign_items()]
    items += _statistics_items(table, effects)
    rows = tuple(Row((item.asked, "yes" if item.answered else "no", clean(item.text))) for item in items)
    grid = Grid("Reproducibility checklist", (Column("Item"), Column("Stated"), Column("Answer, or what to do")), rows)
    open_ = sum(not item.answered for item in items)
    sentence = f"{len(items) - open_} of {count(len(items), 'item')} are answered by this study itself."
    return Extra("checklist", "Reproducibility checklist", (sentence,), grids=(grid,))


def _question_items(table: Table) -> Iterator[Item]:
    primary = table.plan["primary"]
    metric, margin = primary["metric"], primary.get("margin")
    yield Item("Primary outcome named beforehand", table.out is not None, ELSEWHERE if table.out is None else
               f"{metric_words(metric)} {state_words(at_label(primary['at']))}")  # fmt: skip
    yield Item("Smallest effect that matters", margin is not None,
               margin_text(metric, margin) if margin is not None else "none is named; give a margin, so that the absence of an effect can be shown")  # fmt: skip


def _run_items(table: Table) -> Iterator[Item]:
    num_cells, num_seeds = len(table.cells), len(table.seeds)
    least = smallest_p(num_seeds)
    size = f"{count(num_cells, 'cell')} of {count(num_seeds, 'seed')} ({seed_ranges(table.seeds)})"
    yield Item("Number of runs", True, f"{size}: {count(num_cells * num_seeds, 'run')}")
    yield Item("Enough seeds for an interval", least <= 0.05, f"smallest possible p-value {least:.2g}"
               if least <= 0.05 else f"{num_seeds} cannot give p <= 0.05 or a finite interval; take more")  # fmt: skip
    absent, lost = missing_sentence(table), int((table.status.diverged >= 0).sum())
    told = f"{count(lost, 'run')} diverged, counted in every table; none is left out by hand"
    if table.out is None:
        told = "every pair of cell and seed has a number"
    yield Item("All runs reported, failures counted", not absent,
               f"{absent} Complete them, or say why not." if absent else told)  # fmt: skip


def _own_items(table: Table) -> Iterator[Item]:
    plan = table.plan
    data = plan["data"]
    streams = [STREAM_WORDS.get(stream, stream) for stream in plan["vary"]]
    yield Item("What a seed varies", bool(streams), listed(streams) or "nothing; name streams in seeds.vary")
    again = "drawn anew by every seed" if "split" in plan["vary"] else "the same for all seeds"
    sizes = f"{data['num_train']:,} training, {data['num_validation']:,} validation, {data['num_test']:,} test"
    yield Item("Split and its sizes", True, f"{sizes}; {again}")
    yield Item("Selection without the test part", bool(data["num_validation"]),
               f"{metric_words(str(plan['monitor']))} chooses states, stops and tunes" if data["num_validation"]
               else "there is no validation part; add one before anything is selected")  # fmt: skip
    yield Item("All hyperparameters, defaults included", True, f"{len(settings_grid(plan).rows)} settings in the table")
    tuned = sorted({path for values in (plan.get("tuned") or {}).values() for path in values})
    yield Item("Other hyperparameters tuned alike in every cell", bool(tuned),
               f"{listed(tuned)}, on other seeds" if tuned
               else "nothing was tuned: a cell may do better with another learning rate; add [tune], or say so")  # fmt: skip


def _source_items(table: Table, done: Done) -> Iterator[Item]:
    plan = table.plan
    devices, seconds = used_devices(plan, done), total_seconds(done)
    yield Item("Hardware and compute", bool(devices and seconds), f"{listed(devices)}, {format_seconds(seconds)} in all"
               if devices and seconds else "no finished part says so; run the study to its end")  # fmt: skip
    versions = [f"{name} {version}" for name, version in plan["versions"].items()]
    yield Item("Versions of the software", bool(versions), listed(versions) or "none are stored; run the study anew")
    commit = str(plan.get("commit") or "")
    changed = "the working tree had changes that are not committed; commit them and run again"
    whole = commit and not commit.endswith("+")
    yield Item("Version of the code", bool(whole), commit if whole else f"{commit}: {changed}"
               if commit else "not known; run from a git checkout")  # fmt: skip
    command = str(plan.get("command") or "")
    yield Item("Exact command", bool(command), command or "not known; use `regjax run` with a study file")
    yield Item("Identity of the data", True, f"{plan['data']['name']}, digest {plan['data']['digest']}")


def _foreign_items() -> Iterator[Item]:
    for asked in ("What a seed varies", "Split and its sizes", "Selection without the test part",
                  "All hyperparameters, defaults included", "Hardware and compute", "Versions of the software",
                  "Version of the code", "Identity of the data"):  # fmt: skip
        yield Item(asked, False, ELSEWHERE)


def _statistics_items(table: Table, effects: pd.DataFrame) -> Iterator[Item]:
    number = int(effects["confirmatory"].sum())
    kind = "Stein's two-stage" if table.plan.get("stein") else "sign-flip"
    yield Item("Error bars defined", True, f"95% {kind} intervals of effects paired over seeds; curves show the middle "
               "80% of seeds")  # fmt: skip
    yield Item("Several comparisons adjusted for", number > 0, f"{count(number, 'confirmatory contrast')}, "
               "adjusted together; all else is marked exploratory" if number
               else "no contrast is confirmatory; declare those that the conclusions rest on")  # fmt: skip
    scopes: set[Any] = set(effects["scope"]) - {""}
    yield Item("Interval about new examples", bool(scopes), "beside each effect" if scopes else "none; keep predictions"
               " (measure.predictions), or let seeds draw the split")  # fmt: skip
