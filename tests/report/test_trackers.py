"""Runs handed to TensorBoard, W&B and MLflow, read back with what reads them."""

import json
import math
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import report_folders as folders

from regjax import cli, store
from regjax.analysis.effects import make_effects
from regjax.analysis.table import load_table, state_values
from regjax.files import RegjaxError
from regjax.leases import Leases
from regjax.mirror import digest_path
from regjax.trackers import TRACKERS, send
from regjax.trackers.runs import Tracked, list_tracked
from regjax.trackers.sending import send_table

FACTORS = [{"path": "dropout.hidden", "levels": [0.0, 0.5]}]
LIBRARIES = {"tensorboard": ("tensorboardX", "tensorboard"), "wandb": ("wandb",), "mlflow": ("mlflow", "sqlalchemy")}
Read = dict[str, dict[str, Any]]


def study(out: Path, skip: Callable[[int, int], bool] = lambda cell, seed: False) -> Path:
    """Write a study of two cells and two seeds, one run diverged."""
    return folders.save_folder(out, folders.make_plan(FACTORS, 2), {(1, 1): {"diverged": 1125}}, skip)


def read_tensorboard(folder: Path) -> Read:
    """Return what TensorBoard's own reader finds: {name: {"status", "config", "points": {metric: [(step, value)]}}}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    found = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        events = EventAccumulator(str(place), {"scalars": 0, "tensors": 0}).Reload()
        tags = events.Tags()
        texts = {
            tag.split("/")[0]: tensor_util.make_ndarray(events.Tensors(tag)[0].tensor_proto).item().decode()
            for tag in tags["tensors"]
            if tag.endswith("/text_summary")
        }
        points = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]}
        config = json.loads(texts["config"].strip("`\n"))
        assert texts["name"] not in found
        found[texts["name"]] = {**texts, "config": config, "points": points}
    return found


def read_log(path: Path) -> Iterator[bytes]:
    """Yield the records of W&B's file: a header of 7 bytes, then a LevelDB log of blocks of 32 KiB."""
    data, place, whole = path.read_bytes(), 7, b""
    while place < len(data):
        if (rest := 32768 - place % 32768) < 7:
            place += rest
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def read_wandb(folder: Path) -> Read:
    """Return what the offline runs hold, by W&B's own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    found: Read = {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        run: dict[str, Any] = {"points": {}, "config": {}}
        for data in read_log(path):
            record = Record.FromString(data)
            if record.WhichOneof("record_type") == "run":
                run["name"] = record.run.display_name
                run["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            for item in record.summary.update:
                if item.key == "status":
                    run["status"] = json.loads(item.value_json)
                elif item.key.startswith("final/"):
                    run["points"][item.key] = [(0, json.loads(item.value_json))]
            items = {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item}
            for key, value in items.items():
                if isinstance(value, (int, float)) and not key.startswith("_"):
                    run["points"].setdefault(key, []).append((items["_step"], value))
        assert run["name"] not in found
        found[run["name"]] = run
    return found


def read_mlflow(folder: Path) -> Read:
    """Return what an MLflow client finds in the SQLite file."""
    from mlflow import MlflowClient

    client, found = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}"), {}
    experiment = client.get_experiment_by_name("regjax")
    assert experiment is not None
    for run in client.search_runs([experiment.experiment_id]):
        history = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
        points = {key: sorted((m.step, m.value) for m in metrics) for key, metrics in history.items()}
        assert run.info.run_name not in found
        found[run.info.run_name] = {
            "status": run.data.tags["status"], "config": run.data.params, "points": points, "end": run.info.status,
        }  # fmt: skip
    return found


READ = {"tensorboard": read_tensorboard, "wandb": read_wandb, "mlflow": read_mlflow}


@pytest.fixture(params=list(READ))
def to(request: pytest.FixtureRequest) -> str:
    """Return the name of a tracker whose libraries are installed."""
    for library in LIBRARIES[request.param]:
        pytest.importorskip(library, reason=f"{library} is not installed (pip install 'regjax[trackers]')")
    return request.param


@pytest.mark.filterwarnings("ignore:::(?!regjax)")
def test_every_run_is_read_back_once(to: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Curves, levels, final state and status of every run are the store's; a second export changes and adds nothing."""
    out, folder = study(tmp_path / "out"), tmp_path / to
    with Leases(out):  # as a process that trains would
        locked = digest_path(out)
        assert cli.main(["export", str(out), "--to", to, "--path", str(folder)]) == 0
        assert digest_path(out) == locked
    found, table = READ[to](folder), load_table(out)
    records = table.records[(table.records["cell"] == 1) & (table.records["seed"] == 0)]
    run = found["dropout.hidden=0.5, seed 0"]

    assert set(found) == {*(f"dropout.hidden={c}, seed {s}" for c in ("0.0", "0.5") for s in (0, 1)), "study"}
    assert float(run["config"]["dropout.hidden"]) == 0.5
    assert int(run["config"]["seed"]) == 0
    assert run["status"] == "done"
    steps, values = zip(*run["points"]["test.accuracy"], strict=True)
    assert list(steps) == records["step"].tolist()
    assert list(values) == pytest.approx(records["test.accuracy"].tolist(), rel=1e-6)
    judged = state_values(table, "test.accuracy", table.plan["primary"]["at"])[1, 0]
    assert run["points"]["final/test.accuracy"][-1][1] == pytest.approx(judged, rel=1e-6)
    lost = found["dropout.hidden=0.5, seed 1"]
    assert lost["status"] == "diverged at step 1125"
    assert max(step for step, _ in lost["points"]["test.accuracy"]) < 1125
    assert all(math.isfinite(v) for r in found.values() for points in r["points"].values() for _, v in points)
    effects = {k: v[-1][1] for k, v in found["study"]["points"].items() if "effect/" in k}
    assert list(effects.values()) == pytest.approx([e for e in make_effects(table)["effect"] if not math.isnan(e)])
    files = {path for path in folder.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert cli.main(["export", str(out), "--to", to, "--path", str(folder)]) == 0
    assert "written" not in capsys.readouterr().out
    assert {path for path in folder.rglob("*") if path.is_file()} == files
    assert READ[to](folder) == found
    with Leases(out):  # nobody holds it
        assert digest_path(out) == locked


@pytest.mark.filterwarnings("ignore:::(?!regjax)")
def test_a_lost_ledger_doubles_nothing(to: str, tmp_path: Path) -> None:
    """What was written before a crash is replaced: each run is there once after an export without its ledger."""
    out, folder = study(tmp_path / "out"), tmp_path / to
    send(out, to, folder)
    found = READ[to](folder)
    (folder / f"{to}-regjax.json").unlink()
    assert send(out, to, folder) == 5
    again = READ[to](folder)

    assert {name: run["points"] for name, run in again.items()} == {name: run["points"] for name, run in found.items()}


class Kept:
    """A tracker that keeps what it is given."""

    def __init__(self) -> None:
        self.runs: list[Tracked] = []

    def write(self, run: Tracked) -> None:
        """Keep a run."""
        self.runs.append(run)


def test_new_runs_alone_are_sent(tmp_path: Path) -> None:
    """Of a study that goes on only the runs that ended since are sent, and the summary anew; ids stay."""
    first = load_table(study(tmp_path / "a", lambda cell, seed: seed == 1))
    kept = Kept()
    assert send_table(first, kept, tmp_path / "ledger") == 3
    assert send_table(first, kept, tmp_path / "ledger") == 0
    assert send_table(load_table(study(tmp_path / "b")), kept, tmp_path / "ledger") == 3
    assert [run.name.rpartition(", ")[2] for run in kept.runs] == [*["seed 0"] * 2, "study", *["seed 1"] * 2, "study"]
    assert kept.runs[2].id == kept.runs[5].id
    assert kept.runs[5].status == "4 of 4 runs done"


def test_following_ends_with_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`follow` sends what ends while it looks on, and returns once every run is done."""
    kept = Kept()
    monkeypatch.setattr("regjax.trackers.sending.EVERY", 0.05)
    monkeypatch.setattr("regjax.trackers.sending.open_tracker", lambda *_: kept)
    out, said = study(tmp_path / "out", lambda cell, seed: seed == 1), []
    found: list[int] = []
    follower = threading.Thread(target=lambda: found.append(send(out, "mlflow", tmp_path / "t", True, said.append)))
    follower.start()
    while not said:
        follower.join(0.01)
    # The same study, one chunk further: its files appear as a training process publishes them.
    records = store.load_records(study(tmp_path / "all"))
    new = records[records["run"].str.endswith(f"{1:08x}")]
    store.write_table(store.segment_path(out, "chunk1", 0), new)
    done = {"chunk": "chunk1", "segment": 0, "runs": sorted(set(new["run"])), "digest": store.digest_records(new)}
    store.write_json(store.Part("chunk1", 0).done(out), done)
    follower.join(30)

    assert found == [6]
    assert said[-1].endswith("4 of 4 runs done")


def test_a_tracker_that_fails_is_told_with_its_own_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A tracker's error names the run, leaves the study as it was, exits with 3, and the next export goes on."""

    class Broken(Kept):
        def write(self, run: Tracked) -> None:
            if len(self.runs) == 2:
                raise OSError("the disk is full")
            super().write(run)

    broken, out = Broken(), study(tmp_path / "out")
    before = digest_path(out)
    monkeypatch.setattr("regjax.trackers.sending.open_tracker", lambda *_: broken)
    assert cli.main(["export", str(out), "--to", "wandb", "--path", str(tmp_path / "t")]) == 3
    assert "dropout.hidden=0.5, seed 0 cannot be written: OSError: the disk is full" in capsys.readouterr().err
    assert digest_path(out) == before
    monkeypatch.setattr("regjax.trackers.sending.open_tracker", lambda *_: Kept())
    assert send(out, "wandb", tmp_path / "t") == 3


def test_what_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder within the run directory, another tracker, a file's options and an absent library are errors."""
    out = study(tmp_path / "out")
    with pytest.raises(RegjaxError, match="outside of the run directory"):
        send(out, "mlflow", out / "tracker")
    with pytest.raises(RegjaxError, match="expected one of: tensorboard, wandb, mlflow"):
        send(out, "aim", tmp_path / "t")
    monkeypatch.setitem(TRACKERS, "mlflow", ("mlflow_sqlite", "no_such_library"))
    with pytest.raises(RegjaxError, match=r"mlflow needs no_such_library: pip install 'regjax\[trackers\]'"):
        send(out, "mlflow", tmp_path / "t")
    export = ["export", str(out), "--path", str(tmp_path / "x.csv")]
    assert cli.main([*export, "--to", "csv", "--follow"]) == 2
    assert cli.main([*export, "--to", "mlflow", "--what", "cells"]) == 2
    assert cli.main([*export, "--to", "latex"]) == 2
    assert not (tmp_path / "t").exists()


def test_a_study_without_finished_runs_sends_nothing(tmp_path: Path) -> None:
    """Before the first run is done there is nothing to send."""
    out = study(tmp_path / "out", lambda cell, seed: True)

    assert list(list_tracked(load_table(out))) == []
