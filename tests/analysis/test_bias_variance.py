"""Bias and variance: identities, simulations with known answers, closed forms, and Domingos by enumeration."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from regjax import store
from regjax.analysis.bias_variance import judge_trade, make_bias_variance, make_variances
from regjax.analysis.decompositions import decompose, distribution_variance, leave_out
from regjax.analysis.table import Table
from regjax.report.bias_variance import make_section

LOSSES = ("squared", "kl", "zero_one")
RNG = np.random.default_rng


def draw_probabilities(n: int = 7, rows: int = 40, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities [n, rows, classes] and one-hot labels."""
    rng = RNG(1)
    p = softmax(rng.normal(size=(n, rows, classes)) + rng.normal(size=(rows, classes)), axis=-1)
    return p, np.eye(classes)[rng.integers(classes, size=rows)]


def test_every_loss_is_the_sum_of_its_bias_and_variance_written_out() -> None:
    """Risk is the mean loss of one network, and each part is what its definition says, example by example."""
    p, right = draw_probabilities()
    n, y = len(p), right.argmax(axis=1)
    squared, kl, votes = (decompose(p, right, loss) for loss in LOSSES)
    assert squared.risk == pytest.approx(((p - right) ** 2).sum(axis=2).mean(), rel=1e-12)
    assert squared.variance == pytest.approx(p.var(axis=0, ddof=1).sum(axis=1).mean(), rel=1e-12)
    assert squared.bias == pytest.approx(((p.mean(axis=0) - right) ** 2).sum(axis=1).mean() - squared.variance / n)
    centre = softmax(np.log(p).mean(axis=0), axis=-1)
    assert kl.risk == pytest.approx(-np.log((p * right).sum(axis=2)).mean(), rel=1e-12)
    assert kl.bias == pytest.approx(-np.log((centre * right).sum(axis=1)).mean(), rel=1e-12)
    assert kl.variance == pytest.approx((centre * np.log(centre / p)).sum(axis=2).mean(), rel=1e-12)
    said = p.argmax(axis=2)
    main = np.array([np.bincount(column, minlength=4).argmax() for column in said.T])
    noise = [(-np.mean(s == t) if m != t else np.mean(s != m)) for s, m, t in zip(said.T, main, y, strict=True)]
    assert votes.risk == pytest.approx((said != y).mean())
    assert votes.bias == (main != y).mean()
    assert votes.variance == pytest.approx(np.mean(noise)) == pytest.approx(votes.unbiased - votes.biased)


def test_two_classes_have_the_variance_of_the_textbook() -> None:
    """With two classes loss = bias + (1 - 2 bias(x)) V(x), V(x) the share that differs from the main prediction."""
    p = RNG(2).random((9, 30))
    right = np.eye(2)[RNG(3).integers(2, size=30)]
    said, y = (p > 0.5).astype(int), right.argmax(axis=1)
    main = (said.mean(axis=0) > 0.5).astype(int)
    dissent, wrong = (said != main).mean(axis=0), main != y
    found = decompose(np.stack([1 - p, p], axis=-1), right, "zero_one")
    assert found.variance == pytest.approx(((1 - 2 * wrong) * dissent).mean())
    assert found.biased == pytest.approx((wrong * dissent).mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_leaving_one_out_is_the_split_of_the_others(loss: str) -> None:
    """The subtraction from the sum gives what a split of the remaining networks gives."""
    p, right = draw_probabilities()
    for k, left in enumerate(leave_out(p, right, loss)):
        assert left == pytest.approx(decompose(np.delete(p, k, axis=0), right, loss), rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("loss", ["squared", "kl"])
def test_one_network_has_no_variance_to_tell(loss: str) -> None:
    """The risk of one network is known, its variance is not: NaN, not 0."""
    p, right = draw_probabilities()
    found = decompose(p[:1], right, loss)
    assert found.risk > 0
    assert np.isnan(found.variance)


def test_a_probability_of_zero_stays_finite() -> None:
    """A probability that float32 rounded to 0 counts as its smallest normal number, the sum stays exact."""
    p = np.array([[[1.0, 0.0]], [[0.5, 0.5]]], dtype=np.float32)
    found = decompose(p, np.array([[0.0, 1.0]]), "kl")
    assert found.risk == pytest.approx((np.log(2) - np.log(np.finfo(np.float32).tiny)) / 2, rel=1e-6)
    assert found.risk == found.bias + found.variance


@pytest.mark.parametrize("n", [2, 5])
def test_ridge_regression_has_the_bias_and_variance_of_its_closed_form(n: int) -> None:
    """On a fixed design the mean of many estimates is bias^2 = mean (X(SX - I)w)^2 and s^2 tr(H H') / R, for any n."""
    rng, rows, noise, strength, draws = RNG(4), 12, 0.7, 3.0, 4000
    x, w = rng.normal(size=(rows, 3)), np.array([1.0, -2.0, 0.5])
    hat = x @ np.linalg.solve(x.T @ x + strength * np.eye(3), x.T)
    truth = x @ w
    y = truth + noise * rng.normal(size=(draws, n, rows))
    found = np.array([decompose((hat @ some.T).T[..., None], truth[:, None]) for some in y])
    bias, variance = np.mean((hat @ truth - truth) ** 2), noise**2 * np.trace(hat @ hat.T) / rows
    error = found.std(axis=0, ddof=1) / np.sqrt(draws)
    assert abs(found[:, 1].mean() - bias) < 4 * error[1]
    assert error[1] < 0.1 * bias
    assert abs(found[:, 2].mean() - variance) < 4 * error[2]
    assert error[2] < 0.05 * variance


def test_the_variance_on_the_distribution_is_without_bias() -> None:
    """Over fresh test sets the mean of sigma^2 is the variance of the runs' true errors, that on the set is larger."""
    rng, rows, runs, draws = RNG(5), 30, 4, 4000
    rates = np.array([0.1, 0.2, 0.25, 0.4])
    found = np.array([distribution_variance((rng.random((rows, runs)) < rates).T.astype(float)) for _ in range(draws)])
    error = found[:, 1].std() / np.sqrt(draws)
    assert abs(found[:, 1].mean() - rates.var(ddof=1)) < 4 * error
    assert found[:, 0].mean() > rates.var(ddof=1) + 10 * error
    assert (found[:, 1] < 0).any()


def add_predictions(table: Table, outputs: np.ndarray, labels: np.ndarray) -> None:
    """Write predictions [cell, seed, R, K] beside the records of a hand-made run directory."""
    assert table.out is not None
    for part in set(store.done_runs(table.out).values()):
        mine = [run for run, owner in store.done_runs(table.out).items() if owner == part and run != "f" * 16]
        frames = []
        for run in mine:
            cell, seed = int(run[:8], 16), int(run[8:], 16)
            names = [f"p{k}" for k in range(outputs.shape[-1])]
            frame = pd.DataFrame(outputs[cell, seed].astype(np.float32), columns=names)
            frames.append(frame.assign(run=run, row=np.arange(len(labels)), label=labels))
        store.write_table(part.predictions(table.out), pd.concat(frames, ignore_index=True))


def make_study(table: Any, outputs: np.ndarray, labels: np.ndarray, replicates: Any = None, **plan: Any) -> Table:
    """Return a loaded study with these predictions."""
    made = table(np.zeros(outputs.shape[:2]), data={"num_classes": outputs.shape[-1]}, replicates=replicates, **plan)
    add_predictions(made, outputs, labels)
    return made


def draw_study(seeds: int, spread: tuple[float, ...] = (1.5, 0.5)) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions of two cells, the second less variable, and labels."""
    rng = RNG(6)
    labels = rng.integers(3, size=50)
    luck = rng.normal(size=(seeds, 50, 3))
    return np.stack([softmax(2 * np.eye(3)[labels] + s * luck, axis=-1) for s in spread]), labels


@pytest.mark.parametrize("loss", LOSSES)
def test_disjoint_parts_are_split_within_permutations(table: Any, loss: str) -> None:
    """Each permutation is a split of its own; their mean is reported, with paired t intervals over permutations."""
    from scipy.stats import ttest_rel

    outputs, labels = draw_study(8)
    made = make_study(table, outputs, labels, {"kind": "disjoint", "parts": 2})
    found = make_bias_variance(made, loss)
    each = np.array([[decompose(o[2 * k : 2 * k + 2].astype(np.float32), np.eye(3)[labels], loss) for k in range(4)]
                     for o in outputs])  # fmt: skip
    assert (found["n"] == 2).all()
    assert (found["units"] == 4).all()
    assert (found["source"] == "disjoint parts").all()
    assert found[["risk", "bias", "variance"]].to_numpy() == pytest.approx(each.mean(axis=1)[:, :3])
    interval = ttest_rel(each[1, :, 2], each[0, :, 2]).confidence_interval()
    assert found.loc[1, ["variance_effect_low", "variance_effect_high"]].tolist() == pytest.approx(list(interval))
    assert found["verdict"].tolist()[0] == "baseline"


def test_one_permutation_gives_points_without_intervals(table: Any) -> None:
    """There is nothing to compare a single permutation with."""
    outputs, labels = draw_study(2)
    found = make_bias_variance(make_study(table, outputs, labels, {"kind": "disjoint", "parts": 2}))
    assert found[["bias_low", "variance_high", "variance_effect_low"]].isna().all(axis=None)
    assert found["variance"].notna().all()
    assert found["verdict"].tolist() == ["baseline", "undecided"]


def test_a_permutation_with_a_diverged_part_is_left_out_whole(table: Any) -> None:
    """All cells are split over the same whole permutations."""
    outputs, labels = draw_study(6)
    outputs[1, 3] = np.nan
    found = make_bias_variance(make_study(table, outputs, labels, {"kind": "disjoint", "parts": 2}))
    assert found["units"].tolist() == [2, 2]
    assert found["left_out"].tolist() == [2, 2]


def test_a_cell_without_predictions_has_no_numbers_and_hides_no_other(table: Any) -> None:
    """A cell whose runs all diverged is missing, in votes too."""
    outputs, labels = draw_study(4)
    outputs[1] = np.nan
    found = make_bias_variance(make_study(table, outputs, labels), "zero_one")
    assert found["variance"].notna().tolist() == [True, False]
    assert found["n"].tolist() == [4, 4]


def test_seeds_alone_are_variance_of_the_optimisation_with_the_jackknife(table: Any) -> None:
    """Without replicates the source is named, the interval is the jackknife's, and shrinking spread is seen."""
    outputs, labels = draw_study(12)
    found = make_bias_variance(make_study(table, outputs, labels), margin=0.5)
    assert (found["source"] == "optimisation").all()
    left = np.array([s.variance for s in leave_out(outputs[0].astype(np.float32), np.eye(3)[labels], "squared")])
    half = 2.200985 * np.sqrt(11 / 12 * ((left - left.mean()) ** 2).sum())
    assert found["variance_high"][0] - found["variance"][0] == pytest.approx(half, rel=1e-5)
    assert found["verdict"][1] == "variance down, bias rise below the margin"


def test_the_section_compares_the_cells_with_the_baseline(table: Any) -> None:
    """A table per loss has the numbers of the split; only the other cells have changes, with their intervals."""
    made = make_study(table, *draw_study(12))
    section = make_section(made)
    assert section is not None
    for grid, loss in zip(section.grids, LOSSES, strict=False):
        found = make_bias_variance(made, loss).loc[1, ["bias_effect", "variance_effect"]]
        base, other = (row.cells for row in grid.rows)
        assert base[-3:] == ("–", "–", "baseline")
        assert [float(text.split()[0]) for text in other[-3:-1]] == pytest.approx(found.tolist(), rel=0.01)
        assert ["[" in text for text in other[-3:-1]] == [loss != "zero_one"] * 2


@pytest.mark.parametrize(
    ("plan", "source"),
    [
        ({"replicates": {"kind": "bootstrap"}, "vary": ["subset"]}, "bootstrap"),
        ({"vary": ["init", "subset"]}, "subsets"),
        ({"vary": ["init"]}, "optimisation"),
    ],
)
def test_what_varies_is_named(table: Any, plan: dict[str, Any], source: str) -> None:
    """Only where all seeds train on the same rows is it the variance of the optimisation."""
    outputs, labels = draw_study(3)
    assert (make_bias_variance(make_study(table, outputs, labels, **plan))["source"] == source).all()


def test_the_jackknife_covers_the_variance_of_networks() -> None:
    """95% intervals of the variance hold the truth in about 95 of 100 simulated cells of 10 seeds."""
    from scipy.stats import t

    rng, n, trials, held = RNG(7), 10, 400, 0
    for _ in range(trials):
        outputs = rng.normal(size=(n, 60, 1))
        left = np.array([s.variance for s in leave_out(outputs, np.zeros((60, 1)), "squared")])
        half = t.ppf(0.975, n - 1) * np.sqrt((n - 1) ** 2 / n * left.var(ddof=1))
        held += abs(decompose(outputs, np.zeros((60, 1))).variance - 1) <= half
    assert 0.90 < held / trials < 0.99


def test_a_binary_task_counts_as_its_metrics_do(table: Any) -> None:
    """One column is the probability of class 1: the squared risk is (p - y)^2, the votes are of two classes."""
    p, labels = RNG(8).random((2, 4, 20, 1)), RNG(9).integers(2, size=20)
    made = table(np.zeros((2, 4)), data={"num_classes": 2})
    add_predictions(made, p, labels)
    assert make_bias_variance(made)["risk"][0] == pytest.approx(((p[0, ..., 0] - labels) ** 2).mean(), rel=1e-5)
    assert make_bias_variance(made, "zero_one")["risk"][1] == ((p[1, ..., 0] > 0.5) != labels).mean()


def test_variances_of_runs_are_those_of_their_errors(table: Any) -> None:
    """The table holds the SD on the test set and sigma^2 of Jordan's formula, written out."""
    outputs, labels = draw_study(5)
    found = make_variances(make_study(table, outputs, labels))
    wrong = (outputs[0].argmax(axis=2) != labels).astype(float)
    sigma2 = 50 / 49 * (wrong.mean(axis=1).var(ddof=1) - wrong.var(axis=0, ddof=1).sum() / 50**2)
    assert found["test_sd"][0] == pytest.approx(wrong.mean(axis=1).std(ddof=1))
    assert found["distribution_variance"][0] == pytest.approx(sigma2)


def test_variances_of_values_are_those_of_their_squared_errors(table: Any) -> None:
    """Of a regression the loss of an example is the squared error of its value; a lost run does not count."""
    rng = RNG(10)
    outputs, labels = rng.normal(size=(2, 5, 20, 1)), rng.normal(size=20)
    outputs[0, 2] = np.nan
    made = table(np.zeros((2, 5)), data={}, study={"task": {"name": "regression"}})
    add_predictions(made, outputs, labels)
    found = make_variances(made)
    errors = (np.delete(outputs[0, ..., 0], 2, axis=0) - labels) ** 2
    sigma2 = 20 / 19 * (errors.mean(axis=1).var(ddof=1) - errors.var(axis=0, ddof=1).sum() / 20**2)
    assert found["loss"].tolist() == ["squared", "squared"]
    assert found["n"].tolist() == [4, 5]
    assert found["test_variance"][0] == pytest.approx(errors.mean(axis=1).var(ddof=1), rel=1e-4)
    assert found["distribution_variance"][0] == pytest.approx(sigma2, rel=1e-4)


def test_what_cannot_be_split_is_said(table: Any) -> None:
    """No predictions, several test sets, an unknown loss: each is an error in words."""
    with pytest.raises(ValueError, match="without predictions"):
        make_bias_variance(table(np.zeros((2, 4)), vary=["init"]))
    outputs, labels = draw_study(4)
    made = make_study(table, outputs, labels)
    with pytest.raises(ValueError, match="expected 'squared', 'kl', 'zero_one'"):
        make_bias_variance(made, "hinge")
    with pytest.raises(ValueError, match="test sets of their own"):
        make_variances(dataclasses.replace(made, plan={**made.plan, "vary": ["split"]}))


def test_no_fall_of_variance_is_no_trade() -> None:
    """A verdict without numbers is undecided; without a margin nothing is said of the bias."""
    assert judge_trade(np.nan, np.nan, np.nan, 0.1) == "undecided"
    assert judge_trade(0.1, 0.2, 0.0, 0.1) == "variance up"
    assert judge_trade(-0.2, -0.1, 0.0, None) == "variance down, no margin for the bias"
