"""Dose-response, the best level chosen on other seeds, Shapley values."""

import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import regjax
from regjax.analysis.choice import choose_level, crossfit, make_halves
from regjax.analysis.dose import best_level, dose_factors, dose_response
from regjax.analysis.shapley import shapley_values, shapley_weights
from regjax.analysis.signflip import sign_flip
from regjax.report.dose import make_dose, make_shapley
from regjax.results import load_results


def cells_of(factors, design="grid"):
    """Return the cells of a plan: all combinations, or one factor at a time."""
    paths = [factor["path"] for factor in factors]
    made = [dict(zip(paths, levels, strict=True)) for levels in itertools.product(*(f["levels"] for f in factors))]
    if design == "one":
        made = [c for c in made if sum(c[f["path"]] != f["levels"][0] for f in factors) <= 1]
    return [{"index": i, "name": f"cell {i}", "levels": levels} for i, levels in enumerate(made)]


STRENGTHS = {"path": "l2.strength", "levels": [0, 0.01, 0.1]}
OTHER = {"path": "dropout.hidden", "levels": [0.0, 0.5]}


def study(table, accuracy, factors, design="grid", **plan):
    """Return the table of a study with these factors; the primary metric is the accuracy."""
    cells = cells_of(factors, design)
    return table(np.asarray(accuracy, float), factors=factors, cells=cells, contrasts=[], markers=[], **plan)


def test_doses_are_averaged_over_the_other_factors_of_a_grid(table):
    """In a full factorial the effect of a level is the mean over the other factors, with simultaneous intervals."""
    values = np.random.default_rng(0).normal(0.5, 0.1, (6, 8)).astype(np.float32)
    found = dose_response(study(table, values, [STRENGTHS, OTHER]), "l2.strength")

    means = values.astype(float).reshape(3, 2, 8).mean(axis=1)
    expected = sign_flip(means[1:] - means[0], np.random.default_rng(0), joint=True)
    assert found["level"].tolist() == [0.01, 0.1]
    assert found["effect"].to_numpy() == pytest.approx((means[1:] - means[0]).mean(axis=1))
    assert found["low"].to_numpy() == pytest.approx(expected.low)
    assert found["high"].to_numpy() == pytest.approx(expected.high)


def test_doses_stand_alone_where_one_factor_changes_at_a_time(table):
    """Where one factor changes at a time the others are at their first levels."""
    values = np.random.default_rng(1).normal(0.5, 0.1, (4, 8))
    made = study(table, values, [STRENGTHS, OTHER], "one")
    kept = [i for i, cell in enumerate(made.plan["cells"]) if cell["levels"]["dropout.hidden"] == 0]
    found = dose_response(made, "l2.strength")

    assert found["effect"].to_numpy() == pytest.approx((values[kept[1:]] - values[kept[0]]).mean(axis=1), abs=1e-6)


def test_strata_are_looked_at_one_by_one(table):
    """A factor that the design names as a stratum is not averaged over."""
    values = np.random.default_rng(2).normal(0.5, 0.1, (6, 8))
    made = study(table, values, [STRENGTHS, OTHER], study={"design": {"strata": ["dropout.hidden"]}})
    found = dose_response(made, "l2.strength").set_index(["stratum", "level"])["effect"]

    assert found["dropout.hidden=0.5", 0.1] == pytest.approx((values[5] - values[1]).mean(), abs=1e-6)
    assert found["dropout.hidden=0", 0.01] == pytest.approx((values[2] - values[0]).mean(), abs=1e-6)


def test_a_stratum_without_one_of_the_levels_has_no_doses(table):
    """Where a level is left out of a stratum that stratum has no row; the others are compared."""
    values = np.random.default_rng(12).normal(0.5, 0.1, (5, 8))
    design = {"strata": ["dropout.hidden"], "exclude": [{"l2.strength": 0.1, "dropout.hidden": 0.5}]}
    cells = cells_of([STRENGTHS, OTHER])[:5]
    made = table(values, factors=[STRENGTHS, OTHER], cells=cells, contrasts=[], markers=[], study={"design": design})
    found = dose_response(made, "l2.strength")

    assert "l2.strength is not shown at dropout.hidden=0.5, where a level has no cell." in make_dose(made).sentences
    assert found["stratum"].tolist() == ["dropout.hidden=0"] * 2
    assert found["effect"].tolist() == pytest.approx((values[[2, 4]] - values[0]).mean(axis=1).tolist(), abs=1e-6)


def test_where_every_stratum_lacks_a_level_there_are_no_doses(table):
    """Each level is somewhere, but nowhere beside all others: there is nothing to compare and no section."""
    cells = [cell for i, cell in enumerate(cells_of([STRENGTHS, OTHER])) if i not in (0, 5)]
    cells = [{**cell, "index": i} for i, cell in enumerate(cells)]
    design = {"strata": ["dropout.hidden"]}
    values = np.full((4, 8), 0.5)
    made = table(values, factors=[STRENGTHS, OTHER], cells=cells, contrasts=[], markers=[], study={"design": design})

    assert dose_factors(made.plan) == []
    assert make_dose(made) is None
    with pytest.raises(ValueError, match="compared: none of this study"):
        dose_response(made, "l2.strength")


def test_a_best_level_needs_a_metric_that_is_good_or_bad(table):
    """Of the weights neither more nor less is better: there is no best level of them."""
    primary = {"metric": "weight_norm", "at": {"kind": "last"}, "margin": None}
    made = study(table, np.full((3, 6), 0.5), [STRENGTHS], primary=primary)
    with pytest.raises(ValueError, match="'weight_norm', expected one that is known to be good or bad, on validation"):
        best_level(made, "l2.strength")


def test_numbers_without_validation_have_no_best_level():
    """Of a table from elsewhere that has test numbers alone the message names what is absent."""
    frame = pd.DataFrame([(l2, seed, 0.5 + l2) for l2 in (0.0, 0.01, 0.1) for seed in range(8)])
    frame.columns = ["l2", "seed", "accuracy"]
    with pytest.raises(ValueError, match=r"got numbers without validation\.accuracy, by which a best level is chosen"):
        regjax.analyze(frame, "accuracy").best_level("l2")


def test_results_answer_what_the_functions_do(folder):
    """`dose`, `best_level` and `shapley` of results are those of the tables, and say what they cannot answer."""
    rng = np.random.default_rng(13)
    nll = np.repeat(rng.normal(1, 0.1, (3, 8, 1)), 4, axis=2)
    primary = {"metric": "validation.nll", "at": {"kind": "last"}, "margin": None}
    results = load_results(study(folder, rng.normal(0.5, 0.1, (3, 8)), [STRENGTHS], nll=nll, primary=primary))

    pd.testing.assert_frame_equal(results.dose("l2.strength"), dose_response(results.table, "l2.strength"))
    pd.testing.assert_frame_equal(results.best_level("l2.strength"), best_level(results.table, "l2.strength"))
    with pytest.raises(ValueError, match="got another design, expected a full factorial of 2 to 10 factors"):
        results.shapley()


def test_only_factors_with_three_numeric_levels_have_doses(table):
    """Two levels or names are no doses; asking for them is answered with what is."""
    named = {"path": "model.norm", "levels": ["none", "batch", "layer"]}
    made = study(table, np.full((18, 6), 0.5), [STRENGTHS, OTHER, named])

    assert dose_factors(made.plan) == ["l2.strength"]
    with pytest.raises(ValueError, match=r"got factor 'model.norm', expected .*l2.strength"):
        dose_response(made, "model.norm")


def test_crossfit_equals_a_loop():
    """The effect at any weights is that of choosing on each half and judging on the other, one after the other."""
    rng = np.random.default_rng(3)
    scores, effects = rng.normal(size=(2, 4, 7))
    halves, weights = make_halves(7, rng, 5), rng.integers(0, 3, (6, 7)).astype(float)

    expected = []
    for w in weights:
        each = []
        for half in halves:
            if (w * half).sum() and (w * ~half).sum():
                best = np.argmax([(w * half * row).sum() for row in scores])
                each.append((w * ~half * effects[best]).sum() / (w * ~half).sum())
        expected.append(np.mean(each))
    assert crossfit(scores, effects, halves, weights) == pytest.approx(np.array(expected))


def test_a_seed_does_not_judge_the_level_it_chose():
    """Where a level wins for one seed only, by validation and by test, its luck there raises no effect."""
    scores = np.zeros((2, 8))
    scores[1] = -1.0
    scores[1, 0] = 100.0
    found = choose_level(scores, scores)

    assert found.effect == pytest.approx(-1 / 2)
    assert found.naive == pytest.approx(93 / 8)
    assert found.shares.tolist() == [0.5, 0.5]


def test_without_a_difference_the_choice_is_not_optimistic():
    """Where no level matters the mean effect over studies is 0; picking on the seeds that judge gives more."""
    rng = np.random.default_rng(4)
    found = [choose_level(*rng.normal(size=(2, 5, 8))) for _ in range(300)]
    same = [choose_level(v, v) for v in rng.normal(size=(300, 5, 8))]

    for made in (found, same):
        effects = [choice.effect for choice in made]
        assert abs(np.mean(effects)) < 3.5 * np.std(effects) / np.sqrt(300)
        assert np.mean([choice.naive for choice in made]) > 0.3


@pytest.mark.parametrize("means", [[0, 0, 0, 0], [0, 0.2, 2, 0.2]])
def test_intervals_hold_the_effect_of_the_procedure(means):
    """The intervals hold the expected effect of choosing on half of the seeds in about 95% of studies."""
    rng, means = np.random.default_rng(5), np.array(means)
    truth = means[(means + rng.normal(size=(20_000, 4)) / np.sqrt(5)).argmax(axis=1)].mean() - means[0]
    studies = [choose_level(*(means[:, None] + rng.normal(size=(2, 4, 10)))) for _ in range(300)]

    missed = sum(not choice.low <= truth <= choice.high for choice in studies)
    assert missed <= stats.binom.ppf(0.999, 300, 0.05)


def test_small_metrics_are_chosen_as_the_smallest(table):
    """A metric that is good when small chooses the level with the smallest validation value."""
    nll = np.random.default_rng(6).normal(0, 0.01, (3, 8)) + np.array([1.0, 2.0, 0.5])[:, None]
    primary = {"metric": "validation.nll", "at": {"kind": "last"}, "margin": None}
    steps = np.repeat(nll[..., None], 4, axis=2)
    found = best_level(study(table, np.full((3, 8), 0.5), [STRENGTHS], nll=steps, primary=primary), "l2.strength")

    row = found.iloc[0]
    assert (row["chosen"], row["naive_level"], row["n"]) == (0.1, 0.1, 8)
    assert row["shares"] == {"0": 0.0, "0.01": 0.0, "0.1": 1.0}
    assert row["low"] < row["effect"] < row["high"]
    assert row["effect"] == pytest.approx((nll[2] - nll[0]).mean())


def test_a_level_that_diverges_is_not_chosen(table):
    """The best level of the others stands in for one at which a run diverged; only the unfinished seed is lost."""
    nll = np.random.default_rng(7).normal(0, 0.01, (3, 8)) + np.array([[1.0], [0.8], [0.5]])
    nll = np.repeat(nll[..., None], 4, axis=2)
    primary = {"metric": "validation.nll", "at": {"kind": "last"}, "margin": None}
    made = study(
        table, np.full((3, 8), 0.5), [STRENGTHS], nll=nll, primary=primary, diverged={(2, 3): 20}, absent={(0, 7)}
    )
    row = best_level(made, "l2.strength").iloc[0]

    assert (row["chosen"], row["naive_level"], row["n"]) == (0.01, 0.01, 7)


def test_shapley_weights_equal_all_orders():
    """The weights give the mean over all orders of what a factor adds when it is switched on."""
    game, k = np.random.default_rng(8).normal(size=16), 4
    expected = np.zeros(k)
    for order in itertools.permutations(range(k)):
        held = 0
        for j in order:
            expected[j] += (game[held | 1 << j] - game[held]) / math.factorial(k)
            held |= 1 << j

    assert shapley_weights(k) @ game == pytest.approx(expected)


def test_shapley_values_are_efficient_symmetric_additive_and_ignore_dummies():
    """They add up to all on less all off, are equal for equal factors, add over games and are 0 for a dummy."""
    rng, k = np.random.default_rng(9), 5
    first, second = rng.normal(size=(2, 32))
    weights = shapley_weights(k)
    assert (weights @ first).sum() == pytest.approx(first[-1] - first[0])
    assert weights @ (first + second) == pytest.approx(weights @ first + weights @ second)

    sets = np.arange(32)
    size = (sets & 1) + (sets >> 1 & 1)
    symmetric = weights @ (size**2 + 3.0 * (sets >> 2 & 1) * size)
    assert symmetric[0] == pytest.approx(symmetric[1])
    assert symmetric[3:] == pytest.approx([0, 0], abs=1e-12)


def test_shapley_values_of_a_study(table):
    """Their mean over seeds adds up to all on less all off, with the t interval of scipy; other designs are refused."""
    values = np.random.default_rng(10).normal(0.5, 0.1, (4, 6))
    made = study(table, values, [OTHER, {"path": "l2.strength", "levels": [0, 0.1]}])
    found = shapley_values(made)
    each = ((values[2] - values[0]) + (values[3] - values[1])) / 2
    interval = stats.ttest_1samp(each, 0).confidence_interval()

    assert found["effect"].sum() == pytest.approx((values[3] - values[0]).mean(), abs=1e-6)
    assert found.loc[0, ["effect", "low", "high"]].tolist() == pytest.approx([each.mean(), *interval], abs=1e-6)
    assert len(make_shapley(made).grids[0].rows) == 2


def test_shapley_values_need_a_lattice(table):
    """A factor with three levels makes no lattice of sets."""
    made = study(table, np.full((6, 6), 0.5), [OTHER, STRENGTHS])
    assert make_shapley(made) is None
    with pytest.raises(ValueError, match="full factorial of 2 to 10 factors"):
        shapley_values(made)


def test_the_report_draws_every_stratum_and_shows_the_best_level(table):
    """The section has a figure with its numbers in words and, where validation allows, the table of best levels."""
    nll = np.repeat(np.random.default_rng(11).normal(1, 0.1, (6, 8, 1)), 4, axis=2)
    primary = {"metric": "validation.nll", "at": {"kind": "last"}, "margin": 0.05}
    made = study(
        table, np.full((6, 8), 0.5), [STRENGTHS, OTHER], nll=nll, primary=primary,
        study={"design": {"strata": ["dropout.hidden"]}},
    )  # fmt: skip
    extra = make_dose(made)

    assert "dropout.hidden=0.5, 0.1:" in extra.drawings[0].alt
    assert "square: dropout.hidden=0.5" in extra.drawings[0].caption
    assert len(extra.grids[0].rows) == 2


def test_more_strata_than_colours_are_said_to_be_left_out(table):
    """Of nine strata eight are drawn; without a margin there is neither a band nor a word on it."""
    sizes = {"path": "data.train_size", "levels": [2**k for k in range(9)]}
    primary = {"metric": "test.accuracy", "at": {"kind": "last"}, "margin": None}
    values = np.random.default_rng(12).normal(0.5, 0.1, (27, 6))
    design = {"design": {"strata": ["data.train_size"]}}
    drawing = make_dose(study(table, values, [STRENGTHS, sizes], primary=primary, study=design)).drawings[0]
    other = make_dose(study(table, values, [STRENGTHS, sizes], study=design)).drawings[0]

    assert "star: data.train_size=128. 1 more strata are not drawn." in drawing.caption
    assert drawing.data["stratum"].nunique() == 9
    assert "band" not in drawing.caption
    assert "var(--band" not in drawing.svg
    assert "The band spans effects too small to matter." in other.caption
    assert "var(--band" in other.svg


def test_doses_without_a_number_above_zero_stand_side_by_side(table):
    """Levels below 0 have no logarithm: they stand at equal distances, in their order."""
    low = {"path": "l2.strength", "levels": [0, -1, -5]}
    drawing = make_dose(study(table, np.random.default_rng(13).normal(0.5, 0.1, (3, 6)), [low])).drawings[0]
    # Those of the upright axis come after.
    places = [float(x) for x in re.findall(r'x="([\d.]+)"[^>]*>(?:0|-1|-5)</text>', drawing.svg)][:3]

    assert np.diff(places) == pytest.approx([places[1] - places[0]] * 2)


def test_the_report_leaves_out_a_choice_without_validation(table):
    """Without the validation metric there are doses and no best level; without doses there is no section."""
    assert make_dose(study(table, np.full((3, 8), 0.5), [STRENGTHS])).grids == ()
    assert make_dose(study(table, np.full((2, 8), 0.5), [OTHER])) is None


@pytest.mark.parametrize("num_seeds", [6, 7])
def test_halves_differ_by_one_seed_at_most(num_seeds):
    """A half to choose on has floor(n / 2) seeds; the other way round it has the rest."""
    sizes = make_halves(num_seeds, np.random.default_rng(0), 20).sum(axis=1)

    assert set(sizes[::2]) == {num_seeds // 2}
    assert set(sizes[1::2]) == {num_seeds - num_seeds // 2}


def test_one_seed_chooses_nothing():
    """Below two seeds the first level stands, with neither effect nor shares."""
    found = choose_level(np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]]))

    assert (found.n, found.level, found.naive_level) == (1, 0, 0)
    assert np.isnan([found.effect, found.low, found.high, found.naive, found.se, *found.shares]).all()


def test_a_factor_with_one_level_that_is_no_number_has_no_doses(table):
    """Numbers beside a name are no doses: all levels must be numbers."""
    mixed = {"path": "l2.strength", "levels": [0, 0.01, "scheduled"]}

    assert dose_factors(study(table, np.full((3, 6), 0.5), [mixed]).plan) == []
