"""Calibration: bins and error against scikit-learn and closed forms, the section, and when it is left out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import HOSTILE, make_plan, save_folder
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from regjax import store
from regjax.analysis.calibration import NUM_BINS, bin_calibration, calibrate, expected_error
from regjax.analysis.predictions import Predictions, stack_predictions
from regjax.analysis.table import load_table
from regjax.report.calibration import make_section

DROPOUT = [{"path": "dropout.hidden", "levels": [0.0, 0.5]}]


def save_predictions(out: Path, plan: dict, num_examples: int = 120, num_classes: int = 3) -> Path:
    """Write a run directory with class probabilities of every run; cell 1 is the surer one."""
    save_folder(out, plan)
    runs = store.load_runs(out)
    labels = np.random.default_rng(7).integers(num_classes, size=num_examples)
    parts = []
    for run in runs.to_dict("records"):
        generator = np.random.default_rng([run["cell"], run["seed"]])
        logits = (1 + 2 * run["cell"]) * (
            generator.normal(size=(num_examples, num_classes)) + np.eye(num_classes)[labels]
        )
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        columns = {f"p{k}": p[:, k].astype(np.float32) for k in range(num_classes)}
        parts.append(pd.DataFrame({"run": run["run"], "row": np.arange(num_examples), "label": labels} | columns))
    store.write_table(store.Part("chunk0", 0).predictions(out), pd.concat(parts, ignore_index=True))
    return out


def test_bins_are_those_of_scikit_learn() -> None:
    """Mean confidence and share right per bin equal `calibration_curve` with quantile bins."""
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.3, 1, 500)
    right = (generator.random(500) < confidence**2).astype(int)
    found = bin_calibration(confidence, right)
    share, mean = calibration_curve(right, confidence, n_bins=NUM_BINS, strategy="quantile")
    np.testing.assert_allclose(found[:2], [mean, share])
    assert expected_error(found) == pytest.approx(np.average(np.abs(mean - share), weights=found[2]))
    assert found[2].max() - found[2].min() <= 1


def test_equal_confidences_share_a_bin_whatever_their_order() -> None:
    """A network that is always sure has one bin; the error is its share of wrong choices, and no order changes it."""
    right = np.array([1, 1, 1, 0] * 10)
    for order in (np.arange(40), np.random.default_rng(1).permutation(40)):
        found = bin_calibration(np.ones(40), right[order])
        assert np.isfinite(found[0]).sum() == 1
        assert expected_error(found) == pytest.approx(0.25)


def test_binary_predictions_count_the_chosen_class() -> None:
    """With one probability per example the choice is the likelier class; NLL and Brier score equal scikit-learn's."""
    generator = np.random.default_rng(2)
    p = generator.random((1, 2, 80, 1)).astype(np.float32)
    labels = generator.integers(2, size=80)
    found = calibrate(Predictions(np.arange(80), labels, p))
    for seed in range(2):
        one = p[0, seed, :, 0].astype(float)
        share, mean = calibration_curve((one > 0.5) == labels, np.maximum(one, 1 - one), n_bins=15, strategy="quantile")
        np.testing.assert_allclose(found.right[0, seed], share)
        np.testing.assert_allclose(found.confidence[0, seed], mean)
        assert found.nll[0, seed] == pytest.approx(log_loss(labels, one))
        assert found.brier[0, seed] == pytest.approx(brier_score_loss(labels, one))


def test_section_has_the_numbers_of_scikit_learn(tmp_path: Path) -> None:
    """Table and figure hold the means over seeds of what scikit-learn computes from the predictions."""
    table = load_table(save_predictions(tmp_path, make_plan(DROPOUT, 6)))
    section, kept = make_section(table), stack_predictions(table)
    assert section is not None
    assert kept is not None
    (drawing,), (cells, effects) = section.drawings, section.grids
    assert drawing.data is not None
    for cell in range(2):
        curves = []
        for p in kept.outputs[cell].astype(float):
            right, confidence = p.argmax(axis=1) == kept.labels, p.max(axis=1)
            curves.append(calibration_curve(right, confidence, n_bins=NUM_BINS, strategy="quantile"))
        mean = np.mean(curves, axis=0)
        shown = drawing.data[drawing.data["cell"] == table.cells[cell]]
        np.testing.assert_allclose(shown[["right", "confidence"]].to_numpy().T, mean)
        losses = [log_loss(kept.labels, p / p.sum(axis=1, keepdims=True)) for p in kept.outputs[cell].astype(float)]
        assert float(cells.rows[cell].cells[4]) == pytest.approx(np.mean(losses), abs=6e-5)
    assert [row.kind for row in effects.rows] == ["exploratory"]
    assert "ECE" in drawing.alt
    assert drawing == drawing._replace(svg=make_section(table).drawings[0].svg)  # type: ignore[union-attr]


def test_cells_without_runs_have_no_curve(tmp_path: Path) -> None:
    """A cell whose runs all diverged is a dash in the table and an empty panel, without any warning."""
    out = save_predictions(tmp_path, make_plan(DROPOUT, 3))
    path = store.Part("chunk0", 0).predictions(out)
    frame = store.read_table(path).to_pandas()
    frame.loc[frame["run"].str.startswith(f"{1:08x}"), ["p0", "p1", "p2"]] = np.nan
    store.write_table(path, frame)
    section = make_section(load_table(out))
    assert section is not None
    assert section.grids[0].rows[1].cells[1:3] == ("0", "–")


def test_without_contrasts_there_are_no_effects(tmp_path: Path) -> None:
    """A study that compares nothing has the calibration of its cells alone."""
    section = make_section(load_table(save_predictions(tmp_path, make_plan(DROPOUT, 3, contrasts=[]))))
    assert section is not None
    (grid,) = section.grids
    assert len(grid.rows) == 2


def test_names_are_escaped(tmp_path: Path) -> None:
    """Names of cells that look like markup stay text."""
    factors = [{"path": HOSTILE, "levels": ["off", HOSTILE]}]
    section = make_section(load_table(save_predictions(tmp_path, make_plan(factors, 3))))
    assert section is not None
    assert "<script" not in section.drawings[0].svg


@pytest.mark.parametrize("case", ["nothing kept", "regression", "few examples"])
def test_no_section_where_there_are_no_classes(tmp_path: Path, case: str) -> None:
    """Without predictions, of values, or with fewer examples than bins can hold, nothing is said."""
    plan = make_plan(DROPOUT, 3)
    if case == "nothing kept":
        save_folder(tmp_path, plan)
    else:
        plan["study"]["task"] = {"name": "regression" if case == "regression" else "classification"}
        save_predictions(tmp_path, plan, num_examples=120 if case == "regression" else 20)
    assert make_section(load_table(tmp_path)) is None
