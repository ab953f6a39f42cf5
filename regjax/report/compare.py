"""A comparison of two studies as text for a terminal and as plain values for JSON."""

import textwrap
from collections.abc import Sequence
from typing import Any

from regjax.analysis.compare import Comparison
from regjax.analysis.same import Sameness
from regjax.report.tables import Column, Grid, Row, effect_rows
from regjax.report.text import WIDTH, grid_text
from regjax.report.words import (
    clean,
    count,
    effect_unit,
    format_effect,
    format_effects,
    format_setting,
    format_value,
    metric_words,
)

MOST_DIFFERENCES = 40
LONGEST = 60  # characters of a value


def compare_text(comparison: Comparison, names: Sequence[str]) -> str:
    """Return what changed between two studies: bits, cells and effects, and what their plans say differently.

    Args:
      comparison: of the two.
      names: what they are called.
    """
    heading = f"{clean(names[0])} -> {clean(names[1])}: {metric_words(comparison.metric)} at {clean(comparison.at)}"
    said = [
        same_sentence(comparison.same),
        f"{comparison.pairing} {'' if comparison.paired else 'Intervals are of two samples (Welch). '}"
        "Intervals are 95%, of each row alone, and exploratory: there are no p-values.",
        *_lone_sentences(comparison),
    ]
    rows = effect_rows(comparison.rows)
    parts = [
        heading,
        "\n".join(textwrap.fill(sentence, WIDTH) for sentence in said),
        grid_text(_grid("Cells", comparison, [row for row in rows if row["kind"] == "cell"])),
    ]
    if effects := [row for row in rows if row["kind"] != "cell"]:
        parts.append(grid_text(_grid("Effects that both studies estimate", comparison, effects)))
    return "\n\n".join([*parts, _differences_text(comparison)])


def same_sentence(same: Sameness) -> str:
    """Return how many runs agree in every bit.

    >>> same_sentence(Sameness(6, 6, 20, ()))
    'Bit-identical: all 6 runs that both have finished agree in every bit of 20 recorded columns.'
    """
    if same.identical:
        return f"Bit-identical: all {same.runs} runs that both have finished agree in every bit of {same.columns} " \
               "recorded columns."  # fmt: skip
    lone = f" ({', '.join(same.lone)}: recorded by one study only)" if same.lone else ""
    return (
        f"Not bit-identical: {same.equal} of {count(same.runs, 'run')} that both have finished agree in every bit of "
        f"{same.columns} recorded columns{lone}."
    )


def _lone_sentences(comparison: Comparison) -> list[str]:
    return [
        f"Only the {side} study has: {'; '.join(map(clean, cells))}."
        for side, cells in comparison.lone.items()
        if cells
    ]


def _grid(title: str, comparison: Comparison, rows: Sequence[dict[str, Any]]) -> Grid:
    metric, unit = comparison.metric, effect_unit(comparison.metric)
    write = format_value if title == "Cells" else format_effect
    columns = (
        Column("Cell" if title == "Cells" else "Contrast"), Column("Seeds", True), Column("First", True),
        Column("Second", True), Column(f"Change{f' ({unit})' if unit else ''}", True), Column("95% interval", True),
    )  # fmt: skip
    return Grid(title, columns, tuple(
        Row((
            clean(row["name"]),
            str(row["n_first"]) if comparison.paired else f"{row['n_first']}, {row['n_second']}",
            write(metric, row["first"]),
            write(metric, row["second"]),
            format_effect(metric, row["change"]),
            format_effects(metric, row["low"], row["high"]),
        ))
        for row in rows
    ))  # fmt: skip


def _differences_text(comparison: Comparison) -> str:
    found = comparison.differences
    if not found:
        return "The plans say the same."
    columns = (Column("Key"), Column("First"), Column("Second"))
    rows = [
        Row((clean(d.key), *(_shorten(format_setting(v)) for v in (d.first, d.second))))
        for d in found[:MOST_DIFFERENCES]
    ]
    more = f"\n... and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
    return grid_text(Grid("What the plans say differently", columns, tuple(rows))) + more


def _shorten(text: str) -> str:
    """Return text with its middle left out where it is long: of two long paths the ends tell more.

    >>> _shorten("short"), len(_shorten("x" * 99))
    ('short', 60)
    """
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2 - 2]}...{text[1 - LONGEST // 2 :]}"


def compare_json(comparison: Comparison, names: Sequence[str]) -> dict[str, Any]:
    """Return a comparison as plain values: numbers as the metric has them (accuracies as shares)."""
    same = comparison.same
    rows = effect_rows(comparison.rows)
    return {
        "first": names[0],
        "second": names[1],
        "metric": comparison.metric,
        "at": comparison.at,
        "paired": comparison.paired,
        "pairing": comparison.pairing,
        "bit_identical": same.identical,
        "runs": {"compared": same.runs, "equal": same.equal, "columns": same.columns, "lone_columns": list(same.lone)},
        "cells": [row for row in rows if row["kind"] == "cell"],
        "effects": [row for row in rows if row["kind"] != "cell"],
        "only_first": list(comparison.lone["first"]),
        "only_second": list(comparison.lone["second"]),
        "differences": [difference._asdict() for difference in comparison.differences],
    }
