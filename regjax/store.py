"""Run directories: immutable files, one writer each; JSON for small state, Parquet for numbers.

    out/plan.json                          the study as resolved, cells, contrasts, versions, devices
    out/runs.parquet                       one row per planned run: identity, cell, seed, hypers, settings
    out/chunks/<hash>/queue.json                 which runs train together, and how they are laid out
    out/chunks/<hash>/seg-00003.parquet          records of one segment
    out/chunks/<hash>/params-00003/              kept parameters of the runs that ended in it (train/checkpoint.py)
    out/chunks/<hash>/predictions-00003.parquet  their per-example outputs at the primary state, where asked for
    out/chunks/<hash>/weights-00003.parquet      histograms of their weights, where parameters or predictions are kept
    out/chunks/<hash>/done-00003.json            these runs, digest of their records, seconds, compilations
    out/chunks/<hash>/checkpoint/                state of the population after the last segment (train/checkpoint.py)
    out/leases/                            who trains what, while it is trained (leases.py, sharing.py)

A file appears under its name only when it is whole: it is written beside it, flushed to disk and renamed. Other names
are passed over.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from regjax.files import StoreError, canonical, digest, number_of, publish, publish_text

# Of plan.json, and with it of the whole directory: raised when an older regjax would misread a newer directory.
SCHEMA = 1
# Wall time differs between two identical runs, so it is no part of a digest of results.
UNHASHED_COLUMNS = ("seconds",)
# What the check of a JSON file begins with.
CHECKED = "sha256:"
# Keys of what a segment says of itself in the metadata of its records.
INTERVALS, REFUSED = b"intervals", b"refused"
# A run's identity, which names files of trackers: a digest (files.py).
IDENTITY = re.compile(r"[0-9a-f]{16}")
# Replacing a plan takes two files; a reader that meets one of them looks again so often, so many seconds apart.
MOST_LOOKS, WAIT = 100, 0.05


class NewerError(StoreError):
    """A run directory was written by a newer regjax."""


def write_json(path: Path, value: Mapping[str, Any], new: bool = False) -> None:
    """Publish `value` as an indented JSON file; its last entry, "check", is a digest of the others.

    With `new` a file that is there stays as it is.
    """
    # Read back first: numbers as keys become texts, which sort differently.
    publish_text(path, format_checked(json.loads(json.dumps(value, allow_nan=False))), new)


def format_checked(value: Mapping[str, Any]) -> str:
    """Return the one text of a JSON file that holds `value` and its check."""
    check = CHECKED + digest(canonical(value))
    return json.dumps({**value, "check": check}, indent=1, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Return the object stored in a JSON file, without its check.

    Raises:
      StoreError: the file is absent, is not a JSON object, or differs from its check.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist; `regjax run STUDY --out {path.parent}` makes it") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} holds a {type(value).__name__}, expected a JSON object")
    # Files of before there was a check have no value that looks like one; a damaged key leaves its value behind.
    if any(isinstance(entry, str) and entry.startswith(CHECKED) for entry in value.values()):
        value.pop("check", None)
        if not is_same(text, value):
            raise StoreError(f"{path} is damaged: it differs from its check; `regjax repair` sets it aside")
    return value


def is_same(text: str, value: Mapping[str, Any]) -> bool:
    """Return whether a JSON file's text is what `value` is written as; not where it holds what JSON has no word for."""
    try:
        return text == format_checked(value)
    except ValueError:
        return False


def write_table(path: Path, table: pa.Table | pd.DataFrame) -> None:
    """Publish a table as Parquet with page checksums (without them flipped bits go unnoticed)."""
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    publish(path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True))


def read_table(path: Path) -> pa.Table:
    """Return a Parquet table, its page checksums verified.

    Raises:
      StoreError: the file is absent, damaged or no Parquet file; names it.
    """
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise StoreError(
            f"{path} does not exist; `regjax repair` says what hangs on it, `regjax run` makes it anew"
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} is damaged or no Parquet file: {error}") from error


def concat_tables(tables: Iterable[pa.Table]) -> pa.Table:
    """Return all rows of several tables; a column that only some have is null elsewhere, never dropped."""
    return pa.concat_tables(list(tables), promote_options="permissive")


def digest_records(records: pd.DataFrame) -> str:
    """Return a digest of the numbers of records, equal for equal results whatever the wall time and the order was.

    Columns are taken by name, rows by run and step; `seconds` is left out.
    """
    records = records.sort_values(["run", "step"])
    hasher = hashlib.sha256()
    for name in sorted(set(records.columns) - set(UNHASHED_COLUMNS)):
        values = records[name].to_numpy()
        hasher.update(f"{name}:{values.dtype}:{len(values)};".encode())
        texts = values.dtype == object
        hasher.update(canonical(values.tolist()).encode() if texts else np.ascontiguousarray(values).tobytes())
    return hasher.hexdigest()[:16]


def find_gaps(records: pd.DataFrame, every: int) -> list[str]:
    """Return the runs whose records are not one for each evaluation, `every` so many steps, up to their last.

    >>> find_gaps(pd.DataFrame({"run": ["a", "a", "b", "b", "c", "d", "d"], "step": [5, 10, 5, 15, 10, 5, 5]}), 5)
    ['b', 'c', 'd']
    """
    steps = records.groupby("run", sort=True)["step"]
    last, number = steps.max(), steps.size()
    return list(last.index[(every * number != last) | (number != steps.nunique())])


def chunk_folder(out: Path, chunk: str) -> Path:
    """Return the folder of a chunk in a run directory."""
    return out / "chunks" / chunk


def segment_path(out: Path, chunk: str, index: int) -> Path:
    """Return the name of the record file of a chunk's segment."""
    return chunk_folder(out, chunk) / f"seg-{index:05d}.parquet"


def find_numbered(folder: Path, pattern: str) -> dict[Path, int]:
    """Return {path: number of its segment} in the order of names; others of the pattern, such as copies, are no files.

    Args:
      folder: run directory or chunk.
      pattern: of paths within it.
    """
    numbers = {path: number_of(path) for path in sorted(folder.glob(pattern))}
    return {path: number for path, number in numbers.items() if number is not None}


def write_segment(
    out: Path, chunk: str, index: int, table: pd.DataFrame, intervals: int, refused: Iterable[int] = ()
) -> None:
    """Publish the records of a segment, and within them how it came about: see `SegmentHead`."""
    made = pa.Table.from_pandas(table, preserve_index=False)
    told = {INTERVALS: str(intervals).encode(), REFUSED: json.dumps(sorted(refused)).encode()}
    write_table(segment_path(out, chunk, index), made.replace_schema_metadata({**(made.schema.metadata or {}), **told}))


def as_stored(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it would be read back: texts may come back as another type."""
    return pa.Table.from_pandas(table, preserve_index=False).to_pandas()


class SegmentHead(NamedTuple):
    """What a stored segment says of itself.

    Attributes:
      intervals: how many it is long.
      refused: which rows of the queue were passed over in it, for others had begun or finished them; None of folders
        of before this was kept.
    """

    intervals: int
    refused: frozenset[int] | None


def segment_head(out: Path, chunk: str, index: int) -> SegmentHead | None:
    """Return what a stored segment says of itself; None where it is not stored.

    Raises:
      StoreError: the file is damaged.
    """
    path = segment_path(out, chunk, index)
    if not path.exists():
        return None
    try:
        told = pq.read_schema(path).metadata or {}
        refused = frozenset(map(int, json.loads(told[REFUSED]))) if REFUSED in told else None
        return SegmentHead(int(told[INTERVALS]), refused)
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{path} is damaged or no segment: {error}; `regjax repair` sets it aside") from error


class Part(NamedTuple):
    """The runs of a chunk that ended in one of its segments: what is published together."""

    chunk: str
    segment: int

    def params(self, out: Path) -> Path:
        """Return the folder of their kept parameters."""
        return chunk_folder(Path(out), self.chunk) / f"params-{self.segment:05d}"

    def predictions(self, out: Path) -> Path:
        """Return the file of their predictions."""
        return chunk_folder(Path(out), self.chunk) / f"predictions-{self.segment:05d}.parquet"

    def weights(self, out: Path) -> Path:
        """Return the file of the histograms of their weights."""
        return chunk_folder(Path(out), self.chunk) / f"weights-{self.segment:05d}.parquet"

    def digest_files(self, out: Path) -> dict[str, str]:
        """Return {name: digest} of their Parquet files that are stored; those of records have a digest of their own."""
        paths = [path for path in (self.predictions(out), self.weights(out)) if path.exists()]
        return {path.name: digest(path.read_bytes()) for path in paths}

    def done(self, out: Path) -> Path:
        """Return the file that says that they are done; published last."""
        return chunk_folder(Path(out), self.chunk) / f"done-{self.segment:05d}.json"


def save_plan(out: Path, plan: Mapping[str, Any], runs: pd.DataFrame) -> None:
    """Publish what is planned: the resolved study with its contrasts, and one row per run."""
    write_table(out / "runs.parquet", runs)
    written = digest((out / "runs.parquet").read_bytes())
    write_json(out / "plan.json", {"schema": SCHEMA, **plan, "runs_digest": written})


def load_plan(out: Path) -> dict[str, Any]:
    """Return the plan of a run directory.

    Raises:
      NewerError: its schema is newer than this regjax reads.
      StoreError: there is no plan, or it names no schema.
    """
    plan = read_json(Path(out) / "plan.json")
    schema = plan.get("schema")
    if type(schema) is not int or schema < 1:
        raise StoreError(f"{out}/plan.json has schema {schema!r}, expected a number from 1 to {SCHEMA}")
    if schema > SCHEMA:
        raise NewerError(
            f"{out}/plan.json has schema {schema}, this regjax reads schemas up to {SCHEMA}: it was written by a newer "
            "regjax; install that, or choose another folder"
        )
    return plan


def load_runs(out: Path) -> pd.DataFrame:
    """Return one row per planned run: run, wave, cell, seed, group, restores, hypers and settings (JSON texts).

    Raises:
      StoreError: the table is absent or damaged, or names a run by what is no digest.
    """
    path = Path(out) / "runs.parquet"
    runs = read_table(path).to_pandas()
    wrong = [run for run in runs.get("run", [None]) if not (isinstance(run, str) and IDENTITY.fullmatch(run))]
    if wrong:
        raise StoreError(
            f"{path} has the run {str(wrong[0])[:100]!r}, expected 16 hexadecimal digits: it was altered; "
            "`regjax run STUDY` makes it anew"
        )
    return runs


def load_planned(out: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the plan and the planned runs that were saved together; in between two plans it looks again.

    Raises:
      StoreError: there is no plan, or another process was killed while it replaced one.
    """
    runs = Path(out) / "runs.parquet"
    for _ in range(MOST_LOOKS):
        plan = load_plan(out)
        before = digest(runs.read_bytes()) if runs.exists() else ""
        table = load_runs(out)
        # Folders of before there was a digest have none.
        if plan.get("runs_digest", before) == before == digest(runs.read_bytes()):
            return plan, table
        time.sleep(WAIT)
    raise StoreError(f"{runs} is not that of plan.json beside it: a run was killed in between; run the study again")


def iter_done(out: Path) -> Iterator[dict[str, Any]]:
    """Yield what is said of every finished part, in the order of chunks and segments."""
    for path in find_numbered(Path(out), "chunks/*/done-*.json"):
        yield read_done(path)


def read_done(path: Path) -> dict[str, Any]:
    """Return what is said of a finished part.

    Raises:
      StoreError: the file is damaged, or is of another kind.
    """
    done = read_json(path)
    lacking = [key for key in ("chunk", "segment", "runs", "digest") if key not in done]
    if lacking:
        raise StoreError(f"{path} lacks {', '.join(lacking)}; `regjax repair` sets its runs aside to train them again")
    # What it names is read, so that it must be its own folder.
    if (done["chunk"], f"done-{str(done['segment']).zfill(5)}.json") != (path.parent.name, path.name):
        raise StoreError(
            f"{path} says that it is segment {done['segment']!r} of chunk {done['chunk']!r}; `regjax repair` sets its "
            "runs aside to train them again"
        )
    return done


def done_runs(out: Path) -> dict[str, Part]:
    """Return {run: part} of all finished runs; where two chunks hold one run, the first by hash stands."""
    found: dict[str, Part] = {}
    for done in iter_done(out):
        for run in done["runs"]:
            found.setdefault(run, Part(done["chunk"], done["segment"]))
    return found


def iter_queues(out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (chunk, queue.json) of every chunk, in the order of their hashes."""
    for path in sorted(Path(out).glob("chunks/*/queue.json")):
        yield path.parent.name, read_json(path)


def read_chunk(out: Path, chunk: str) -> pd.DataFrame | None:
    """Return all records that a chunk has so far, in the order of its segments; None before the first."""
    paths = find_numbered(chunk_folder(Path(out), chunk), "seg-*.parquet")
    return concat_tables(read_table(path) for path in paths).to_pandas() if paths else None


def load_records(out: Path, runs: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the records of finished runs, one row per run and evaluation.

    Args:
      out: run directory.
      runs: identities wanted; all finished runs when None.

    Returns:
      Columns run, step, epoch, examples, seconds, the metrics as `<split>.<name>`, weight_norm, zero_fraction,
      best_step, stopped and diverged (steps, -1 for never). A run has no records after the evaluation at which it
      stopped or was found diverged. A run that two chunks hold appears once.

    Raises:
      StoreError: a file is damaged, missing, or not what was published with its part.
    """
    owner = done_runs(out)
    wanted = set(owner) if runs is None else set(runs) & set(owner)
    parts: dict[str, list[dict[str, Any]]] = {}
    for done in iter_done(out):
        if any(run in wanted and owner[run] == (done["chunk"], done["segment"]) for run in done["runs"]):
            parts.setdefault(done["chunk"], []).append(done)
    tables = []
    for chunk, published in parts.items():
        records = read_chunk(out, chunk)
        if records is None:
            raise StoreError(f"{chunk_folder(Path(out), chunk)} is marked done and has no record file")
        place = records["run"].map({run: i for i, done in enumerate(published) for run in done["runs"]})
        for index, done in enumerate(published):
            if digest_records(records[place == index]) != done["digest"]:
                raise StoreError(
                    f"the records of {chunk_folder(Path(out), chunk)} differ from the digest in its "
                    f"done-{done['segment']:05d}.json: files are missing or were altered; `regjax repair` sets these "
                    "runs aside, and `regjax run` trains them again"
                )
        tables.append(records[records["run"].isin({run for run in wanted if owner[run].chunk == chunk})])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"run": pd.Series(dtype=str)})
