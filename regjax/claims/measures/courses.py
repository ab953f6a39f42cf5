"""How training goes: where it ends, how long it takes to a target, and what lies before and beyond its end."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from regjax.analysis.table import curves, reference_cell, state_values
from regjax.claims.measures.base import Measure, pseudo_values
from regjax.claims.options import Metric, NotNegative, Switch
from regjax.config import ConfigError, Problem
from regjax.config.base import choice, fail
from regjax.config.problems import nearest
from regjax.metrics import larger_is_better
from regjax.results import Results

# A run whose lowest value comes later than this share of its course may not have had its lowest yet.
LATE = 0.9
STOPPING = "early_stopping."
BESTS = ("own_best", "baseline_best")


def _check_target(value: Any) -> Any:
    if isinstance(value, bool) or not (isinstance(value, (int, float)) or value in BESTS):
        raise fail('"own_best", "baseline_best" or a number', nearest(value, BESTS) if isinstance(value, str) else "")
    return value


Target = Annotated[float | str, BeforeValidator(_check_target)]
Portion = Annotated[float, Field(gt=0, le=1, description="a share of the planned updates, above 0 and at most 1")]
Stopped = Annotated[str, choice("stop", "best")]
Beside = Annotated[str, choice("run", "course", "end")]


def end_step(results: Results) -> np.ndarray:
    """Return the updates that a run made until it stopped or ended, [cell, seed]; NaN where it diverged."""
    return np.where(_lived(results), results.table.status.end, np.nan)


def steps_to(
    results: Results, metric: Metric = "validation.nll", target: Target = "own_best", within: NotNegative = 0.0
) -> np.ndarray:
    """Return the updates until a metric first is as good as its target, [cell, seed].

    A run that never gets there counts with its last evaluation: all runs of a study are followed equally long, so that
    the mean is the restricted mean time to that end. It is at most the mean time, and so is the effect of what delays.
    `missed` tells how many runs that were.

    Args:
      results: of a study.
      metric: "<split>.<name>".
      target: a value; "own_best", the best of this very run; or "baseline_best", that of the baseline at its seed.
      within: how much worse than the target is as good, in the unit of the metric, at least 0.

    Reference: Royston, Parmar, "Restricted mean survival time" (2013).
    """
    steps, reached, known = _reach(results, metric, target, within)
    first = np.where(reached.any(axis=2), reached.argmax(axis=2), _last(known))
    return np.where(_lived(results), steps[first], np.nan)


def missed(
    results: Results, metric: Metric = "validation.nll", target: Target = "own_best", within: NotNegative = 0.0
) -> np.ndarray:
    """Return 1 where the time of `steps_to` is censored by the end of the run, else 0, [cell, seed].

    Of the target "own_best" this is so where the lowest value comes in the last tenth of the evaluations.

    Args:
      results, metric, target, within: as for `steps_to`.
    """
    steps, reached, known = _reach(results, metric, target, within)
    if target == "own_best":
        _, best, _ = _reach(results, metric, target, 0.0)
        late = steps[best.argmax(axis=2)] > LATE * steps[_last(known)]
    else:
        late = ~reached.any(axis=2)
    return np.where(_lived(results), late, np.nan)


def at_share(results: Results, metric: Metric, share: Portion) -> np.ndarray:
    """Return a metric at the last evaluation within a share of the planned updates, [cell, seed].

    Args:
      results: of a study.
      metric: "<split>.<name>", or a measure of the weights.
      share: in (0, 1]: 0.5 is epoch 5 of 10.
    """
    steps, values = curves(results.table, metric)
    evaluations = int(np.searchsorted(steps, share * int(results.plan["steps"]), side="right"))
    if not evaluations:
        raise ConfigError([Problem("options.share", str(share), "a share that is not before the first evaluation")])
    return values[..., evaluations - 1]


def end_effect(results: Results, metric: Metric) -> np.ndarray:
    """Return a metric at the end of a run less that of the baseline at its seed, [cell, seed].

    Args:
      results: of a study.
      metric: "<split>.<name>", or a measure of the weights.
    """
    values = state_values(results.table, metric, {"kind": "last"})
    return values - values[_baseline(results.plan)]


def excess(
    results: Results, metric: Metric = "test.nll", state: Stopped = "best", over: Beside = "course"
) -> np.ndarray:
    """Return by how much a metric at the end of a run is worse than elsewhere in its training, [cell, seed].

    Args:
      results: of a study; of runs that stop early, with the runs that go on beside them.
      metric: "<split>.<name>".
      state: "stop", where the run ended, or "best", what it restores: its best evaluation by the monitor.
      over: "run", the best value up to the end of this run; "course", the best of the same training without stop; or
        "end", the value at the planned end of that.
    """
    steps, values = curves(results.table, metric)
    values = -values if larger_is_better(metric) else values
    chosen = results.table.status.end if state == "stop" else results.table.status.best
    places = np.minimum(np.searchsorted(steps, chosen), len(steps) - 1)
    at = np.take_along_axis(values, places[..., None], axis=2)[..., 0]
    course = values if over == "run" else values[_courses(results.plan)]
    beside = course[..., -1] if over == "end" else np.where(np.isfinite(course), course, np.inf).min(axis=2)
    return np.where(_lived(results) & np.isfinite(beside), at - beside, np.nan)


def misleading(results: Results, metric: Metric = "test.accuracy", paired: Switch = False) -> np.ndarray:
    """Return how often one run of each cell would mislead about its effect, [cell, seed], as pseudo-values.

        d_st = y_cell,s - y_baseline,t;   D = mean of d;   misleading: d_st D <= 0  or  |d_st| > 2 |D|

    so of no effect, of another sign, or of more than twice the size. Paired: s = t; else all s other than t, and the
    mean over seeds of the jackknife's pseudo-values is the share of all these pairs. D is taken for the true effect.

    Args:
      results: of a study.
      metric: "<split>.<name>", at the end of the runs.
      paired: whether both runs have one seed.
    """
    values = state_values(results.table, metric, {"kind": "last"})
    base = values[_baseline(results.plan)]
    made = np.full(values.shape, np.nan)
    for cell, mine in enumerate(values):
        known = np.flatnonzero(np.isfinite(mine) & np.isfinite(base))
        if cell == _baseline(results.plan) or len(known) < 3:
            continue
        differences = mine[known][:, None] - base[known][None, :]
        true = float(np.trace(differences)) / len(known)
        wrong = (differences * np.sign(true) <= 0) | (np.abs(differences) > 2 * abs(true))
        made[cell, known] = np.diag(wrong) if paired else pseudo_values(_make_share(wrong), len(known))
    return made


def _make_share(wrong: np.ndarray) -> Any:
    """Return the share of pairs of different seeds that are wrong, as a function of the seeds that count."""

    def share(kept: np.ndarray) -> float:
        part = wrong[np.ix_(kept, kept)]
        return float(part.sum() - np.trace(part)) / (len(kept) * (len(kept) - 1))

    return share


def _lived(results: Results) -> np.ndarray:
    """Return which runs are done and did not diverge, [cell, seed]."""
    return results.table.status.done & (results.table.status.diverged < 0)


def _reach(results: Results, metric: str, target: float | str, within: float) -> tuple[np.ndarray, ...]:
    """Return the steps [T], where the metric is as good as its target, and where it is known, [cell, seed, T]."""
    steps, values = curves(results.table, metric)
    if not len(steps):
        raise ConfigError([Problem("measure", "no finished run", "a study that was run")])
    values = -values if larger_is_better(metric) else values
    known = np.isfinite(values)
    lowest = np.where(known, values, np.inf).min(axis=2)
    if target == "own_best":
        goal = lowest
    elif target == "baseline_best":
        goal = np.broadcast_to(lowest[_baseline(results.plan)], lowest.shape)
    else:
        goal = np.full(lowest.shape, -float(target) if larger_is_better(metric) else float(target))
    return steps, known & (values <= goal[..., None] + within), known


def _last(known: np.ndarray) -> np.ndarray:
    """Return the place of the last known value of each run, 0 where there is none."""
    return known.shape[2] - 1 - known[..., ::-1].argmax(axis=2)


def _baseline(plan: Mapping[str, Any]) -> int:
    found = reference_cell(plan)
    if found is None:
        raise ConfigError([Problem("measure", "a design without a baseline", "one with a cell to compare with")])
    return found


def _courses(plan: Mapping[str, Any]) -> list[int]:
    """Return for each cell the one that trains as it does and has every stopping criterion at its first level."""
    first = {factor["path"]: factor["levels"][0] for factor in plan["factors"]}

    def course(levels: Mapping[str, Any]) -> dict[str, Any]:
        return {path: first[path] if path.startswith(STOPPING) else level for path, level in levels.items()}

    places = {str(cell["levels"]): place for place, cell in enumerate(plan["cells"])}
    absent = [cell["name"] for cell in plan["cells"] if str(course(cell["levels"])) not in places]
    if absent:
        raise ConfigError([Problem("measure", f"cell {absent[0]}", "a cell beside it that does not stop")])
    return [places[str(course(cell["levels"]))] for cell in plan["cells"]]


MEASURES: dict[str, Measure] = {
    "end_step": Measure(end_step, "updates until the run stopped or ended"),
    "steps_to": Measure(steps_to, "updates until a metric is as good as its target; never: the last evaluation"),
    "missed": Measure(missed, "share of runs whose time to the target is cut off by their end"),
    "at_share": Measure(at_share, "a metric at a share of the planned updates"),
    "end_effect": Measure(end_effect, "a metric at the end of a run less that of the baseline at its seed"),
    "excess": Measure(excess, "by how much a metric at the stop, or restored, is worse than elsewhere in the course"),
    "misleading": Measure(misleading, "share of pairs of single runs that show another sign or twice the effect"),
}
