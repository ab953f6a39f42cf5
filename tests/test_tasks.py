"""Classification: encoding, loss and metrics against scikit-learn and formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from regjax.tasks import METRICS, Classification

TASK = Classification(4)
OUTPUTS = np.random.default_rng(0).normal(0, 3, size=(50, 4)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(4, size=50).astype(np.int32)


def test_encode_is_one_hot():
    """Labels become rows of the unit matrix."""
    np.testing.assert_array_equal(TASK.encode(jnp.asarray(LABELS)), np.eye(4)[LABELS])


def test_metrics_equal_scikit_learn():
    """Mean nll and accuracy are scikit-learn's log loss and accuracy score."""
    found = TASK.metrics(jnp.asarray(OUTPUTS), jnp.asarray(LABELS))
    p = np.asarray(TASK.predict(jnp.asarray(OUTPUTS)), np.float64)

    assert set(found) == set(METRICS) == {"nll", "accuracy"}
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert np.mean(found["nll"]) == pytest.approx(log_loss(LABELS, p / p.sum(1, keepdims=True)), rel=1e-5)
    assert np.mean(found["accuracy"]) == accuracy_score(LABELS, OUTPUTS.argmax(1))


def test_loss_of_hard_targets_is_the_nll():
    """On one-hot targets the loss is the nll, example by example."""
    loss = TASK.loss(jnp.asarray(OUTPUTS), TASK.encode(jnp.asarray(LABELS)))

    np.testing.assert_allclose(
        loss, TASK.metrics(jnp.asarray(OUTPUTS), jnp.asarray(LABELS))["nll"], rtol=1e-5, atol=1e-6
    )


def test_loss_of_soft_targets():
    """On a target distribution the loss is the cross-entropy; its gradient is softmax minus target."""
    target = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    outputs = jnp.asarray(OUTPUTS[:1])
    p = np.asarray(jax.nn.softmax(outputs))

    np.testing.assert_allclose(TASK.loss(outputs, jnp.asarray(target)), -(target * np.log(p)).sum(1), rtol=1e-5)
    slope = jax.grad(lambda o: TASK.loss(o, jnp.asarray(target)).sum())(outputs)
    np.testing.assert_allclose(slope, p - target, atol=1e-6)


def test_large_outputs_stay_finite():
    """Logits of size 1e4 give a finite loss and gradient."""
    outputs = jnp.array([[1e4, -1e4, 0.0, 0.0]])
    value, slope = jax.value_and_grad(lambda o: TASK.loss(o, TASK.encode(jnp.array([1]))).sum())(outputs)

    assert value == pytest.approx(2e4)
    assert jnp.isfinite(slope).all()


def test_a_tie_goes_to_the_lower_class():
    """Equal logits count as the lower class."""
    found = TASK.metrics(jnp.zeros((2, 4)), jnp.array([0, 1]))["accuracy"]

    assert found.tolist() == [1.0, 0.0]


def test_direction_of_metrics():
    """Accuracy is better when larger, nll when smaller."""
    assert METRICS == {"nll": False, "accuracy": True}
