"""From a study to stored results: nothing is trained twice, nothing is lost, what is kept can be used."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from studies import tiny

import regjax
from regjax import conductor, store
from regjax.progress import Progress
from regjax.train import checkpoint


def run(study: dict[str, Any], out: Path, **options: Any) -> tuple[regjax.Results, str]:
    """Return the results of a study, and what was said while it ran."""
    said = io.StringIO()
    return regjax.run(study, out, progress=Progress(said, live=False), report=False, **options), said.getvalue()


def numbers(results: regjax.Results) -> pd.DataFrame:
    """Return all records without wall time."""
    return results.to_pandas().drop(columns=["seconds", "run"]).sort_values(["cell", "seed", "step"], ignore_index=True)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> regjax.Results:
    """Return the results of the tiny study with predictions."""
    return run(tiny(measure={"predictions": "test"}), tmp_path_factory.mktemp("done") / "out")[0]


def test_every_run_has_every_record(done: regjax.Results) -> None:
    """Two cells x three seeds x four evaluations are stored once each, in the columns that the store promises."""
    frame = done.to_pandas()

    assert len(frame) == 2 * 3 * 4
    assert not frame.duplicated(["cell", "seed", "step"]).any()
    assert {"batch.loss", "train.nll", "validation.accuracy", "test.accuracy", "weight_norm", "zero_fraction",
            "examples", "seconds", "best_step", "stopped", "diverged", "epoch"} <= set(frame)  # fmt: skip
    assert frame["examples"].max() == 4 * 96
    assert (frame["diverged"] == -1).all()


def test_the_store_is_what_the_design_says(done: regjax.Results) -> None:
    """A finished queue has segments, parameters, predictions, histograms and done files; its checkpoints are gone."""
    (summary,) = store.iter_done(done.out)
    chunk = store.chunk_folder(done.out, summary["chunk"])

    assert {p.name for p in chunk.iterdir()} == {
        "queue.json", "seg-00000.parquet", "params-00000", "predictions-00000.parquet", "weights-00000.parquet",
        "done-00000.json",
    }  # fmt: skip
    assert sorted(summary["runs"]) == sorted(run for row in store.read_json(chunk / "queue.json")["rows"]
                                             for trajectory in row for run in trajectory)  # fmt: skip
    assert summary["digest"] == store.digest_records(store.read_chunk(done.out, chunk.name))
    assert sum(summary["programs"].values()) == 1
    assert summary["seconds"].keys() == {"compile", "train", "evaluate", "store"}
    assert min(summary["seconds"].values()) >= 0
    # Evaluations are timed apart: on a busy machine they may seem to take all the time of a segment.
    assert summary["seconds"]["train"] + summary["seconds"]["evaluate"] > 0
    assert min(summary["seconds"]["compile"], summary["seconds"]["store"]) > 0
    assert {p.name for p in done.out.iterdir()} == {"plan.json", "runs.parquet", "chunks"}


def test_running_again_trains_nothing(done: regjax.Results) -> None:
    """The same study on the same folder trains no run and leaves every file as it is."""
    before = {p: p.stat().st_mtime_ns for p in done.out.rglob("*") if p.is_file() and "chunks" in p.parts}
    again, said = run(tiny(measure={"predictions": "test"}), done.out)

    assert "6 already done" in said
    assert before == {p: p.stat().st_mtime_ns for p in done.out.rglob("*") if p.is_file() and "chunks" in p.parts}
    pd.testing.assert_frame_equal(numbers(done), numbers(again))


def test_profiled_anew_the_same_study_gives_the_same_digest(done: regjax.Results, tmp_path: Path) -> None:
    """Trained in another folder while a trace is written, every number is bit-equal; the trace is there."""
    again, _ = run(tiny(measure={"predictions": "test"}), tmp_path / "out", profile=tmp_path / "trace")
    traces = list((tmp_path / "trace").rglob("*.xplane.pb"))

    assert len(traces) == 1
    assert traces[0].stat().st_size > 1000

    digests = [[d["digest"] for d in store.iter_done(r.out)] for r in (done, again)]
    assert digests[0] == digests[1]
    assert checkpoint.tree_digest(done.params(1, 2)) == checkpoint.tree_digest(again.params(1, 2))


@pytest.mark.parametrize(
    ("change", "new"),
    [
        ({"seeds": {"count": 4}}, 2),
        ({"factors": {"dropout.hidden": [0.0, 0.2, 0.5]}}, 3),
        ({"factors": {"dropout.hidden": [0.0, 0.5], "l2.strength": [0.0, 0.01]}}, 6),
        ({"question": "Another wording?"}, 0),
    ],
)
def test_a_study_that_grows_reuses_its_runs(done: regjax.Results, tmp_path: Path, change: dict, new: int) -> None:
    """More seeds, levels or factors train only what is new; old runs keep their numbers."""
    shutil.copytree(done.out, tmp_path / "out")
    grown, said = run({**tiny(measure={"predictions": "test"}), **change}, tmp_path / "out")

    total = len(grown.plan["cells"]) * len(grown.plan["seeds"])
    assert f"{total} runs" in said
    assert f"{total - new} already done" in said
    assert grown.table.status.done.all()
    old = done.table.records.set_index(["run", "step"])["test.nll"]
    pd.testing.assert_series_equal(grown.table.records.set_index(["run", "step"])["test.nll"].reindex(old.index), old)


@pytest.mark.parametrize(
    "change", [{"training__batch_size": 16}, {"optimizer__learning_rate": 0.01}, {"data__split": {
        "train": 95, "validation": 64, "test": 128}}, {"model__widths": [17]},
        {"seeds": {"count": 2, "first": 1, "vary": ["init"]}}],
)  # fmt: skip
def test_what_a_run_depends_on_is_its_identity(done: regjax.Results, change: dict) -> None:
    """Changing a setting, a hyper, the split or what a seed varies reuses no run."""
    from regjax.config import parse_study
    from regjax.plan import make_plan

    study = parse_study(tiny(measure={"predictions": "test"}, **change))
    ids = {r.id for r in make_plan(study, regjax.load_dataset("digits")).runs}
    assert not ids & set(store.done_runs(done.out))


def test_interrupted_and_continued_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study killed after its second segment goes on from there to bit-equal records and parameters (I8)."""
    study = tiny(training__save_every={"epochs": 1})
    whole, _ = run(study, tmp_path / "whole")
    saves = []

    def save_and_die(folder: Path, tree: Any) -> None:
        original(folder, tree)
        saves.append(folder)
        if len(saves) == 2:
            raise KeyboardInterrupt

    original = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "cut")
    monkeypatch.setattr(checkpoint, "save", original)
    segments = len(list((tmp_path / "cut").rglob("seg-*.parquet")))
    continued, _ = run(study, tmp_path / "cut")

    assert segments == 2
    pd.testing.assert_frame_equal(numbers(whole), numbers(continued))
    assert [d["digest"] for d in store.iter_done(whole.out)] == [d["digest"] for d in store.iter_done(continued.out)]
    assert checkpoint.tree_digest(whole.params(0, 1)) == checkpoint.tree_digest(continued.params(0, 1))


def test_a_damaged_checkpoint_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one bit of the newest checkpoint flipped the chunk falls back one segment, to the same records."""
    study = tiny(training__save_every={"epochs": 1})
    whole, _ = run(study, tmp_path / "whole")
    original = checkpoint.save

    def die_at_third(folder: Path, tree: Any) -> None:
        original(folder, tree)
        if folder.name == "000003":
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", die_at_third)
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "cut")
    monkeypatch.setattr(checkpoint, "save", original)
    (newest,) = (tmp_path / "cut").glob("chunks/*/checkpoint/000003")
    biggest = max((p for p in newest.rglob("*") if p.is_file() and "/d/" in str(p)), key=lambda p: p.stat().st_size)
    content = bytearray(biggest.read_bytes())
    content[len(content) // 2] ^= 1
    biggest.write_bytes(bytes(content))
    continued, _ = run(study, tmp_path / "cut")

    pd.testing.assert_frame_equal(numbers(whole), numbers(continued))


def test_kept_parameters_predict_what_was_recorded(done: regjax.Results) -> None:
    """The kept network of a cell and seed gives the recorded test accuracy and the stored probabilities."""
    data = regjax.load_dataset("digits")
    kept = done.predictions()
    one = kept[(kept["cell"] == 1) & (kept["seed"] == 2)]
    probabilities = done.predict({"dropout.hidden": 0.5}, 2, data.x[one["row"]])
    frame = done.to_pandas()
    frame = frame[(frame["cell"] == 1) & (frame["seed"] == 2)]
    best = frame[frame["step"] == frame["best_step"].iloc[-1]].iloc[0]

    np.testing.assert_allclose(probabilities, one[[f"p{k}" for k in range(10)]], atol=1e-5)
    assert (probabilities.argmax(1) == one["label"]).mean() == pytest.approx(best["test.accuracy"])
    assert frame["validation.nll"].min() == best["validation.nll"]


@pytest.mark.parametrize(("keep", "at"), [("last", {"step": 6}), ("best", "last"), ("none", "best")])
def test_states_kept(tmp_path: Path, keep: str, at: Any) -> None:
    """`keep` and the primary state are separate: predictions are of the primary state, parameters of `keep`."""
    study = tiny(training__keep=keep, primary__at=at, measure={"predictions": "test"}, seeds__count=1)
    results, _ = run(study, tmp_path / "out")
    kept = results.predictions()
    frame = results.to_pandas()
    wanted = {"best": frame["best_step"], "last": 12}.get(at if isinstance(at, str) else "", 6)
    recorded = frame[frame["step"] == wanted].drop_duplicates(["cell"]).set_index("cell")["test.accuracy"]
    classes = kept[[f"p{k}" for k in range(10)]].to_numpy().argmax(1)
    measured = (classes == kept["label"]).groupby(kept["cell"]).mean()

    if at != "best":
        np.testing.assert_allclose(measured, recorded)
    if keep == "none":
        with pytest.raises(regjax.StoreError, match="keeps no parameters"):
            results.params(0, 0)
    else:
        x = regjax.load_dataset("digits").x[kept["row"][kept["cell"] == 0]]
        same = np.allclose(
            results.predict(0, 0, x), kept.loc[kept["cell"] == 0, [f"p{k}" for k in range(10)]], atol=1e-5
        )
        best = int(frame.loc[frame["cell"] == 0, "best_step"].iloc[-1])
        assert same == ({"last": 12, "best": best}[keep] == {"last": 12}.get(str(at), 6))


def test_early_stopping_is_per_run_and_restores_where_it_should(tmp_path: Path) -> None:
    """Runs that differ in stopping share a trajectory; each stops by itself and ends in its best or its last state."""
    study = tiny(
        factors={"early_stopping.patience": ["off", 1], "early_stopping.restore": [True, False]},
        optimizer__learning_rate=0.05, training__epochs=12, primary__at="last", training__keep="last",
        measure={"predictions": "test"},
    )  # fmt: skip
    results, _ = run(study, tmp_path / "out")
    (queue,) = [queue for _, queue in store.iter_queues(results.out)]
    status, kept = results.table.status, results.predictions()
    frame = results.to_pandas().set_index(["cell", "seed", "step"])["test.accuracy"]
    classes = kept[[f"p{k}" for k in range(10)]].to_numpy().argmax(1)
    measured = (classes == kept["label"]).groupby([kept["cell"], kept["seed"]]).mean()

    assert [[len(trajectory) for trajectory in row] for row in queue["rows"]] == [[3]] * 3
    assert (status.stopped[:2] == -1).all()
    assert (status.stopped[2] > 0).any()
    np.testing.assert_array_equal(status.stopped[2], status.stopped[3])
    for (cell, seed), accuracy in measured.items():
        at = status.best[cell, seed] if cell == 2 else status.end[cell, seed]
        assert frame[cell, seed, at] == pytest.approx(accuracy)
    assert (status.best[2] < status.end[2]).any()
    x = regjax.load_dataset("digits").x
    for cell in (2, 3):
        one = kept[(kept["cell"] == cell) & (kept["seed"] == 0)]
        np.testing.assert_allclose(
            results.predict(cell, 0, x[one["row"]]), one[[f"p{k}" for k in range(10)]], atol=1e-5
        )


def test_a_diverged_run_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    """A cell whose learning rate is absurd diverges in every seed: void numbers, a status, a count in every table."""
    study = tiny(factors={"optimizer.learning_rate": [0.003, 1e30]}, fixed={"early_stopping.patience": 3})
    results, _ = run(study, tmp_path / "out")
    frame = results.to_pandas()
    bad = frame[frame["cell"] == 1]

    assert (results.table.status.diverged[1] >= 1).all()
    assert bad[["test.accuracy", "weight_norm", "batch.loss"]].isna().all().all()
    assert frame[frame["cell"] == 0]["test.accuracy"].notna().all()
    assert results.cells()["diverged"].tolist() == [0, 3]
    assert results.effects()["diverged"].tolist() == [3]
    assert "diverged" in results.summary()


def test_tuning_chooses_on_validation_and_on_other_seeds(tmp_path: Path) -> None:
    """`[tune]` takes per cell the candidate with the best mean validation metric, on seeds that are not reported."""
    study = tiny(tune={"optimizer.learning_rate": [1e-6, 0.003], "seeds": 2})
    results, said = run(study, tmp_path / "out")
    runs = store.load_runs(results.out)

    assert results.plan["tuned"] == {"0": {"optimizer.learning_rate": 0.003}, "1": {"optimizer.learning_rate": 0.003}}
    assert len(store.done_runs(results.out)) == 2 * 3 + 2 * 2 * 2
    assert "tuning: 8 runs" in said
    assert set(runs.loc[runs["wave"] == "main", "seed"]) == {0, 1, 2}
    assert (runs.loc[runs["wave"] == "tune", "seed"] >= 2**31).all()
    assert run(study, tmp_path / "out")[1].count("already done") == 2


def test_selection_never_reads_the_test_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the test labels scrambled the best step, the stop and the tuned values stay what they were (I7)."""
    study = tiny(
        tune={"optimizer.learning_rate": [1e-6, 0.003], "seeds": 2}, fixed={"early_stopping.patience": 1},
        seeds__vary=["init", "order", "dropout"],
    )  # fmt: skip
    honest, _ = run(study, tmp_path / "honest")
    data = regjax.load_dataset("digits")
    from regjax.config import parse_study
    from regjax.plan import find_rows, make_plan

    parsed = parse_study(study)
    rows = find_rows(parsed, data, make_plan(parsed, data).runs[0]).test
    labels = data.y.copy()
    labels[rows] = (labels[rows] + 1) % 10
    monkeypatch.setattr(conductor, "load_dataset", lambda **_: data._replace(y=labels, digest="0" * 16))
    scrambled, _ = run(study, tmp_path / "scrambled")

    columns = ["cell", "seed", "step", "best_step", "stopped", "validation.nll"]
    pd.testing.assert_frame_equal(numbers(honest)[columns], numbers(scrambled)[columns])
    assert honest.plan["tuned"] == scrambled.plan["tuned"]
    assert not np.array_equal(numbers(honest)["test.accuracy"], numbers(scrambled)["test.accuracy"])


def test_groups_follow_from_structure(tmp_path: Path) -> None:
    """Traced levels share a program and a setting makes its own: two norms x two rates are two (I4, I5)."""
    study = tiny(factors={"model.norm": ["none", "batch"], "dropout.hidden": [0.0, 0.5]}, seeds__count=1)
    results, said = run(study, tmp_path / "out")
    programs = [d["programs"] for d in store.iter_done(results.out)]

    assert "2 group(s)" in said
    assert sum(p["compiled"] + p["cached"] for p in programs) == 2


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    """The same study in a new process, into a new folder, takes every program from the persistent cache (I4)."""
    code = (
        "import sys, json, regjax\n"
        "from regjax import runtime\n"
        "r = regjax.run(json.loads(sys.argv[1]), sys.argv[2])\n"
        "r.predict(0, 0, regjax.load_dataset('digits').x[:5])\n"
        "print(json.dumps(runtime.COMPILATIONS.taken()))"
    )
    environment = {**os.environ, "REGJAX_CACHE": str(tmp_path / "cache")}
    environment.pop("XLA_FLAGS", None)
    study = json.dumps(tiny(measure={"predictions": "test"}))
    counts = []
    for name in ("first", "second"):
        done = subprocess.run(
            [sys.executable, "-c", code, study, str(tmp_path / name)],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        counts.append(json.loads(done.stdout.splitlines()[-1]))

    assert counts[0][0] > 0
    assert counts[1][0] == 0
    assert counts[1][1] > 0


def test_standard_scale_is_fitted_per_split(tmp_path: Path) -> None:
    """With data.scale = "standard" a kept network still predicts what was stored, with its own shift and factor."""
    study = tiny(data__scale="standard", measure={"predictions": "test"})
    results, _ = run(study, tmp_path / "out")
    kept = results.predictions()
    one = kept[(kept["cell"] == 0) & (kept["seed"] == 1)]
    data = regjax.load_dataset("digits")

    np.testing.assert_allclose(results.predict(0, 1, data.x[one["row"]]), one[[f"p{k}" for k in range(10)]], atol=1e-5)


def test_unknown_cells_and_seeds_are_named(done: regjax.Results) -> None:
    """Asking for what is not there says what is."""
    with pytest.raises(KeyError, match=r"dropout\.hidden=0\.5"):
        done.params("nonsense", 0)
    with pytest.raises(KeyError, match=r"expected one of \[0, 1, 2\]"):
        done.params(0, 99)


def test_a_wrong_study_writes_nothing(tmp_path: Path) -> None:
    """A study that its data cannot serve is refused before the run directory is made."""
    with pytest.raises(regjax.ConfigError, match=r"training\.batch_size"):
        run(tiny(training__batch_size=97), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_off_cells_predict_and_min_delta_is_off_with_them(tmp_path: Path) -> None:
    """With early stopping off `min_delta` changes neither best step nor identity, and the kept network predicts."""
    study = tiny(factors={"early_stopping.patience": ["off", 2]}, fixed={"early_stopping.min_delta": 0.3})
    results, _ = run(study, tmp_path / "out")
    _, said = run(tiny(), tmp_path / "out")
    frame = results.to_pandas()
    off = frame[(frame["cell"] == 0) & (frame["seed"] == 1)]

    assert "3 already done" in said
    assert off.loc[off["validation.nll"].idxmin(), "step"] == off["best_step"].iloc[-1]
    x = regjax.load_dataset("digits").x[:3]
    assert results.predict({"early_stopping.patience": float("inf")}, 1, x).shape == (3, 10)


def test_diverged_runs_have_no_predictions_and_no_parameters(tmp_path: Path) -> None:
    """What a diverged run would predict is void, and asking for its parameters names the step."""
    study = tiny(factors={"optimizer.learning_rate": [0.003, 1e30]}, measure={"predictions": "test"}, seeds__count=1)
    results, _ = run(study, tmp_path / "out")
    kept = results.predictions()

    assert kept.loc[kept["cell"] == 1, "p0"].isna().all()
    assert kept.loc[kept["cell"] == 0, "p0"].notna().all()
    with pytest.raises(regjax.StoreError, match="diverged at step"):
        results.params(1, 0)


def test_reused_runs_keep_their_own_scale(tmp_path: Path) -> None:
    """A run reused by a study that varies other streams predicts with the scale it was trained with, either way."""
    x = regjax.load_dataset("digits").x[:4]
    few = tiny(data__scale="standard", seeds={"count": 1, "vary": ["init", "order", "dropout"]})
    all_ = tiny(data__scale="standard", seeds={"count": 1, "vary": ["init", "order", "dropout", "split"]})
    first = run(few, tmp_path / "out")[0].predict(0, 0, x)
    again, said = run(all_, tmp_path / "out")

    assert "2 already done" in said
    np.testing.assert_array_equal(first, again.predict(0, 0, x))


def test_per_layer_levels_keep_the_runs_of_equal_rates(done: regjax.Results, tmp_path: Path) -> None:
    """Adding a level per layer to a factor reuses the runs of the scalar levels: they mean the same."""
    shutil.copytree(done.out, tmp_path / "out")
    study = tiny(factors={"dropout.hidden": [0.0, 0.5, [0.3]]}, measure={"predictions": "test"})
    assert "6 already done" in run(study, tmp_path / "out")[1]


def test_overrides_apply_to_a_checked_study(tmp_path: Path) -> None:
    """Overrides beside a Study object are applied and checked, never dropped."""
    from regjax.config import parse_study

    study = parse_study(tiny())
    results = regjax.run(
        study, tmp_path / "out", overrides=["seeds.count=1"], report=False, progress=Progress(io.StringIO())
    )
    assert results.plan["seeds"] == [0]
    with pytest.raises(regjax.ConfigError, match=r"training\.nonsense"):
        regjax.run(study, tmp_path / "no", overrides=["training.nonsense=3"])


def test_notices_say_what_would_surprise(tmp_path: Path) -> None:
    """Cells that mean the same, unscaled inputs and another study in the folder are told before the training."""
    twins = tiny(factors={"dropout.hidden": [0.5, [0.5]]}, seeds__count=1)
    _, said = run(twins, tmp_path / "out")
    _, other = run(tiny(seeds__count=1, model__widths=[8]), tmp_path / "out")
    _, grown = run(tiny(seeds__count=2, model__widths=[8]), tmp_path / "out")

    assert ' is the same as "dropout.hidden=0.5"' in said
    assert "differs in factors." in other
    assert "model.widths" in other
    assert "differs" not in grown

    data = regjax.load_dataset("digits")
    np.savez(tmp_path / "raw.npz", x=data.x.reshape(len(data.y), -1) * 100.0, y=data.y)
    arrays = tiny(data={"name": "arrays", "path": str(tmp_path / "raw.npz"), "split": tiny()["data"]["split"]})
    assert "consider data.scale" in run({**arrays, "seeds": {"count": 1}}, tmp_path / "raw")[1]


@pytest.mark.parametrize(("scale", "told"), [("unit", True), ("standard", False)])
def test_features_of_uneven_spread_are_told(scale: str, told: bool) -> None:
    """A table whose features differ much in spread, though none is large, is noticed where it is not scaled."""
    x = np.random.default_rng(0).normal(size=(100, 2)) * [1.0, 0.01]
    data = regjax.make_dataset("own", x, np.arange(100) % 2)
    split = {"train": 50, "validation": 25, "test": 25}
    study = conductor.read_study(tiny(data={"name": "custom", "split": split, "scale": scale}))
    assert (
        any("-fold in spread" in notice for notice in conductor.find_notices(conductor.make_plan(study, data), data))
        == told
    )


def test_tuned_values_are_said(tmp_path: Path) -> None:
    """What `[tune]` chose for each cell is told while the study runs."""
    _, said = run(tiny(tune={"optimizer.learning_rate": [1e-6, 0.003], "seeds": 1}, seeds__count=1), tmp_path / "out")
    assert "tuned: dropout.hidden=0.5: {'optimizer.learning_rate': 0.003}" in said
