"""Storing a segment of a queue: its records, the runs that ended in it, and the state to go on from."""

import shutil
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from regjax import store
from regjax.files import StoreError, digest
from regjax.harvest import Harvest
from regjax.queue import NUM_CHECKPOINTS, checkpoint_path, find_checkpoints
from regjax.train import checkpoint
from regjax.train.seats import Live
from regjax.work import Work


class ReplayError(StoreError):
    """A segment that was trained again is another than the one that is stored, and runs are published with that."""


def save(
    work: Work, name: str, live: Live, table: pd.DataFrame, harvest: Harvest, refused: Collection[int] = ()
) -> Live:
    """Store a segment's records, the runs that ended in it, and then the state; older checkpoints go.

    Killed in between, the segment is trained again from the checkpoint before, and writes the same files; those of runs
    that are published stay as they are.

    Args:
      work: with what it was trained.
      name: of the queue.
      live: after the segment.
      table: its records.
      harvest: of the runs that ended in it.
      refused: rows that were passed over in it.

    Raises:
      ReplayError: it is stored with other records, or other runs that ended.
    """
    began, part = time.perf_counter(), store.Part(name, int(live.seats.segments))
    check_replay(work.out, part, table, harvest.runs)
    if part.done(work.out).exists():
        work.spent.take()
    else:
        store.write_segment(work.out, name, part.segment, table, int(live.seats.since_save), refused)
        if harvest.runs:
            began = publish_runs(work, part, harvest, began)
    zero = np.zeros((), np.int64)
    live.seats = live.seats._replace(segments=live.seats.segments + 1, since_save=zero)
    save_state(work.out, name, live)
    for path in find_checkpoints(work.out, name)[NUM_CHECKPOINTS:]:
        shutil.rmtree(path)
    work.spent.store_since(began)
    return live


def check_replay(out: Path, part: store.Part, table: pd.DataFrame, runs: Collection[str]) -> None:
    """Compare a segment with what is stored of it, where runs of it or of a later one are published.

    Raises:
      ReplayError: its records, or the runs that ended in it, are others.
    """
    path, done = store.segment_path(out, part.chunk, part.segment), part.done(out)
    if not path.exists() or not any(later >= done for later in store.find_numbered(path.parent, "done-*.json")):
        return
    same = store.digest_records(store.read_table(path).to_pandas()) == store.digest_records(store.as_stored(table))
    if not same or (done.exists() and set(store.read_done(done)["runs"]) != set(runs)):
        raise ReplayError(f"{path} was trained again to other records than are stored")


def save_state(out: Path, name: str, live: Live) -> None:
    """Store the state of a queue after its last segment."""
    path = checkpoint_path(out, name, int(live.seats.segments))
    checkpoint.save(path, {"state": live.state, "seats": live.seats._asdict()})


def publish_runs(work: Work, part: store.Part, harvest: Harvest, began: float) -> float:
    """Store what the runs that ended in a segment leave, and then that they are done; return since when time counts."""
    harvest.publish(work.out, part)
    records = store.read_chunk(work.out, part.chunk)
    assert records is not None
    over = records[records["run"].isin(harvest.runs)]
    if lost := store.find_gaps(over, work.program.group.steps.evaluate_steps):
        raise ReplayError(f"records of run {lost[0]} of {part.done(work.out)} are missing or there twice")
    work.progress.judge(lambda: over)
    began = work.spent.store_since(began)
    described = {
        "chunk": part.chunk,
        "segment": part.segment,
        "runs": harvest.runs,
        "digest": store.digest_records(over),
        "state": digest("".join(harvest.states)),
        "files": part.digest_files(work.out),
        "kept": bool(harvest.params),
        "devices": work.program.devices,
        "data": "streamed" if work.program.streamed else "resident",
        "slots": work.program.layout.slots,
        "bytes_per_device": work.compiled.memory(),
        **work.spent.take(),
        **({"predictions": work.plan.primary["at"]} if harvest.predictions else {}),
    }
    store.write_json(part.done(work.out), described, True)
    return began
