"""Data with planted outliers: what is known of them is so."""

import numpy as np
import pytest

from regjax.data import DataError, load_dataset

SETTINGS = {"num_examples": 20_000, "num_features": 10, "signal": 6.0, "outliers": 0.2, "distance": 3.0, "seed": 5}


def test_outliers_lie_farther_out_and_their_labels_are_a_coin() -> None:
    """A fifth of the rows lie three times as far out with labels that nothing tells; the others follow the weights."""
    found = load_dataset("contaminated", **SETTINGS)
    far, odds = found.truth["outliers"], found.x.astype(float) @ found.truth["weights"]
    assert far.mean() == pytest.approx(0.2, abs=0.01)
    assert found.x[far].std() == pytest.approx(3.0, rel=0.02)
    assert found.x[~far].std() == pytest.approx(1.0, rel=0.02)
    assert np.mean((odds > 0)[far] == found.y[far]) == pytest.approx(0.5, abs=0.03)
    p = 1 / (1 + np.exp(-odds[~far]))
    assert np.mean((odds > 0)[~far] == found.y[~far]) == pytest.approx(np.maximum(p, 1 - p).mean(), abs=0.01)
    np.testing.assert_allclose(np.linalg.norm(found.truth["weights"]), 6.0)


def test_the_draw_is_fixed_by_its_seed() -> None:
    """The same seed gives the same set, another seed another one."""
    first, again = (load_dataset("contaminated", seed=3) for _ in range(2))
    assert first.digest == again.digest != load_dataset("contaminated", seed=4).digest


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"outliers": 1.0}, r"data\.outliers: got 1\.0, expected a number in \[0, 1\)"),
        ({"distance": 0.5}, r"data\.distance: got 0\.5, expected a number >= 1"),
        ({"signal": 0.0}, r"data\.signal: got 0\.0, expected a number > 0"),
        ({"num_examples": 1}, r"data\.num_examples: got 1"),
        ({"num_examples": 2, "signal": 1e9, "outliers": 0.0, "num_features": 1, "seed": 1}, "a class does not occur"),
    ],
)
def test_wrong_settings_say_what_was_expected(changed: dict, message: str) -> None:
    """A setting out of its range is told with what was got and what was expected."""
    with pytest.raises(DataError, match=message):
        load_dataset("contaminated", **changed)
