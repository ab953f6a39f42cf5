"""Small populations trained look by look, without a store, shared by the tests of the engine."""

import functools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
from studies import tiny

from regjax.config import parse_study
from regjax.data import Dataset, load_dataset
from regjax.execute import look_table
from regjax.plan import make_plan
from regjax.train.layout import Layout, Row
from regjax.train.program import Compiled, Program, make_program, place_data
from regjax.train.seats import Live, begin, look, refill

EVERYTHING = {
    "fixed": {"early_stopping.patience": 2, "label_smoothing.strength": 0.1, "decay.strength": 0.01},
    "factors": {"dropout.hidden": [0.0, 0.5], "l2.strength": [0.0, 0.001], "optimizer.learning_rate": [0.1, 0.4]},
    # Restless: runs stop after four to all of the evaluations.
    "training": {"steps": 24, "batch_size": 32, "evaluate_every": {"steps": 1}},
}


class Outcome(NamedTuple):
    """What a run leaves: its member's live state when the trajectory ended, what it watched and kept, its records."""

    end: tuple[Any, ...]
    seen: tuple[Any, Any]
    records: pd.DataFrame


class Trained(NamedTuple):
    """Outcomes by run identity, the intervals of each look, and how many trajectories had slots at each."""

    runs: dict[str, Outcome]
    intervals: list[int]
    active: list[int]


@functools.cache
def digits() -> Dataset:
    """Return the embedded data set."""
    return load_dataset("digits")


def make(devices: int = 1, layout: Layout | None = None, **changes: Any) -> Program:
    """Return the program of a tiny study's only group on some of the simulated devices."""
    study = parse_study(tiny(**changes))
    (group,) = make_plan(study, digits()).groups
    return make_program(study, digits(), group, jax.devices()[:devices], layout)


@functools.cache
def _compiled(text: str, devices: int, layout: Layout) -> tuple[Program, Compiled]:
    program = make(devices, layout, **json.loads(text))
    return program, Compiled(program)


def compiled(devices: int, layout: Layout, **changes: Any) -> tuple[Program, Compiled]:
    """Return a tiny study's program in a layout, compiled once for all tests that ask for the same."""
    return _compiled(json.dumps(changes), devices, layout)


def started(program: Program, functions: Compiled, rows: Sequence[Row]) -> Live:
    """Return rows in their slots, before their first update."""
    return begin(program, functions, place_data(program), rows)


def train(program: Program, functions: Compiled, rows: Sequence[Row], refilling: bool = True) -> Trained:
    """Return what the runs of these rows leave; without refilling a round begins when all of the last have ended."""
    if not refilling:
        starts = range(0, len(rows), program.layout.rows)
        rounds = [train(program, functions, rows[i : i + program.layout.rows]) for i in starts]
        joined = {key: outcome for one in rounds for key, outcome in one.runs.items()}
        return Trained(joined, *([value for one in rounds for value in one[part]] for part in (1, 2)))
    data = place_data(program)
    live = started(program, functions, rows)
    outcomes: dict[str, Outcome] = {}
    tables, intervals, active = [], [], []
    while live.seats.living.any():
        before = live.seats
        live, arrays, count = look(program, functions, data, live)
        intervals.append(count)
        active.append(int((~before.ended & before.living[:, None]).sum()))
        tables.append(look_table(program, live, before, arrays, count))
        outcomes |= collect(live, live.seats.ended & ~before.ended)
        live = refill(program, functions, data, live)
    assert live.seats.taken == len(rows)
    records = dict(iter(pd.concat(tables, ignore_index=True).drop(columns="seconds").groupby("run")))
    done = {key: outcome._replace(records=records[key].reset_index(drop=True)) for key, outcome in outcomes.items()}
    return Trained(done, intervals, active)


def collect(live: Live, ended: np.ndarray) -> dict[str, Outcome]:
    """Return what the runs in these slots leave, without their records."""
    found = {}
    host = jax.device_get(live.state) if ended.any() else None
    for row, column in zip(*np.nonzero(ended), strict=True):
        mine = jax.tree.map(lambda leaf, at=(row, column): np.array(leaf[at]), host)
        for observer, run in enumerate(live.queue[live.seats.row[row]][column].runs):
            seen = jax.tree.map(lambda leaf, at=observer: leaf[at], (mine.watch, mine.kept))
            found[run.id] = Outcome((mine.params, mine.stats, mine.opt, mine.diverged), seen, pd.DataFrame())
    return found


def assert_equal(left: Any, right: Any) -> None:
    """Assert that two trees of arrays are equal bit for bit, NaN included."""
    jax.tree.map(np.testing.assert_array_equal, left, right)


def assert_same_run(left: Outcome, right: Outcome, *, mates: bool = False) -> None:
    """Assert that a run left the same bits twice; with `mates`, other observers may have gone on after its end."""
    assert_equal(left.seen, right.seen)
    pd.testing.assert_frame_equal(left.records, right.records, check_exact=True)
    if not mates:
        assert_equal(left.end, right.end)
