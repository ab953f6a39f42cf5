"""Training a plan into a store: chunk after chunk, segment after segment, going on where it was left."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from regjax import runtime, store
from regjax.data import Dataset
from regjax.files import canonical, digest
from regjax.plan import Group, Plan, Run
from regjax.progress import Progress
from regjax.train import checkpoint
from regjax.train.layout import Chunk, make_chunks
from regjax.train.program import Compiled, Live, Program, make_program, resume, run_segment, start
from regjax.train.records import make_records

# A checkpoint that turns out damaged is stood in for by the one before.
KEPT_CHECKPOINTS = 2


class Spent(NamedTuple):
    """What a chunk cost: wall seconds by kind, and population programs compiled for it or taken from the cache."""

    compile: float = 0.0
    train: float = 0.0
    store: float = 0.0
    compiled: int = 0
    cached: int = 0


def train_plan(plan: Plan, dataset: Dataset, out: Path, progress: Progress, what: str) -> None:
    """Train every run of a plan that is not done yet, group by group.

    Args:
      plan: what to train.
      dataset: its data.
      out: run directory.
      progress: where progress is told.
      what: name of the wave, for people.
    """
    done = store.done_runs(out)
    missing = [unique(run for run in group.runs if run.id not in done) for group in plan.groups]
    epochs = [len(r) * g.steps.steps / g.steps.steps_per_epoch for r, g in zip(missing, plan.groups, strict=True)]
    finished = sum(run.id in done for run in plan.runs)
    progress.say(f"{what}: {len(plan.runs)} runs in {len(plan.groups)} group(s), {finished} already done")
    progress.begin(sum(map(len, missing)), sum(epochs))
    try:
        for group, runs in zip(plan.groups, missing, strict=True):
            if runs:
                train_group(plan, group, runs, dataset, out, progress)
    finally:
        progress.end()


def unique(runs: Any) -> list[Run]:
    """Return runs without doubles: two cells whose settings mean the same are one run."""
    return list({run.id: run for run in runs}.values())


def train_group(plan: Plan, group: Group, runs: Sequence[Run], dataset: Dataset, out: Path, progress: Progress) -> None:
    """Train these runs of a group, all chunks with one compiled program."""
    program = make_program(plan.study, dataset, group, jax.devices())
    compiled: Compiled | None = None
    for chunk in make_chunks(runs, program.slots):
        live, spent = start(program, chunk), Spent()
        if compiled is None:
            before = runtime.COMPILATIONS.taken()
            compiled = Compiled(program, live)
            cached = runtime.COMPILATIONS.taken()[1] > before[1]
            spent = Spent(compile=compiled.seconds, compiled=int(not cached), cached=int(cached))
        train_chunk(plan, program, compiled, live, spent, out, progress)


def chunk_hash(program: Program, chunk: Chunk) -> str:
    """Return the identity of a chunk: its runs in order, slots, devices and segment length."""
    return digest(canonical([[run.id for run in chunk.runs], chunk.slots, program.devices, program.room]))


def train_chunk(
    plan: Plan, program: Program, compiled: Compiled, live: Live, spent: Spent, out: Path, progress: Progress
) -> None:
    """Train a chunk to its end, storing records and a checkpoint after every segment, then publish it as done.

    The chunk ends early when every one of its runs has stopped or diverged.
    """
    name = chunk_hash(program, live.chunk)
    total = program.group.steps.steps // program.group.steps.evaluate_steps
    live, seconds, ended = resume_chunk(program, live, out, name)
    progress.skip(count_epochs(program, live, live.intervals))
    if live.intervals:
        progress.say(f"going on from update {live.intervals * program.group.steps.evaluate_steps} of a chunk")
    while live.intervals < total and not ended:
        begin = time.perf_counter()
        first = live.intervals
        live, arrays = run_segment(program, compiled, live, min(program.room, total - first))
        trained = time.perf_counter()
        table = segment_table(program, live, arrays, first, seconds, trained - begin)
        save_segment(out, name, program, live, first, table)
        seconds, ended = float(table["seconds"].iloc[-1]), all_ended(table)
        spent = spent._replace(train=spent.train + trained - begin, store=spent.store + time.perf_counter() - trained)
        epoch = live.intervals * program.group.steps.evaluate_steps / program.group.steps.steps_per_epoch
        progress.advance(count_epochs(program, live, live.intervals - first), epoch, count_diverged(table))
    begin = time.perf_counter()
    progress.skip(count_epochs(program, live, total - live.intervals))
    keep_states(plan, program, live, out, name)
    records = store.read_chunk(out, name)
    assert records is not None
    spent = spent._replace(store=spent.store + time.perf_counter() - begin)
    store.write_json(
        store.chunk_folder(out, name) / "done.json", describe_done(program, compiled, live, name, records, spent)
    )
    shutil.rmtree(checkpoint_path(out, name, 0).parent, ignore_errors=True)
    progress.finish(len(live.chunk.runs), count_diverged(records.to_pandas()))


def describe_done(
    program: Program, compiled: Compiled, live: Live, name: str, records: Any, spent: Spent
) -> dict[str, Any]:
    """Return what `done.json` says: runs, digests of their records and final state, cost, layout, memory."""
    return {
        "chunk": name,
        "runs": [run.id for run in live.chunk.runs],
        "digest": store.digest_records(records),
        "state": checkpoint.tree_digest(jax.tree.map(lambda x: np.asarray(x)[: len(live.chunk.runs)], live.state)),
        "seconds": {"compile": spent.compile, "train": spent.train, "store": spent.store},
        "programs": {"compiled": spent.compiled, "cached": spent.cached},
        "devices": program.devices,
        "slots": live.chunk.slots,
        "bytes_per_device": compiled.memory(),
    }


def save_segment(out: Path, name: str, program: Program, live: Live, first: int, table: pd.DataFrame) -> None:
    """Store a segment's records, then the state at its end; older checkpoints go."""
    store.write_table(store.segment_path(out, name, first // program.room), table)
    checkpoint.save(checkpoint_path(out, name, live.intervals), live.state)
    for path in find_checkpoints(out, name)[KEPT_CHECKPOINTS:]:
        shutil.rmtree(path)


def count_epochs(program: Program, live: Live, intervals: int) -> float:
    """Return the epochs that a chunk's runs together train in so many intervals."""
    steps = program.group.steps
    return len(live.chunk.runs) * intervals * steps.evaluate_steps / steps.steps_per_epoch


def count_diverged(records: pd.DataFrame) -> int:
    """Return how many runs of a record table have diverged."""
    return int((records.groupby("run")["diverged"].max() >= 0).sum())


def all_ended(records: pd.DataFrame) -> bool:
    """Return whether every run of a record table has stopped or diverged by its last row."""
    last = records.groupby("run").tail(1)
    return bool(((last["diverged"] >= 0) | (last["stopped"] >= 0)).all())


def segment_table(
    program: Program, live: Live, arrays: Mapping[str, np.ndarray], first: int, before: float, elapsed: float
) -> pd.DataFrame:
    """Return the records of a segment; `seconds` are the chunk's wall seconds so far, shared out among its runs."""
    steps, recipe = program.group.steps, program.group.runs[0].recipe
    made, members = live.intervals - first, len(live.chunk.runs)
    table = make_records(
        arrays,
        [run.id for run in live.chunk.runs],
        start=first * steps.evaluate_steps,
        every=steps.evaluate_steps,
        intervals=made,
        counts={**program.group.counts, "train": min(program.group.counts["train"], recipe.train_examples)},
        per_epoch=steps.steps_per_epoch,
        batch_size=recipe.batch_size,
    )
    share = (np.arange(made) + 1) / made * elapsed / members
    table.insert(4, "seconds", before + np.tile(share, members))
    return table


def checkpoint_path(out: Path, name: str, intervals: int) -> Path:
    """Return the folder of the checkpoint after so many intervals."""
    return store.chunk_folder(out, name) / "checkpoint" / f"{intervals:06d}"


def find_checkpoints(out: Path, name: str) -> list[Path]:
    """Return the complete checkpoints of a chunk, the newest first."""
    folder = checkpoint_path(out, name, 0).parent
    return sorted((path for path in folder.glob("[0-9]*") if path.name.isdigit()), reverse=True)


def resume_chunk(program: Program, live: Live, out: Path, name: str) -> tuple[Live, float, bool]:
    """Return the chunk at its newest sound checkpoint, its seconds so far, and whether all its runs have ended.

    A damaged checkpoint is set aside under another name.
    """
    for path in find_checkpoints(out, name):
        try:
            state = checkpoint.restore(path, live.state)
        except checkpoint.CheckpointError:
            aside = path.with_name(path.name + ".damaged")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            continue
        live = resume(program, live, state, int(path.name))
        last = store.read_table(store.segment_path(out, name, (live.intervals - 1) // program.room)).to_pandas()
        return live, float(last["seconds"].iloc[-1]), all_ended(last)
    return live, 0.0, False


def keep_states(plan: Plan, program: Program, live: Live, out: Path, name: str) -> None:
    """Store what the study keeps of a finished chunk: parameters per run, predictions at the primary state."""
    moments = program.group.runs[0].recipe.moments
    count, folder = len(live.chunk.runs), store.chunk_folder(out, name)
    if plan.study.training.keep != "none":
        params, stats = program.population.end(live.recipe, live.state, 0)
        kept = {"params": params, "stats": stats, "scale": own_scale(program, live)}
        checkpoint.save(folder / "params", jax.tree.map(lambda leaf: np.asarray(leaf)[:count], kept))
    if plan.study.measure.predictions:
        moment = moments.index(primary_moment(plan, moments))
        values = np.array(program.population.finish(live.recipe, live.seed, program.data, live.state, moment))
        values[find_lost(live, moments[moment])] = np.nan
        store.write_table(folder / "predictions.parquet", predictions_table(program, live, values[:count]))


def own_scale(program: Program, live: Live) -> dict[str, np.ndarray]:
    """Return shift and factor of the inputs with a leading axis over slots, whether the runs share them or not."""
    scale = jax.tree.map(np.asarray, live.seed.scale)._asdict()
    if program.axes.scale:
        return scale
    return {name: np.broadcast_to(value, (live.chunk.slots, *value.shape)) for name, value in scale.items()}


def find_lost(live: Live, moment: str | int) -> np.ndarray:
    """Return which members have no sound state at a moment: they diverged by then, and did not stop before."""
    diverged, stopped = np.asarray(live.state.diverged), np.asarray(live.state.watch.stopped)
    lost = (diverged >= 0) & ~((stopped >= 0) & (stopped < diverged))
    return lost if isinstance(moment, str) else lost & (diverged <= moment)


def primary_moment(plan: Plan, moments: Sequence[str | int]) -> str | int:
    """Return which of the kept moments is the primary state; "last" is the latest step among them."""
    at = plan.primary["at"]
    if at["kind"] == "step":
        return at["step"]
    return "best" if at["kind"] == "best" else max(moment for moment in moments if isinstance(moment, int))


def predictions_table(program: Program, live: Live, values: np.ndarray) -> pd.DataFrame:
    """Return one row per run and test example: run, row in the data set, label, a probability per class."""
    rows = np.asarray(live.seed.rows.test)
    rows = rows[: len(values)] if program.axes.rows else np.broadcast_to(rows, (len(values), len(rows)))
    columns = {
        "run": np.repeat(np.array([run.id for run in live.chunk.runs], dtype=object), rows.shape[1]),
        "row": rows.reshape(-1),
        "label": program.dataset.y[rows.reshape(-1)],
    }
    flat = values.reshape(-1, values.shape[-1])
    return pd.DataFrame(columns | {f"p{k}": flat[:, k] for k in range(flat.shape[1])})
