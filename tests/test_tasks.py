"""Tasks: encoding, loss and metrics against scikit-learn and formulas."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)

from regjax.metrics import METRICS, TASK_METRICS, larger_is_better
from regjax.tasks import NO_FIT, Binary, Classification, Fit, Regression, Task, make_task

TASK = Classification(4)
OUTPUTS = np.random.default_rng(0).normal(0, 3, size=(50, 4)).astype(np.float32)
# Class 3 does not occur, as in a small split.
LABELS = np.random.default_rng(1).integers(3, size=50).astype(np.int32)
LOGITS, SIDES = OUTPUTS[:, :1], (LABELS > 0).astype(np.int32)
# A large mean beside a small spread: squares of y itself would leave float32 no digits.
VALUES = (np.array([1e4, -3.0]) + np.random.default_rng(2).normal(size=(50, 2)) * [1.0, 20.0]).astype(np.float32)
GUESSES = np.random.default_rng(3).normal(size=(50, 2)).astype(np.float32)
FIT = Fit(shift=VALUES[:25].mean(0, keepdims=True), spread=VALUES[:25].std(0, keepdims=True))
FIT = FIT._replace(centre=FIT.shift)
CASES = [(TASK, OUTPUTS, LABELS, NO_FIT), (Binary(), LOGITS, SIDES, NO_FIT), (Regression(2), GUESSES, VALUES, FIT)]
IDS = ["classification", "binary", "regression"]


@functools.cache
def measure(task: Task) -> Any:
    """Return a task's `metrics`, jitted."""
    return jax.jit(task.metrics)


def total(task: Task, outputs: np.ndarray, labels: np.ndarray, fit: Fit = NO_FIT) -> dict[str, Any]:
    """Return the sums of a task's quantities over all examples, as the host holds them."""
    found = measure(task)(outputs, labels, fit)
    return {name: np.asarray(value).sum(0).astype(np.float64) for name, value in found.items()}


def summary(task: Task, outputs: np.ndarray, labels: np.ndarray, fit: Fit = NO_FIT) -> dict[str, float]:
    """Return a task's metrics over all examples."""
    return {k: float(v) for k, v in task.summarise(total(task, outputs, labels, fit), len(labels)).items()}


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error, bin by bin as its paper writes it: (0, 1/15], (1/15, 2/15], ..."""
    error = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def test_encode_is_one_hot():
    """Labels become rows of the unit matrix."""
    np.testing.assert_array_equal(TASK.encode(jnp.asarray(LABELS)), np.eye(4)[LABELS])


def test_metrics_of_classes_equal_scikit_learn():
    """nll, accuracy, balanced accuracy are scikit-learn's; the Brier score and ece are their formulas in NumPy."""
    found = summary(TASK, OUTPUTS, LABELS)
    p = np.asarray(TASK.predict(jnp.asarray(OUTPUTS)), np.float64)
    chosen = OUTPUTS.argmax(1)

    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert found["nll"] == pytest.approx(log_loss(LABELS, p / p.sum(1, keepdims=True), labels=range(4)), rel=1e-5)
    assert found["accuracy"] == accuracy_score(LABELS, chosen)
    with pytest.warns(UserWarning, match="y_pred contains classes"):  # class 3 is chosen, but is no label
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(LABELS, chosen), rel=1e-12)
    assert found["brier"] == pytest.approx(np.square(p - np.eye(4)[LABELS]).sum(1).mean(), rel=1e-5)
    assert found["ece"] == pytest.approx(calibration_error(p.max(1), chosen == LABELS), rel=1e-5)


def test_metrics_of_one_logit_equal_scikit_learn():
    """nll, accuracy, balanced accuracy and Brier score of one logit are scikit-learn's, ece is its formula."""
    found = summary(Binary(), LOGITS, SIDES)
    p = np.asarray(Binary().predict(jnp.asarray(LOGITS)), np.float64)[:, 0]
    chosen = (LOGITS[:, 0] > 0).astype(int)

    assert found["nll"] == pytest.approx(log_loss(SIDES, p), rel=1e-5)
    assert found["accuracy"] == accuracy_score(SIDES, chosen)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(SIDES, chosen), rel=1e-12)
    assert found["brier"] == pytest.approx(brier_score_loss(SIDES, p), rel=1e-5)
    assert found["ece"] == pytest.approx(calibration_error(np.maximum(p, 1 - p), chosen == SIDES), rel=1e-5)


def test_metrics_of_values_equal_scikit_learn():
    """mse, mae and r2 are scikit-learn's in the units of y, also where y is far from zero beside its spread."""
    found = summary(Regression(2), GUESSES, VALUES, FIT)
    guesses = GUESSES.astype(np.float64) * FIT.spread + FIT.shift

    assert found["mse"] == pytest.approx(mean_squared_error(VALUES, guesses), rel=1e-4)
    assert found["mae"] == pytest.approx(mean_absolute_error(VALUES, guesses), rel=1e-4)
    assert found["r2"] == pytest.approx(r2_score(VALUES.astype(np.float64), guesses), rel=1e-4)
    np.testing.assert_allclose(Regression(2).predict(jnp.asarray(GUESSES), FIT), guesses, rtol=1e-6)


def test_r2_of_a_constant():
    """Where all labels are one value r2 is 1 for exact predictions, else 0, as in scikit-learn."""
    fit = Fit(shift=np.zeros((1, 1), np.float32), spread=np.ones((1, 1), np.float32), centre=np.full((1, 1), 0.3))
    labels = np.full(10, 0.75, np.float32)

    for guess in (labels, labels + 1):
        assert summary(Regression(1), guess[:, None], labels, fit)["r2"] == r2_score(labels, guess)


@pytest.mark.parametrize(("task", "outputs", "labels", "fit"), CASES, ids=IDS)
def test_sums_over_batches_are_sums_over_all(task, outputs, labels, fit):
    """Metrics of summed batches are those of all examples at once, and are the metrics that the task promises."""
    batches = [total(task, outputs[rows], labels[rows], fit) for rows in np.split(np.arange(50), 2)]
    added = {name: sum(batch[name] for batch in batches) for name in batches[0]}
    found, whole = task.summarise(added, 50), summary(task, outputs, labels, fit)

    assert tuple(found) == TASK_METRICS[IDS[CASES.index((task, outputs, labels, fit))]]
    for name, value in found.items():
        assert value == pytest.approx(whole[name], rel=1e-5)


@pytest.mark.parametrize(("task", "outputs", "labels", "fit"), CASES, ids=IDS)
def test_a_device_computes_what_the_host_computes(task, outputs, labels, fit):
    """Summarised under jit in float32, with a leading axis, metrics are those of the host."""
    sums = total(task, outputs, labels, fit)
    stacked = {name: jnp.stack([jnp.asarray(value, jnp.float32)] * 2) for name, value in sums.items()}
    device = jax.jit(lambda sums: task.summarise(sums, 50))(stacked)

    for name, value in task.summarise(sums, 50).items():
        np.testing.assert_allclose(device[name], [value] * 2, rtol=1e-4)


@pytest.mark.parametrize(("task", "outputs", "labels", "fit"), CASES, ids=IDS)
def test_batch_metrics_are_the_metrics_of_the_batch(task, outputs, labels, fit):
    """What is measured at every update is the metric of that name, and is what the task announces."""
    found = task.batch_metrics(jnp.asarray(outputs), jnp.asarray(labels), fit)

    assert tuple(found) == task.batch_names
    for name, value in found.items():
        assert float(value.mean()) == pytest.approx(summary(task, outputs, labels, fit)[name], rel=1e-5)


def test_loss_of_hard_targets_is_the_nll():
    """On encoded labels the loss is the nll, example by example."""
    for task, outputs, labels in ((TASK, OUTPUTS, LABELS), (Binary(), LOGITS, SIDES)):
        loss = task.loss(jnp.asarray(outputs), task.encode(jnp.asarray(labels)))
        nll = task.batch_metrics(jnp.asarray(outputs), jnp.asarray(labels))["nll"]
        np.testing.assert_allclose(loss, nll, rtol=1e-5, atol=1e-6)


def test_loss_of_soft_targets():
    """On a target distribution the loss is the cross-entropy; its gradient is softmax minus target."""
    target = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    outputs = jnp.asarray(OUTPUTS[:1])
    p = np.asarray(jax.nn.softmax(outputs))

    np.testing.assert_allclose(TASK.loss(outputs, jnp.asarray(target)), -(target * np.log(p)).sum(1), rtol=1e-5)
    slope = jax.grad(lambda o: TASK.loss(o, jnp.asarray(target)).sum())(outputs)
    np.testing.assert_allclose(slope, p - target, atol=1e-6)


def test_one_logit_is_softmax_beside_zero():
    """One logit z costs what softmax over (0, z) costs, with class weights and without."""
    both = jnp.concatenate([jnp.zeros_like(LOGITS), jnp.asarray(LOGITS)], 1)
    two, one = Classification(2), Binary()
    for weights in (None, jnp.array([[0.5, 3.0]])):
        np.testing.assert_allclose(
            one.loss(jnp.asarray(LOGITS), one.encode(jnp.asarray(SIDES)), weights),
            two.loss(both, two.encode(jnp.asarray(SIDES)), weights),
            rtol=1e-5,
            atol=1e-6,
        )


def test_class_weights_count_examples():
    """A class weight multiplies the loss of its examples; of soft targets, the share of that class."""
    weights = np.array([[0.5, 1.0, 4.0, 0.0]], np.float32)
    log_p = np.log(np.asarray(TASK.predict(jnp.asarray(OUTPUTS)), np.float64))
    soft = np.full((50, 4), 0.25, np.float32)

    hard = TASK.loss(jnp.asarray(OUTPUTS), TASK.encode(jnp.asarray(LABELS)), jnp.asarray(weights))
    np.testing.assert_allclose(hard, -weights[0, LABELS] * log_p[np.arange(50), LABELS], rtol=1e-4, atol=1e-6)
    mixed = TASK.loss(jnp.asarray(OUTPUTS), jnp.asarray(soft), jnp.asarray(weights))
    np.testing.assert_allclose(mixed, -(0.25 * weights * log_p).sum(1), rtol=1e-4)


def test_squared_error_is_of_scaled_targets():
    """The loss of a regression is the mean over outputs of squared differences from (y - shift) / spread."""
    task = Regression(2)
    targets = task.encode(jnp.asarray(VALUES), FIT)

    np.testing.assert_allclose(targets, (VALUES - FIT.shift) / FIT.spread, rtol=1e-6)
    np.testing.assert_allclose(
        task.loss(jnp.asarray(GUESSES), targets), np.square(GUESSES - np.asarray(targets)).mean(1), rtol=1e-5
    )
    assert Regression(1).encode(jnp.array([1, 2]), Fit(shift=1.0, spread=2.0)).tolist() == [[0.0], [0.5]]


def test_large_outputs_stay_finite():
    """Logits of size 1e4 give a finite loss and gradient."""
    outputs = jnp.array([[1e4, -1e4, 0.0, 0.0]])
    value, slope = jax.value_and_grad(lambda o: TASK.loss(o, TASK.encode(jnp.array([1]))).sum())(outputs)
    assert value == pytest.approx(2e4)
    assert jnp.isfinite(slope).all()

    one = Binary()
    weights = jnp.ones((1, 2))
    value, slope = jax.value_and_grad(lambda o: one.loss(o, jnp.zeros((1, 1)), weights).sum())(jnp.array([[1e4]]))
    assert (value, slope.item()) == (1e4, 1.0)


def test_a_tie_goes_to_the_lower_class():
    """Equal logits, and a single logit of zero, count as the lower class."""
    assert TASK.batch_metrics(jnp.zeros((2, 4)), jnp.array([0, 1]))["accuracy"].tolist() == [1.0, 0.0]
    assert Binary().batch_metrics(jnp.zeros((2, 1)), jnp.array([0, 1]))["accuracy"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("task", "outputs", "labels", "fit"), CASES, ids=IDS)
def test_link_undoes_predict(task, outputs, labels, fit):
    """Outputs made of what is averaged give the same predictions, also where a class is certain."""
    for given in (outputs, 100 * outputs):
        predictions = task.predict(jnp.asarray(given), fit)
        again = task.link(task.averaged(jnp.asarray(given), fit), fit)
        assert jnp.isfinite(again).all()
        np.testing.assert_allclose(task.predict(again, fit), predictions, rtol=1e-4, atol=1e-5)


def test_link_keeps_the_odds_of_certain_predictions():
    """A logit whose probability float32 cannot tell from 1 comes back as it was, so that being wrong costs no more."""
    task, logits = Binary(), jnp.array([[-40.0], [-20.0], [20.0], [40.0]])
    np.testing.assert_allclose(task.link(task.averaged(logits)), logits, rtol=1e-5)


def test_monitored_values_are_errors():
    """What stopping judges falls as a model gets better: 1 - accuracy, 1 - r2, losses as they are."""
    classes, values = total(TASK, OUTPUTS, LABELS), total(Regression(2), GUESSES, VALUES, FIT)
    found = summary(TASK, OUTPUTS, LABELS)

    for name in ("accuracy", "balanced_accuracy"):
        assert TASK.monitor(name, classes, 50) == pytest.approx(1 - found[name])
    for name in ("nll", "brier", "ece"):
        assert TASK.monitor(name, classes, 50) == pytest.approx(found[name])
    found = summary(Regression(2), GUESSES, VALUES, FIT)
    judged = [Regression(2).monitor(name, values, 50) for name in ("mse", "r2")]
    assert judged == pytest.approx([found["mse"], 1 - found["r2"]], rel=1e-5)


def test_direction_of_metrics():
    """Shares that are right and r2 are better when larger, losses and every gap when smaller."""
    assert {name for name, larger in METRICS.items() if larger} == {"accuracy", "balanced_accuracy", "r2"}
    assert [larger_is_better(f"gap.{name}") for name in METRICS] == [False] * len(METRICS)
    assert set(METRICS) == {name for names in TASK_METRICS.values() for name in names}


def test_the_task_follows_from_the_labels():
    """Without a name real values are regressed and classes classified by softmax."""
    assert make_task(None, 0, 3) == Regression(3)
    assert make_task(None, 2, 1) == Classification(2)
    assert make_task("binary", 2, 1) == Binary()
    assert make_task("regression", 10, 1) == Regression(1)
    assert [task.num_outputs for task in (Regression(3), Classification(2), Binary())] == [3, 2, 1]
