"""P4, P5: whatever becomes of a file of a run directory, it is told and mended, or changes no result."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killed import Workers, damage, results
from studies import tiny

import regjax
from regjax import leases
from regjax.cli import main
from regjax.progress import Progress
from regjax.repair import repair
from regjax.train import checkpoint

# Orbax leaves tasks of its own behind where it cannot read a checkpoint.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
HOWS = ["deleted", "cut", "flipped"]
# Every kind of file: what `repair` names, and what nobody reads again, which a killed process has left behind.
NAMED = {
    "plan.json",
    "runs.parquet",
    "chunks/#/queue.json",
    "chunks/#/checkpoint/#",
    "chunks/#/done-#.json",
    *(f"chunks/#/{kind}" for kind in ("seg-#.parquet", "params-#", "predictions-#.parquet", "weights-#.parquet")),
}
LEFT = {"leases/#.#.json", "leases/process-#.#.json", "leases/rows/#.#", "chunks/#/checkpoint/#.new",
        *(f"chunks/#/{kind}" for kind in ("seg-last.parquet", "params-last", "predictions-last.parquet",
                                          "weights-last.parquet"))}  # fmt: skip


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a lease that says nothing of its process be waited for a moment only."""
    monkeypatch.setattr(leases, "SECONDS", 0.3)


@pytest.fixture(scope="module")
def cut_off(workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of the study killed before the second part of it was published, in a checkpoint once."""
    out = tmp_path_factory.mktemp("cut") / "out"
    assert workers.train(out, point=("before done.json", 2)) == -9
    (newest,) = out.glob("chunks/*/checkpoint/*4")
    shutil.copytree(newest, newest.with_name("000005.new"))
    return out


def list_kinds(out: Path) -> dict[str, Path]:
    """Return {kind: a file of it} of a run directory; of a folder of arrays, all of whose files count, one file."""
    published = {path.stem.removeprefix("done-") for path in out.glob("chunks/*/done-*.json")}
    last = max(path.stem.removeprefix("seg-") for path in out.glob("chunks/*/seg-*.parquet"))
    found = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file() and path.stat().st_size):
        name = re.sub(r"((params-|checkpoint/)[^/]*)/.*", r"\1", str(path.relative_to(out)))
        name = name if last in published else name.replace(f"-{last}", "-last")
        found[re.sub(r"[0-9a-f]{16}|[0-9]+", "#", name)] = path
    return found


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("ended", [True, False])
def test_every_damaged_file_is_named(left_alone: Path, cut_off: Path, tmp_path: Path, ended: bool, how: str) -> None:
    """P5: a file of each kind that is deleted, cut or changed is told, unless all reads as it did before."""
    whole = left_alone if ended else cut_off
    generator, before, named = np.random.default_rng(3), results(whole), set()
    kinds = list_kinds(whole)
    assert kinds.keys() == (NAMED - {"chunks/#/checkpoint/#"} if ended else NAMED | LEFT)
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    assert repair(out) == []
    for kind, path in kinds.items():
        shutil.rmtree(out)
        shutil.copytree(whole, out)
        broken = out / path.relative_to(whole)
        damage(broken, how, generator)
        faults = repair(out, dry_run=True)
        assert [fault for fault in faults if fault.path.parent not in broken.parents] == []
        if faults:
            named.add(kind)
        else:
            assert results(out) == before

    # Bits in the foot of a table that say nothing of its numbers.
    assert kinds.keys() & NAMED - named <= ({"chunks/#/seg-#.parquet"} if how == "flipped" else set())


@pytest.mark.parametrize("how", HOWS)
def test_what_is_not_told_changes_nothing(
    workers: Workers, whole: Any, cut_off: Path, tmp_path: Path, how: str
) -> None:
    """P5: with all that a killed process left behind damaged, and the plan, a repair and a run end in equal results."""
    out, generator = tmp_path / "out", np.random.default_rng(4)
    shutil.copytree(cut_off, out)
    for kind, path in list_kinds(cut_off).items():
        if kind in {*LEFT, "plan.json", "runs.parquet"}:
            damage(out / path.relative_to(cut_off), how, generator)
    assert "plan.json" in {fault.path.name for fault in repair(out)}
    assert workers.train(out, seconds=0.5) == 0

    assert results(out) == whole


def test_no_run_is_published_without_its_first_records(
    workers: Workers, whole: Any, cut_off: Path, tmp_path: Path
) -> None:
    """P5: a queue of which a segment was deleted is not gone on with; after a repair all ends in equal results."""
    out = tmp_path / "out"
    shutil.copytree(cut_off, out)
    (lost,) = out.glob("chunks/*/seg-00003.parquet")
    lost.unlink()
    assert workers.train(out) == 1
    assert results(out).items() <= whole.items()
    assert lost in [fault.path for fault in repair(out)]
    assert workers.train(out) == 0

    assert results(out) == whole
    assert repair(out) == []


def test_a_deleted_done_file_of_one_segment_is_named(tmp_path: Path) -> None:
    """P5: where all runs of a queue ended in its first segment, its done file is missed once the study has ended."""
    out = tmp_path / "out"
    study, quiet = tiny(training__epochs=1, training__keep="none", measure__predictions="none"), Progress(live=False)
    whole = regjax.run(study, out, report=False, progress=quiet).to_pandas().drop(columns="seconds")
    (done,) = out.glob("chunks/*/done-*.json")
    done.unlink()
    (out / "leases" / "rows").mkdir(parents=True)
    assert repair(out) == []  # killed before it was written
    (out / "leases" / "rows").rmdir()
    (fault,) = repair(out)
    again = regjax.run(study, out, report=False, progress=quiet).to_pandas().drop(columns="seconds")

    assert (fault.path, fault.runs) == (done, 6)
    assert again.equals(whole)
    assert repair(out) == []


@pytest.mark.parametrize(
    ("name", "how"),
    [("seg-00002.parquet", "cut"), ("params-00002", "cut"), ("done-00002.json", "cut"), ("done-00002.json", "deleted"),
     ("predictions-00002.parquet", "cut")],
)  # fmt: skip
def test_repaired_runs_are_trained_again_and_no_others(
    workers: Workers, left_alone: Path, whole: Any, tmp_path: Path, name: str, how: str, capsys: pytest.CaptureFixture
) -> None:
    """P5: `regjax repair` sets aside what hangs on a damaged file, and `run` trains these runs to the same results."""
    out = tmp_path / "out"
    shutil.copytree(left_alone, out)
    (path,) = out.glob(f"chunks/*/{name}")
    if path.is_dir():
        path = max((p for p in path.rglob("d/*") if p.is_file()), key=lambda p: p.stat().st_size)
    damage(path, how, np.random.default_rng(0))
    assert main(["repair", str(out), "--dry-run"]) == 1
    assert path.exists() == (how == "cut")
    assert main(["repair", str(out)]) == 0
    assert name.partition("-")[2][:5] in capsys.readouterr().out
    assert main(["repair", str(out), "--dry-run"]) == 0
    kept = {done: done.read_bytes() for done in out.glob("chunks/*/done-*.json")}
    assert 0 < len(kept) < len(list(left_alone.glob("chunks/*/done-*.json")))
    assert results(out).items() <= whole.items()
    assert workers.train(out) == 0

    assert results(out) == whole
    assert kept.items() <= {done: done.read_bytes() for done in out.glob("chunks/*/done-*.json")}.items()
    assert len(list((out / "quarantine").rglob("*"))) > 0


@pytest.mark.parametrize("how", HOWS)
def test_every_damage_to_a_checkpoint_is_noticed(left_alone: Path, tmp_path: Path, how: str) -> None:
    """P4: with any file of a checkpoint deleted, cut or changed it is refused, or reads as it did before."""
    generator = np.random.default_rng(5)
    whole = next(iter(sorted(left_alone.glob("chunks/*/params-*"))))
    before, refused = checkpoint.tree_digest(checkpoint.load_leaves(whole)), 0
    files = [path for path in sorted(whole.rglob("*")) if path.is_file() and path.stat().st_size]
    for index, path in enumerate(files):
        folder = tmp_path / str(index)
        shutil.copytree(whole, folder)
        damage(folder / path.relative_to(whole), how, generator)
        try:
            assert checkpoint.tree_digest(checkpoint.load_leaves(folder)) == before
        except checkpoint.CheckpointError:
            refused += 1

    assert refused >= 1
