"""What noise and outliers do to a network, and how its error depends on data and size."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from regjax.analysis.levels import as_number
from regjax.analysis.table import state_values
from regjax.analysis.trend import best_places, place_levels
from regjax.claims.measures.base import Measure
from regjax.claims.measures.inputs import Inputs, load_data, run_inputs
from regjax.claims.measures.networks import Networks, iter_networks, predict_labels
from regjax.claims.measures.weights import per_run
from regjax.claims.options import Factor, Factors, Metric
from regjax.config import ConfigError, Problem
from regjax.config.base import choice
from regjax.metrics import larger_is_better
from regjax.results import Results

LAST = {"kind": "last"}
Reference = Annotated[str, choice("first", "last")]


def memorised(results: Results) -> np.ndarray:
    """Return the share of the wrong training labels that the kept network gives back, [cell, seed].

    Wrong are the labels that `label_noise` changed, and those of the outliers that the data set planted, whose labels
    are drawn by a coin. NaN where a run has none. A network that knows nothing of an outlier is right of half of them.
    """
    found = np.full((len(results.table.cells), len(results.table.seeds)), np.nan)
    planted = _planted_outliers(results)
    for kept, inputs in _with_inputs(results):
        predicted = predict_labels(results, kept, np.stack([one.x_train for one in inputs]))
        for place, one, mine in zip(kept.places, inputs, predicted, strict=True):
            wrong = (one.given != one.y_train) | planted[one.rows[0]]
            if wrong.any():
                found[kept.cell, place] = np.mean(mine[wrong] == one.given[wrong])
    return found


def clean_accuracy(results: Results) -> np.ndarray:
    """Return the accuracy of the kept network on those test examples that are no planted outliers, [cell, seed]."""
    found = np.full((len(results.table.cells), len(results.table.seeds)), np.nan)
    planted = _planted_outliers(results)
    for kept, inputs in _with_inputs(results):
        predicted = predict_labels(results, kept, np.stack([one.x_test for one in inputs]))
        for place, one, mine in zip(kept.places, inputs, predicted, strict=True):
            sound = ~planted[one.rows[2]]
            found[kept.cell, place] = np.mean(mine[sound] == one.y_test[sound])
    return found


def trained_gap(results: Results) -> np.ndarray:
    """Return by how much the test loss exceeds the loss on the labels that were trained on, [cell, seed], in nats.

    The latter is the mean of the loss over the training batches since the last evaluation but one, for networks without
    penalty and without noise on their units. `gap.nll` takes the right labels in place of those that were given:
    where `label_noise` changes some, a network that learns these by heart has a small gap.
    """
    test, batch = (state_values(results.table, metric, LAST) for metric in ("test.nll", "batch.loss"))
    return test - batch


def effective_rank(results: Results) -> np.ndarray:
    """Return the effective rank of the kept weight matrices, a mean over layers, [cell, seed].

        exp(- sum_i p_i log p_i),   p_i = s_i / sum_j s_j,   s the singular values of a layer

    from 1, one direction counts, to the smaller side of the matrix, all count alike; 0 for a matrix of zeros.

    Reference: Roy, Vetterli, "The effective rank: a measure of effective dimensionality" (2007).
    """
    import jax

    def number(networks: Networks) -> np.ndarray:
        matrices = [leaf for leaf in jax.tree.leaves(networks.params) if leaf.ndim == 3]
        return np.mean([rank_of(np.linalg.svd(leaf.astype(float), compute_uv=False)) for leaf in matrices], axis=0)

    return per_run(results, number)


def rank_of(singular: np.ndarray) -> np.ndarray:
    """Return the effective rank by singular values [..., values].

    >>> rank_of(np.array([[1.0, 0.0], [2.0, 2.0], [0.0, 0.0]])).round(6).tolist()
    [1.0, 2.0, 0.0]
    """
    total = singular.sum(axis=-1, keepdims=True)
    p = np.divide(singular, total, out=np.zeros_like(singular), where=total > 0)
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1)
    return np.where(total[..., 0] > 0, np.exp(entropy), 0.0)


def best_strength(results: Results, over: Factor, metric: Metric = "test.nll") -> np.ndarray:
    """Return the strength of a regularizer that is best for each seed, as a share of the strongest level, [cell, seed].

    All cells that differ in the factor alone have the same number: the top of the parabola through the seed's best
    level at the end of training and the levels beside it, on the axis of `regjax.analysis.trend.place_levels`, on which
    "off" stands a step below the weakest level.

    Args:
      results: of the study.
      over: a factor whose levels rise from off; the positive ones must span a factor of 5.
      metric: what is best, of the records.
    """
    known = {factor["path"]: factor["levels"] for factor in results.plan["factors"]}
    levels = [as_number(level) for level in known[over]]
    places = place_levels([float("nan") if level is None else level for level in levels])
    if not places.log or not (np.diff(places.x) > 0).all():
        raise ConfigError([Problem(f"best_strength: {over}", f"{levels}", "rising levels that span a factor of 5")])
    sign = 1 if larger_is_better(metric) else -1
    scores = sign * state_values(results.table, metric, LAST)
    found = np.full(scores.shape, np.nan)
    for cells in _families(results, [over]):
        mine = scores[cells].T
        if len(cells) == len(levels):
            known = np.isfinite(mine).any(axis=1)
            best = best_places(np.where(np.isfinite(mine), mine, -np.inf), places.x) - places.x[-1]
            found[cells] = np.where(known, 10.0**best, np.nan)
    return found


def gain(results: Results, metric: Metric, over: Factors, reference: Reference = "first") -> np.ndarray:
    """Return by how much a metric at the end of training is better than where factors are at a reference, [cell, seed].

    Args:
      results: of the study.
      metric: of the records, such as "test.accuracy"; a gain is positive where the metric is better.
      over: the factor, or factors, at their reference in what a cell is compared with; all others are the cell's own.
      reference: "first" level of each, or "last" level of one factor.
    """
    over = [over] if isinstance(over, str) else list(over)
    if reference == "last" and len(over) > 1:
        raise ConfigError([Problem("gain: reference", f"{reference!r} of {over}", '"first", or "last" of one factor')])
    better = larger_is_better(metric)
    if better is None:
        raise ConfigError([Problem("gain: metric", metric, "a metric of which larger or smaller is better")])
    values = (1 if better else -1) * state_values(results.table, metric, LAST)
    found = np.full(values.shape, np.nan)
    for cells in _families(results, over):
        if reference == "first" or len(cells) > 1:
            found[cells] = values[cells] - values[cells[0 if reference == "first" else -1]]
    return found


def _families(results: Results, over: Sequence[str]) -> list[list[int]]:
    """Return cells that differ in these factors alone, those with them at their first levels in the first place.

    Each list holds, after that cell, the cells in which only factors of `over` differ from it, in the order of the
    plan; lists without such a cell are left out.
    """
    first = {one["path"]: one["levels"][0] for one in results.plan["factors"]}
    groups: dict[str, list[tuple[bool, int]]] = {}
    for cell in results.plan["cells"]:
        levels = cell["levels"]
        others = repr([levels[path] for path in first if path not in over])
        apart = any(levels[path] != first[path] for path in over)
        groups.setdefault(others, []).append((apart, int(cell["index"])))
    return [[index for _, index in sorted(group)] for group in groups.values() if not min(group)[0]]


def _with_inputs(results: Results) -> Any:
    """Yield the networks of every cell with the examples of each of its runs."""
    known: dict[str, Inputs] = {}
    for kept in iter_networks(results):
        levels = results.plan["cells"][kept.cell]["levels"]
        # Nothing else in a cell changes which examples and labels a seed trains on.
        own = {path: level for path, level in levels.items() if path.startswith(("data.", "label_noise."))}
        seeds = [results.table.seeds[place] for place in kept.places]
        for seed in seeds:
            if f"{own} {seed}" not in known:
                known[f"{own} {seed}"] = run_inputs(results, kept.cell, seed)
        yield kept, [known[f"{own} {seed}"] for seed in seeds]


def _planted_outliers(results: Results) -> np.ndarray:
    """Return which rows of the data set are outliers by its own account, bool [examples]."""
    dataset = load_data(results)
    return np.asarray(dataset.truth.get("outliers", np.zeros(len(dataset.y))), dtype=bool)


MEASURES: dict[str, Measure] = {
    "memorised": Measure(memorised, "share of the wrong training labels that the network gives back"),
    "clean_accuracy": Measure(clean_accuracy, "accuracy on the test examples that are no planted outliers"),
    "trained_gap": Measure(trained_gap, "test loss less that of the last batches, on the labels trained on"),
    "effective_rank": Measure(effective_rank, "effective rank of the weight matrices, mean over layers"),
    "best_strength": Measure(best_strength, "strength that is best for a seed, as a share of the strongest level"),
    "gain": Measure(gain, "by how much a metric is better than without what is named"),
}
