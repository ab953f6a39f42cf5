"""What is fitted to the labels of training rows: scales of targets and class weights, against scikit-learn."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from regjax.data import DataError, load_dataset
from regjax.data.scaling import fit_scale, fit_targets, fit_weights

GENERATOR = np.random.default_rng(0)
TRAIN = np.arange(5, 40)
VALUES = (1e4 + GENERATOR.normal(size=(50, 3)) * [1.0, 7.0, 0.0]).astype(np.float32)
CLASSES = GENERATOR.choice(3, size=50, p=[0.7, 0.2, 0.1]).astype(np.int32)


def test_targets_are_scaled_as_by_scikit_learn() -> None:
    """Shift and spread are mean and SD of the training rows; a constant has spread 1."""
    shift, spread, centre = fit_targets(VALUES, TRAIN, True)
    known = StandardScaler().fit(VALUES[TRAIN].astype(np.float64))

    np.testing.assert_allclose(shift, known.mean_[None], rtol=1e-6)
    np.testing.assert_allclose(spread, known.scale_[None], rtol=1e-6)
    np.testing.assert_array_equal(centre, shift)
    assert spread[0, 2] == 1.0


def test_a_constant_has_spread_one() -> None:
    """A third, which no float is, averaged over many rows leaves no spread by rounding."""
    assert fit_targets(np.full(1001, 1 / 3, np.float32), np.arange(1001), True)[1].tolist() == [[1.0]]


def test_targets_that_are_not_scaled_stay() -> None:
    """Without scaling shift is 0 and spread 1, and the centre is still the mean."""
    shift, spread, centre = fit_targets(VALUES[:, 0], TRAIN, False)

    assert (shift.tolist(), spread.tolist()) == ([[0.0]], [[1.0]])
    assert centre[0, 0] == pytest.approx(VALUES[TRAIN, 0].mean(dtype=np.float64))


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    """n / (K n_k), counted on training rows; their mean over these rows is 1."""
    found = fit_weights(CLASSES, TRAIN, "balanced", 3)
    known = compute_class_weight("balanced", classes=np.arange(3), y=CLASSES[TRAIN])

    np.testing.assert_allclose(found, known[None], rtol=1e-6)
    assert found[0, CLASSES[TRAIN]].mean() == pytest.approx(1.0)


def test_a_class_without_training_rows_counts_one() -> None:
    """Of three classes one does not occur: the others are balanced between them."""
    assert fit_weights(np.array([0, 0, 0, 2]), np.arange(4), "balanced", 3)[0] == pytest.approx([2 / 3, 1, 2])


def test_only_training_rows_count() -> None:
    """Other rows may hold anything."""
    values, classes = VALUES.copy(), CLASSES.copy()
    values[:5], values[40:], classes[:5], classes[40:] = np.nan, np.nan, 2, 2

    for one, other in zip(fit_targets(values, TRAIN, True), fit_targets(VALUES, TRAIN, True), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        fit_weights(classes, TRAIN, "balanced", 3), fit_weights(CLASSES, TRAIN, "balanced", 3)
    )


def test_weights_that_are_given_are_taken() -> None:
    """A list of numbers is used as it is."""
    assert fit_weights(CLASSES, TRAIN, (1.0, 0.0, 2.5), 3).tolist() == [[1.0, 0.0, 2.5]]


def test_an_unknown_scale_is_refused() -> None:
    """A kind of scale from Python is one of three."""
    with pytest.raises(DataError, match=r'data\.scale: got \'standart\', expected "unit", "standard" or "none"'):
        fit_scale(load_dataset("digits"), TRAIN, "standart")
