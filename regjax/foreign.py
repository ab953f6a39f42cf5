"""Statistics of a study for numbers from elsewhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from regjax.analysis.appendix import make_appendix
from regjax.analysis.effects import describe_cells, make_effects
from regjax.analysis.foreign import make_foreign_table
from regjax.analysis.table import Table


class Foreign:
    """What numbers from elsewhere answer: `table` as `regjax.analysis` takes it, and its statistics."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def effects(self) -> pd.DataFrame:
        """Return one row per contrast: paired effect over seeds, interval, and p where it is confirmatory."""
        return make_effects(self.table)

    def cells(self) -> pd.DataFrame:
        """Return one row per cell: mean, SD, n, t interval."""
        return describe_cells(self.table)

    def appendix(self) -> pd.DataFrame:
        """Return other statistics of the same effects, exploratory."""
        return make_appendix(self.table)

    def summary(self) -> str:
        """Return the verdicts and tables as text for a terminal."""
        from regjax.report.text import effects_text

        return effects_text(self.table)

    def save(self, out: str | Path) -> Path:
        """Write `effects.csv` and `report.html` into a folder and return the path of the report.

        Raises:
          StoreError: the folder cannot be written.
        """
        from regjax.report.numbers import export
        from regjax.report.page import save_page

        export(self.table, Path(out) / "effects.csv")
        return save_page(self.table, (), Path(out))


def analyze(
    source: pd.DataFrame | str | Path,
    metric: str,
    *,
    factors: Sequence[str] | None = None,
    seed: str = "seed",
    baseline: Mapping[str, Any] | None = None,
    margin: float | None = None,
) -> Foreign:
    """Return the statistics of a study for a table of factors, seed and metric that another program made.

    Args:
      source, metric, factors, seed, baseline, margin: see `regjax.analysis.foreign.make_foreign_table`.

    Raises:
      RegjaxError: the table cannot be analysed; says why.
    """
    made = make_foreign_table(source, metric, factors=factors, seed=seed, baseline=baseline, margin=margin)
    return Foreign(made)
