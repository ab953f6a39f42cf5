"""What is kept of runs that have ended: parameters, predictions at the primary state, histograms, digests."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from regjax import store
from regjax.plan import Plan
from regjax.train import checkpoint
from regjax.train.program import Program, Trainer
from regjax.train.seats import Live
from regjax.train.state import Data
from regjax.train.weights import weights_table


@dataclasses.dataclass
class Harvest:
    """What was gathered of ended runs since the last part was published, in the order of `runs`."""

    runs: list[str] = dataclasses.field(default_factory=list)
    params: list[Any] = dataclasses.field(default_factory=list)
    predictions: list[pd.DataFrame] = dataclasses.field(default_factory=list)
    weights: list[pd.DataFrame] = dataclasses.field(default_factory=list)
    states: list[str] = dataclasses.field(default_factory=list)

    def publish(self, out: Path, part: store.Part) -> None:
        """Write parameters, predictions and histograms of weights beside the part's records, where there are any."""
        if self.params:
            checkpoint.save(part.params(out), jax.tree.map(lambda *leaves: np.concatenate(leaves), *self.params))
        if self.predictions:
            store.write_table(part.predictions(out), pd.concat(self.predictions, ignore_index=True))
        if self.weights:
            store.write_table(part.weights(out), pd.concat(self.weights, ignore_index=True))


def gather(
    harvest: Harvest, plan: Plan, program: Program, trainer: Trainer, data: Data, live: Live, ended: np.ndarray
) -> None:
    """Add to `harvest` what the study keeps of the trajectories that have ended, before their slots are refilled.

    Args:
      harvest: added to.
      plan: what is kept.
      program, trainer, data, live: the population.
      ended: which slots, bool [rows, columns].
    """
    slots = [(int(row), int(column)) for row, column in zip(*np.nonzero(ended), strict=True)]
    runs = [
        (row, column, observer, run.id)
        for row, column in slots
        for observer, run in enumerate(live.queue[live.seats.row[row]][column].runs)
    ]
    index = tuple(np.array(axis) for axis in zip(*(run[:3] for run in runs), strict=True))
    rows, columns = (np.array(axis) for axis in zip(*slots, strict=True))
    moments = program.group.runs[0].recipe.moments
    harvest.runs += [run[3] for run in runs]
    harvest.states.append(checkpoint.tree_digest(jax.tree.map(lambda x: np.asarray(x)[rows, columns], live.state)))
    kept: dict[str, Any] = {}
    if plan.study.training.keep != "none":
        params, stats = program.population.end(live.recipe, live.state, 0)
        kept = jax.tree.map(lambda leaf: np.asarray(leaf)[index], {"params": params, "stats": stats})
        harvest.params.append({**kept, **own_scales(program, live, index[0])})
    if moments:
        harvest.weights.append(gather_weights(plan, program, live, [run[3] for run in runs], index, kept))
    if plan.predictions:
        moment = moments.index(primary_moment(plan, moments))
        values = np.array(trainer.finish(live.recipe, live.seed, data, live.state, moment))[index]
        values[find_lost(live, index, moments[moment])] = np.nan
        harvest.predictions.append(predictions_table(program, live, [run[3] for run in runs], index[0], values))


def gather_weights(
    plan: Plan, program: Program, live: Live, runs: Sequence[str], index: tuple[np.ndarray, ...], kept: dict[str, Any]
) -> pd.DataFrame:
    """Return the histograms of the weights of these runs at the primary state, or at the first that is kept at all.

    Args:
      plan, program, live: the population.
      runs: identities.
      index: their rows, columns and observers.
      kept: {"params": those of the first moment} where they are at hand.
    """
    moments = program.group.runs[0].recipe.moments
    wanted = primary_moment(plan, moments)
    moment = moments.index(wanted) if wanted in moments else 0
    params = kept.get("params")
    if moment or params is None:
        params = jax.tree.map(
            lambda leaf: np.asarray(leaf)[index], program.population.end(live.recipe, live.state, moment)[0]
        )
    lost = find_lost(live, index, moments[moment])
    return weights_table(runs, lost, params, live.state.params, moments[moment])


def own_scales(program: Program, live: Live, rows: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Return {"scale": of the inputs, "fit": of the task}, with a leading axis over runs, whether they share or not."""
    axes, shared = program.axes, (len(rows),)
    parts: dict[str, tuple[Any, bool]] = {"scale": (live.seed.scale, axes.scale), "fit": (live.seed.fit, axes.rows)}
    return {
        part: {
            name: np.asarray(value)[rows] if batched else np.broadcast_to(value, (*shared, *np.shape(value)))
            for name, value in values._asdict().items()
            if value is not None
        }
        for part, (values, batched) in parts.items()
    }


def find_lost(live: Live, index: tuple[np.ndarray, ...], moment: str | int) -> np.ndarray:
    """Return which runs have no sound state at a moment: they diverged by then, and did not stop before."""
    diverged = np.asarray(live.state.diverged)[index[:2]]
    stopped = np.asarray(live.state.watch.stopped)[index]
    lost = (diverged >= 0) & ~((stopped >= 0) & (stopped < diverged))
    return lost if isinstance(moment, str) else lost & (diverged <= moment)


def primary_moment(plan: Plan, moments: Sequence[str | int]) -> str | int:
    """Return which of the kept moments is the primary state; "last" is the latest step among them."""
    at = plan.primary["at"]
    if at["kind"] == "step":
        return at["step"]
    return (
        "best"
        if at["kind"] == "best"
        else max((moment for moment in moments if isinstance(moment, int)), default="last")
    )


def predictions_table(
    program: Program, live: Live, runs: Sequence[str], rows: np.ndarray, values: np.ndarray
) -> pd.DataFrame:
    """Return one row per run and test example: run, row in the data set, label or labels, and the predictions."""
    test = np.asarray(live.seed.rows.test)
    test = test[rows] if program.axes.rows else np.broadcast_to(test, (len(runs), len(test)))
    columns = {"run": np.repeat(np.array(runs, dtype=object), test.shape[1]), "row": test.reshape(-1)}
    labels = program.dataset.y[test.reshape(-1)]
    columns |= {"label": labels} if labels.ndim == 1 else {f"label{k}": mine for k, mine in enumerate(labels.T)}
    flat = values.reshape(-1, values.shape[-1])
    names = program.group.runs[0].recipe.task.prediction_names
    return pd.DataFrame(columns | dict(zip(names, flat.T, strict=True)))
