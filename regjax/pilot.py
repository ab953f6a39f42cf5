"""The pilot of a study whose number of seeds is not fixed: whether it is done, and how many seeds it asks for."""

from pathlib import Path
from typing import Any

from regjax import store
from regjax.analysis.effects import ALPHA, contrast_values, rounding
from regjax.analysis.inference import contrast_weights
from regjax.analysis.stein import needed_seeds
from regjax.analysis.table import make_table, state_values
from regjax.plan import Plan
from regjax.planned import make_runs_table


def is_trained(plan: Plan, out: Path) -> bool:
    """Return whether all runs of a plan are stored."""
    return {run.id for run in plan.runs} <= set(store.done_runs(out))


def judge_pilot(plan: Plan, out: Path) -> dict[str, Any]:
    """Return what `needed_seeds` makes of the pilot seeds: those of the plan, which are trained.

    It reads the primary metric at the primary state and the confirmatory contrasts, and no seed beyond the pilot.
    """
    seeds = plan.study.seeds
    assert seeds.pilot is not None
    assert seeds.halfwidth is not None
    tables = {
        "cells": [{"name": cell.name} for cell in plan.cells],
        "seeds": list(seeds.numbers[: seeds.pilot]),
    }
    values = state_values(make_table(out, tables, make_runs_table(plan)), plan.primary["metric"], plan.primary["at"])
    contrasts = [contrast for contrast in plan.contrasts if contrast["confirmatory"]]
    weights = contrast_weights(contrasts, len(plan.cells))
    return needed_seeds(
        [contrast["name"] for contrast in contrasts],
        contrast_values(weights, values),
        pilot=seeds.pilot,
        most=seeds.most,
        halfwidth=seeds.halfwidth,
        alpha=ALPHA,
        resolution=rounding(weights, values),
    )
