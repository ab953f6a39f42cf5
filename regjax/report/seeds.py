"""How the number of seeds came about, where it was not fixed beforehand but taken from a pilot."""

from collections.abc import Mapping
from typing import Any

from regjax.analysis.table import Table
from regjax.report.extra import Extra
from regjax.report.words import clean, effect_unit, format_spread, metric_words


def make_section(table: Table) -> Extra | None:
    """Return what the pilot said and what was done; None for a study with a fixed number of seeds."""
    text = seeds_sentence(table.plan)
    return Extra("seeds", "Number of seeds", (text,)) if text else None


def seeds_sentence(plan: Mapping[str, Any]) -> str:
    """Return how many seeds the pilot asked for and how many there are; empty where their number was fixed."""
    stein, metric = plan.get("stein"), plan["primary"]["metric"]
    if not stein:
        return ""
    unit = effect_unit(metric)
    width = f"\N{PLUS-MINUS SIGN}{format_spread(metric, stein['halfwidth'])}{f' {unit}' if unit else ''}"
    start = f"Two-stage (Stein) intervals of {width} on {metric_words(metric)} by a pilot of {stein['pilot']} seeds"
    if "seeds" not in stein:
        return f"{start}, at most {stein['max']} seeds; the pilot is not done."
    known = {name: sd for name, sd in stein["sd"].items() if sd is not None}
    largest = max(known, key=lambda name: known[name], default=None)
    spread = "" if largest is None else f", largest SD {format_spread(metric, known[largest])} ({clean(largest)})"
    text = f"{start}{spread}: {stein['needed']} seeds needed, {stein['seeds']} taken."
    if stein["needed"] > stein["seeds"]:
        text += f" They are capped at seeds.max = {stein['max']}: intervals may be wider than asked for."
    if lost := [clean(name) for name, sd in stein["sd"].items() if sd is None]:
        text += f" Fewer than two pilot seeds have a value, so that there is no interval: {', '.join(lost)}."
    if flat := [clean(name) for name, sd in known.items() if sd == 0]:
        text += f" Pilot seeds do not differ, so that there is an interval only where no seed does: {', '.join(flat)}."
    return text
