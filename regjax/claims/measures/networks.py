"""The networks that a study keeps, each file read once, and what they predict."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from regjax import store
from regjax.claims.measures.inputs import find_recipe
from regjax.results import Results
from regjax.train.checkpoint import load_leaves, nest


class Networks(NamedTuple):
    """The networks that the runs of a cell keep.

    Attributes:
      cell: index of the cell.
      seeds: numbers of the seeds that have one, int [found].
      places: their places among the seeds of the study, int [found].
      params, stats: nested dicts of arrays [found, ...].
    """

    cell: int
    seeds: np.ndarray
    places: np.ndarray
    params: dict[str, Any]
    stats: dict[str, Any]


def iter_networks(results: Results) -> Iterator[Networks]:
    """Yield the networks of every cell that has any; arguments and errors as for `load_networks`."""
    for cell in range(len(results.table.cells)):
        if len((networks := load_networks(results, cell)).seeds):
            yield networks


def load_networks(results: Results, cell: int) -> Networks:
    """Return the kept networks of a cell, stacked over the seeds that have one.

    A run that is not done or diverged has none. The arrays are of `training.keep`'s state.

    Raises:
      StoreError: the study keeps no parameters.
    """
    found = {place: leaves for (index, place), leaves in _read_networks(results).items() if index == cell}
    places = np.array(sorted(found), int)
    paths = found[places[0]] if len(places) else {}
    stacked = nest({path: np.stack([found[place][path] for place in places]) for path in paths})
    seeds = np.array(results.table.seeds, int)[places]
    return Networks(cell, seeds, places, stacked.get("params", {}), stacked.get("stats", {}))


# Several measures ask for one study after the other, cell by cell.
@lru_cache(maxsize=1)
def _read_networks(results: Results) -> dict[tuple[int, int], dict[str, np.ndarray]]:
    """Return {(cell, place of the seed): {path: array}} of the sound runs."""
    owner, runs = store.done_runs(results.out), results.table.reported()
    runs = runs[runs["run"].isin(list(owner))]
    kept = {}
    for part in {owner[run] for run in runs["run"]}:
        if not part.params(results.out).exists():
            raise store.StoreError(
                f'{results.out} keeps no parameters; set training.keep = "best" or "last", run again'
            )
        leaves = load_leaves(part.params(results.out))
        for index, run in enumerate(store.read_json(part.done(results.out))["runs"]):
            if owner[run] == part:
                kept[run] = {path: leaf[index] for path, leaf in leaves.items()}
    found = {}
    # Cells whose settings mean the same have one run.
    for run, cell, seed in zip(runs["run"], runs["cell"], runs["seed"], strict=True):
        place = results.table.seeds.index(seed)
        if results.table.status.diverged[cell, place] < 0:
            found[cell, place] = kept[run]
    return found


def predict_labels(results: Results, networks: Networks, x: np.ndarray) -> np.ndarray:
    """Return the labels that networks predict without noise, [found, examples].

    Args:
      results: the study that they are of.
      networks: of a cell, of classes.
      x: scaled inputs of each, [found, examples, ...].
    """
    recipe = find_recipe(results, networks.cell)
    return np.asarray(_make_predictor(recipe.model, recipe.task)(networks.params, networks.stats, x))


# One program for all cells whose network is the same.
@lru_cache(maxsize=32)
def _make_predictor(model: Any, task: Any) -> Callable[..., Any]:
    import jax

    def predict(params: Any, stats: Any, x: Any) -> Any:
        outputs = model.apply(params, stats, x, lambda site, h: h, False).outputs
        return outputs[:, 0] > 0 if task.num_outputs == 1 else outputs.argmax(axis=1)

    return jax.jit(lambda *stacked: jax.lax.map(lambda one: predict(*one), stacked))
