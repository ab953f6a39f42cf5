"""Intervals about new examples: against closed forms, statsmodels, and coverage by simulation."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from regjax import store
from regjax.analysis.effects import make_effects
from regjax.analysis.newdata import crossed_interval, example_losses, new_intervals, overlap_ratio, resampled_interval
from regjax.analysis.predictions import Predictions
from regjax.analysis.sentences import verdict_sentence
from regjax.analysis.table import load_table


def crossed(rng, n: int, m: int, sds: tuple[float, float, float]) -> np.ndarray:
    """Return a table [seed, example] with mean 0 and these SDs of seeds, examples and the rest."""
    return sds[0] * rng.normal(size=(n, 1)) + sds[1] * rng.normal(size=m) + sds[2] * rng.normal(size=(n, m))


def test_mean_squares_are_those_of_a_two_way_table():
    """The half width follows from statsmodels' analysis of variance of the same table."""
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    d = crossed(np.random.default_rng(0), 6, 9, (1.0, 1.0, 0.5))
    seed, example = np.indices(d.shape)
    frame = pd.DataFrame({"y": d.ravel(), "seed": seed.ravel(), "example": example.ravel()})
    found = anova_lm(ols("y ~ C(seed) + C(example)", frame).fit())
    squares, free = found["mean_sq"].to_numpy(), found["df"].to_numpy()
    variance = squares @ [1, 1, -1]
    half = stats.t.ppf(0.975, variance**2 / (squares**2 / free).sum()) * np.sqrt(variance / d.size)

    assert crossed_interval(d) == pytest.approx((d.mean() - half, d.mean() + half))


def test_one_source_alone_is_the_t_interval():
    """Examples that differ by nothing leave the t interval of the seeds, and the other way round."""
    d = np.random.default_rng(1).normal(size=12)
    oracle = tuple(stats.ttest_1samp(d, 0).confidence_interval(0.95))

    assert crossed_interval(np.repeat(d[:, None], 7, axis=1)) == pytest.approx(oracle)
    assert crossed_interval(np.repeat(d[None], 7, axis=0)) == pytest.approx(oracle)


def test_equal_differences_are_a_point_and_one_seed_has_no_interval():
    """No variance gives a point; one seed or one example gives none."""
    assert crossed_interval(np.full((4, 5), 0.25)) == (0.25, 0.25)
    assert resampled_interval(np.full(4, 0.25), 0.3) == (0.25, 0.25)
    assert np.isnan([*crossed_interval(np.ones((1, 5))), *crossed_interval(np.ones((5, 1)))]).all()
    assert np.isnan(resampled_interval(np.ones(1), 0.3)).all()


@pytest.mark.parametrize("sds", [(1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.3, 2.0, 1.0), (1.0, 5.0, 3.0), (0.0, 0.0, 1.0)])
def test_crossed_intervals_cover_the_mean_of_new_examples(sds):
    """In about 95% of simulated studies, at least 93% beyond chance, the interval holds the mean of the source."""
    rng, repeats = np.random.default_rng(2), 1000
    ends = np.array([crossed_interval(crossed(rng, 8, 60, sds)) for _ in range(repeats)])
    covered = ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).sum()

    assert covered >= stats.binom.ppf(0.001, repeats, 0.93)


def test_resampled_interval_by_hand():
    """The corrected interval is sqrt(1 + J ratio) times as wide as Student's."""
    d = np.random.default_rng(3).normal(size=10)
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    found = resampled_interval(d, 0.25)

    assert np.mean(found) == pytest.approx(d.mean())
    assert found[1] - found[0] == pytest.approx((high - low) * np.sqrt(1 + 10 * 0.25))


def test_the_overlap_of_test_parts():
    """Two splits share num_test / num_pool of their test examples on average, by drawing; all rows used is the ratio of
    Nadeau and Bengio.
    """
    rng = np.random.default_rng(10)
    tests = [set(rng.permutation(40)[:15]) for _ in range(2000)]
    shared = np.mean([len(one & two) / 15 for one, two in zip(tests[::2], tests[1::2], strict=True)])
    data = {"num_train": 10, "num_validation": 5, "num_test": 15, "num_pool": 40}

    assert overlap_ratio(data) == pytest.approx(shared / (1 - shared), rel=0.02)
    assert overlap_ratio({"num_train": 30, "num_validation": 0, "num_test": 10, "num_pool": 40}) == 10 / 30


def test_losses_of_examples():
    """Losses of every example by hand, for classes, for a binary task and for values; other metrics have none."""
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])[None, None]
    classes = Predictions(np.arange(2), np.array([0, 1]), p)
    binary = Predictions(np.arange(2), np.array([0, 1]), np.array([0.25, 0.5])[None, None, :, None])
    values = Predictions(
        np.arange(2), np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[2.0, 4.0], [0.0, 1.0]])[None, None]
    )
    expected = {"accuracy": [1, 0], "nll": -np.log([0.5, 0.1]), "brier": [0.38, 0.01 + 0.81 + 0.64]}

    for name, losses in expected.items():
        assert example_losses(classes, name)[0, 0] == pytest.approx(losses)
    assert example_losses(binary, "accuracy")[0, 0].tolist() == [1, 0]
    assert example_losses(binary, "brier")[0, 0] == pytest.approx([0.0625, 0.25])
    assert example_losses(values, "mse")[0, 0].tolist() == [2.5, 0.5]
    assert example_losses(values, "mae")[0, 0].tolist() == [1.5, 0.5]
    assert example_losses(classes, "ece") is None


def test_resampled_splits_have_a_second_interval(table):
    """Where every seed splits one pool the row has the corrected interval and says what the other one is about."""
    values = 0.9 + 0.01 * np.random.default_rng(4).normal(size=(2, 8))
    data = {"num_train": 100, "num_validation": 25, "num_test": 50, "num_pool": 250, "pooled": True}
    loaded = table(values, vary=["init", "split"], data=data)
    row = make_effects(loaded).iloc[0]

    assert row["scope"] == "over splits of these examples"
    assert (row["low_new"], row["high_new"]) == pytest.approx(resampled_interval(values[1] - values[0], 0.25))
    assert "for new examples of the same source the 95% interval is [" in verdict_sentence(loaded, row)


def test_no_interval_where_the_design_gives_none(table):
    """A fixed split without predictions, or training metrics, say nothing about new examples."""
    row = make_effects(table(np.ones((2, 3)))).iloc[0]

    assert np.isnan(row["low_new"])
    assert row["scope"] == ""


def test_kept_predictions_of_a_fixed_split_give_a_second_interval(folder):
    """The accuracy row has the crossed interval of its kept predictions; predictions of other examples give none."""
    rng = np.random.default_rng(5)
    right = rng.random((2, 6, 40)) < np.array([0.6, 0.8])[:, None, None]
    out = folder(right.mean(axis=2))
    for chunk in (0, 1):
        frames = [
            pd.DataFrame(
                {"run": f"{cell:08x}{seed:08x}", "row": np.arange(40), "label": 1, "p1": right[cell, seed] * 0.8}
            )
            for cell in (0, 1)
            for seed in range(chunk, 6, 2)
        ]
        path = store.Part(f"chunk{chunk}", 1).predictions(out)
        store.write_table(path, pd.concat(frames, ignore_index=True))
    loaded = load_table(out)
    row = make_effects(loaded).iloc[0]
    d = right[1].astype(float) - right[0]

    assert (row["low_new"], row["high_new"]) == pytest.approx(crossed_interval(d))
    assert row["scope"] == "on this split"
    only_validation_varies = dataclasses.replace(loaded, plan={**loaded.plan, "vary": ["init", "split"]})
    other = make_effects(only_validation_varies).iloc[0]
    assert (other["low_new"], other["scope"]) == (row["low_new"], "on this test set")
    for at, shift in ((loaded.plan["primary"]["at"], 0.1), ({"kind": "last"}, 0.0)):
        effects = d.mean(axis=1)[None] + shift
        assert np.isnan(new_intervals(loaded, np.array([[-1.0, 1.0]]), effects, "test.accuracy", at).low).all()


def test_negative_components_are_zero():
    """Seeds that differ less than the rest explains count as no source: the t interval of the examples' means."""
    d = crossed(np.random.default_rng(6), 8, 12, (0.0, 1.0, 1.0))
    d = d - 0.9 * (d.mean(axis=1, keepdims=True) - d.mean())

    assert crossed_interval(d) == pytest.approx(tuple(stats.ttest_1samp(d.mean(axis=0), 0).confidence_interval(0.95)))
