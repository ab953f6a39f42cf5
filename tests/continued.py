"""A study whose queue has several rounds, trained into folders and compared there: for tests that cut it off."""

import io
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from populations import digits
from studies import tiny

from regjax import store
from regjax.config import parse_study
from regjax.execute import Job, train_runs
from regjax.leases import Lease, Leases
from regjax.mirror import Mirror
from regjax.plan import Plan, make_plan
from regjax.progress import Progress
from regjax.sharing import Sharing
from regjax.stop import Stop
from regjax.train import checkpoint
from regjax.train.layout import Layout, make_rows
from regjax.train.program import Compiled, Program
from regjax.waves import unique

Engine = tuple[Plan, Program, Compiled]
# Twelve trajectories, each watched by two runs, in two rows of two slots: three rounds, in segments of four looks.
LAYOUT = Layout(2, 2, 2)
STUDY = {
    "factors": {"early_stopping.patience": [1, 2], "dropout.hidden": [0.0, 0.5],
                "optimizer.learning_rate": [0.1, 0.4]},
    "training": {"steps": 24, "batch_size": 32, "evaluate_every": {"steps": 2}, "save_every": {"steps": 8}},
    "measure": {"predictions": "test"},
}  # fmt: skip


def plan_of(**changes: Any) -> Plan:
    """Return the plan of the study, `changes` replacing what it says."""
    return make_plan(parse_study(tiny(**{**STUDY, **changes})), digits())


def progress() -> Progress:
    """Return a progress that nobody reads."""
    quiet = Progress(io.StringIO(), live=False)
    quiet.begin(1, 1.0)
    return quiet


def go_on(out: Path, plan: Plan, program: Program, functions: Compiled, mirror: Mirror | None = None) -> None:
    """Train what a folder lacks, as a process that was started again would."""
    train(out, plan, program, functions, progress(), mirror)


def train(
    out: Path, plan: Plan, program: Program, functions: Compiled, told: Progress, mirror: Mirror | None = None,
    stop: Stop | None = None,
) -> None:  # fmt: skip
    """Train what a folder lacks, telling it."""
    job = Job(0, unique(program.group.runs), program, ready(functions))
    with Leases(out) as leases:
        train_runs(plan, job, Sharing(out, leases), told, None, mirror, stop)


def ready(functions: Compiled) -> "Future[Any]":
    """Return a future of functions that are compiled."""
    future: Future[Any] = Future()
    future.set_result(functions)
    return future


def begin_elsewhere(engine: Engine, out: Path, name: str, rows: Iterable[int]) -> Lease:
    """Return the lease of a process of another machine on a queue that has begun these rows."""
    other = Leases(out)  # its thread does not run
    lease = other.acquire(name)
    assert lease is not None
    for row in [all_rows(engine)[place] for place in rows]:
        assert Sharing(out, other).begin_row(lease, [[run.id for run in trajectory.runs] for trajectory in row])
    lease.path.write_text(json.dumps({**lease.told, "space": "far"}))
    return lease


def all_rows(engine: Engine) -> Any:
    """Return the rows of all runs."""
    _, program, _ = engine
    return make_rows(unique(program.group.runs), program.layout.columns)


def share(engine: Engine, out: Path, ours: Leases) -> str:
    """Train what a folder lacks as a process of these leases, and return what it says."""
    plan, program, functions = engine
    said = io.StringIO()
    told = Progress(said, live=False)
    told.begin(1, 1.0)
    train_runs(plan, Job(0, unique(program.group.runs), program, ready(functions)), Sharing(out, ours), told)
    return said.getvalue()


class Killed(BaseException):
    """What ends a process in the middle of things."""


def published(out: Path) -> dict[tuple, dict[str, Any]]:
    """Return what is said of every part, without what it cost."""
    parts = {}
    for done in store.iter_done(out):
        told = {key: value for key, value in done.items() if key not in ("seconds", "programs")}
        parts[store.Part(done["chunk"], done["segment"])] = told
    return parts


def records(out: Path) -> pd.DataFrame:
    """Return all records in one order, without wall time."""
    return store.load_records(out).drop(columns="seconds").sort_values(["run", "step"], ignore_index=True)


def kept(out: Path) -> Iterator[tuple[str, dict[str, np.ndarray], np.ndarray]]:
    """Yield (run, kept arrays, predictions) of every run, in the order of their names."""
    for run, part in sorted(store.done_runs(out).items()):
        leaves = checkpoint.load_leaves(part.params(out))
        place = store.read_json(part.done(out))["runs"].index(run)
        table = store.read_table(part.predictions(out)).to_pandas()
        yield run, {k: leaf[place] for k, leaf in leaves.items()}, table[table["run"] == run].drop(columns="run")


def assert_same_numbers(out: Path, whole: Path) -> None:
    """Assert that two folders hold equal records, parameters and predictions of the runs of the second, bit for bit."""
    ours = records(out)
    expected = records(whole)
    mine = ours[ours["run"].isin(set(expected["run"]))].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, expected, check_exact=True)
    found = {run: rest for run, *rest in kept(out)}
    for run, leaves, predictions in kept(whole):
        assert leaves.keys() == found[run][0].keys()
        for name, leaf in leaves.items():
            np.testing.assert_array_equal(leaf, found[run][0][name])
        np.testing.assert_array_equal(predictions, found[run][1])
