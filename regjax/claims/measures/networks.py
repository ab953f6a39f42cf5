"""All networks that a study keeps, each file read once, and what they predict."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from regjax import store
from regjax.results import Results


class Kept(NamedTuple):
    """The networks that the runs of a cell keep.

    Attributes:
      cell: index of the cell.
      places: places among the seeds of the study of the runs that have one, int [found].
      params, stats: nested dicts of arrays [found, ...].
    """

    cell: int
    places: np.ndarray
    params: dict[str, Any]
    stats: dict[str, Any]


def iter_networks(results: Results) -> Iterator[Kept]:
    """Yield the networks of every cell that has any; a run that is not done or has diverged has none.

    Raises:
      StoreError: the study keeps none.
    """
    import jax

    found = _read_networks(results)
    for cell in range(len(results.table.cells)):
        mine = [(place, tree) for (index, place), tree in found.items() if index == cell]
        if not mine:
            continue
        places, trees = zip(*sorted(mine, key=lambda one: one[0]), strict=True)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
        yield Kept(cell, np.array(places), stacked["params"], stacked.get("stats", {}))


def _read_networks(results: Results) -> dict[tuple[int, int], dict[str, Any]]:
    """Return {(cell, place of the seed): kept tree} of the sound runs."""
    from regjax.train.checkpoint import load_leaves, nest

    owner, lost = store.done_runs(results.out), results.table.status.diverged >= 0
    runs = results.table.reported()
    where = {
        run: (int(cell), results.table.seeds.index(int(seed)))
        for run, cell, seed in zip(runs["run"], runs["cell"], runs["seed"], strict=True)
        if run in owner
    }
    found = {}
    for part in sorted({owner[run] for run in where}):
        if not part.params(results.out).exists():
            raise store.StoreError(f'{results.out} keeps no parameters; set training.keep = "last", run again')
        leaves = load_leaves(part.params(results.out))
        for index, run in enumerate(store.read_json(part.done(results.out))["runs"]):
            if run in where and owner[run] == part and not lost[where[run]]:
                found[where[run]] = nest({path: leaf[index] for path, leaf in leaves.items()})
    return found


def predict_labels(results: Results, kept: Kept, x: np.ndarray) -> np.ndarray:
    """Return the labels that networks predict without noise, [found, examples].

    Args:
      results: the study that they are of.
      kept: networks of a cell, of classes.
      x: scaled inputs of each, [found, examples, ...].
    """
    from regjax.claims.measures.inputs import find_recipe

    return np.asarray(_make_predictor(find_recipe(results, kept.cell).model)(kept.params, kept.stats, x))


# One program for all cells whose network is the same.
@lru_cache(maxsize=32)
def _make_predictor(model: Any) -> Callable[[Any, Any, Any], Any]:
    import jax

    def predict(params: Any, stats: Any, x: Any) -> Any:
        return model.apply(params, stats, x, lambda site, h: h, False).outputs.argmax(axis=-1)

    return jax.jit(jax.vmap(predict))
