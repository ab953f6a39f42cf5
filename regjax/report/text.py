"""Results as plain text for the terminal: verdicts, cells and effects."""

import textwrap

import pandas as pd

from regjax.analysis.effects import describe_cells
from regjax.analysis.questions import place_markers
from regjax.analysis.table import Table, reference_cell
from regjax.report.prose import (
    diverged_sentence,
    find_misled,
    make_verdicts,
    marker_sentences,
    misled_sentences,
    missing_sentence,
)
from regjax.report.seeds import seeds_sentence
from regjax.report.tables import Grid, cells_grid, effects_grid, ranked_effects, state_of
from regjax.report.words import clean, count

WIDTH = 100
# What the page has room for and a terminal has not.
PAGE_ONLY = ("Kind", "SD over seeds", "Median", "Min", "Max")
MOST_CELLS = 8
MOST_ROWS = 16


def grid_text(grid: Grid, skip: tuple[str, ...] = ()) -> str:
    """Return a table as aligned plain text: heading, rule, one line per row.

    Args:
      grid: table to show.
      skip: labels of columns that are left out.
    """
    shown = [i for i, column in enumerate(grid.columns) if column.label not in skip]
    columns = [grid.columns[i] for i in shown]
    lines = [[column.label for column in columns], *([row.cells[i] for i in shown] for row in grid.rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    texts = [
        "  ".join(
            cell.rjust(width) if column.numeric else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([grid.title, "", texts[0], rule, *texts[1:]])


def effects_text(table: Table) -> str:
    """Return the answer of a study for a terminal: question, verdicts, single runs, cells, effects, lost runs.

    Large designs show their cells at the primary state only, and of their effects only the confirmatory ones.
    """
    effects = ranked_effects(table)
    verdicts, shared = make_verdicts(table, effects)
    sentences = [
        textwrap.fill(verdict.sentence, WIDTH, initial_indent="* ", subsequent_indent="  ") for verdict in verdicts
    ]
    states = state_of(table.plan)[: None if len(table.cells) <= MOST_CELLS else 1]
    parts = [
        clean(table.plan["question"]),
        "\n".join([*sentences, *([textwrap.fill(shared, WIDTH)] if shared else [])]),
        textwrap.fill(seeds_sentence(table.plan), WIDTH),
        _single_runs(table, effects),
        *(grid_text(cells_grid(describe_cells(table, at), reference_cell(table.plan)), PAGE_ONLY) for at in states),
        _rows_text(effects),
        " ".join(filter(None, [diverged_sentence(table), missing_sentence(table)])),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _single_runs(table: Table, effects: pd.DataFrame) -> str:
    """Return where published single numbers fall and how often single runs would have misled; empty without markers."""
    if not table.plan.get("markers"):
        return ""
    sentences = marker_sentences(place_markers(table), table.plan["primary"]["metric"])
    sentences += misled_sentences(find_misled(table, effects))
    return "\n".join(textwrap.fill(text, WIDTH, initial_indent="* ", subsequent_indent="  ") for text in sentences)


def _rows_text(effects: pd.DataFrame) -> str:
    effects = shown = effects[effects["kind"] != "trend"]  # its sentence says it all
    if len(effects) > MOST_ROWS and effects["confirmatory"].any():
        shown = effects[effects["confirmatory"]]
    left = len(effects) - len(shown)
    note = f"\n{count(left, 'exploratory row')} more in effects.csv and report.html" if left else ""
    return f"{grid_text(effects_grid(shown), PAGE_ONLY)}{note}" if len(shown) else ""
