"""Looking through a run directory for damage, and setting aside what is damaged, so that `run` trains it again."""

import dataclasses
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from regjax import store
from regjax.files import StoreError, canonical, digest, number_of, publish_text
from regjax.leases import FOLDER, PLAN, Leases
from regjax.queue import checkpoint_path, find_checkpoints, find_kept_checkpoints, kept_checkpoint_path
from regjax.sharing import ROWS
from regjax.train.checkpoint import load_leaves
from regjax.units import find_runs

QUARANTINE = "quarantine"
# Named like what a segment leaves; what a killed process was writing is harmless, and is written over.
LIKE, LEFT = re.compile(r"(seg|params|predictions|weights|done)-.*"), re.compile(r"params-[0-9]+\.new.*")


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that is damaged.

    Attributes:
      path: the file or folder.
      text: what is wrong with it.
      aside: what is to be set aside: itself, and what is of no use without it.
      runs: how many finished runs have to be trained again.
      records: whether the damage is to records, which others may share.
    """

    path: Path
    text: str
    aside: tuple[Path, ...]
    runs: int = 0
    records: bool = False


def repair(out: Path, dry_run: bool = False) -> list[Fault]:
    """Return the faults of a run directory; what is damaged is moved to OUT/quarantine unless `dry_run`.

    Every file is read and compared with its digest. A part whose files are damaged is set aside as a whole, records of
    a segment with all parts that have records in it. Everything else stays where it is, and what was set aside counts
    as never trained. A lease is held meanwhile, so that no process begins to train; leases of ended ones are removed.

    Raises:
      StoreError: it is no run directory, a process trains into it, or it cannot be written.
    """
    out = Path(out)
    if not any((out / name).exists() for name in ("plan.json", "runs.parquet", "chunks")):
        raise StoreError(f"{out} is no run directory: it has neither plan.json nor chunks")
    with Leases(out) as leases, leases.alone(PLAN):
        leases.refuse(None)
        faults = list(find_faults(out))
        if not dry_run:
            for fault in faults:
                if not fault.path.exists() and fault.path.parent != out:
                    # Told once: an empty file stands for what is missing. A plan is missed until `run` writes it.
                    publish_text(out / QUARANTINE / fault.path.relative_to(out), "", new=True)
            for path in dict.fromkeys(path for fault in faults for path in fault.aside):
                set_aside(out, path)
    return faults


def find_faults(out: Path) -> Iterator[Fault]:
    """Yield what is damaged in a run directory, in the order of its files."""
    for name, read in (("plan.json", store.load_plan), ("runs.parquet", check_runs)):
        # `run` writes both before any chunk, and anew.
        if ((out / name).exists() or any(out.glob("chunks/*"))) and (text := complaint(read, out)):
            yield Fault(out / name, text, (out / name,))
    done = find_runs(store.find_numbered(out, "chunks/*/done-*.json"))
    for folder in sorted(path for path in out.glob("chunks/*") if path.is_dir()):
        yield from chunk_faults(out, folder.name, done)


def check_runs(out: Path) -> None:
    """Raise StoreError where the table of runs is damaged, or is not the one that the plan was written with."""
    store.load_runs(out)
    known = "" if complaint(store.load_plan, out) else store.load_plan(out).get("runs_digest", "")
    if known and digest((out / "runs.parquet").read_bytes()) != known:
        raise StoreError(f"{out / 'runs.parquet'} was altered, or is not of this plan")


def complaint(read: Callable[[Path], Any], path: Path) -> str:
    """Return what reading a file complains about; "" where it is sound."""
    try:
        read(path)
    except StoreError as error:
        return str(error)
    return ""


def chunk_faults(out: Path, chunk: str, done: Container[str]) -> Iterator[Fault]:
    """Yield what is damaged in a chunk; `done` are the runs of all chunks that are.

    Where queue or records are, it cannot be gone on with, and its queue and checkpoints are set aside as well. Where no
    part of it is sound then, all of it is: a new queue of the same runs has the same name, and would meet its files.
    """
    folder = store.chunk_folder(out, chunk)
    queue = folder / "queue.json"
    checkpoints = sorted((*folder.glob("checkpoint/*"), *find_kept_checkpoints(out, chunk)))
    faults, records, last = segment_faults(out, chunk)
    if not was_set_aside(out, queue) and (text := complaint(lambda path: check_queue(path, chunk), queue)):
        faults.insert(0, Fault(queue, text, (queue,)))
    parts = {path: find_part_fault(out, path, records) for path in store.find_numbered(folder, "done-*.json")}
    damaged = [fault for fault in parts.values() if fault is not None]
    closed = bool(faults) or any(fault.records for fault in damaged)
    faults += damaged
    if queue.exists() and not closed:
        faults += lost_parts(out, chunk, last, done)
    elif closed:
        aside = (queue, *checkpoints) if len(damaged) < len(parts) else (folder,)
        faults[0] = dataclasses.replace(faults[0], aside=(*faults[0].aside, *aside))
    yield from faults
    for path in find_strays(folder):
        yield Fault(path, f"{path} has none of regjax's names, as a copy has, and is not read", (path,))
    for path in checkpoints:
        if path.name.isdigit() and (text := complaint(load_leaves, path)):
            yield Fault(path, text, (path,))


def find_strays(folder: Path) -> list[Path]:
    """Return what is named almost like a file of a segment in a chunk, such as what a synchronized drive makes."""
    names = (path for path in folder.iterdir() if LIKE.fullmatch(path.name) and number_of(path) is None)
    return sorted(path for path in names if not LEFT.fullmatch(path.name))


def segment_faults(out: Path, chunk: str) -> tuple[list[Fault], pd.DataFrame, dict[str, int]]:
    """Return which segments of a chunk are damaged or missing, the records of the others, and each run's last one."""
    faults, tables, last = [], [], dict[str, int]()
    paths = store.find_numbered(store.chunk_folder(out, chunk), "seg-*.parquet")
    known = [*(number + 1 for number in paths.values()), *(int(path.name) for path in find_checkpoints(out, chunk))]
    for index in range(max(known, default=0)):
        path = store.segment_path(out, chunk, index)
        if not path.exists() and not was_set_aside(out, path):
            faults.append(Fault(path, f"{path} is missing", ()))
    for path, number in paths.items():
        try:
            store.segment_head(out, chunk, number)
            tables.append(store.read_table(path))
            last |= dict.fromkeys(tables[-1]["run"].to_pylist(), number)
        except (StoreError, ValueError) as error:
            faults.append(Fault(path, str(error), (path,)))
    records = store.concat_tables(tables).to_pandas() if tables else pd.DataFrame({"run": []})
    return faults, records, last


def lost_parts(out: Path, chunk: str, last: Mapping[str, int], done: Container[str]) -> Iterator[Fault]:
    """Yield the segments of a sound chunk whose done file was deleted: runs ended there, and are done nowhere.

    Who trains has records in every segment, so that runs without any in the segments to come have ended, with all runs
    of their trajectory. Of the last segment the checkpoint after it says which go on; without one a process may have
    been killed before it published any. What an earlier repair has set aside is told no more.

    Args:
      out: run directory.
      chunk: name.
      last: {run: the last segment that it has records in}.
      done: the runs that are done in any chunk.
    """
    ends: dict[int, list[str]] = {}
    rows = store.read_json(store.chunk_folder(out, chunk) / "queue.json")["rows"]
    for row in rows:
        for runs in row:
            if seen := [last[run] for run in runs if run in last]:
                ends.setdefault(max(seen), []).extend(run for run in runs if run not in done)
    newest = max(last.values(), default=0)
    kept = kept_checkpoint_path(out, chunk, newest + 1)
    going = find_going(kept if kept.exists() else checkpoint_path(out, chunk, newest + 1), rows)
    for segment, over in sorted(ends.items()):
        part, runs = store.Part(chunk, segment), [run for run in over if run not in (going or ())]
        files = (part.done(out), part.params(out), part.predictions(out), part.weights(out))
        told = files[0].exists() or any(was_set_aside(out, file) for file in files)
        if runs and not told and (segment < newest or going is not None or is_ended(out, chunk, runs)):
            yield Fault(files[0], f"{files[0]} is missing: runs ended there", files, len(runs))


def find_going(checkpoint: Path, rows: Sequence[Sequence[Sequence[str]]]) -> set[str] | None:
    """Return the runs of a queue's rows that a checkpoint goes on with; None where there is no sound one.

    It is written after all that ended before it was published.
    """
    try:
        leaves = load_leaves(checkpoint)
    except StoreError:
        return None
    return {
        run
        for row, over in zip(leaves["seats/row"], leaves["seats/over"], strict=True)
        if row >= 0
        for trajectory, ended in zip(rows[row], over, strict=False)  # the slots beyond a short row are empty
        if not ended.all()
        for run in trajectory
    }


def is_ended(out: Path, chunk: str, runs: Iterable[str]) -> bool:
    """Return whether a queue was trained to its end.

    It has no checkpoints then. Nor has it any in its first segment: then the study must have come to its end, with
    these runs, for rows that were begun are noted until then.
    """
    if (store.chunk_folder(out, chunk) / "checkpoint").exists():
        return False
    ended = not (out / FOLDER / ROWS).exists() and not complaint(check_runs, out)
    return store.segment_path(out, chunk, 1).exists() or (ended and set(runs) <= set(store.load_runs(out)["run"]))


def check_queue(path: Path, chunk: str) -> None:
    """Raise StoreError where a queue is not the one that its folder is named after."""
    if digest(canonical(store.read_json(path))) != chunk:
        raise StoreError(f"{path} is damaged: its folder is named after other contents")


def find_part_fault(out: Path, path: Path, records: pd.DataFrame) -> Fault | None:
    """Return what is damaged of the runs that ended in a segment; None where all is sound."""
    part = store.Part(path.parent.name, int(path.stem.removeprefix("done-")))
    files = (path, part.params(out), part.predictions(out), part.weights(out))
    try:
        done = store.read_done(path)
    except StoreError as error:
        return Fault(path, str(error), files)
    mine = records[records["run"].isin(done["runs"])]
    try:
        same = store.digest_records(mine) == done["digest"]
    except KeyError:
        same = False
    text = "" if same else f"{path}: the records of its runs are missing or were altered"
    if same and (uneven := store.find_gaps(mine, int(records["step"].min()))):
        text = f"{path}: records of run {uneven[0]} are missing or there twice"
    if text:
        return Fault(path, text, files, len(done["runs"]), records=True)
    text = complaint(lambda _: check_files(out, part, done), path)
    return Fault(path, text, files, len(done["runs"])) if text else None


def check_files(out: Path, part: store.Part, done: dict[str, Any]) -> None:
    """Raise StoreError where a file of a part is damaged or missing."""
    for name, expected in done.get("files", {}).items():
        file = part.done(out).with_name(name)
        if not file.exists() or digest(file.read_bytes()) != expected:
            raise StoreError(f"{file} is missing or was altered")
    if part.params(out).exists() or done.get("kept", False):
        load_leaves(part.params(out))


def was_set_aside(out: Path, path: Path) -> bool:
    """Return whether a file is gone and an earlier repair has moved it, or told that it is missing."""
    return not path.exists() and (out / QUARANTINE / path.relative_to(out)).exists()


def set_queue_aside(out: Path, chunk: str) -> None:
    """Move a queue and its checkpoints to the quarantine: it is not gone on with, and what is done of it stays."""
    folder = store.chunk_folder(out, chunk)
    for path in (folder / "queue.json", folder / "checkpoint"):
        set_aside(out, path)


def set_aside(out: Path, path: Path) -> None:
    """Move a file or folder to the quarantine, under its name within the run directory and a number where taken."""
    if not path.exists():
        return
    aside, number = out / QUARANTINE / path.relative_to(out), 0
    while aside.exists():
        number += 1
        aside = out / QUARANTINE / path.relative_to(out).with_name(f"{path.name}.{number}")
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside)
    except OSError as error:
        raise StoreError(f"cannot move {path} to {aside}: {error.strerror or error}") from error
