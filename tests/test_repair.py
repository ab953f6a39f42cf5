"""`regjax repair` on folders that are written by hand: what it names, what it leaves, what it cannot do."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regjax import cli, store
from regjax.files import StoreError, canonical, digest
from regjax.leases import FOLDER
from regjax.queue import checkpoint_path
from regjax.repair import QUARANTINE, repair
from regjax.sharing import ROWS
from regjax.train import checkpoint

A, B, C = "a" * 16, "b" * 16, "c" * 16
# Two rows of two slots and of one; A has ended in the first segment, the others go on.
QUEUE: dict[str, Any] = {"rows": [[[A], [B]], [[C]]], "layout": [2, 2, 1]}
GOING = {"row": [0, 1], "over": [[[True], [False]], [[False], [True]]]}
CHUNK = digest(canonical(QUEUE))
PART = store.Part(CHUNK, 0)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a run directory whose only queue is past its first segment."""
    out = tmp_path / "out"
    store.save_plan(out, {}, pd.DataFrame({"run": [A, B, C]}))
    store.write_json(store.chunk_folder(out, CHUNK) / "queue.json", QUEUE)
    records = pd.DataFrame({"run": [A, B, C], "step": 1, "test.nll": [0.5, 0.25, 0.125]})
    store.write_segment(out, CHUNK, 0, records, 1)
    finished = store.digest_records(records[records["run"] == A])
    store.write_json(PART.done(out), {"chunk": CHUNK, "segment": 0, "runs": [A], "digest": finished})
    save_seats(out, GOING)
    assert repair(out) == []
    return out


def save_seats(out: Path, seats: dict[str, Any]) -> Path:
    """Write the checkpoint after the first segment, and return its folder."""
    folder = checkpoint_path(out, CHUNK, 1)
    checkpoint.save(folder, {"seats": {name: np.array(value) for name, value in seats.items()}})
    return folder


def faults(out: Path) -> list[tuple[Path, int]]:
    """Return the paths that a dry run names, and how many runs it says to train again; another says the same."""
    found = repair(out, dry_run=True)
    assert repair(out, dry_run=True) == found
    return [(fault.path, fault.runs) for fault in found]


def test_a_folder_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds no study is an error that says what it lacks, and it stays empty."""
    assert cli.main(["repair", str(tmp_path)]) == 1
    assert "is no run directory: it has neither plan.json nor chunks" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_done_file_of_a_saved_segment_is_missed(out: Path) -> None:
    """With a checkpoint after it, a segment without its done file is named with the run that has ended, once."""
    PART.done(out).unlink()
    (out / FOLDER / ROWS).mkdir(parents=True)  # as long as the study is being trained
    assert faults(out) == [(PART.done(out), 1)]
    repair(out)
    assert faults(out) == []


@pytest.mark.parametrize(
    "seats",
    [None, {"row": [0, 1], "over": [[[False], [False]], [[False], [True]]]}],
    ids=["killed before the checkpoint", "no run has ended"],
)
def test_a_segment_in_which_nothing_was_published_misses_nothing(out: Path, seats: dict[str, Any] | None) -> None:
    """A queue that was killed in its first segment, or none of whose runs has ended, has no done file to miss."""
    PART.done(out).unlink()
    (out / FOLDER / ROWS).mkdir(parents=True)
    shutil.rmtree(checkpoint_path(out, CHUNK, 1).parent)
    if seats is not None:
        save_seats(out, seats)
    assert faults(out) == []


def test_a_damaged_checkpoint_says_nothing_of_done_files(out: Path) -> None:
    """A checkpoint that lacks a file is named itself, and the done file that it would speak of is not."""
    folder = checkpoint_path(out, CHUNK, 1)
    (folder / checkpoint.FILES).unlink()
    PART.done(out).unlink()
    assert faults(out) == [(folder, 0)]
    repair(out)
    assert (out / QUARANTINE / folder.relative_to(out)).is_dir()
    assert not folder.exists()


def test_a_queue_of_other_contents_is_named(out: Path) -> None:
    """A queue that is whole and not the one that its folder is named after is set aside, its records stay."""
    path = store.chunk_folder(out, CHUNK) / "queue.json"
    store.write_json(path, {**QUEUE, "layout": [4, 1, 1]})
    assert faults(out) == [(path, 0)]
    assert "its folder is named after other contents" in repair(out)[0].text
    assert not path.exists()
    assert set(store.load_records(out)["run"]) == {A}


def test_without_any_records_their_runs_are_trained_again(out: Path) -> None:
    """Where the only segment is gone, it and the done file of its runs are named, and nothing of the queue is left."""
    store.segment_path(out, CHUNK, 0).unlink()
    assert faults(out) == [(store.segment_path(out, CHUNK, 0), 0), (PART.done(out), 1)]
    repair(out)
    assert store.done_runs(out) == {}
    assert not list(store.chunk_folder(out, CHUNK).glob("*"))


def test_what_is_set_aside_twice_is_kept_twice(out: Path) -> None:
    """A file of a name that is in the quarantine already gets a number there, and the first one stays."""
    path, aside = out / "runs.parquet", out / QUARANTINE / "runs.parquet"
    for number in ("first", "second", "third"):
        path.write_text(number)
        repair(out)
    found = {name.name: name.read_text() for name in aside.parent.glob("runs.parquet*")}
    assert found == {"runs.parquet": "first", "runs.parquet.1": "second", "runs.parquet.2": "third"}


@pytest.mark.parametrize(
    "name",
    ["done-00000 (conflicted copy).json", "seg-00000 (copy).parquet", "seg-1.parquet", "done-000000.json",
     "predictions-00000~1.parquet", "weights-\u0660\u0660\u0660\u0660\u0660.parquet", "params-00000 2",
     "done-00000.json.bak"],
)  # fmt: skip
def test_a_copy_under_another_name_is_passed_over_and_set_aside_alone(out: Path, name: str) -> None:
    """What is named almost like a file of a segment changes no results, and `repair` moves it and nothing else."""
    path, folder = store.chunk_folder(out, CHUNK) / name, store.chunk_folder(out, CHUNK)
    before = {file.name for file in folder.iterdir()}
    shutil.copyfile(store.segment_path(out, CHUNK, 0) if name.endswith("parquet") else PART.done(out), path)

    assert store.done_runs(out) == dict.fromkeys(store.read_done(PART.done(out))["runs"], PART)
    assert store.load_records(out)["test.nll"].tolist() == [0.5]
    assert faults(out) == [(path, 0)]
    assert repair(out)[0].text == f"{path} has none of regjax's names, as a copy has, and is not read"
    assert (out / QUARANTINE / path.relative_to(out)).exists()
    assert {file.name for file in folder.iterdir()} == before
    assert repair(out) == []


def test_what_a_killed_process_was_writing_is_no_damage(out: Path) -> None:
    """Half-written parameters under the names that orbax and regjax give them are not named."""
    for name in ("params-00001.new", "params-00001.new.orbax-checkpoint-tmp"):
        (store.chunk_folder(out, CHUNK) / name).mkdir()
    assert faults(out) == []


def test_a_quarantine_that_cannot_be_made_is_told(out: Path) -> None:
    """Where a file stands in place of the quarantine the error names what was to be moved where, and it stays."""
    (out / QUARANTINE).write_text("")
    (out / "runs.parquet").write_text("")
    with pytest.raises(StoreError, match=r"cannot move .*runs\.parquet to .*quarantine/runs\.parquet: .*exists"):
        repair(out)
    assert (out / "runs.parquet").exists()
