"""What training costs in time and memory: programs of single networks, compiled and timed for the purpose."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from regjax.claims.measures.base import Measure
from regjax.claims.options import Count, Part
from regjax.results import Results

ROUNDS = 24
# Rounds of which the shortest times are taken together.
BLOCK = 3
# Evaluations of one timed call: the call itself took as long as two to ten of them.
EVALUATIONS = 20


def update_cost(results: Results, part: Part, rounds: Count = ROUNDS) -> np.ndarray:
    """Return how many times longer an update takes with a part than without it, [cell, block]; NaN but of the baseline.

    Two programs are compiled, each of one network on one device, the baseline's with the part and without. They are
    timed in turns, by the processor's time where that is the device (see `regjax.overhead`). The ratios of blocks of
    rounds, not seeds, are what varies.

    Args:
      results: of a study; what is timed is its first cell, its runs do not matter.
      part: levels that switch it on, such as {"dropout.hidden": 0.5}; they need not be factors of the study.
      rounds: with, without, without, with; fewer where they take over 30 s.
    """
    from regjax.overhead import choose_updates, take_rounds

    with_part, without = _make_ready(results, part), _make_ready(results, {})
    updates = choose_updates(without.seconds)
    ratios = update_ratios(take_rounds(with_part.seconds, without.seconds, updates, rounds))
    return _of_baseline(results, ratios)


def update_ratios(seconds: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """Return the ratio of the times of an update, [block], NaN where noise was larger than what was timed.

    Of each call the shortest time in a block of rounds counts: what else a machine does only adds. (Calls of one
    program were seen to take one of two times, 1.4 apart, by chance: a mean of both is the time of none.)

    Args:
      seconds: as of `regjax.overhead.take_rounds`: [rounds, turns, programs (with, without), calls (evaluation only,
        with updates)].
      block: rounds of a block; rounds beyond the last whole block are left out.
    """
    blocks = len(seconds) // block
    shortest = seconds[: blocks * block].reshape(blocks, -1, *seconds.shape[2:]).min(axis=1)
    evaluation, call = np.moveaxis(shortest, 2, 0)
    updates = call - evaluation
    known = (updates > 0).all(axis=1)
    return np.divide(updates[:, 0], updates[:, 1], out=np.full(len(updates), np.nan), where=known)


def memory_cost(results: Results, part: Part) -> np.ndarray:
    """Return how many times more bytes a network's program takes with a part, [cell, seed]; NaN but of the baseline.

    Bytes are the compiler's count of arguments, results and temporaries without the data: exact, equal for all seeds.

    Args:
      results, part: as for `update_cost`.
    """
    ratio = _make_ready(results, part).bytes_per_member() / _make_ready(results, {}).bytes_per_member()
    return _of_baseline(results, np.full(len(results.table.seeds), ratio))


def seconds_run(results: Results, rounds: Count = ROUNDS) -> np.ndarray:
    """Return the seconds that the training of a run takes on this machine, [cell, seed]; NaN where it diverged.

        seconds = updates u + evaluations e v,   v = validation examples / all examples of an evaluation
        u = (T(1, k) - T(1, 0)) / k,             e = (T(n, 0) - T(1, 0)) / (n - 1)

    T(n, k) is the time of one call of the baseline's program for one network that n times makes k updates and
    evaluates; medians over rounds. What a call costs by itself is in neither u nor e, and not counted: how often a loop
    comes back to ask whether to stop is its own choice. A run that can stop needs validation alone, after every
    interval; one that cannot is evaluated once, at its end. What one network takes is stated, since a population that
    trains together has no time of a run.

    Args:
      results: of a study.
      rounds: in which u and e are timed.
    """
    from regjax.overhead import choose_updates

    ready, status, data = _make_ready(results, {}), results.table.status, results.plan["data"]
    update, evaluation = unit_seconds(ready.seconds, choose_updates(ready.seconds), ready.program.room, rounds)
    examined = min(data["num_train"], ready.program.study.training.train_examples)
    share = data["num_validation"] / (examined + data["num_validation"] + data["num_test"])
    every = ready.program.group.steps.evaluate_steps
    watched = np.array([_can_stop(results, cell["levels"]) for cell in results.plan["cells"]])[:, None]
    evaluations = np.where(watched, status.end / every, 1)
    seconds = status.end * update + evaluations * share * evaluation
    return np.where(status.done & (status.diverged < 0), seconds, np.nan)


def unit_seconds(timer: Callable[..., float], updates: int, room: int, rounds: int) -> tuple[float, float]:
    """Return the seconds of one update and of one evaluation of everything, medians over rounds, without the call's.

    Args:
      timer: (updates, intervals=1) -> seconds of a call that so many times makes these updates and evaluates.
      updates: of a timed call.
      room: most intervals of a call; with one alone the evaluation has its call's time in it.
      rounds: how often all is timed.

    >>> unit_seconds(lambda updates, intervals=1: 8.0 + intervals * (0.5 * updates + 2.0), 4, 200, 3)
    (0.5, 2.0)
    """
    many = min(room, EVALUATIONS)
    times = np.array([[timer(0), timer(updates), timer(0, many)] for _ in range(rounds)])
    single, more, several = times.T
    evaluation = np.median(several - single) / (many - 1) if many > 1 else np.median(single)
    return float(np.median(more - single)) / updates, float(evaluation)


def _can_stop(results: Results, levels: Mapping[str, Any]) -> bool:
    """Return whether a cell's runs have a stopping criterion."""
    named = {**results.plan["fixed"], **levels}
    criteria = ("patience", "gl", "pq", "up")
    return any(named.get(f"early_stopping.{name}", "off") not in ("off", float("inf")) for name in criteria)


def _make_ready(results: Results, part: Mapping[str, Any]) -> Any:
    """Return the program of one network of the baseline, with a part on, compiled and called once."""
    import jax

    from regjax import runtime
    from regjax.conductor import find_dataset, read_study
    from regjax.overhead import make_ready, make_variant
    from regjax.train.layout import Layout

    runtime.configure()
    study = read_study(results.plan["study"])
    levels = {path: found[0] for path, found in study.factors.items()}
    dataset = find_dataset(study, None)
    levels |= {path: _read_level(results, path, level) for path, level in part.items()}
    variant = make_variant(study, dataset, "", None, None, levels)
    return make_ready(variant, dataset, jax.devices()[:1], Layout(1, 1, 1))


def _read_level(results: Results, path: str, level: Any) -> Any:
    """Return a level as a study file's factor has it, checked as there."""
    from regjax.conductor import read_study

    written = results.plan["study"]
    table, _, key = path.partition(".")
    baseline = written["model"].get(key) if table == "model" else "off"
    # What belongs to the factors of the study is left out with them.
    kept = {
        name: value for name, value in written.items() if name not in ("contrasts", "design", "fixed", "report", "tune")
    }
    return read_study({**kept, "factors": {path: [baseline, level]}}).factors[path][1]


def _of_baseline(results: Results, values: np.ndarray) -> np.ndarray:
    """Return numbers of the first cell as [cell, number]."""
    made = np.full((len(results.table.cells), len(values)), np.nan)
    made[0] = values
    return made


MEASURES: dict[str, Measure] = {
    "update_cost": Measure(update_cost, "how many times longer an update takes with a part"),
    "memory_cost": Measure(memory_cost, "how many times more bytes a network's program takes with a part"),
    "seconds_run": Measure(seconds_run, "seconds to train one network, with the evaluations that its stopping needs"),
}
