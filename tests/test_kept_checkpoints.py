"""Checkpoints of queues that are over: gone, unless `training.keep_checkpoints` asks them to stay."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from continued import Killed
from killed import damage
from studies import tiny

import regjax
from regjax import execute
from regjax.cli import main
from regjax.files import StoreError
from regjax.preview import make_preview
from regjax.progress import Progress
from regjax.queue import close_checkpoints
from regjax.repair import repair
from regjax.results import Results
from regjax.train.checkpoint import load_leaves

STUDY: dict[str, Any] = {"training__save_every": {"epochs": 1}, "training__keep": "last"}


def train(out: Path, keep: bool | None = True, **changes: Any) -> Results:
    """Train a tiny study of four segments."""
    study = tiny(**{**STUDY, **changes}, **({} if keep is None else {"training__keep_checkpoints": keep}))
    return regjax.run(study, out, report=False, progress=Progress(live=False))


def kept(out: Path) -> list[Path]:
    """Return the checkpoints that stayed, the oldest first."""
    return sorted(out.glob("chunks/*/kept-checkpoints/*"))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory whose study asked its checkpoints to stay."""
    out = tmp_path_factory.mktemp("asked") / "out"
    train(out)
    return out


def test_checkpoints_stay_where_asked_and_are_the_state_at_the_end(asked: Path) -> None:
    """The last two of the queue stay, and the newest holds the parameters that its runs ended with."""
    results = Results(asked)
    leaves = load_leaves(kept(asked)[-1])
    ours = [results.params(cell, seed)["hidden_0"]["kernel"] for cell in range(2) for seed in range(3)]
    seated = leaves["seats/row"] >= 0  # slots without a run are empty
    theirs = leaves["state/params/hidden_0/kernel"][seated].reshape(-1, 64, 16)

    assert [path.name for path in kept(asked)] == ["000003", "000004"]
    assert not list(asked.glob("chunks/*/checkpoint"))
    assert sorted(map(np.ndarray.tobytes, theirs)) == sorted(map(np.ndarray.tobytes, ours))
    assert (leaves["state/opt/count"][seated] == 12).all()  # updates: 4 epochs of 3


@pytest.mark.parametrize("keep", [None, False])
def test_checkpoints_go_where_not_asked_to_stay(asked: Path, tmp_path: Path, keep: bool | None) -> None:
    """Without the key, and where it is false, none is left, and the results are the same, run by run."""
    results = train(tmp_path, keep)

    assert not kept(tmp_path)
    assert not list(tmp_path.glob("chunks/*/checkpoint"))
    assert results.to_pandas().drop(columns="seconds").equals(Results(asked).to_pandas().drop(columns="seconds"))


def test_what_stayed_is_left_alone(asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run again without the key, a study trains nothing, is told as no other, and what had stayed is there."""
    out = tmp_path / "out"
    shutil.copytree(asked, out)
    train(out, None)

    assert [path.name for path in kept(out)] == ["000003", "000004"]
    assert "6 already done" in (told := capsys.readouterr().err)
    assert "differs" not in told
    assert repair(out) == []


def test_killed_before_they_moved_they_are_moved_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the last checkpoint, the same study moves it: whichever of the two was moved before."""

    def killed_after_one(out: Path, name: str, keep: bool) -> None:
        assert keep
        oldest = min(out.glob(f"chunks/{name}/checkpoint/*"))
        (out / "chunks" / name / "kept-checkpoints").mkdir()
        oldest.rename(out / "chunks" / name / "kept-checkpoints" / oldest.name)
        raise Killed

    monkeypatch.setattr(execute, "close_checkpoints", killed_after_one)
    with pytest.raises(Killed):
        train(tmp_path)
    monkeypatch.undo()
    assert repair(tmp_path) == []
    train(tmp_path)

    assert [path.name for path in kept(tmp_path)] == ["000003", "000004"]
    assert not list(tmp_path.glob("chunks/*/checkpoint"))


@pytest.mark.parametrize("how", ["deleted", "cut", "flipped"])
def test_a_damaged_one_is_named_and_costs_no_run(asked: Path, tmp_path: Path, how: str) -> None:
    """P5: a file of it that is deleted, cut or changed is told; it is set aside, and nothing is trained again."""
    out = tmp_path / "out"
    shutil.copytree(asked, out)
    newest = kept(out)[-1]
    damage(next(path for path in newest.rglob("d/*") if path.is_file()), how, np.random.default_rng(0))
    (fault,) = repair(out)

    assert (fault.path, fault.runs, newest.exists()) == (newest, 0, False)
    assert len(kept(out)) == 1
    assert repair(out) == []
    assert main(["status", str(out)]) == 0


def test_one_that_is_missing_is_missed_by_nobody(asked: Path, tmp_path: Path) -> None:
    """Nothing hangs on them: to make room they may be deleted."""
    out = tmp_path / "out"
    shutil.copytree(asked, out)
    for path in out.glob("chunks/*/kept-checkpoints"):
        shutil.rmtree(path)

    assert repair(out) == []


def test_a_deleted_done_file_of_one_segment_is_named_at_once(tmp_path: Path) -> None:
    """P5: the kept checkpoint says that all runs of its queue had ended, also while the study goes on."""
    train(tmp_path, training__save_every={"epochs": 4})
    (done,) = tmp_path.glob("chunks/*/done-*.json")
    done.unlink()
    (tmp_path / "leases" / "rows").mkdir(parents=True)
    (fault,) = repair(tmp_path)

    assert (fault.path, fault.runs) == (done, 6)


def test_they_are_mirrored_and_restored(tmp_path: Path) -> None:
    """A mirror holds what stayed and not what was only gone on from, and gives it back to a new machine."""
    here, there, folder = tmp_path / "here", tmp_path / "there", tmp_path / "mirror"
    study = tiny(**STUDY, training__keep_checkpoints=True)
    for out in (here, there):
        regjax.run(study, out, report=False, mirror=folder, progress=Progress(live=False))
        assert not list(folder.glob("chunks/*/checkpoint/*"))
        names = {path.relative_to(out) for path in out.glob("chunks/*/kept-checkpoints/**/*")}
        assert names == {path.relative_to(folder) for path in folder.glob("chunks/*/kept-checkpoints/**/*")}
        assert len(kept(out)) == 2
        shutil.rmtree(out)


def test_they_are_reckoned_with() -> None:
    """P3: two of the three checkpoints that a queue has at a time count as what stays, of every group."""
    factors = {"training.batch_size": [32, 48], "dropout.hidden": [0.0, 0.5]}
    plain, asked = (
        make_preview(tiny(**STUDY, factors=factors, training__keep_checkpoints=keep))["disk"] for keep in (False, True)
    )

    assert asked["checkpoints"] == pytest.approx(plain["checkpoints"] / 3)
    assert asked["results"] - plain["results"] == pytest.approx(2 * 2 * plain["checkpoints"] / 3)


def test_two_processes_may_close_a_queue_at_once(tmp_path: Path) -> None:
    """Whoever comes first moves a checkpoint; none is lost or cut, and nobody fails."""
    for name in map(str, range(40)):
        folder = tmp_path / "chunks" / name
        for number in ("000001", "000002"):
            (folder / "checkpoint" / number).mkdir(parents=True)
            (folder / "checkpoint" / number / "state").write_text(number)
        at_once = threading.Barrier(2)

        def close(name: str = name, at_once: threading.Barrier = at_once) -> None:
            at_once.wait()
            close_checkpoints(tmp_path, name, True)

        with ThreadPoolExecutor(2) as pool:
            for closed in [pool.submit(close) for _ in range(2)]:
                closed.result()
        assert {path.parent.name: path.read_text() for path in folder.rglob("state")} == {
            number: number for number in ("000001", "000002")
        }
        assert not (folder / "checkpoint").exists()


def test_where_they_cannot_stay_is_told(asked: Path, tmp_path: Path) -> None:
    """What stands in their place is named, and the checkpoint is still there."""
    (chunk,) = asked.glob("chunks/*")
    out = tmp_path / "chunks" / chunk.name
    shutil.copytree(chunk / "kept-checkpoints", out / "checkpoint")
    (out / "kept-checkpoints").write_text("")
    with pytest.raises(StoreError, match=r"cannot move .*checkpoint/000003 to .*kept-checkpoints/000003: "):
        close_checkpoints(tmp_path, chunk.name, True)

    assert len(list((out / "checkpoint").iterdir())) == 2
