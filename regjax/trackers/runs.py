"""What a tracker is told of a study: a run per cell and seed, and one of the whole with its effects."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from regjax.analysis.effects import all_effects
from regjax.analysis.export import csv_text
from regjax.analysis.table import Table, at_label, state_steps
from regjax.files import canonical, digest, flatten_tables
from regjax.store import digest_records

NOT_METRICS = {"run", "cell", "seed", "step", "seconds", "best_step", "stopped", "diverged"}


@dataclass(frozen=True, eq=False)
class Tracked:
    """A run as trackers take it.

    Attributes:
      id: stable over exports, of letters, digits and dashes.
      name: for people, unique within the study.
      config: numbers, truth values and texts by name.
      status: how it ended.
      curves: columns step and metrics, NaN where there is none; None for the summary.
      final: numbers by name: of the state that the study judges runs by, or effects.
      table: effects, of the summary alone.
    """

    id: str
    name: str
    config: Mapping[str, Any]
    status: str
    curves: pd.DataFrame | None
    final: Mapping[str, float]
    table: pd.DataFrame | None = None

    @property
    def digest(self) -> str:
        """Digest of all that a tracker is told; equal where nothing would change."""
        curves = "" if self.curves is None else digest_records(self.curves.assign(run=""))
        table = "" if self.table is None else csv_text(self.table)
        final = {name: repr(value) for name, value in self.final.items()}
        return digest(canonical([self.name, dict(self.config), self.status, final, curves, table]))

    def points(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield (step, finite metrics) of every evaluation."""
        if self.curves is not None:
            for row in self.curves.to_dict("records"):
                values = {str(name): float(value) for name, value in row.items() if name != "step"}
                yield int(row["step"]), {name: value for name, value in values.items() if math.isfinite(value)}


def list_tracked(table: Table) -> Iterator[Tracked]:
    """Yield every finished run of a study, then the study itself where any run is finished."""
    if table.out is None or not len(table.records):
        return
    ids = {(row["cell"], row["seed"]): row["run"] for row in table.reported().to_dict("records")}
    judged = state_steps(table, table.plan["primary"]["at"])
    metrics = [str(name) for name in table.records.columns if name not in NOT_METRICS]
    grouped = table.records.groupby(["cell", "seed"])
    for cell, seed in table.records[["cell", "seed"]].drop_duplicates().to_numpy(int).tolist():
        place, records = (cell, table.seeds.index(seed)), grouped.get_group((cell, seed))
        curves = records[["step", *metrics]].reset_index(drop=True)
        at = curves[curves["step"] == judged[place]]
        final = {name: float(at[name].iloc[0]) for name in metrics if len(at) and math.isfinite(at[name].iloc[0])}
        # Two cells may be one run: the cell makes the id unique.
        own, name = f"{ids[cell, seed]}-{cell}", f"{table.cells[cell]}, seed {seed}"
        yield Tracked(own, name, _config(table, cell, seed), _status(table, place), curves, final)
    # The first run stays the first where a study grows.
    yield _summary(table, ids[min(ids)])


def _config(table: Table, cell: int, seed: int) -> dict[str, Any]:
    levels = table.plan["cells"][cell]["levels"]
    return {**{path: _simple(level) for path, level in levels.items()}, "cell": cell, "seed": seed}


def _simple(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else json.dumps(value)


def _status(table: Table, place: tuple[int, int]) -> str:
    diverged, stopped = int(table.status.diverged[place]), int(table.status.stopped[place])
    if diverged >= 0:
        return f"diverged at step {diverged}"
    return f"stopped early at step {stopped}" if stopped >= 0 else "done"


def _summary(table: Table, own: str) -> Tracked:
    """Return the run that stands for the study: its settings, its effects, how far it is."""
    plan, effects = table.plan, all_effects(table)
    said = flatten_tables({"study": plan["study"], "versions": plan.get("versions", {})})
    primary = effects[effects["at"] == at_label(plan["primary"]["at"])]
    final = {
        f"effect/{contrast}": float(effect)
        for contrast, effect in zip(primary["contrast"], primary["effect"], strict=True)
        if math.isfinite(effect)
    }
    status = f"{int(table.status.done.sum())} of {table.status.done.size} runs done"
    config = {"question": plan["question"], **{key: _simple(value) for key, value in said.items()}}
    return Tracked(f"{own}-study", "study", config, status, None, final, effects)
