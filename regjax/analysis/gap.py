"""The generalization gap: by how much a network does worse on test examples than on those it was trained on."""

import dataclasses

import numpy as np
import pandas as pd

from regjax.analysis.convolution import share_total
from regjax.analysis.effects import good_sign
from regjax.analysis.inference import contrast_weights, infer, seed_effects
from regjax.analysis.table import Table
from regjax.metrics import GAP


def gap_name(table: Table) -> str | None:
    """Return "gap.<name>" of the primary metric, else of the loss; None where training examples have no records."""
    primary = table.plan["primary"]["metric"].rpartition(".")[2]
    for name in dict.fromkeys((primary, "nll", "mse")):
        known = {f"train.{name}", f"test.{name}"} <= set(table.records.columns)
        if known and good_sign(f"test.{name}") and table.records[f"train.{name}"].notna().any():
            return f"{GAP}.{name}"
    return None


def with_gap(table: Table, metric: str) -> Table:
    """Return the table with the gap among its records, so that it can be asked for as any metric.

        gap = sign (train - test),  sign 1 where larger values are better and -1 where smaller ones are

    Args:
      table: loaded run directory.
      metric: "gap.<name>", from `gap_name`.
    """
    if metric in table.records.columns:
        return table
    name = metric.rpartition(".")[2]
    records = table.records
    gap = good_sign(f"test.{name}") * (records[f"train.{name}"] - records[f"test.{name}"])
    return dataclasses.replace(table, records=records.assign(**{metric: gap}))


def paired_effects(table: Table, values: np.ndarray, metric: str, most: int) -> pd.DataFrame:
    """Return the effects of the plan's first contrasts on some number of every run, all exploratory.

    Args:
      table: loaded run directory.
      values: [cell, seed], NaN where a run has none.
      metric: what the number is called.
      most: contrasts taken: those that are declared, of the kind that the study wants first, then the others.

    Returns:
      Columns contrast, metric, n, effect, low, high (95%, each interval alone).
    """
    contrasts = table.plan["contrasts"]
    headline = table.plan.get("headline")
    rank = [(not c["confirmatory"], c["kind"] != headline, i) for i, c in enumerate(contrasts)]
    chosen = [contrasts[i] for *_, i in sorted(rank)[:most]]
    weights = contrast_weights(chosen, len(table.cells))
    effects = seed_effects(weights, values, share_total(table.plan, metric))
    found = infer(effects, np.zeros(len(chosen), dtype=bool))
    heads = pd.DataFrame({"contrast": [c["name"] for c in chosen], "metric": metric})
    return heads.assign(**{name: found[name] for name in ("n", "effect", "low", "high")})
