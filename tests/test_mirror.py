"""A mirrored run directory: readable whenever a process ends, and enough for a new machine to end in the same bits."""

import errno
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from continued import Killed, assert_same_numbers, go_on, published
from studies import tiny

import regjax
from regjax import cli, mirror, store
from regjax.files import RegjaxError
from regjax.mirror import Mirror, digest_path, list_files
from regjax.plan import Plan
from regjax.train.program import Compiled, Program

Engine = tuple[Plan, Program, Compiled]


@pytest.fixture
def die(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets so many files be copied from now on, and raises after the last of them."""
    left, original = [0], mirror.copy_path

    def limited(source: Path, target: Path) -> None:
        original(source, target)
        left[0] -= 1
        if left[0] == 0:
            raise Killed(str(target))

    monkeypatch.setattr(mirror, "copy_path", limited)
    return lambda copies: left.__setitem__(0, copies)


def start(folder: Path, out: Path, die: Callable[[int], None] | None = None, said: list | None = None) -> Mirror:
    """Return the mirror of a machine that starts, its run directory restored."""
    if die is not None:
        die(0)
    made = Mirror(folder, out, (said if said is not None else []).append)
    made.restore()
    return made


def test_killed_after_every_copied_file_and_restored_equals_uninterrupted(
    engine: Engine, uncut: Path, tmp_path: Path, die: Callable[[int], None]
) -> None:
    """Killed after each copied file in turn, each time going on on a new machine, a study ends in the same bits."""
    folder, out, seen = tmp_path / "mirror", tmp_path, set()
    wanted, machines = {run.id for run in engine[0].runs}, itertools.count()
    # Two rows have begun before there is a queue to copy.
    # The segment is copied anew by every machine, what belongs to it stays: the third time three files reach the last.
    for budget in itertools.chain([3], itertools.cycle((1, 2, 3, 3, 3, 1, 6))):
        out = tmp_path / f"machine{next(machines)}"
        made = start(folder, out, die)
        before = set(store.done_runs(out))
        assert before == set(store.done_runs(folder))
        die(budget)
        try:
            go_on(out, *engine, made)
        except Killed as killed:
            name = Path(str(killed)).name
            seen.add("checkpoint" if name.isdigit() else name.split("-")[0].split(".")[0])
        # What a reader finds there is sound at any time: every part agrees with its digest.
        assert set(store.load_records(folder).get("run", [])) == set(store.done_runs(folder))
        if set(store.done_runs(out)) == wanted:
            break
    die(0)
    made.sync()

    assert seen >= {"queue", "seg", "params", "predictions", "done", "checkpoint"}
    for copy in (out, folder):
        assert published(copy) == published(uncut)
        assert_same_numbers(copy, uncut)
    assert not list(folder.rglob("*.new"))
    assert not list(folder.glob("chunks/*/checkpoint/*"))


def cut(engine: Engine, folder: Path, out: Path, die: Callable[[int], None]) -> None:
    """Train with a mirror until it holds a second checkpoint."""
    checkpoints = 0
    made, original = start(folder, out, die), mirror.copy_path

    def watch(source: Path, target: Path) -> None:
        nonlocal checkpoints
        original(source, target)
        checkpoints += target.parent.name == "checkpoint"
        if checkpoints == 3:
            raise Killed

    mirror.copy_path = watch
    try:
        with pytest.raises(Killed):
            go_on(out, *engine, made)
    finally:
        mirror.copy_path = original


# Orbax leaves a reading task behind where a file ends too early; Python tells of it when the task is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("pattern", ["seg-*", "done-*", "predictions-*", "params-*", "checkpoint/*", "queue.json"])
def test_half_a_file_is_ignored(
    engine: Engine, uncut: Path, tmp_path: Path, die: Callable[[int], None], pattern: str
) -> None:
    """Where the newest file of a kind is cut in half, what was before it is restored, and the end is the same."""
    folder, out, said = tmp_path / "mirror", tmp_path / "new", []
    cut(engine, folder, tmp_path / "old", die)
    newest = sorted(folder.glob(f"chunks/*/{pattern}"))[-1]
    largest = max(list_files(newest), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    made = start(folder, out, None, said)
    if pattern != "queue.json":
        assert [line for line in said if line.startswith("warning: not restored") and newest.name in line]
        assert store.done_runs(out)
    assert not (out / newest.relative_to(folder)).exists()
    go_on(out, *engine, made)

    assert published(out) == published(uncut)
    assert_same_numbers(out, uncut)
    assert_same_numbers(folder, uncut)


def test_newer_files_are_not_overwritten(
    engine: Engine, uncut: Path, tmp_path: Path, die: Callable[[int], None]
) -> None:
    """Restoring into a folder that is ahead of the mirror changes no file and adds none."""
    folder, out = tmp_path / "mirror", tmp_path / "out"
    cut(engine, folder, tmp_path / "old", die)
    shutil.copytree(uncut, out)
    before = {path: (path.stat().st_mtime_ns, digest_path(path)) for path in list_files(out)}
    start(folder, out)

    assert {path: (path.stat().st_mtime_ns, digest_path(path)) for path in list_files(out)} == before


def test_a_full_mirror_is_told_and_filled_later(
    engine: Engine, uncut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the mirror has no room a warning names the file and training goes on; later all of it is copied."""
    original, left, said = shutil.copyfile, [3], []

    def full(source: Any, target: Any) -> Any:
        if left[0] and "seg-" in str(target):
            left[0] -= 1
            Path(target).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(source, target)

    monkeypatch.setattr(mirror.shutil, "copyfile", full)
    made = start(tmp_path / "mirror", tmp_path / "out", None, said)
    go_on(tmp_path / "out", *engine, made)

    assert len(said) == 1
    assert "seg-00000.parquet is not mirrored" in said[0]
    assert "No space left" in said[0]
    assert_same_numbers(tmp_path / "out", uncut)
    assert_same_numbers(tmp_path / "mirror", uncut)


def test_a_mirror_that_cannot_be_written_is_told(engine: Engine, uncut: Path, tmp_path: Path) -> None:
    """A mirror that cannot be made costs a warning, and the study ends as it would without."""
    (tmp_path / "file").write_text("no folder")
    said: list[str] = []
    made = start(tmp_path / "file" / "mirror", tmp_path / "out", None, said)
    go_on(tmp_path / "out", *engine, made)
    made.close()

    assert "Not a directory" in said[0]
    assert "lacks files" in said[-1]
    assert len(said) == 2
    assert_same_numbers(tmp_path / "out", uncut)


def test_where_nothing_can_be_renamed_copies_are_checked(
    engine: Engine, uncut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without rename every file is copied in place, whole; a copy that differs is an error of the mirror."""
    original = Path.replace

    def replace(path: Path, target: Any) -> Any:
        if path.suffix == ".new" and "mirror" in str(path):
            raise OSError(errno.EPERM, "no rename here")
        return original(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    made = start(tmp_path / "mirror", tmp_path / "out")
    go_on(tmp_path / "out", *engine, made)
    assert_same_numbers(tmp_path / "mirror", uncut)
    assert not list((tmp_path / "mirror").rglob("*.new"))


KILL = """
import os, shutil, sys
import jax
jax.config.update("jax_num_cpu_devices", 4)
import regjax
from regjax import mirror
from studies import tiny
original, left = shutil.copyfile, [int(sys.argv[3])]
def copyfile(source, target):
    left[0] -= 1
    if left[0] == 0:
        data = open(source, "rb").read()
        open(target, "wb").write(data[: len(data) // 2])
        os._exit(9)
    return original(source, target)
mirror.shutil.copyfile = copyfile
regjax.run(tiny(training__save_every={"epochs": 1}), sys.argv[1], mirror=sys.argv[2], report=False)
"""


def test_a_process_that_dies_while_copying(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """After os._exit in the middle of a file, `regjax.run` on a new machine restores and ends in the same digests."""
    study, folder = tiny(training__save_every={"epochs": 1}), tmp_path / "mirror"
    regjax.run(study, tmp_path / "whole", report=False)
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    died = subprocess.run(
        [sys.executable, "-c", KILL, tmp_path / "old", folder, "24"], env=paths, capture_output=True, check=False
    )
    assert died.returncode == 9
    assert list(folder.rglob("*.new"))
    capsys.readouterr()
    regjax.run(study, tmp_path / "new", mirror=folder)
    said = capsys.readouterr().err

    assert "restored" in said
    assert "going on after segment" in said
    assert "is whole" in said
    assert published(tmp_path / "new") == published(tmp_path / "whole")
    assert published(folder) == published(tmp_path / "whole")
    assert cli.main(["status", str(folder)]) == 0
    assert (folder / "report.html").read_bytes() == (tmp_path / "new" / "report.html").read_bytes()


def test_a_mirror_of_another_study_is_refused(tmp_path: Path) -> None:
    """A folder that mirrors another study, or lies within the run directory, is an error before anything is written."""
    first = tiny(training__epochs=1)
    regjax.run(first, tmp_path / "a", mirror=tmp_path / "mirror", report=False)
    before = digest_path(tmp_path / "mirror")
    with pytest.raises(RegjaxError, match=r"mirrors a study that differs in training\.epochs"):
        regjax.run(tiny(training__epochs=2), tmp_path / "b", mirror=tmp_path / "mirror", report=False)
    with pytest.raises(RegjaxError, match="expected a folder apart from it"):
        regjax.run(first, tmp_path / "a", mirror=tmp_path / "a" / "mirror", report=False)
    assert digest_path(tmp_path / "mirror") == before
    regjax.run(tiny(training__epochs=2), tmp_path / "a", mirror=tmp_path / "mirror", report=False)
    assert store.load_plan(tmp_path / "mirror")["study"]["training"]["epochs"] == 2
