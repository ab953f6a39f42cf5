"""The conductor: study -> data -> plan -> train -> store -> report."""

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from regjax import __version__, runtime, store
from regjax.analysis.questions import smallest_p
from regjax.analysis.table import make_table, state_values
from regjax.config import Study, load_study, parse_study, study_json
from regjax.data import Dataset, load_dataset
from regjax.files import canonical, digest
from regjax.plan import Group, Plan, candidates, make_plan, make_runs_table, make_tuning_plan, plan_json
from regjax.progress import Progress, format_seconds
from regjax.results import Results
from regjax.tasks import METRICS
from regjax.train import checkpoint
from regjax.train.estimate import estimate_group, measure_flops
from regjax.train.layout import Chunk, make_chunks
from regjax.train.program import Compiled, Live, Program, make_program, num_params, resume, run_segment, seed_of, start
from regjax.train.records import make_records
from regjax.train.state import Data

# A checkpoint that turns out damaged is stood in for by the one before.
KEPT_CHECKPOINTS = 2


def run(
    study: Study | Mapping[str, Any] | str | Path,
    out: str | Path,
    *,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    report: bool = True,
) -> Results:
    """Train what a study asks for and is not stored yet; return its results.

    Running the same study again trains nothing; after an interruption it goes on from the last segment; a study that
    has grown (seeds, levels, cells) trains what is new.

    Args:
      study: a checked study, its tables as a mapping, or the path of a study file.
      out: run directory, made where missing.
      overrides: "training.epochs=3" and the like, for a path or a mapping.
      progress: where progress is told; standard error by default.
      report: whether report.html is made.

    Raises:
      ConfigError: the study is wrong; nothing is written.
      DataError: its data is absent or unusable; nothing is written.
      StoreError: the run directory cannot be written or is damaged.
    """
    study, out, progress = read_study(study, overrides), Path(out), progress or Progress()
    dataset = load_dataset(**study.dataset_arguments())
    found = runtime.configure()
    plan = make_plan(study, dataset)
    if found.notice:
        progress.say(found.notice)
    if study.tune is not None:
        tuning = make_tuning_plan(study, dataset)
        train_plan(tuning, dataset, out, progress, "tuning")
        plan = make_plan(study, dataset, choose_tuned(tuning, out))
    store.save_plan(out, describe_plan(plan, dataset, found), make_runs_table(plan))
    train_plan(plan, dataset, out, progress, "training")
    results = Results(out)
    if report:
        results.report()
    return results


def read_study(study: Study | Mapping[str, Any] | str | Path, overrides: Sequence[str] = ()) -> Study:
    """Return the checked study of a path, a mapping or a study."""
    if isinstance(study, Study):
        return study
    return parse_study(study, overrides=overrides) if isinstance(study, Mapping) else load_study(study, overrides)


def describe_plan(plan: Plan, dataset: Dataset, found: runtime.Runtime) -> dict[str, Any]:
    """Return the plan as the store keeps it: the question, versions, devices, commit, command."""
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "pandas", "pyarrow")
    first = plan.groups[0].runs[0]
    shape = Data(jax.ShapeDtypeStruct(dataset.x.shape, dataset.x.dtype), jax.ShapeDtypeStruct(dataset.y.shape, dataset.y.dtype))
    return {
        **plan_json(plan, dataset, study_json(plan.study)),
        "num_params": num_params(first, seed_of(plan.study, dataset, first), shape),
        "versions": {"regjax": __version__, "python": sys.version.split()[0], **{name: version(name) for name in names}},
        "devices": [found.devices],
        "commit": find_commit(),
        "command": " ".join(["regjax", *sys.argv[1:]]) if Path(sys.argv[0]).stem in ("regjax", "__main__") else "",
    }


def find_commit() -> str | None:
    """Return the commit of the source tree that regjax runs from, with "+" where it was changed; None outside of git."""
    here = Path(__file__).parent

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if ask("ls-files", "--error-unmatch", "conductor.py") is None:
        return None
    commit = ask("rev-parse", "--short=12", "HEAD")
    return commit and commit + ("+" if ask("status", "--porcelain", "--untracked-files=no") else "")


def choose_tuned(tuning: Plan, out: Path) -> dict[int, dict[str, Any]]:
    """Return {cell: {path: value}}: the candidate of each cell with the best validation metric, mean over tuning seeds.

    The metric is the primary one, taken from the validation set, at the primary state. A candidate with a diverged run
    is never chosen unless all have one; of equal candidates the first stands.
    """
    options = candidates(tuning.study)
    names = [{"name": f"{cell.name} {option}"} for cell in tuning.cells for option in options]
    plan = {"cells": names, "seeds": sorted({run.seed for run in tuning.runs})}
    table = make_table(out, plan, make_runs_table(tuning))
    name = tuning.primary["metric"].split(".")[1]
    values = state_values(table, f"validation.{name}", tuning.primary["at"])
    scores = values.mean(axis=1).reshape(len(tuning.cells), len(options))
    scores = np.where(np.isnan(scores), np.inf, -scores if METRICS[name] else scores)
    return {cell.index: options[int(row.argmin())] for cell, row in zip(tuning.cells, scores, strict=True)}


def train_plan(plan: Plan, dataset: Dataset, out: Path, progress: Progress, what: str) -> None:
    """Train every run of a plan that is not done yet, group by group, chunk by chunk."""
    done = store.done_runs(out)
    missing = [[run for run in group.runs if run.id not in done] for group in plan.groups]
    count = sum(map(len, missing))
    progress.say(f"{what}: {len(plan.runs)} runs in {len(plan.groups)} group(s), {len(plan.runs) - count} already done")
    epochs = sum(len(runs) * group.steps.steps / group.steps.steps_per_epoch for runs, group in zip(missing, plan.groups, strict=True))
    progress.begin(count, epochs)
    try:
        for group, runs in zip(plan.groups, missing, strict=True):
            if runs:
                train_group(plan, group, unique(runs), dataset, out, progress)
    finally:
        progress.end()


def unique(runs: Sequence[Any]) -> list[Any]:
    """Return runs without doubles: two cells whose settings mean the same are one run."""
    return list({run.id: run for run in runs}.values())


def train_group(plan: Plan, group: Group, runs: Sequence[Any], dataset: Dataset, out: Path, progress: Progress) -> None:
    """Train these runs of a group with one compiled program."""
    program = make_program(plan.study, dataset, group, jax.devices())
    compiled: Compiled | None = None
    for chunk in make_chunks(runs, program.slots):
        live = start(program, chunk)
        fresh = compiled is None
        if compiled is None:
            at_advance = runtime.COMPILATIONS.taken()
            compiled = Compiled(program, live)
            cached = runtime.COMPILATIONS.taken()[1] > at_advance[1]
        train_chunk(plan, program, compiled, live, out, progress, (int(fresh and not cached), int(fresh and cached)))


def chunk_hash(program: Program, chunk: Chunk) -> str:
    """Return the identity of a chunk: its runs in order, slots, devices and segment length."""
    return digest(canonical([[r.id for r in chunk.runs], chunk.slots, program.devices, program.room]))


def train_chunk(
    plan: Plan,
    program: Program,
    compiled: Compiled,
    live: Live,
    out: Path,
    progress: Progress,
    programs: tuple[int, int],
) -> None:
    """Train a chunk to its end, storing records and a checkpoint after every segment, then publish it as done."""
    name = chunk_hash(program, live.chunk)
    steps = program.group.steps
    total = steps.steps // steps.evaluate_steps
    live, seconds = resume_chunk(program, live, out, name)
    spent = {"compile": compiled.seconds if sum(programs) else 0.0, "train": 0.0, "store": 0.0}
    progress.advance(_epochs(program, live, live.intervals), 0.0, 0)
    while live.intervals < total:
        first = live.intervals
        begin = time.perf_counter()
        live, arrays = run_segment(program, compiled, live, min(program.room, total - first))
        trained = time.perf_counter()
        table = segment_table(program, live, arrays, first, seconds, trained - begin)
        seconds = float(table["seconds"].iloc[-1])
        store.write_table(store.segment_path(out, name, first // program.room), table)
        checkpoint.save(checkpoint_path(out, name, live.intervals), live.state)
        prune_checkpoints(out, name)
        spent["train"] += trained - begin
        spent["store"] += time.perf_counter() - trained
        last = table.groupby("run", sort=False).tail(1)
        progress.advance(
            _epochs(program, live, live.intervals - first),
            live.intervals * steps.evaluate_steps / steps.steps_per_epoch,
            int((last["diverged"] >= 0).sum()),
        )
        if ((last["diverged"] >= 0) | (last["stopped"] >= 0)).all():
            progress.advance(_epochs(program, live, total - live.intervals), 0.0, int((last["diverged"] >= 0).sum()))
            break
    begin = time.perf_counter()
    finish_chunk(plan, program, live, out, name)
    spent["store"] += time.perf_counter() - begin
    table = store.read_chunk(out, name)
    diverged = table.to_pandas().groupby("run")["diverged"].max()
    store.write_json(
        store.chunk_folder(out, name) / "done.json",
        {
            "chunk": name,
            "runs": [run.id for run in live.chunk.runs],
            "digest": store.digest_records(table),
            "seconds": spent,
            "programs": {"compiled": programs[0], "cached": programs[1]},
            "devices": program.devices,
            "slots": live.chunk.slots,
        },
    )
    shutil.rmtree(checkpoint_path(out, name, 0).parent, ignore_errors=True)
    progress.finish(len(live.chunk.runs), int((diverged >= 0).sum()))


def _epochs(program: Program, live: Live, intervals: int) -> float:
    steps = program.group.steps
    return len(live.chunk.runs) * intervals * steps.evaluate_steps / steps.steps_per_epoch


def segment_table(
    program: Program, live: Live, arrays: Mapping[str, np.ndarray], first: int, before: float, elapsed: float
) -> pd.DataFrame:
    """Return the records of a segment; `seconds` are the chunk's wall seconds so far, shared out among its runs."""
    steps, recipe = program.group.steps, program.group.runs[0].recipe
    counts = {**program.group.counts, "train": min(program.group.counts["train"], recipe.train_examples)}
    made = live.intervals - first
    table = make_records(
        arrays,
        [run.id for run in live.chunk.runs],
        start=first * steps.evaluate_steps,
        every=steps.evaluate_steps,
        intervals=made,
        counts=counts,
        per_epoch=steps.steps_per_epoch,
        batch_size=recipe.batch_size,
    )
    share = (np.arange(made) + 1) / made * elapsed / len(live.chunk.runs)
    table.insert(4, "seconds", before + np.tile(share, len(live.chunk.runs)))
    return table


def checkpoint_path(out: Path, name: str, intervals: int) -> Path:
    """Return the folder of the checkpoint after so many intervals."""
    return store.chunk_folder(out, name) / "checkpoint" / f"{intervals:06d}"


def find_checkpoints(out: Path, name: str) -> list[Path]:
    """Return the complete checkpoints of a chunk, the newest first."""
    folder = checkpoint_path(out, name, 0).parent
    return sorted((path for path in folder.glob("[0-9]*") if path.name.isdigit()), reverse=True)


def prune_checkpoints(out: Path, name: str) -> None:
    """Remove all but the newest checkpoints of a chunk."""
    for path in find_checkpoints(out, name)[KEPT_CHECKPOINTS:]:
        shutil.rmtree(path)


def resume_chunk(program: Program, live: Live, out: Path, name: str) -> tuple[Live, float]:
    """Return the chunk at its newest sound checkpoint, and its seconds so far; a damaged one is set aside."""
    for path in find_checkpoints(out, name):
        try:
            state = checkpoint.restore(path, live.state)
        except checkpoint.CheckpointError:
            path.rename(path.with_name(path.name + ".damaged"))
            continue
        live = resume(program, live, state, int(path.name))
        last = store.read_table(store.segment_path(out, name, (live.intervals - 1) // program.room))
        return live, float(last.column("seconds")[-1].as_py())
    return live, 0.0


def finish_chunk(plan: Plan, program: Program, live: Live, out: Path, name: str) -> None:
    """Store what the study keeps of a finished chunk: parameters per run, predictions at the primary state."""
    moments = program.group.runs[0].recipe.moments
    keep = plan.study.training.keep
    count = len(live.chunk.runs)
    if keep != "none":
        params, stats = program.population.end(live.recipe, live.state, 0)
        kept = jax.tree.map(lambda leaf: np.asarray(leaf)[:count], {"params": params, "stats": stats})
        scale = live.seed.scale
        kept["scale"] = {"shift": np.asarray(scale.shift), "factor": np.asarray(scale.factor)}
        checkpoint.save(store.chunk_folder(out, name) / "params", kept)
    if plan.study.measure.predictions:
        state = plan.primary["at"]
        wanted = "best" if state["kind"] == "best" else state.get("step", plan.groups[0].steps.steps)
        moment = moments.index(wanted)
        values = program.population.finish(live.recipe, live.seed, program.data, live.state, moment)
        store.write_table(
            store.chunk_folder(out, name) / "predictions.parquet",
            predictions_table(program, live, np.asarray(values)[:count]),
        )


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


def preview(study: Study | Mapping[str, Any] | str | Path, overrides: Sequence[str] = ()) -> str:
    """Return what `run` would do, as text: cells, contrasts, groups, with estimates of memory and time.

    Raises:
      ConfigError, DataError: as `run`.
    """
    study = read_study(study, overrides)
    dataset = load_dataset(**study.dataset_arguments())
    found = runtime.configure()
    plans = [("training", make_plan(study, dataset))]
    if study.tune is not None:
        plans.insert(0, ("tuning", make_tuning_plan(study, dataset)))
    plan = plans[-1][1]
    confirmatory = sum(contrast["confirmatory"] for contrast in plan.contrasts)
    lines = [
        study.question,
        f"data: {dataset.name}, {', '.join(f'{count} {name}' for name, count in plan.groups[0].counts.items())}",
        f"{len(plan.cells)} cells x {study.seeds.count} seeds; each seed varies {', '.join(study.seeds.vary)}",
        *(f"  {cell.index:3d}  {cell.name}" for cell in plan.cells),
        f"{len(plan.contrasts)} contrasts, {confirmatory} confirmatory; smallest p these seeds allow: "
        f"{smallest_p(study.seeds.count):.2g}",
    ]
    speed = measure_flops(jax.devices())
    seconds = 0.0
    for what, wave in plans:
        for index, group in enumerate(wave.groups):
            cost = estimate_group(make_program(study, dataset, group, jax.devices()), speed)
            seconds += cost.seconds
            lines.append(
                f"{what}, group {index}: {len(group.runs)} runs of {group.steps.steps} updates, {cost.chunks} chunk(s) of "
                f"{cost.slots} on {found.devices}; about {cost.bytes_per_device / 2**20:.0f} MiB per device and "
                f"{format_seconds(cost.seconds)}"
            )
    num_groups = sum(len(wave.groups) for _, wave in plans)
    lines.append(f"{num_groups} program(s) to compile; in all about {format_seconds(seconds)} besides (estimates)")
    return "\n".join(lines)
