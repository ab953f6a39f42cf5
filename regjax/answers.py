"""What a table of results answers, be it of a run directory or of numbers from elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import pandas as pd

from regjax.analysis.appendix import make_appendix
from regjax.analysis.dose import best_level, dose_response
from regjax.analysis.effects import declared_effects, describe_cells, make_effects
from regjax.analysis.lost import lost_effects
from regjax.analysis.power import make_power
from regjax.analysis.sentences import INTERACTIONS
from regjax.analysis.shapley import shapley_values
from regjax.analysis.table import Table


class Answers(ABC):
    """The statistics of a table."""

    @property
    @abstractmethod
    def table(self) -> Table:
        """Plan and records, as `regjax.analysis` takes them."""

    def effects(self, at: Mapping[str, Any] | None = None, metric: str | None = None) -> pd.DataFrame:
        """Return one row per contrast: paired effect over seeds, interval, and p where it is confirmatory.

        Args:
          at: another state than the primary: {"kind": "best"}, {"kind": "last"} or {"kind": "step", "step": n}.
          metric: another metric than the primary, e.g. "test.nll".

        Without either, declared contrasts of the best level stand below the others (kinds "best_level" and "trend"; the
        effect of a trend is a slope, and `metric` says of what).
        """
        if at is None and metric is None:
            return declared_effects(self.table)
        return make_effects(self.table, at, metric)

    def cells(self, at: Mapping[str, Any] | None = None, metric: str | None = None) -> pd.DataFrame:
        """Return one row per cell: mean, SD, n, t interval; arguments as for `effects`."""
        return describe_cells(self.table, at, metric)

    def dose(self, factor: str) -> pd.DataFrame:
        """Return the effect of each level of a factor against its first: level, stratum, effect, low, high, n."""
        return dose_response(self.table, factor)

    def best_level(self, factor: str) -> pd.DataFrame:
        """Return the effect of the best level of a factor, chosen on validation and on other seeds than judge it."""
        return best_level(self.table, factor)

    def shapley(self) -> pd.DataFrame:
        """Return the Shapley value of each factor of a full factorial of two-level factors, with a t interval."""
        return shapley_values(self.table)

    def power(self, effect: float, power: float = 0.9) -> pd.DataFrame:
        """Return one row per confirmatory contrast: the seeds that an effect needs, taking these runs as a pilot.

        Args:
          effect: smallest effect that is to be found, unit of the metric (0.001 is 0.1 percentage points).
          power: probability to find it.
        """
        return make_power(self.table, effect, power)

    def interactions(self, at: Mapping[str, Any] | None = None, metric: str | None = None) -> pd.DataFrame:
        """Return the rows of `effects` that ask whether parts together do more or less than apart."""
        effects = self.effects(at, metric)
        return effects[effects["kind"].isin(INTERACTIONS)].reset_index(drop=True)

    def appendix(self, at: Mapping[str, Any] | None = None, metric: str | None = None) -> pd.DataFrame:
        """Return other statistics of the same effects, exploratory: see `regjax.analysis.appendix.make_appendix`."""
        return make_appendix(self.table, at, metric)

    def lost(self, at: Mapping[str, Any] | None = None, metric: str | None = None) -> pd.DataFrame:
        """Return what effects would be if lost runs (ended without a result) counted: three rows per contrast that has
        any, "without", "with" and "worst case"; arguments as for `effects`.
        """
        return lost_effects(self.table, at, metric)

    def summary(self) -> str:
        """Return the verdicts and tables as text for a terminal."""
        from regjax.report.text import effects_text

        return effects_text(self.table)

    def _repr_html_(self) -> str:
        """Return verdicts and effects as HTML, for notebooks."""
        from regjax.report.notebook import results_html

        return results_html(self.table)
