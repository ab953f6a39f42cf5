"""Training a plan into a store: queue after queue, segment after segment, going on where it was left."""

import dataclasses
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from regjax import runtime, store
from regjax.data import Dataset
from regjax.files import StoreError, canonical, digest
from regjax.harvest import Harvest, gather
from regjax.mirror import Mirror
from regjax.plan import Group, Plan, Run
from regjax.progress import Progress
from regjax.queue import checkpoint_path, describe_queue, find_checkpoints, flat_ids, read_queue
from regjax.standing import Standing
from regjax.telling import count_trained, describe_groups, tell
from regjax.train import checkpoint
from regjax.train.layout import Layout, Row, halve, make_rows
from regjax.train.program import Program, Trainer, argument_shapes, make_program, place_data
from regjax.train.records import Place, make_records
from regjax.train.seats import Live, Seats, begin, empty_seats, look, refill, take_seats
from regjax.train.state import Data
from regjax.train.stream import compile_program
from regjax.train.timing import time_interval, trace_steps

# A checkpoint that turns out damaged is stood in for by the one before.
KEPT_CHECKPOINTS = 2


@dataclasses.dataclass
class Spent:
    """What a queue cost since its last part was published: wall seconds by kind, and population programs."""

    compile: float = 0.0
    train: float = 0.0
    evaluate: float = 0.0
    store: float = 0.0
    compiled: int = 0
    cached: int = 0

    def store_since(self, began: float) -> float:
        """Count the seconds since `began` as storing, and return now."""
        now = time.perf_counter()
        self.store += now - began
        return now

    def take(self) -> dict[str, Any]:
        """Return what was spent, as a part's file says it, and begin anew."""
        names = ("compile", "train", "evaluate", "store")
        taken = {"seconds": {name: getattr(self, name) for name in names},
                 "programs": {"compiled": self.compiled, "cached": self.cached}}  # fmt: skip
        self.__init__()  # type: ignore[misc]
        return taken


@dataclasses.dataclass(frozen=True)
class Work:
    """What training a group needs beside its queue."""

    plan: Plan
    program: Program
    compiled: Trainer
    data: Data
    out: Path
    progress: Progress
    spent: Spent
    evaluation: float  # seconds of one evaluation of all slots
    mirror: Mirror | None


def train_plan(
    plan: Plan,
    dataset: Dataset,
    out: Path,
    progress: Progress,
    what: str,
    profile: Path | None = None,
    stream: bool | None = None,
    mirror: Mirror | None = None,
) -> None:
    """Train every run of a plan that is not done yet, group by group.

    Programs are compiled beside each other, and beside the training of the groups before.

    Args:
      plan: what to train.
      dataset: its data.
      out: run directory.
      progress: where progress is told.
      what: name of the wave, for people.
      profile: folder for a trace of a few updates of the first group.
      stream: whether the examples stay on the host; None where they are large for the devices.
      mirror: where every saved segment is copied to.
    """
    if mirror is not None:
        mirror.sync()
    done = store.done_runs(out)
    missing = [unique(run for run in group.runs if run.id not in done) for group in plan.groups]
    epochs = [len(r) * g.steps.steps / g.steps.steps_per_epoch for r, g in zip(missing, plan.groups, strict=True)]
    finished = sum(run.id in done for run in plan.runs)
    progress.say(f"{what}: {len(plan.runs)} runs in {len(plan.groups)} group(s), {finished} already done")
    judge = Standing(plan).add if what != "tuning" and any(missing) else None
    progress.begin(sum(map(len, missing)), sum(epochs), describe_groups(plan, done), what, judge)
    if finished:
        progress.judge(lambda: store.load_records(out, [run.id for run in plan.runs]))
    pool = ThreadPoolExecutor(max_workers=runtime.count_cores(), thread_name_prefix="compile")
    try:
        queued = [
            (index, runs, program, pool.submit(compile_program, program))
            for index, (group, runs) in enumerate(zip(plan.groups, missing, strict=True))
            if runs
            for program in [choose_program(plan, dataset, group, out, stream)]
        ]
        for index, runs, program, compiling in queued:
            progress.enter(index)
            train_group(plan, plan.groups[index], runs, program, compiling, pool, out, progress, profile, mirror)
            progress.leave()
            profile = None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        progress.end()


def unique(runs: Iterable[Run]) -> list[Run]:
    """Return runs without doubles: two cells whose settings mean the same are one run."""
    return list({run.id: run for run in runs}.values())


def choose_program(plan: Plan, dataset: Dataset, group: Group, out: Path, stream: bool | None) -> Program:
    """Return the program of a group, in the layout that an earlier process was left with by a lack of memory."""
    program = make_program(plan.study, dataset, group, jax.devices(), streamed=stream)
    ids = {run.id for run in group.runs}
    known = [
        Layout(*queue["layout"])
        for _, queue in store.iter_queues(out)
        if queue["asked"] == list(program.layout) and queue["devices"] == program.devices and ids & set(flat_ids(queue))
    ]
    if not known or (least := min(known, key=lambda layout: layout.slots)) == program.layout:
        return program
    again = make_program(plan.study, dataset, group, jax.devices(), least, stream)
    return dataclasses.replace(again, asked=program.layout)


def train_group(
    plan: Plan,
    group: Group,
    runs: Sequence[Run],
    program: Program,
    compiling: "Future[Trainer]",
    pool: ThreadPoolExecutor,
    out: Path,
    progress: Progress,
    profile: Path | None,
    mirror: Mirror | None = None,
) -> None:
    """Train these runs of a group; with half the slots where memory runs out, as often as that helps.

    Raises:
      StoreError: one slot per device does not fit either.
    """
    while True:
        try:
            train_runs(plan, runs, program, compiling.result(), out, progress, profile, mirror)
            return
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            # A CPU device shares its memory with NumPy, which may be the first to find none.
            if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            reason = (str(error) or "no memory on the host").splitlines()[0][:200]
        # Outside of `except`, so that the failed attempt's arrays are gone.
        smaller = halve(program.layout, program.mesh.size)
        if smaller is None:
            raise StoreError(f"one run per device does not fit the memory: {reason}; take a smaller batch or network")
        progress.say(f"note: out of memory with {program.layout.slots} slots, going on with {smaller.slots}: {reason}")
        again = make_program(plan.study, program.dataset, group, jax.devices(), smaller, program.streamed)
        program = dataclasses.replace(again, asked=program.asked or program.layout)
        compiling = pool.submit(compile_program, program)
        done = store.done_runs(out)
        runs = [run for run in runs if run.id not in done]


def train_runs(
    plan: Plan,
    runs: Sequence[Run],
    program: Program,
    compiled: Trainer,
    out: Path,
    progress: Progress,
    profile: Path | None,
    mirror: Mirror | None = None,
) -> None:
    """Train these runs of a group: first the queues that were left unfinished, then a new one of all other runs."""
    data = place_data(program)
    progress.train(program.layout.slots)
    spent = Spent(compile=compiled.seconds, compiled=int(not compiled.cached), cached=int(compiled.cached))
    rows = make_rows(runs, program.layout.columns)
    if profile is not None:
        trace_steps(program, compiled, data, rows, profile)
    evaluation = time_interval(program, compiled, data, updates=0)
    work = Work(plan, program, compiled, data, out, progress, spent, evaluation, mirror)
    left = {run.id: run for run in runs}
    for name, queue in store.iter_queues(out):
        if rows := read_queue(queue, program, left):
            train_queue(work, name, rows)
            left = {key: run for key, run in left.items() if key not in set(flat_ids(queue))}
    if left:
        rows = make_rows(list(left.values()), program.layout.columns)
        described = describe_queue(program, rows)
        name = digest(canonical(described))
        store.write_json(store.chunk_folder(out, name) / "queue.json", described)
        train_queue(work, name, rows)


def train_queue(work: Work, name: str, rows: Sequence[Row]) -> None:
    """Train a queue to its end, storing records, what has ended and a checkpoint after every segment."""
    program, progress = work.program, work.progress
    live = resume(work, name, rows)
    harvest, tables = Harvest(), []
    while True:
        began = time.perf_counter()
        before = live.seats
        live, arrays, intervals = look(program, work.compiled, work.data, live)
        trained = time.perf_counter()
        live.seats = share_seconds(before, live.seats, trained - began)
        tables.append(look_table(program, live, before, arrays, intervals))
        ended = live.seats.ended & ~before.ended & before.living[:, None]
        if ended.any():
            gather(harvest, work.plan, program, work.compiled, work.data, live, ended)
        tell(progress, program, live, before, ended, arrays, intervals)
        over = live.seats.taken == len(rows) and not live.seats.living.any()
        if not over:
            live = refill(program, work.compiled, work.data, live)
        evaluated = min(intervals * work.evaluation, trained - began)
        work.spent.evaluate += evaluated
        work.spent.train += trained - began - evaluated
        work.spent.store_since(trained)
        if over or live.seats.since_save >= program.segment:
            live = save(work, name, live, pd.concat(tables, ignore_index=True), harvest)
            harvest, tables = Harvest(), []
            if over:
                shutil.rmtree(checkpoint_path(work.out, name, 0).parent, ignore_errors=True)
            if work.mirror is not None:
                work.mirror.sync()
        if over:
            break


def save(work: Work, name: str, live: Live, table: pd.DataFrame, harvest: Harvest) -> Live:
    """Store a segment's records, the runs that ended in it, and then the state; older checkpoints go.

    Killed in between, the segment is trained again from the checkpoint before, and writes the same files.
    """
    began, part = time.perf_counter(), store.Part(name, int(live.seats.segments))
    store.write_table(store.segment_path(work.out, name, part.segment), table)
    if harvest.runs:
        harvest.publish(work.out, part)
        records = store.read_chunk(work.out, name)
        assert records is not None
        over = records[records["run"].isin(harvest.runs)]
        work.progress.judge(lambda: over)
        began = work.spent.store_since(began)
        described = {
            "chunk": name,
            "segment": part.segment,
            "runs": harvest.runs,
            "digest": store.digest_records(over),
            "state": digest("".join(harvest.states)),
            "devices": work.program.devices,
            "data": "streamed" if work.program.streamed else "resident",
            "slots": work.program.layout.slots,
            "bytes_per_device": work.compiled.memory(),
            **work.spent.take(),
            **({"predictions": work.plan.primary["at"]} if harvest.predictions else {}),
        }
        store.write_json(part.done(work.out), described)
    zero = np.zeros((), np.int64)
    live.seats = live.seats._replace(segments=live.seats.segments + 1, since_save=zero)
    checkpoint.save(
        checkpoint_path(work.out, name, int(live.seats.segments)), {"state": live.state, "seats": live.seats._asdict()}
    )
    for path in find_checkpoints(work.out, name)[KEPT_CHECKPOINTS:]:
        shutil.rmtree(path)
    work.spent.store_since(began)
    return live


def resume(work: Work, name: str, rows: Sequence[Row]) -> Live:
    """Return a queue at its newest sound checkpoint, or at its beginning.

    A damaged checkpoint is set aside under another name.
    """
    program = work.program
    like = {"state": argument_shapes(program)[2], "seats": empty_seats(program.layout)._asdict()}
    for path in find_checkpoints(work.out, name):
        try:
            found = checkpoint.restore(path, like)
        except checkpoint.CheckpointError:
            aside = path.with_name(path.name + ".damaged")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            continue
        live = take_seats(program, rows, Seats(**found["seats"]), found["state"])
        work.progress.say(f"going on after segment {live.seats.segments} of a queue")
        work.progress.skip(count_trained(program, live))
        return live
    return begin(program, work.compiled, work.data, rows)


def share_seconds(before: Seats, after: Seats, elapsed: float) -> Seats:
    """Return the seats with the wall time of a look shared out among the trajectories that were in training."""
    active = ~before.ended & before.living[:, None]
    return after._replace(seconds=before.seconds + active * elapsed / active.sum())


def look_table(
    program: Program, live: Live, before: Seats, arrays: Mapping[str, np.ndarray], intervals: int
) -> pd.DataFrame:
    """Return the records of a look: of every run that was not over before, up to its end."""
    steps, recipe = program.group.steps, program.group.runs[0].recipe
    places = [
        Place(run.id, row, column, observer, int(before.step[row]), (
            before.seconds[row, column] / len(trajectory.runs), live.seats.seconds[row, column] / len(trajectory.runs)
        ))
        for row in map(int, np.flatnonzero(before.living))
        for column, trajectory in enumerate(live.queue[before.row[row]])
        for observer, run in enumerate(trajectory.runs)
        if not before.over[row, column, observer]
    ]  # fmt: skip
    return make_records(
        arrays,
        places,
        every=steps.evaluate_steps,
        intervals=intervals,
        counts={**program.group.counts, "train": min(program.group.counts["train"], recipe.train_examples)},
        per_epoch=steps.steps_per_epoch,
        batch_size=recipe.batch_size,
        task=recipe.task,
    )
