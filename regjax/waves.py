"""Training a plan, beside other processes: its groups in turn, until every run is done by one of them."""

import dataclasses
import time
from collections.abc import Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax

from regjax import runtime, store
from regjax.data import Dataset
from regjax.execute import Job, train_group
from regjax.leases import Leases
from regjax.mirror import Mirror
from regjax.plan import Group, Plan, Run
from regjax.progress import Progress
from regjax.queue import checkpoint_path, close_checkpoints, flat_ids
from regjax.room import check_room
from regjax.sharing import Sharing
from regjax.standing import Standing
from regjax.stop import Stop
from regjax.telling import describe_groups
from regjax.train.layout import Layout
from regjax.train.program import Program, make_program
from regjax.train.stream import compile_program

# Between two looks at what other processes have left to do, in seconds.
WAIT = 1.0


def train_plan(
    plan: Plan,
    dataset: Dataset,
    out: Path,
    progress: Progress,
    what: str,
    leases: Leases,
    profile: Path | None = None,
    stream: bool | None = None,
    mirror: Mirror | None = None,
    stop: Stop | None = None,
) -> None:
    """Train every run of a plan that is not done yet, group by group; wait for those that other processes train.

    Programs are compiled beside each other, and beside the training of the groups before.

    Args:
      plan: what to train.
      dataset: its data.
      out: run directory.
      progress: where progress is told.
      what: name of the wave, for people.
      leases: of this process on the run directory.
      profile: folder for a trace of a few updates of the first group.
      stream: whether the examples stay on the host; None where they are large for the devices.
      mirror: where every saved segment is copied to.
      stop: ends the training early.

    Raises:
      Interrupted: `stop` asked for it; what was trained is saved.
      StoreError: the disk has less room than the runs will take, or a file cannot be written or read.
    """
    stop = stop or Stop()
    if mirror is not None:
        mirror.sync()
    sharing, done = Sharing(out, leases), store.done_runs(out)
    close_finished(plan, sharing, done)
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
        jobs = make_jobs(plan, dataset, missing, sharing, stream, pool)
        share_groups(plan, jobs, pool, sharing, progress, profile, mirror, stop)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        progress.end()


def make_jobs(
    plan: Plan,
    dataset: Dataset,
    missing: Sequence[Sequence[Run]],
    sharing: Sharing,
    stream: bool | None,
    pool: ThreadPoolExecutor,
) -> list[Job]:
    """Return the groups that have runs to train, first those that nobody is at; `pool` compiles their programs.

    Raises:
      StoreError: the disk has less room than the runs will take.
    """
    programs = [
        (index, runs, choose_program(plan, dataset, group, sharing.out, stream))
        for index, (group, runs) in enumerate(zip(plan.groups, missing, strict=True))
        if runs
    ]
    check_room(sharing.out, plan, [(program, len(runs)) for _, runs, program in programs])
    held = sharing.leases.held()
    # The program of what nobody is at is compiled for this process alone.
    busy = {run for name, queue in store.iter_queues(sharing.out) if name in held for run in flat_ids(queue)}
    programs.sort(key=lambda one: any(run.id in busy for run in one[1]))
    return [Job(*one, pool.submit(compile_program, one[-1])) for one in programs]


def share_groups(
    plan: Plan,
    jobs: Sequence[Job],
    pool: ThreadPoolExecutor,
    sharing: Sharing,
    progress: Progress,
    profile: Path | None,
    mirror: Mirror | None,
    stop: Stop,
) -> None:
    """Train what nobody else trains, group after group, again and again until all runs are done.

    In the end it waits for other processes, and takes over from those that have ended without theirs.
    """
    told: list[str] = []
    epochs = [group.steps.steps / group.steps.steps_per_epoch for group in plan.groups]
    while jobs:
        idle = True
        for job in jobs:
            if train_group(plan, job, pool, sharing, progress, profile, mirror, stop):
                idle, profile = False, None
                progress.leave()
        done = store.done_runs(sharing.out)
        for job in jobs:
            group = plan.groups[job.index]
            job.runs = [run for run in job.runs if run.id not in done]
            progress.settle(job.index, len({run.id for run in group.runs} & done.keys()), epochs[job.index])
        jobs = [job for job in jobs if job.runs]
        if jobs and idle:
            names = sorted(holder.process for holder in sharing.leases.processes())
            if names and names != told:
                told = names
                progress.say(f"waiting for runs that are trained elsewhere: {', '.join(names)}")
            stop.check()
            time.sleep(WAIT)
    close_finished(plan, sharing, store.done_runs(sharing.out))


def close_finished(plan: Plan, sharing: Sharing, done: Container[str]) -> None:
    """Remove or keep the checkpoints of queues that nobody trains and whose runs are done, as the study says."""
    for name, queue in store.iter_queues(sharing.out):
        over = all(run in done for run in flat_ids(queue)) and checkpoint_path(sharing.out, name, 0).parent.exists()
        if over and (lease := sharing.leases.acquire(name)) is not None:
            try:
                close_checkpoints(sharing.out, name, bool(plan.study.training.keep_checkpoints))
            finally:
                sharing.leases.release(lease)


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
