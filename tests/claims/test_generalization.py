"""Measures of what noise, outliers, strength and amount of data do: against predictions, records and closed forms."""

import dataclasses

import numpy as np
import pytest

import regjax
from regjax.analysis.table import state_values
from regjax.claims.declare import Case
from regjax.claims.declare import Test as Asked
from regjax.claims.effects import test_values as seed_effects
from regjax.claims.judging import find_test
from regjax.claims.measures import take_measure
from regjax.claims.measures.generalization import best_strength, gain, rank_of
from regjax.claims.measures.inputs import run_inputs
from regjax.config import ConfigError
from regjax.data import load_dataset
from regjax.results import Results

DATA = {"name": "contaminated", "num_examples": 240, "num_features": 4, "outliers": 0.3, "distance": 4.0}
STRENGTHS = [0.0, 0.01, 0.1, 1.0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A small network on contaminated data, with all labels right and with all of them wrong."""
    study = {
        "question": "What is memorised?",
        "primary": {"metric": "test.accuracy", "at": "last"},
        "data": {**DATA, "split": {"train": 60, "validation": 40, "test": "rest"}},
        "model": {"name": "mlp", "widths": [8]},
        "optimizer": {"name": "adam", "learning_rate": 1e-2},
        "training": {"steps": 60, "batch_size": 20, "evaluate_every": {"steps": 30}, "keep": "last"},
        "measure": {"predictions": "none"},
        "seeds": {"count": 4},
        "factors": {"label_noise.rate": [0.0, 1.0], "l2.strength": STRENGTHS},
        "design": {"strata": ["label_noise.rate"]},
    }
    return regjax.run(study, tmp_path_factory.mktemp("generalization"), report=False)


def planted(results: Results, metric: str, values: np.ndarray) -> Results:
    """Return the results with other numbers in their records, [cell, seed] at every evaluation."""
    records = results.table.records
    places = records["cell"].to_numpy(), records["seed"].to_numpy()
    other = Results(results.out)
    other.__dict__["table"] = dataclasses.replace(results.table, records=records.assign(**{metric: values[places]}))
    return other


def test_memorised_labels_are_those_that_the_network_gives_back(trained: Results) -> None:
    """Of changed labels and of outliers, the share is what predictions of the kept network say."""
    dataset = load_dataset(**DATA)
    found = take_measure(trained, "memorised", {}, None)
    for cell, wrong_labels in ((0, False), (3, False), (4, True), (7, True)):
        for seed in (0, 3):
            rows = run_inputs(trained, cell, seed).rows[0]
            guess = trained.predict(cell, seed, dataset.x[rows]).argmax(axis=1)
            # With two classes a rate of 1 turns every label around.
            given = 1 - dataset.y[rows] if wrong_labels else dataset.y[rows]
            wrong = np.ones(len(rows), bool) if wrong_labels else dataset.truth["outliers"][rows]
            assert 0 < wrong.sum() <= len(rows)
            assert found[cell, seed] == pytest.approx(np.mean(guess[wrong] == given[wrong]))
    assert found[0].mean() > 0.5
    assert found[4].mean() > found[7].mean()


def test_clean_accuracy_leaves_outliers_out(trained: Results) -> None:
    """Accuracy on examples that are no outliers is that of the kept network there, and not that of all examples."""
    dataset = load_dataset(**DATA)
    found = take_measure(trained, "clean_accuracy", {}, None)
    rows = run_inputs(trained, 1, 2).rows[2]
    right = trained.predict(1, 2, dataset.x[rows]).argmax(axis=1) == dataset.y[rows]
    far = dataset.truth["outliers"][rows]
    assert found[1, 2] == pytest.approx(right[~far].mean())
    everything = take_measure(trained, "test.accuracy", {}, {"kind": "last"})
    assert everything[1, 2] == pytest.approx(right.mean())
    assert (found != everything).all()


def test_the_gap_is_to_the_labels_that_were_trained_on(trained: Results) -> None:
    """With every label turned around the training loss is small on the given labels and large on the right ones."""
    gaps = take_measure(trained, "trained_gap", {}, None)
    test = state_values(trained.table, "test.nll", {"kind": "last"})
    dataset = load_dataset(**DATA)
    for cell, wrong_labels in ((0, False), (4, True)):
        for place, seed in enumerate(trained.table.seeds):
            rows = run_inputs(trained, cell, seed).rows[0]
            given = 1 - dataset.y[rows] if wrong_labels else dataset.y[rows]
            shares = trained.predict(cell, seed, dataset.x[rows])[np.arange(len(rows)), given]
            # The network learns while the batches are averaged; on the other labels the loss is larger by 0.7 or more.
            assert gaps[cell, place] == pytest.approx(test[cell, place] + np.log(shares).mean(), abs=0.3)


def test_effective_rank_counts_directions_that_are_used(trained: Results) -> None:
    """It is k for k equal singular values, does not depend on scale, and falls where one direction dominates."""
    assert rank_of(np.array([3.0, 3.0, 3.0, 0.0])) == pytest.approx(3.0)
    assert rank_of(np.array([0.03, 0.03])) == pytest.approx(2.0)
    assert rank_of(np.array([1.0, 0.1])) < 1.5
    found = take_measure(trained, "effective_rank", {}, None)
    params = trained.params(2, 1)
    own = []
    for layer in ("hidden_0", "output"):
        kernel = params[layer]["kernel"].astype(float)
        p = np.sqrt(np.linalg.eigvalsh(kernel.T @ kernel).clip(1e-30))
        p /= p.sum()
        own.append(np.exp(-(p * np.log(p)).sum()))
    assert found[2, 1] == pytest.approx(np.mean(own), rel=1e-4)
    # Four inputs, eight units, two outputs: at most 4 and 2 directions.
    assert (found > 1).all()
    assert (found <= 3 + 1e-9).all()


def test_gain_is_the_improvement_on_the_reference(trained: Results) -> None:
    """A gain is positive where a metric is better than without, or than at the last level, in the same stratum."""
    nll = take_measure(trained, "test.nll", {}, {"kind": "last"})
    without = gain(trained, "test.nll", "l2.strength")
    strongest = gain(trained, "test.nll", ["l2.strength"], "last")
    for stratum in (0, 4):
        for cell in range(stratum, stratum + 4):
            np.testing.assert_array_equal(without[cell], nll[stratum] - nll[cell])
            np.testing.assert_array_equal(strongest[cell], nll[stratum + 3] - nll[cell])
    accuracy = take_measure(trained, "test.accuracy", {}, {"kind": "last"})
    np.testing.assert_array_equal(gain(trained, "test.accuracy", "l2.strength")[6], accuracy[6] - accuracy[4])
    both = gain(trained, "test.accuracy", ["l2.strength", "label_noise.rate"])
    np.testing.assert_array_equal(both[6], accuracy[6] - accuracy[0])
    two = ["l2.strength", "label_noise.rate"]
    with pytest.raises(ConfigError, match="a metric of which larger or smaller is better"):
        gain(trained, "weight_norm", "l2.strength")
    with pytest.raises(ConfigError, match='expected "first", or "last" of one factor'):
        gain(trained, "test.nll", two, "last")


def test_best_strength_is_the_top_of_the_dose_response(trained: Results) -> None:
    """The best strength of planted parabolas is their top, of a monotone response an end of the grid, else NaN."""
    x = np.array([-3.0, -2.0, -1.0, 0.0])  # off stands a step below 0.01
    tops = [-1.0, -1.7, -1.4, -2.3]
    values = np.zeros((8, 4))
    values[:4] = (x[:, None] - np.array(tops)) ** 2
    values[4:] = np.array([x, -x, -x, x]).T
    values[4:, 3] = np.nan
    found = best_strength(planted(trained, "test.nll", values), "l2.strength")
    for cell in range(4):
        np.testing.assert_allclose(np.log10(found[cell]), tops, atol=1e-9)
        np.testing.assert_allclose(found[4 + cell], [1e-3, 1.0, 1.0, np.nan])
    with pytest.raises(ConfigError, match="span a factor of 5"):
        best_strength(trained, "label_noise.rate")


def test_one_of_several_cells_is_chosen_on_the_other_seeds(trained: Results) -> None:
    """Of several cells on a side each half of the seeds is given the one that is best by validation on the other."""
    scores = np.full((8, 4), 9.0)
    scores[1] = [1, 8, 1, 8]  # best of the even seeds, for the odd ones
    scores[2] = [8, 1, 8, 1]
    test = Asked(
        name="pair", says="x", measure="any", expect="higher", margin=1.0, at="last",
        of_any=[{"l2.strength": 0.01}, {"l2.strength": 0.1}, {"l2.strength": 1.0}],
        against_any=[{"l2.strength": 0.0}, {"label_noise.rate": 1.0, "l2.strength": "best"}],
    )  # fmt: skip
    values = np.arange(8.0)[:, None] * 10 + np.arange(4.0)

    effects = seed_effects(
        planted(trained, "validation.nll", scores), test, Case.model_construct(name=""), lambda *_: values
    )

    # On the other side all are alike: the first is taken.
    np.testing.assert_array_equal(effects, [20, 10, 20, 10])


def test_a_case_may_choose_by_another_metric(trained: Results) -> None:
    """The best level of a case with choose_on of its own is that of its metric, of other cases that of the test."""
    scores = np.zeros((8, 4))
    scores[1:4] = [[1.0], [2.0], [3.0]]  # the first is the least, the last the most
    records = planted(planted(trained, "validation.nll", scores), "validation.accuracy", scores)
    test = Asked(name="best", says="x", measure="any", expect="higher", margin=1.0, at="last", than=0.0)
    for chosen, cell in (({}, 1), ({"choose_on": "validation.accuracy"}, 3)):
        case = Case(name="L2", of={"l2.strength": "best"}, **chosen)
        found = find_test(test, case, {"main": records}, lambda *_: np.arange(8.0)[:, None] + np.zeros(4))
        assert found.more["effects"] == [cell] * 4
