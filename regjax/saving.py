"""Storing a segment of a queue: its records, the runs that ended in it, and the state to go on from."""

import shutil
import time
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


def save(work: Work, name: str, live: Live, table: pd.DataFrame, harvest: Harvest) -> Live:
    """Store a segment's records, the runs that ended in it, and then the state; older checkpoints go.

    Killed in between, the segment is trained again from the checkpoint before, and writes the same files; those of runs
    that are published stay as they are.
    """
    began, part = time.perf_counter(), store.Part(name, int(live.seats.segments))
    if part.done(work.out).exists():
        if set(store.read_json(part.done(work.out))["runs"]) != set(harvest.runs):
            raise StoreError(f"{part.done(work.out)} names other runs than end there; `regjax repair` sets it aside")
        work.spent.take()
    else:
        store.write_segment(work.out, name, part.segment, table, int(live.seats.since_save))
        if harvest.runs:
            began = publish_runs(work, part, harvest, began)
    zero = np.zeros((), np.int64)
    live.seats = live.seats._replace(segments=live.seats.segments + 1, since_save=zero)
    save_state(work.out, name, live)
    for path in find_checkpoints(work.out, name)[NUM_CHECKPOINTS:]:
        shutil.rmtree(path)
    work.spent.store_since(began)
    return live


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
