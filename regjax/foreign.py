"""Statistics of a study for numbers from elsewhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from regjax.analysis.foreign import make_foreign_table
from regjax.analysis.table import Table
from regjax.answers import Answers


class Foreign(Answers):
    """What numbers from elsewhere answer."""

    def __init__(self, table: Table) -> None:
        self._table = table

    @property
    def table(self) -> Table:
        """The numbers, as `regjax.analysis` takes them."""
        return self._table

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
