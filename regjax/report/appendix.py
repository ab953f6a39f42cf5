"""The section of a report with other statistics of the same effects."""

import math
from collections.abc import Mapping
from typing import Any

from regjax.analysis.appendix import LEAST_BOOTSTRAP, make_appendix
from regjax.analysis.effects import good_sign
from regjax.analysis.table import Table
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row, effect_rows
from regjax.report.words import (
    clean,
    count,
    effect_digits,
    effect_unit,
    format_effect,
    format_effects,
    format_odd,
    format_p,
    format_share,
)

# More rows bury the page; the command that exports them all is named.
MOST_ROWS = 60
TITLE = "Other statistics of the same effects"


def make_section(table: Table) -> Extra | None:
    """Return the section; None where no contrast has a seed."""
    appendix = make_appendix(table)
    rows = effect_rows(appendix[appendix["n"] > 0])
    if not rows:
        return None
    confirmatory = {c["name"] for c in table.plan["contrasts"] if c["confirmatory"]}
    ranked = sorted(rows, key=lambda row: row["contrast"] not in confirmatory)
    bootstrap = any(row["n"] >= LEAST_BOOTSTRAP for row in rows) and not table.plan.get("stein")
    worse = ", which is the worse one," if good_sign(str(rows[0]["metric"])) < 0 else ""
    sentences = [
        "For readers who know these better. All are exploratory and of one contrast alone; verdicts follow from the "
        "table of effects only.",
        "Wilcoxon: signed-rank test, zeros dropped. "
        + ("BCa: bootstrap interval of the mean. " if bootstrap else "")
        + "IQM: mean without the lowest and highest quarter of the seeds. d_z: mean divided by the SD of the "
        f"differences. P(A > B): share of seeds in which the first arm has the larger value{worse}, ties half. "
        "Correlation: of the two arms over seeds. Pairing: how many times as many seeds an unpaired comparison would "
        "need. TOST: p of equivalence within the margin, by two one-sided paired t-tests.",
    ]
    if table.plan.get("stein"):
        sentences.append("A pilot chose the number of seeds: tests that take it as given are left out.")
    if len(rows) > MOST_ROWS:
        sentences.append(f"Shown are {MOST_ROWS} of {count(len(rows), 'contrast')}, confirmatory ones first.")
    return Extra("appendix", TITLE, tuple(sentences), (), (make_grid(ranked[:MOST_ROWS], bootstrap),))


def make_grid(rows: list[dict[str, Any]], bootstrap: bool) -> Grid:
    """Return the table of these rows; the bootstrap's column only where it says something."""
    unit = effect_unit(str(rows[0]["metric"]))
    shown = f" ({unit})" if unit else ""
    labels = ["Seeds", "Wilcoxon p", *(["BCa 95% interval"] if bootstrap else []), f"IQM{shown}", "d_z", "P(A > B)"]
    labels += ["Correlation", "Pairing", "TOST p"]
    columns = (Column("Contrast"), *(Column(label, True) for label in labels))
    return Grid("Other statistics", columns, tuple(Row(_cells(row, bootstrap)) for row in rows))


def _cells(row: Mapping[str, Any], bootstrap: bool) -> tuple[str, ...]:
    metric = str(row["metric"])
    digits = effect_digits(metric, row["iqm"])
    interval = (format_effects(metric, row["bca_low"], row["bca_high"]),) if bootstrap else ()
    return (
        clean(row["contrast"]),
        str(row["n"]),
        format_p(row["wilcoxon_p"]),
        *interval,
        format_effect(metric, row["iqm"], digits),
        _number(row["d_z"]),
        format_share(row["win"]),
        _number(row["correlation"]),
        _number(row["variance_ratio"]),
        format_p(row["tost_p"]),
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else format_odd(value)
