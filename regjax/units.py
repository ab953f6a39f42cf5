"""What a run directory has finished: which files and folders, in which order they may be copied, how one is read."""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from regjax import store
from regjax.files import StoreError
from regjax.leases import FOLDER
from regjax.queue import checkpoint_path, find_checkpoints, find_kept_checkpoints
from regjax.sharing import ROWS
from regjax.train.checkpoint import load_leaves

DERIVED = ("effects.csv", "results.parquet", "report.html")
# Of the files of a segment, each after what it names.
NUMBERED = ("seg-*.parquet", "params-*", "predictions-*.parquet", "weights-*.parquet", "done-*.json")
# What a process that was killed was copying or writing.
LEFT = re.compile(r".*\.new(\.orbax-checkpoint-tmp.*)?")


def list_finished(out: Path) -> Iterator[list[Path]]:
    """Yield the finished files and folders of a run directory, each after what it names, as groups that stand alone."""
    yield _present(out / "runs.parquet", out / "plan.json")
    chunks = []
    for chunk in sorted(path.parent for path in out.glob("chunks/*/queue.json")):
        # Listed before what it goes on from.
        checkpoints = sorted((*find_checkpoints(out, chunk.name), *find_kept_checkpoints(out, chunk.name)))
        chunks.append([*list_units(chunk), *checkpoints])
    yield list_begun(out)
    yield from chunks
    yield _present(*(out / name for name in DERIVED))


def _present(*paths: Path) -> list[Path]:
    return [path for path in paths if path.exists()]


def list_begun(out: Path) -> list[Path]:
    """Return the files that say which queue has begun which row: with others a queue would go on otherwise."""
    return sorted(path for path in (out / FOLDER / ROWS).glob("[0-9a-f]*") if path.suffix[1:].isdigit())


def list_units(chunk: Path) -> list[Path]:
    """Return the published files and folders of a queue but its checkpoints, in the order in which to copy them."""
    # Listed the other way round: what is there now is named by nothing that is listed later.
    found = [list(store.find_numbered(chunk, pattern)) for pattern in reversed(NUMBERED)]
    return [*_present(chunk / "queue.json"), *(path for paths in reversed(found) for path in paths)]


def list_passed(out: Path, folder: Path) -> Iterator[Path]:
    """Yield the checkpoints of a mirror that the run directory has left behind."""
    for path in sorted(folder.glob("chunks/*/checkpoint/[0-9]*")):
        chunk = path.parent.parent.name
        past = path.name.isdigit() and store.segment_path(out, chunk, int(path.name)).exists()
        if past and not checkpoint_path(out, chunk, int(path.name)).exists():
            yield path


def list_later(folder: Path, chunk: str, number: int) -> list[Path]:
    """Return what is of a segment or of a later one, in the order in which to remove it: first what names others."""
    after = [path for path in find_checkpoints(folder, chunk) if int(path.name) > number]
    after += [path for path in find_kept_checkpoints(folder, chunk) if int(path.name) > number]
    for pattern in reversed(NUMBERED):
        found = store.find_numbered(store.chunk_folder(folder, chunk), pattern)
        after += [path for path, index in found.items() if index >= number]
    return after


def list_left(folder: Path) -> list[Path]:
    """Return what processes that were killed have left half-written in a mirror."""
    found = [path for pattern in ("chunks/*/*", "chunks/*/*/*") for path in folder.glob(pattern)]
    top = _present(*(folder / f"{name}.new" for name in ("runs.parquet", "plan.json", *DERIVED)))
    return [*top, *(path for path in found if LEFT.fullmatch(path.name))]


def find_reader(out: Path, path: Path) -> Callable[[Path], Any]:
    """Return what reads a file or folder of a run directory, or a copy of it, and raises StoreError for damage."""
    if path.name.startswith("done-"):
        return lambda done: check_done(out, path.parent.name, done)
    readers = {"": load_leaves, ".parquet": store.read_table, ".json": store.read_json}
    return readers.get(path.suffix, lambda _: None)


def check_done(out: Path, chunk: str, path: Path) -> None:
    """Raise StoreError where a done file does not agree with the records of a chunk."""
    done, records = store.read_json(path), store.read_chunk(out, chunk)
    mine = None if records is None else records[records["run"].isin(done.get("runs", []))]
    if mine is None or store.digest_records(mine) != done.get("digest"):
        raise StoreError(f"{path} does not agree with its records")


def find_runs(paths: Iterable[Path]) -> set[str]:
    """Return the runs that any readable one of some done files names."""
    found: set[str] = set()
    for path in paths:
        with contextlib.suppress(StoreError):
            found.update(store.read_done(path)["runs"])
    return found


def is_same_segment(one: Path, other: Path) -> bool:
    """Return whether two segments hold the same records and end at one place, whatever the wall time was."""
    try:
        return digest_path(one) == digest_path(other) or _content(one) == _content(other)
    except (StoreError, KeyError):
        return False


def _content(path: Path) -> tuple[str, bytes | None]:
    table = store.read_table(path)
    return store.digest_records(table.to_pandas()), (table.schema.metadata or {}).get(store.INTERVALS)


def list_files(path: Path) -> list[Path]:
    """Return a file, or all files of a folder."""
    return sorted(inner for inner in path.rglob("*") if inner.is_file()) if path.is_dir() else [path]


def digest_path(path: Path) -> str:
    """Return a digest of the bytes of a file, or of names and bytes of all files of a folder; "" where it is absent."""
    if not path.exists():
        return ""
    hasher = hashlib.sha256()
    for inner in list_files(path):
        with inner.open("rb") as file:
            hasher.update(f"{inner.relative_to(path)}:{hashlib.file_digest(file, 'sha256').hexdigest()};".encode())
    return hasher.hexdigest()
