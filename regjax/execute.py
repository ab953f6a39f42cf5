"""Training a group into a store: queue after queue, segment after segment, going on where it was left."""

import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pandas as pd

from regjax import store
from regjax.files import StoreError
from regjax.harvest import Harvest, gather
from regjax.leases import LeaseLostError
from regjax.mirror import Mirror
from regjax.plan import Plan, Run
from regjax.progress import Progress
from regjax.queue import close_checkpoints, find_checkpoints
from regjax.repair import set_queue_aside
from regjax.saving import ReplayError, save, save_state
from regjax.segments import begin_segment, first_look, next_look
from regjax.sharing import Seating, Sharing, Taken
from regjax.stop import Stop
from regjax.telling import count_trained, tell
from regjax.train import checkpoint
from regjax.train.layout import halve
from regjax.train.program import Program, Trainer, argument_shapes, make_program, place_data
from regjax.train.records import Place, make_records
from regjax.train.seats import Live, Seats, begin, empty_seats, look, refill, take_seats
from regjax.train.stream import compile_program
from regjax.train.timing import time_interval, trace_steps
from regjax.work import Spent, Work


@dataclasses.dataclass
class Job:
    """A group that has runs to train: its index in the plan, these runs, and with what."""

    index: int
    runs: Sequence[Run]
    program: Program
    compiling: "Future[Trainer]"


def train_group(
    plan: Plan,
    job: Job,
    pool: ThreadPoolExecutor,
    sharing: Sharing,
    progress: Progress,
    profile: Path | None,
    mirror: Mirror | None = None,
    stop: Stop | None = None,
) -> bool:
    """Train the runs of a group that nobody else trains; with half the slots where memory runs out, while that helps.

    Returns:
      Whether there were any.

    Raises:
      StoreError: one slot per device does not fit either.
    """
    while True:
        try:
            return train_runs(plan, job, sharing, progress, profile, mirror, stop)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            # A CPU device shares its memory with NumPy, which may be the first to find none.
            if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            reason = (str(error) or "no memory on the host").splitlines()[0][:200]
        # Outside of `except`, so that the failed attempt's arrays are gone.
        program = job.program
        smaller = halve(program.layout, program.mesh.size)
        if smaller is None:
            raise StoreError(f"one run per device does not fit the memory: {reason}; take a smaller batch or network")
        progress.say(f"note: out of memory with {program.layout.slots} slots, going on with {smaller.slots}: {reason}")
        again = make_program(plan.study, program.dataset, program.group, jax.devices(), smaller, program.streamed)
        job.program = dataclasses.replace(again, asked=program.asked or program.layout)
        job.compiling = pool.submit(compile_program, job.program)


def train_runs(
    plan: Plan,
    job: Job,
    sharing: Sharing,
    progress: Progress,
    profile: Path | None = None,
    mirror: Mirror | None = None,
    stop: Stop | None = None,
) -> bool:
    """Train the runs of a group: first the queues that were left unfinished, then a new one of all other runs.

    Returns:
      Whether there were any that no other process trains.
    """
    work, passed = None, set[str]()
    # Of a queue that was repaired some runs are behind and nevertheless not done; then there is another to take.
    while taken := sharing.take(job.program, job.runs, passed):
        passed.add(taken.name)
        try:
            if work is None:
                work = begin_work(plan, job, taken, sharing, progress, profile, mirror, stop or Stop())
            with work.stop:
                train_taken(work, taken)
        except ReplayError as error:
            progress.say(f"note: {error}; what is done of its queue stays, what is not is begun anew")
            set_queue_aside(sharing.out, taken.name)
        except StoreError as error:
            # What cannot be written may be nobody's by now: whoever took it over removes what it needs no more.
            if not isinstance(error, LeaseLostError) and sharing.leases.holds(taken.lease):
                raise
            progress.say(f"note: {error}")
        finally:
            sharing.leases.release(taken.lease)
    return work is not None


def begin_work(
    plan: Plan,
    job: Job,
    taken: Taken,
    sharing: Sharing,
    progress: Progress,
    profile: Path | None,
    mirror: Mirror | None,
    stop: Stop,
) -> Work:
    """Return what training a group needs, its program compiled and its data on the devices."""
    progress.enter(job.index)
    program, compiled = job.program, job.compiling.result()
    data = place_data(program)
    progress.train(program.layout.slots)
    spent = Spent(compile=compiled.seconds, compiled=int(not compiled.cached), cached=int(compiled.cached))
    if profile is not None:
        trace_steps(program, compiled, data, taken.rows, profile)
    evaluation = time_interval(program, compiled, data, updates=0)
    return Work(plan, program, compiled, data, sharing.out, progress, spent, evaluation, mirror, stop, sharing)


def train_taken(work: Work, taken: Taken) -> None:
    """Train a queue; in a chunk of another name where the process that had it may wake and write again."""
    if not taken.lease.fenced:
        path = store.chunk_folder(work.out, taken.name) / "queue.json"
        if taken.described is not None and not path.exists():
            store.write_json(path, taken.described)
        train_queue(work, taken)
        return
    live = resume(work, taken, Seating(work.sharing, taken))
    moved = work.sharing.move(taken, int(live.seats.segments), lambda chunk: save_state(work.out, chunk, live))
    work.progress.say(f"note: took over queue {taken.name} from a process that is silent")
    if moved is not None:
        try:
            train_queue(work, moved)
        finally:
            work.sharing.leases.release(moved.lease)


def train_queue(work: Work, taken: Taken) -> None:
    """Train a queue to its end, storing records, what has ended and a checkpoint after every segment.

    Raises:
      Interrupted: it was asked to end; the segment is saved, as long as it is by then.
      LeaseLostError: another process has taken it over; nothing is stored any more.
    """
    program, progress, name = work.program, work.progress, taken.name
    seating = Seating(work.sharing, taken)
    live = resume(work, taken, seating)
    if not live.seats.living.any():
        # Others have begun all of its rows; or it was killed after its last checkpoint, and would be taken for ever.
        close_checkpoints(work.out, name, work.keep_checkpoints)
        return
    harvest, tables = Harvest(), []
    segment, most = begin_segment(program, work.out, name, live), first_look(program)
    while True:
        began = time.perf_counter()
        before = live.seats
        bound = program.room if segment.fixed is None else segment.fixed - int(before.since_save)
        live, arrays, intervals = look(program, work.compiled, work.data, live, min(most, bound))
        trained = time.perf_counter()
        most = next_look(program, intervals, trained - began)
        live.seats = share_seconds(before, live.seats, trained - began)
        tables.append(look_table(program, live, before, arrays, intervals))
        ended = live.seats.ended & ~before.ended & before.living[:, None]
        if ended.any():
            gather(harvest, work.plan, program, work.compiled, work.data, live, ended)
        tell(progress, program, live, before, ended, arrays, intervals)
        over = live.seats.taken == len(taken.rows) and not live.seats.living.any()
        if not over:
            filled = refill(program, work.compiled, work.data, live, seating.may_begin)
            over = not filled.seats.living.any()
            # Where others have begun all that is left, the last state is told as what it is, of these rows.
            live = live if over else filled
        work.spent.add_look(trained - began, intervals * work.evaluation)
        work.spent.store_since(trained)
        stopping = not over and work.stop.asked
        if over or segment.is_full(int(live.seats.since_save)) or (stopping and not segment.stored):
            work.sharing.leases.check(taken.lease)
            live = save(work, name, live, pd.concat(tables, ignore_index=True), harvest, seating.refused)
            harvest, tables = Harvest(), []
            if over:
                close_checkpoints(work.out, name, work.keep_checkpoints)
            if work.mirror is not None:
                work.mirror.sync()
        if over:
            break
        if stopping:
            work.stop.check()
        if not live.seats.since_save:
            segment = begin_segment(program, work.out, name, live)
            seating.begin_segment(int(live.seats.segments))


def resume(work: Work, taken: Taken, seating: Seating) -> Live:
    """Return a queue at its newest sound checkpoint, or at its beginning; `seating` begins the segment that follows.

    A damaged checkpoint is set aside under another name.

    Raises:
      StoreError: records of before the checkpoint are missing: runs to come would be published without them.
    """
    program = work.program
    like = {"state": argument_shapes(program)[2], "seats": empty_seats(program.layout)._asdict()}
    for path in find_checkpoints(work.out, taken.name):
        try:
            found = checkpoint.restore(path, like)
        except checkpoint.CheckpointError as error:
            aside = path.with_name(path.name + ".damaged")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            work.progress.say(f"note: {error}; it is set aside as {aside.name}, and the one before is taken")
            continue
        for index in range(int(path.name)):
            if not (records := store.segment_path(work.out, taken.name, index)).exists():
                raise StoreError(
                    f"{records} is missing; `regjax repair` sets its queue aside, to train these runs again"
                )
        live = take_seats(program, taken.rows, Seats(**found["seats"]), found["state"])
        seating.begin_segment(int(live.seats.segments))
        work.progress.say(f"going on after segment {live.seats.segments} of a queue")
        work.progress.skip(count_trained(program, live))
        return live
    return begin(program, work.compiled, work.data, taken.rows, seating.may_begin)


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
