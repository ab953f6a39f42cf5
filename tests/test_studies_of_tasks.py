"""Whole studies of regression and of two classes: trained, stored, resumed, streamed, predicted, reported."""

import io
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, r2_score
from studies import tiny

import regjax
from regjax import runtime
from regjax.conductor import save_waves
from regjax.config import ConfigError, parse_study
from regjax.data import Dataset, load_dataset
from regjax.leases import Leases
from regjax.plan import find_rows, make_plan
from regjax.progress import Progress
from regjax.tasks import Regression
from regjax.train.inputs import seed_of
from regjax.waves import train_plan

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(500, 2, 3)).astype(np.float32)
# The last column of inputs says nothing of y. Means are far from zero, spreads differ.
SIGNAL = np.tanh(X[:, 0, 0] + X[:, 1, 1])
VALUES = np.stack([5000 + 3 * SIGNAL, -2 + 0.5 * X[:, 1, 0]], axis=1) + GENERATOR.normal(size=(500, 2)) * 0.05
REAL = Dataset("real", X, VALUES.astype(np.float32), 0, {}, 1.0, "real")
ONE = REAL._replace(y=REAL.y[:, 0], digest="one")
TWO = Dataset("two", X, (SIGNAL > 0.5).astype(np.int32), 2, {}, 1.0, "two")

REGRESSION = {
    "primary": {"metric": "test.r2", "at": "best", "margin": 0.01},
    "data": {"name": "digits", "split": {"train": 256, "validation": 100, "test": "rest"}, "scale": "none"},
    "training": {"epochs": 12, "batch_size": 32, "evaluate_every": {"epochs": 2}, "save_every": {"epochs": 4}},
    "seeds": {"count": 6},
    "measure": {"predictions": "test"},
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "factors": {"decay.strength": [0.0, 0.3], "early_stopping.patience": ["off", 2]},
}
BINARY = {**REGRESSION, "primary": {"metric": "gap.nll", "at": "last"}, "seeds": {"count": 2}}
BINARY |= {"factors": {"decay.strength": [0.0, 0.3]}, "task": {"name": "binary", "class_weights": "balanced"}}


def run(dataset: Dataset, out: Path, stream: bool = False, **changes: Any) -> regjax.Results:
    """Return the results of a tiny study on these arrays."""
    plan = make_plan(parse_study(tiny(**changes)), dataset)
    out.mkdir(parents=True, exist_ok=True)
    save_waves(out, plan, [], dataset, runtime.configure())
    with Leases(out) as leases:
        train_plan(plan, dataset, out, Progress(io.StringIO(), live=False), "training", leases, None, stream)
    return regjax.load_results(out)


def numbers(results: regjax.Results) -> pd.DataFrame:
    """Return all records but what the clock says."""
    return results.to_pandas().drop(columns="seconds")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> regjax.Results:
    """Return a regression of two values."""
    return run(REAL, tmp_path_factory.mktemp("real"), **REGRESSION)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> regjax.Results:
    """Return a binary classification with balanced classes."""
    return run(TWO, tmp_path_factory.mktemp("two"), **BINARY)


def end(results: regjax.Results, cell: int, seed: int, state: str) -> pd.Series:
    """Return the record of a run at its best or last evaluation."""
    rows = results.to_pandas().query(f"cell == {cell} and seed == {seed}")
    return rows[rows["step"] == rows["best_step"].iloc[-1]].iloc[0] if state == "best" else rows.iloc[-1]


def test_a_regression_learns_and_its_records_are_those_of_its_predictions(real: regjax.Results) -> None:
    """Predictions are in the units of y, and r2 and mae of them are the records'."""
    kept = real.predictions().query("cell == 0 and seed == 3")
    labels, values = kept[["label0", "label1"]].to_numpy(np.float64), kept[["value0", "value1"]].to_numpy(np.float64)
    record = end(real, 0, 3, "best")

    np.testing.assert_array_equal(labels, REAL.y[kept["row"]])
    assert record["test.r2"] == pytest.approx(r2_score(labels, values), abs=1e-4)
    assert record["test.r2"] > 0.8
    assert record["test.mae"] == pytest.approx(mean_absolute_error(labels, values), rel=1e-3)
    assert record["gap.r2"] == pytest.approx(record["train.r2"] - record["test.r2"])
    assert record["gap.mse"] == pytest.approx(record["test.mse"] - record["train.mse"])
    np.testing.assert_allclose(real.predict(0, 3, REAL.x[kept["row"]]), values, rtol=1e-5)


def test_a_regression_is_monitored_by_its_mse(real: regjax.Results) -> None:
    """Best steps are those of the least validation mse, and the plan says so."""
    frame = real.to_pandas().query("cell == 0 and seed == 1")

    assert real.plan["monitor"] == "validation.mse"
    assert frame.loc[frame["validation.mse"].idxmin(), "step"] == frame["best_step"].iloc[-1]


def test_a_regression_is_reported(real: regjax.Results) -> None:
    """Page, verdict and effects speak of R², without percent, and of targets, not classes."""
    page = real.report().read_text()

    assert [word in page for word in ("test R²", "2 targets", "validation MSE", " classes", " pp")] == [True] * 3 + [
        False
    ] * 2
    assert "test R²" in real.summary()
    assert real.effects()["better"].iloc[0] in (True, False)
    for metric in ("gap.mse", "weight_norm", "near_zero_fraction"):
        assert np.isfinite(real.effects(metric=metric)["effect"]).all()


def test_inputs_without_signal_have_the_least_norms(real: regjax.Results) -> None:
    """`feature_norms` is shaped like an example: inputs that y follows from weigh most."""
    norms = real.feature_norms(0, 0)
    kernel = real.params(0, 0)["hidden_0"]["kernel"]

    assert norms.shape == (2, 3)
    np.testing.assert_allclose(norms.reshape(-1), np.linalg.norm(kernel, axis=1), rtol=1e-6)
    assert norms[1, 1] > norms[:, 2].max() < norms[0, 0]


def test_a_convolution_has_no_weights_of_single_inputs(real: regjax.Results) -> None:
    """`feature_norms` of another model than one with a dense first layer says what it needs."""
    other = regjax.load_results(real.out)
    other.plan["study"]["model"]["name"] = "cnn"

    with pytest.raises(ValueError, match="got the model 'cnn', expected mlp or linear, whose first layer is dense"):
        other.feature_norms(0, 0)


def test_streamed_values_train_the_same(real: regjax.Results, tmp_path: Path) -> None:
    """Real labels of two columns that stay on the host give the records of those on the devices."""
    pd.testing.assert_frame_equal(numbers(run(REAL, tmp_path, True, **REGRESSION)), numbers(real), rtol=1e-3)


def test_a_study_of_two_classes_grows(two: regjax.Results, tmp_path: Path) -> None:
    """One more seed is trained, with weights of its own, and the others' records stay bit for bit."""
    shutil.copytree(two.out, tmp_path / "grown")
    grown = numbers(run(TWO, tmp_path / "grown", **{**BINARY, "seeds": {"count": 3}}))

    assert sorted(grown["seed"].unique()) == [0, 1, 2]
    pd.testing.assert_frame_equal(grown[grown["seed"] < 2].reset_index(drop=True), numbers(two), check_exact=True)


def test_two_classes_by_one_logit(two: regjax.Results) -> None:
    """One column p1 is kept; nll, Brier score and gap of the records are scikit-learn's of it."""
    kept = two.predictions().query("cell == 1 and seed == 1")
    p, record = kept["p1"].to_numpy(np.float64), end(two, 1, 1, "last")

    assert not {"p0", "p2"} & set(kept.columns)
    assert record["test.nll"] == pytest.approx(log_loss(kept["label"], p), rel=1e-4)
    assert record["test.brier"] == pytest.approx(brier_score_loss(kept["label"], p), rel=1e-4)
    assert record["gap.nll"] == pytest.approx(record["test.nll"] - record["train.nll"])
    assert record["test.balanced_accuracy"] > 0.75
    np.testing.assert_allclose(two.predict(1, 1, TWO.x[kept["row"]])[:, 0], p, rtol=1e-5)


def test_a_gap_is_reported_as_worse_where_it_rises(two: regjax.Results) -> None:
    """Of a gap less is better, and the page names it."""
    row = two.effects().iloc[0]

    assert row["better"] == (row["effect"] < 0)
    assert "generalization gap in NLL" in two.report().read_text()


def test_balanced_classes_raise_the_rare_one(two: regjax.Results, tmp_path: Path) -> None:
    """With balanced weights the rare class is predicted with more probability than without weights."""
    plain = run(TWO, tmp_path, **{**BINARY, "task": {"name": "binary"}})

    assert TWO.y.mean() < 0.4
    assert two.predictions()["p1"].mean() > plain.predictions()["p1"].mean() + 0.01


def test_without_weights_nothing_is_fitted_to_classes() -> None:
    """Weights "none" leave no number behind in what a program is given; balanced ones are of each seed's own rows."""
    study = parse_study(tiny(**BINARY))
    found = [seed_of(study, TWO, run).fit.weights for run in make_plan(study, TWO).runs[::2]]
    rows = [find_rows(study, TWO, run).train for run in make_plan(study, TWO).runs[::2]]

    for weights, mine in zip(found, rows, strict=True):
        np.testing.assert_allclose(weights[0], len(mine) / (2 * np.bincount(TWO.y[mine])), rtol=1e-6)
    assert len({weights[0, 0] for weights in found}) == 2
    plain = parse_study(tiny(**{**BINARY, "task": {}}))
    assert jax.tree.leaves(seed_of(plain, TWO, make_plan(plain, TWO).runs[0]).fit) == []


def test_diabetes_is_regressed_from_its_study_alone(tmp_path: Path) -> None:
    """A study that names the data and a metric is a regression: run, predicted and reported with nothing else said.

    Its seeds share one split, and so one scale of the targets.
    """
    changes = {
        **REGRESSION,
        "seeds": {"count": 1, "vary": ["init", "order"]},
        "factors": {"dropout.hidden": [0.0, 0.2]},
    }
    results = regjax.run(tiny(**{**changes, "data": {"name": "diabetes"}}), tmp_path)
    data = load_dataset("diabetes")
    predicted = results.predict(0, 0, data.x)

    assert end(results, 0, 0, "best")["test.r2"] > 0.2
    assert predicted.shape == (442, 1)
    kept = results.predictions().query("cell == 0")
    np.testing.assert_allclose(predicted[kept["row"], 0], kept["value0"], rtol=1e-4)
    assert "1 target" in (tmp_path / "report.html").read_text()


def test_class_numbers_may_be_regressed() -> None:
    """Digits as numbers: one target, where the study says so."""
    study = parse_study(tiny(**{**REGRESSION, "task": {"name": "regression"}}))

    assert make_plan(study, load_dataset("digits")).runs[0].recipe.task == Regression(1)


def test_the_fit_is_of_each_seeds_training_rows() -> None:
    """Shift and spread are those of the rows that a seed trains on; without scaling they are 0 and 1."""
    study = parse_study(tiny(**REGRESSION))
    plan = make_plan(study, ONE)
    shifts = set()
    for item in plan.runs[::4][:3]:
        mine = ONE.y[find_rows(study, ONE, item).train].astype(np.float64)
        fit = seed_of(study, ONE, item).fit
        assert (fit.shift.item(), fit.spread.item()) == pytest.approx((mine.mean(), mine.std()))
        shifts.add(fit.shift.item())
    assert len(shifts) == 3
    plain = parse_study(tiny(**REGRESSION, task={"scale_targets": False}))
    fit = seed_of(plain, ONE, plan.runs[0]).fit
    assert (fit.shift.item(), fit.spread.item()) == (0.0, 1.0)


def test_an_identity_tells_tasks_apart() -> None:
    """Task, weights and scaling are part of what a run is; a default written out is not."""

    def ids(dataset: Dataset, changes: dict[str, Any], **task: Any) -> tuple[str, ...]:
        return tuple(run.id for run in make_plan(parse_study(tiny(**{**changes, "task": task})), dataset).runs)

    said = [{}, {"class_weights": "balanced"}, {"class_weights": [1, 2]}, {"name": "binary"}]
    assert len({ids(TWO, BINARY, **task) for task in said}) == 4
    assert ids(TWO, BINARY) == ids(TWO, BINARY, name="classification", class_weights="none")
    assert ids(REAL, REGRESSION) == ids(REAL, REGRESSION, name="regression", scale_targets=True)
    assert ids(REAL, REGRESSION) != ids(REAL, REGRESSION, scale_targets=False)


@pytest.mark.parametrize(
    ("dataset", "changes", "message"),
    [
        (REAL, BINARY, 'task.name: got "binary", expected "regression"'),
        (REAL, {"task": {"name": "classification"}}, "real values; for classes write them as integers"),
        (REAL, {}, 'primary.metric: got "test.accuracy", expected a metric of regression: mse, mae, r2; the labels'),
        (TWO, REGRESSION, 'primary.metric: got "test.r2", expected a metric of classification: nll, accuracy'),
        (TWO, {"training__monitor": "validation.r2"}, 'training.monitor: got "validation.r2"'),
        (TWO, {"task": {"class_weights": [1, 2, 3]}}, "task.class_weights: got 3 numbers, expected 2, one per class"),
        (TWO, {"task": {"scale_targets": False}}, "task.scale_targets: got false"),
        (REAL, {**REGRESSION, "task": {"class_weights": "balanced"}}, 'task.class_weights: got "balanced"'),
        (
            REAL,
            {**REGRESSION, "fixed": {"label_smoothing.strength": 0.1}},
            "label_smoothing: got targets that are numbers",
        ),
        (TWO, {**BINARY, "fixed": {"label_smoothing.strength": 0.1}}, 'expected task.name = "classification"'),
        (TWO._replace(num_classes=3), {"task": {"name": "binary"}}, "two has 3 classes"),
    ],
)
def test_what_labels_cannot_give_is_refused(dataset: Dataset, changes: dict[str, Any], message: str) -> None:
    """Tasks, metrics and weights that do not fit the data are refused with the place and what would fit."""
    with pytest.raises(ConfigError) as caught:
        make_plan(parse_study(tiny(**changes)), dataset)

    assert message in str(caught.value)


def test_the_monitor_is_filled_in_where_the_labels_are_known() -> None:
    """Without a monitor classes are judged by nll, real values by mse; what is said stays."""
    assert make_plan(parse_study(tiny()), TWO).study.training.monitor == "validation.nll"
    assert make_plan(parse_study(tiny(**REGRESSION)), ONE).study.training.monitor == "validation.mse"
    said = parse_study(tiny(training__monitor="validation.brier"))
    assert make_plan(said, TWO).runs[0].recipe.monitor == "brier"
