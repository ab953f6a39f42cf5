"""What a mirror does with files that vanish, differ or cannot be flushed, and what it takes back: untrained."""

import contextlib
import errno
import io
import itertools
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from populations import digits
from studies import tiny

from regjax import mirror, store
from regjax.conductor import enter, open_mirror
from regjax.config import parse_study
from regjax.files import create, digest
from regjax.leases import FOLDER, Leases
from regjax.mirror import Mirror, copy_path, digest_path, list_files
from regjax.plan import make_plan
from regjax.progress import Progress
from regjax.queue import checkpoint_path
from regjax.sharing import ROWS
from regjax.stop import Stop
from regjax.train import checkpoint


def write_chunk(folder: Path, **changes: Any) -> Path:
    """Write a queue of one run that has ended in its only segment, and return its folder; `changes` its done file."""
    records = pd.DataFrame({"run": ["a"], "step": [1], "test.nll": [0.5]})
    store.write_json(store.chunk_folder(folder, "c") / "queue.json", {"rows": [[["a"]]]})
    store.write_segment(folder, "c", 0, records, 1)
    done = {"chunk": "c", "segment": 0, "runs": ["a"], "digest": store.digest_records(records)}
    store.write_json(store.Part("c", 0).done(folder), {**done, **changes})
    return store.chunk_folder(folder, "c")


def list_names(folder: Path) -> set[str]:
    """Return the names of all files below a folder."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


WHOLE = {"queue.json", "seg-00000.parquet", "done-00000.json"}


def test_of_several_processes_one_copies(tmp_path: Path) -> None:
    """While another process copies to the mirror this one copies nothing, and does so once it may."""
    out, folder = tmp_path / "out", tmp_path / "mirror"
    write_chunk(out)
    with Leases(out) as ours, Leases(out) as theirs:
        busy = theirs.acquire(f"mirror-{digest(str(folder.resolve()))}")
        assert busy is not None
        made = Mirror(folder, out, print, ours)
        assert made.sync()
        assert list_names(folder) == set()
        theirs.release(busy)
        assert made.sync()
    assert list_names(folder) == WHOLE


def test_a_checkpoint_that_vanishes_is_no_loss(tmp_path: Path) -> None:
    """What another process removes meanwhile is passed over where it is a checkpoint, and told where it is not."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    chunk = write_chunk(out)
    (chunk / "checkpoint").mkdir()
    (chunk / "checkpoint" / "000001").symlink_to(tmp_path / "nowhere")
    made = Mirror(folder, out, said.append)
    assert made.sync()
    assert said == []
    (chunk / "seg-00001.parquet").symlink_to(tmp_path / "nowhere")
    assert not made.sync()
    assert len(said) == 1
    assert "seg-00001.parquet is not mirrored" in said[0]
    assert "No such file or directory; tried again later" in said[0]


def test_a_done_file_of_other_records_is_not_restored(tmp_path: Path) -> None:
    """Where a done file does not agree with its records these alone are restored; the mirror's file is named."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    done = write_chunk(folder, digest="0" * 16) / "done-00000.json"
    Mirror(folder, out, said.append).restore()

    assert said[0] == f"warning: not restored: {done} does not agree with its records"
    assert list_names(out) == WHOLE - {done.name}


def test_a_mirror_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Where a file of the mirror cannot be read the study begins without it, and says so."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    (folder / FOLDER / ROWS / "ab.0").mkdir(parents=True)
    Mirror(folder, out, said.append).restore()

    assert said == [f"warning: {folder} cannot be restored from: Is a directory; what is missing is trained anew"]


def test_a_damaged_row_is_restored_as_nobody_s(tmp_path: Path) -> None:
    """A file that says who has begun a row, and is no text any more, hinders no restoring."""
    out, folder, row = tmp_path / "out", tmp_path / "mirror", Path(FOLDER) / ROWS / "ab.0"
    write_chunk(folder)
    create(folder / row, "")
    (folder / row).write_bytes(b"\xff\xfe")
    Mirror(folder, out, print).restore()

    assert list_names(out) == WHOLE | {row.name}


def write_half(source: Path, target: Path) -> None:
    """Write the first half of a file, as a full bucket does that tells of it later."""
    target.write_bytes(source.read_bytes()[:2])


def write_other(source: Path, target: Path) -> None:
    """Write as many other bytes."""
    target.write_bytes(source.read_bytes()[::-1])


@pytest.mark.parametrize(
    ("copyfile", "renames", "text"),
    [(write_half, True, r"is shorter than what was copied"), (write_other, False, r"differs from what was copied")],
)
def test_a_copy_that_differs_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copyfile: Callable[..., None], renames: bool, text: str
) -> None:
    """A copy is compared in size, and where nothing can be renamed in its bytes; the error names it."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "no rename here")

    (tmp_path / "source").write_text("four")
    monkeypatch.setattr(shutil, "copyfile", copyfile)
    if not renames:
        monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match=f"target.*{text}"):
        copy_path(tmp_path / "source", tmp_path / "target")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_drive_that_cannot_flush_will_do_and_one_that_fails_will_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A drive that knows no flushing is a mirror; one whose flushing fails is not, which is told."""

    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    write_chunk(out)
    monkeypatch.setattr(mirror.os, "fsync", fsync)
    assert Mirror(folder, out, said.append).sync() == (number in mirror.CANNOT_FLUSH)
    assert (list_names(folder) == WHOLE) == (said == [])
    assert all("queue.json is not mirrored" in line and os.strerror(number) in line for line in said)


@pytest.mark.parametrize("beside", [False, True])
def test_a_mirror_with_half_a_plan_is_restored_from(tmp_path: Path, beside: bool) -> None:
    """A plan that was cut off hinders no restoring, and is told; beside another process nothing is restored."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", io.StringIO()
    write_chunk(folder)
    (folder / "plan.json").write_text('{"schema": 1, ')
    plan = make_plan(parse_study(tiny()), digits())
    with Leases(out) as ours, Leases(out) as theirs:
        if beside:
            theirs.join("the same")
        open_mirror(folder, out, plan, digits(), Progress(said, live=False), ours)

    assert f"note: {folder / 'plan.json'} cannot be read: " in said.getvalue()
    assert list_names(out) == (set() if beside else WHOLE)
    assert ("restored 3 files" in said.getvalue()) != beside


def test_of_two_processes_that_start_together_one_restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever joins first restores before another joins, and the other goes on from that."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", io.StringIO()
    write_chunk(folder)
    plan, both, join = make_plan(parse_study(tiny()), digits()), threading.Barrier(2), Leases.join

    def slow(leases: Leases, *words: Any) -> None:
        join(leases, *words)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # for the other, who would have joined by then if he could

    def start(_: int) -> None:
        with Leases(out) as leases:
            enter(out, plan, digits(), leases, folder, Progress(said, live=False), Stop(), {})

    monkeypatch.setattr(Leases, "join", slow)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(start, range(2)))
    assert list_names(out) == WHOLE
    assert said.getvalue().count("restored 3 files") == 1


def train_queue(folder: Path, *ends: int, name: str = "c") -> Path:
    """Write a queue of one run that is evaluated at four steps, cut at `ends`; at the last one, 4, the run is over."""
    records = pd.DataFrame({"run": "a", "step": [1, 2, 3, 4], "test.nll": [0.5, 0.4, 0.3, 0.2]})
    store.write_json(store.chunk_folder(folder, name) / "queue.json", {"rows": [[["a"]]]})
    for index, (begin, end) in enumerate(itertools.pairwise((0, *ends))):
        part, timed = store.Part(name, index), records.assign(seconds=float(len(str(folder))))
        store.write_segment(folder, name, index, timed[begin:end], end - begin)
        if end == 4:
            store.write_table(part.predictions(folder), pd.DataFrame({"run": ["a"], "p0": [0.5]}))
            told = {"files": part.digest_files(folder), "digest": store.digest_records(records)}
            store.write_json(part.done(folder), {"chunk": name, "segment": index, "runs": ["a"], **told})
    return store.chunk_folder(folder, name)


def steps(folder: Path) -> list[int]:
    """Return at which steps a reader finds records of the run; none before it is over."""
    records = store.load_records(folder)
    return [] if records.empty else records["step"].tolist()


def test_segments_of_two_trainings_are_never_mixed(tmp_path: Path) -> None:
    """A queue that was begun anew, and cut elsewhere, gets nothing of the mirror's, which is told; all is as it was."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    chunk = train_queue(out, 1)
    before = list_names(chunk)
    train_queue(folder, 2, 4)
    Mirror(folder, out, said.append).restore()

    assert list_names(out) == before
    assert len(said) == 1
    assert (
        f"nothing is restored from {store.chunk_folder(folder, 'c')}: {chunk / 'seg-00000.parquet'} is of another"
        in said[0]
    )


@pytest.mark.parametrize(("own", "theirs"), [((1,), (1, 2, 4)), ((1, 2), (1, 2, 4)), ((1, 2, 4), (1, 2))])
def test_what_goes_on_from_equal_segments_is_restored(tmp_path: Path, own: Any, theirs: Any) -> None:
    """Where all segments agree but for their wall time the rest is taken; where the mirror is behind nothing is."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    train_queue(out, *own)
    before = list_names(out)
    Mirror(train_queue(folder, *theirs).parents[1], out, said.append).restore()

    assert list_names(out) == before | list_names(folder)
    assert steps(out) == [1, 2, 3, 4]
    assert not any(line.startswith("warning") for line in said)


def test_a_gap_is_not_filled_beside_segments_that_the_mirror_lacks(tmp_path: Path) -> None:
    """A missing segment is not taken where one that follows it cannot be compared with the mirror's."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    (train_queue(out, 1, 2) / "seg-00000.parquet").unlink()
    train_queue(folder, 2)
    Mirror(folder, out, said.append).restore()

    assert list_names(out) == {"queue.json", "seg-00001.parquet"}
    assert "nothing is restored" in said[0]


def test_a_queue_that_was_cut_elsewhere_replaces_the_mirror_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained anew in fewer segments a queue leaves nothing of the old ones; a reader sees the whole run or nothing."""
    out, folder, seen, original = tmp_path / "out", tmp_path / "mirror", list[list[int]](), mirror.copy_path
    train_queue(folder, 1, 2, 3, 4)
    checkpoint.save(checkpoint_path(folder, "c", 3), {"a": np.zeros(1)})
    train_queue(out, 1, 4)

    def look(source: Path, target: Path) -> None:
        seen.append(steps(folder))
        original(source, target)
        seen.append(steps(folder))

    monkeypatch.setattr(mirror, "copy_path", look)
    made = Mirror(folder, out, print)
    assert made.sync()
    assert {path.relative_to(folder): digest_path(path) for path in list_files(folder)} == {
        path.relative_to(out): digest_path(path) for path in list_files(out)
    }
    assert seen[0] == seen[-1] == [1, 2, 3, 4]
    assert all(found in ([], [1, 2, 3, 4]) for found in seen)


def test_finished_runs_do_not_give_way_to_unfinished_ones(tmp_path: Path) -> None:
    """A mirror that has come farther stays until the runs that are done there are done here; that is told once."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    train_queue(folder, 2, 4)
    checkpoint.save(checkpoint_path(folder, "c", 1), {"a": np.zeros(1)})
    before, made = digest_path(folder), Mirror(folder, out, said.append)
    train_queue(out, 1, 3)
    assert not made.sync()
    assert not made.sync()
    assert digest_path(folder) == before
    assert said == [
        f"warning: {store.segment_path(out, 'c', 0)} is not mirrored, the copy in {folder} stays: 1 run is done there "
        "and not yet here"
    ]
    train_queue(out, 1, 3, 4)
    assert made.sync()
    assert list_names(folder) == list_names(out)
    assert steps(folder) == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["seg-00000.parquet", "predictions-00001.parquet", "done-00001.json", "queue.json"])
def test_what_is_damaged_does_not_replace_what_is_sound(tmp_path: Path, name: str) -> None:
    """Half a file is not copied over a whole one: it is named, the mirror lacks files, and other queues are copied."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    chunk = train_queue(out, 2, 4)
    Mirror(folder, out, said.append).close()
    assert "is whole" in said.pop()
    path, before = chunk / name, digest_path(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    Mirror(folder, out, said.append).close()
    assert digest_path(folder) == before
    assert len(said) == 2
    assert f"{path} is not mirrored, the copy in {folder} stays: {path} " in said[0]
    assert f"{folder} lacks files: " in said[1]
    train_queue(out, 4, name="d")
    assert not Mirror(folder, out, said.append).sync()
    assert store.Part("d", 0).done(folder).exists()


def test_altered_records_do_not_replace_sound_ones(tmp_path: Path) -> None:
    """A segment that can be read and is not what its runs were published with does not reach the mirror."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    train_queue(out, 2, 4)
    Mirror(folder, out, said.append).sync()
    store.write_segment(out, "c", 0, pd.DataFrame({"run": ["a"], "step": [1], "test.nll": [0.0], "seconds": [1.0]}), 2)
    assert not Mirror(folder, out, said.append).sync()
    assert "does not agree with its records" in said[0]
    assert steps(folder) == [1, 2, 3, 4]


def test_copies_and_half_written_files_are_not_mirrored(tmp_path: Path) -> None:
    """Names that no segment has are passed over both ways, and what killed processes have left in a mirror goes."""
    out, folder, said = tmp_path / "out", tmp_path / "mirror", list[str]()
    ours, theirs = train_queue(out, 2, 4), store.chunk_folder(folder, "c")
    whole, strays = list_names(out), ("done-00001 (conflicted copy).json", "seg-00000 (1).parquet", "params-x")
    for name in (*strays, "params-00000.new.orbax-checkpoint-tmp", "params-00000.new"):
        store.write_json(ours / name / "state", {}) if name.startswith("params") else (ours / name).write_text("{}")
    for name in ("params-00000.new.orbax-checkpoint-tmp/x", "seg-00007.parquet.new", "checkpoint/000001.new/x"):
        store.write_json(theirs / name, {})
    (folder / "notes.new").write_text("mine")
    assert Mirror(folder, out, said.append).sync()
    assert list_names(folder) == whole | {"notes.new"}
    assert not list(theirs.glob("params-*"))
    for name in strays[:2]:
        (theirs / name).write_text("{}")
    shutil.rmtree(out)
    Mirror(folder, out, said.append).restore()
    assert list_names(out) == whole
