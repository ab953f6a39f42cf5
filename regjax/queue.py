"""Queues in a run directory: which runs are in one, what their bits depend on besides, where its checkpoints lie."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regjax import store
from regjax.files import StoreError
from regjax.plan import Run
from regjax.train.layout import Row, Trajectory
from regjax.train.program import Program

# A checkpoint that turns out damaged is stood in for by the one before.
NUM_CHECKPOINTS = 2


def describe_queue(program: Program, rows: Sequence[Row]) -> dict[str, Any]:
    """Return what `queue.json` says: the runs in order, and all that their bits depend on besides.

    `moments` are the states that their checkpoints hold beside the one of `training.keep`, where there are any. A file
    may also have `share`, which tells queues of equal runs apart.
    """
    first = program.group.runs[0]
    moments = first.recipe.moments[first.settings["training"]["keep"] != "none" :]
    return {
        "rows": [[[run.id for run in trajectory.runs] for trajectory in row] for row in rows],
        "layout": list(program.layout),
        "asked": list(program.asked or program.layout),
        "devices": program.devices,
        "room": program.room,
        "data": "streamed" if program.streamed else "resident",
        **({"moments": list(moments)} if moments else {}),
    }


def flat_ids(queue: Mapping[str, Any]) -> list[str]:
    """Return the identities of all runs of a `queue.json`."""
    return [run for row in queue["rows"] for trajectory in row for run in trajectory]


def read_queue(queue: Mapping[str, Any], program: Program, left: Mapping[str, Run]) -> tuple[Row, ...]:
    """Return the rows of a stored queue that this program can go on with; none where it cannot or nothing is left."""
    known = {run.id: run for run in program.group.runs}
    ids = flat_ids(queue)
    if not set(ids) <= set(known) or not set(ids) & set(left):
        return ()
    rows = tuple(
        tuple(Trajectory(tuple(known[run] for run in trajectory)) for trajectory in row) for row in queue["rows"]
    )
    told = {key: value for key, value in queue.items() if key != "share"}
    return rows if describe_queue(program, rows) == told else ()


def is_over(out: Path, name: str) -> bool:
    """Return whether a queue was trained to its end: past its first segment, and without checkpoints.

    Of a queue of one segment nobody can tell, and it is begun anew: to the same files.
    """
    return store.segment_path(out, name, 1).exists() and not find_checkpoints(out, name)


def checkpoint_path(out: Path, name: str, segments: int) -> Path:
    """Return the folder of the checkpoint after so many segments."""
    return store.chunk_folder(out, name) / "checkpoint" / f"{segments:06d}"


def find_checkpoints(out: Path, name: str) -> list[Path]:
    """Return the complete checkpoints of a queue, the newest first."""
    return _find_numbers(checkpoint_path(out, name, 0).parent)


def find_kept_checkpoints(out: Path, name: str) -> list[Path]:
    """Return the checkpoints that stayed of a queue that is over, the newest first."""
    return _find_numbers(kept_checkpoint_path(out, name, 0).parent)


def _find_numbers(folder: Path) -> list[Path]:
    try:
        return sorted((path for path in folder.iterdir() if path.name.isdigit()), reverse=True)
    except FileNotFoundError:  # never made, or another process has just removed it
        return []


def kept_checkpoint_path(out: Path, name: str, segments: int) -> Path:
    """Return where the checkpoint after so many segments stays once its queue is over, if it was asked to stay."""
    return store.chunk_folder(out, name) / "kept-checkpoints" / f"{segments:06d}"


def close_checkpoints(out: Path, name: str, keep: bool) -> None:
    """Move the checkpoints of a queue that is over to where they stay if asked to `keep` them, or else remove them.

    Damaged ones go. The newest is moved last: killed in between, the queue is still at its end.

    Raises:
      StoreError: they cannot be moved.
    """
    for path in reversed(find_checkpoints(out, name)) if keep else ():
        place = kept_checkpoint_path(out, name, int(path.name))
        try:
            place.parent.mkdir(exist_ok=True)
            if not place.exists():
                path.rename(place)
        except FileNotFoundError:
            continue  # a process that was silent for long has woken, and was first
        except OSError as error:
            raise StoreError(f"cannot move {path} to {place}: {error.strerror or error}") from error
    shutil.rmtree(checkpoint_path(out, name, 0).parent, ignore_errors=True)
