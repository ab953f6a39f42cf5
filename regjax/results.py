"""Results of a study, read from its run directory."""

import dataclasses
import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regjax import store
from regjax.analysis.bias_variance import make_bias_variance, make_variances
from regjax.analysis.predictions import read_predictions
from regjax.analysis.sources import make_sources
from regjax.analysis.table import Table, load_table
from regjax.answers import Answers
from regjax.keys import STREAMS

# Models whose first layer has weights for each input.
DENSE_FIRST = ("mlp", "linear")


class Results(Answers):
    """What a run directory answers. Reading needs no jax, except for `predict`, `params` and `stats`.

    Args:
      out: run directory.
      model, regularizers: those given from Python to `regjax.run`, which `predict` needs.

    Raises:
      StoreError: there is no plan in it.
    """

    def __init__(self, out: str | Path, model: Any = None, regularizers: Any = None) -> None:
        self.out, self._given = Path(out), {"model": model, "regularizers": regularizers}
        self.plan, self._planned = store.load_planned(self.out)

    @cached_property
    def table(self) -> Table:
        """Plan and records of the finished runs, as `regjax.analysis` takes them."""
        return load_table(self.out, (self.plan, self._planned))

    def bias_variance(self, loss: str = "squared", margin: float | None = None) -> pd.DataFrame:
        """Return one row per cell: risk, bias, variance, intervals and change to the baseline, from kept predictions.

        Args:
          loss: "squared", "kl" or "zero_one".
          margin: by how much the bias may rise; None for the study's where its metric is of this loss.
        """
        return make_bias_variance(self.table, loss, margin)

    def variance(self) -> pd.DataFrame:
        """Return one row per cell: how much runs differ on this test set and on the distribution behind it."""
        return make_variances(self.table)

    def sources(self, at: Mapping[str, Any] | None = None, metric: str | None = None) -> pd.DataFrame:
        """Return one row per cell and stream: its share of the variance between seeds; arguments as for `effects`.

        Of a study with `[measure] sources`: total share (with interactions) and first-order share with 95% intervals,
        SD of runs that differ in that stream alone, in the unit of the metric.
        """
        return make_sources(self.table, at, metric)

    def to_pandas(self) -> pd.DataFrame:
        """Return every record of every finished run: cell, level of each factor, seed, step, metrics.

        `best_step` is the best step by the monitor up to that record; -1 in `stopped` and `diverged` means never.
        """
        levels = pd.DataFrame([cell["levels"] for cell in self.plan["cells"]])
        records = self.table.records
        frame = pd.concat([records[["cell", "seed"]], levels.iloc[records["cell"]].reset_index(drop=True)], axis=1)
        frame.insert(1, "cell_name", [self.table.cells[index] for index in records["cell"]])
        return pd.concat([frame, records.drop(columns=["cell", "seed"])], axis=1)

    def predictions(self) -> pd.DataFrame:
        """Return the predictions kept at the primary state: cell, seed, row, label, and p0, p1, ... of classes, p1 of a
        binary task, value0, ... (and label0, ... where there are several) of a regression; diverged runs NaN.

        Raises:
          StoreError: the study does not keep them (`[measure] predictions = "test"`).
        """
        return read_predictions(self.table).drop(columns="run")

    def params(self, cell: int | str | Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Return the parameters that a run keeps (`training.keep`), as nested dicts of NumPy arrays.

        Args:
          cell: its index, its name, or a level of each factor.
          seed: number of the replicate.

        Returns:
          Of an average what it has averaged; of a snapshot ensemble arrays [snapshots.count, ...].

        Raises:
          KeyError: there is no such cell or seed.
          StoreError: the run is not done or has diverged, or the study keeps no parameters.
        """
        return self._ensemble(cell, self._kept(cell, seed)["params"])

    def stats(self, cell: int | str | Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Return the batch statistics that belong to `params`; empty for a network without batch norm."""
        return self._ensemble(cell, self._kept(cell, seed).get("stats", {}))

    def _ensemble(self, cell: int | str | Mapping[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
        """Return those networks of a kept tree that are a cell's own; the others are room for larger ensembles."""
        runs, index = self._runs(), self._cell(cell)
        counts = [int(json.loads(text).get("snapshots", {}).get("count", 1)) for text in runs["hypers"]]
        if max(counts) == 1:
            return kept
        count = counts[list(runs["cell"]).index(index)]
        own = [*range(count - 1), -1] if count > 1 else -1
        return _pick(kept, own)

    def predict(self, cell: int | str | Mapping[str, Any], seed: int, x: np.ndarray) -> np.ndarray:
        """Return predictions [examples, outputs] of a run's kept network.

        These are class probabilities, for a binary task the probability of class 1, for a regression values in the
        units of y.

        Args:
          cell, seed: as for `params`.
          x: inputs [examples, ...] as the data set stores them; they are scaled as in training.
        """
        import jax

        from regjax import runtime
        from regjax.tasks import Fit
        from regjax.train.evaluate import predict_kept
        from regjax.train.inputs import make_seed, stack_recipes

        runtime.configure()
        kept, index = self._kept(cell, seed), self._cell(cell)
        recipe = stack_recipes([self._recipe(index, np.shape(x)[1:])])
        recipe = jax.tree.map(lambda leaf: leaf[0], recipe)
        recipe = dataclasses.replace(recipe, observer=jax.tree.map(lambda leaf: leaf[0], recipe.observer))
        streams = {name: seed if name in self.plan["vary"] else 0 for name in STREAMS}
        given = make_seed(streams, ((), (), ()), **kept["scale"], fit=Fit(**kept.get("fit", {})))
        return np.asarray(predict_kept(recipe, kept["params"], kept.get("stats", {}), np.asarray(x), given))

    def _recipe(self, cell: int, input_shape: tuple[int, ...]) -> Any:
        """Return the recipe of a cell, as it was trained."""
        from regjax.config import Steps, parse_study, resolve_cell
        from regjax.design import make_cells
        from regjax.grouping import Setting, make_observer, make_recipes
        from regjax.tasks import make_task

        study = parse_study(self.plan["study"], **self._given)
        levels = tuned_levels(self.plan, study).get(cell, {})
        cells = [resolve_cell(study, {**known.levels, **levels}) for known in make_cells(study)]
        data = self.plan["data"]
        task = make_task(study.task.name, data["num_classes"], data["num_targets"])
        setting = Setting(study.parts.regularizers, task, input_shape)
        made = make_recipes(cells[cell : cell + 1], [Steps(1, 1, 1, None)], setting, (), 1)[0]
        # What an average keeps depends on the others of its study.
        return dataclasses.replace(made, observer=make_observer(cells[cell], cells))

    def feature_norms(self, cell: int | str | Mapping[str, Any], seed: int) -> np.ndarray:
        """Return how much a run's kept network looks at each input, shaped like an example.

            norm_i = sqrt(sum over units j of the first layer of kernel_ij^2)

        0 for an input that nothing follows from. The weights meet inputs as they are scaled (`data.scale`): norms
        compare features where those have one scale.

        Args:
          cell, seed: as for `params`.

        Raises:
          ValueError: the first layer is not dense, so that inputs have no weights of their own.
        """
        params, shape = self.params(cell, seed), tuple(self.plan["data"]["input_shape"])
        kernel = params.get("hidden_0", params.get("output", {})).get("kernel", np.zeros(()))
        name = self.plan["study"]["model"]["name"]
        if name not in DENSE_FIRST or kernel.shape[:1] != (math.prod(shape),):
            expected = f"{' or '.join(DENSE_FIRST)}, whose first layer is dense and has weights for each input"
            raise ValueError(f"got the model {name!r}, expected {expected}")
        return np.sqrt(np.square(kernel.astype(np.float64)).sum(axis=1)).reshape(shape)

    def report(self) -> Path:
        """Return the path of report.html, made anew."""
        from regjax.report import make_report

        return make_report(self.out)

    def _runs(self) -> pd.DataFrame:
        return self._planned[self._planned["wave"] == "main"]

    def _cell(self, cell: int | str | Mapping[str, Any]) -> int:
        cells = self.plan["cells"]
        for known in cells:
            if (
                (_written(cell) == known["levels"])
                if isinstance(cell, Mapping)
                else cell in (known["index"], known["name"])
            ):
                return known["index"]
        names = "; ".join(f"{known['index']}: {known['name']}" for known in cells)
        raise KeyError(f"got cell {cell!r}, expected an index, a name or levels of one of: {names}")

    def _kept(self, cell: int | str | Mapping[str, Any], seed: int) -> dict[str, Any]:
        from regjax.train.checkpoint import load_leaves, nest

        index = self._cell(cell)
        runs = self._runs()
        found = runs[(runs["cell"] == index) & (runs["seed"] == seed)]
        if found.empty:
            raise KeyError(f"got seed {seed!r}, expected one of {self.plan['seeds']}")
        run = str(found["run"].iloc[0])
        part = store.done_runs(self.out).get(run)
        diverged = int(self.table.status.diverged[index, self.table.seeds.index(seed)])
        if part is None:
            raise store.StoreError(f"the run of cell {index}, seed {seed} is not done; run the study again to go on")
        if diverged >= 0:
            raise store.StoreError(
                f"the run of cell {index}, seed {seed} diverged at step {diverged}: it has no network"
            )
        if not part.params(self.out).exists():
            raise store.StoreError(f'{self.out} keeps no parameters; set training.keep = "best" or "last", run again')
        place = store.read_json(part.done(self.out))["runs"].index(run)
        return nest({path: leaf[place] for path, leaf in load_leaves(part.params(self.out)).items()})


def tuned_levels(plan: Mapping[str, Any], study: Any) -> dict[int, dict[str, Any]]:
    """Return {cell: {path: level}} of the tuned hypers in a plan, as its parsed study writes the candidates."""
    from regjax.config import plain

    options = study.tune.factors if study.tune else {}
    return {
        int(cell): {path: next(v for v in options[path] if plain(v) == value) for path, value in tuned.items()}
        for cell, tuned in plan["tuned"].items()
    }


def _written(levels: Mapping[str, Any]) -> dict[str, Any]:
    """Return levels as plan.json writes them: "off" for infinity, lists for tuples."""
    return {
        path: "off" if value == float("inf") else list(value) if isinstance(value, tuple) else value
        for path, value in levels.items()
    }


def _pick(tree: dict[str, Any], index: Any) -> dict[str, Any]:
    """Return nested dicts of arrays with these entries of the first axis of each."""
    return {key: _pick(leaf, index) if isinstance(leaf, dict) else leaf[index] for key, leaf in tree.items()}


def load_results(out: str | Path, model: Any = None, regularizers: Any = None) -> Results:
    """Return the results of a run directory.

    Args:
      out: run directory.
      model, regularizers: those given from Python to `regjax.run`, which `Results.predict` needs.

    Raises:
      StoreError: there is no plan in it.
    """
    return Results(out, model, regularizers)
