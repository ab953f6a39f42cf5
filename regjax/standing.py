"""Which cell is best so far: for people who look on while a study trains; nothing is decided by it."""

from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.table import arrange_table, state_values
from regjax.metrics import METRICS
from regjax.plan import Plan, restores
from regjax.report.words import clean, count, format_value, metric_words


class Standing:
    """The primary metric on VALIDATION of the runs that are over, at the primary state; test numbers are not looked at.

    A cell stands by the mean over its seeds so far. Where the primary metric has no name on validation (a measure of
    the weights), the monitored metric takes its place.

    Args:
      plan: the reported runs.
    """

    def __init__(self, plan: Plan) -> None:
        name = plan.primary["metric"].rpartition(".")[2]
        name = name if name in METRICS else str(plan.study.training.monitor).rpartition(".")[2]
        self.metric, self.at, self.larger = f"validation.{name}", plan.primary["at"], METRICS[name]
        self.seeds = sorted({run.seed for run in plan.runs if not run.stream})
        self.plan: dict[str, Any] = {"cells": [{"name": cell.name} for cell in plan.cells], "seeds": self.seeds}
        rows = [(run.id, run.cell, run.seed, restores(run)) for run in plan.runs if not run.stream]
        self.runs = pd.DataFrame(rows, columns=["run", "cell", "seed", "restores"])
        self.values = np.full((len(plan.cells), len(self.seeds)), np.nan)

    def add(self, records: pd.DataFrame) -> str:
        """Count the runs that these records are of, whole and over; return the best cell in words, "" for none yet."""
        runs = self.runs[self.runs["run"].isin(records["run"].unique())]
        seeds = sorted(set(runs["seed"]))
        table = arrange_table({**self.plan, "seeds": seeds}, runs, records)
        values = state_values(table, self.metric, self.at)
        columns = np.searchsorted(self.seeds, seeds)
        self.values[:, columns] = np.where(table.status.done, values, self.values[:, columns])
        return self.best()

    def best(self) -> str:
        """Return the best cell with its mean and seeds in words, "" where no run is over."""
        known = ~np.isnan(self.values)
        numbers = known.sum(axis=1)
        if not numbers.any():
            return ""
        means = np.where(known, self.values, 0.0).sum(axis=1) / np.maximum(numbers, 1)
        scores = np.where(numbers > 0, means if self.larger else -means, -np.inf)
        best = int(scores.argmax())
        shown = format_value(self.metric, float(means[best]))
        name = clean(self.plan["cells"][best]["name"])
        return f"{name} ({metric_words(self.metric)} {shown}, mean of {count(int(numbers[best]), 'seed')})"
