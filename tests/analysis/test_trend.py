"""The slope of the best level over strata, and the declared contrasts of best levels on a table of runs."""

import itertools
import math
import re

import numpy as np
import pytest
from scipy import optimize, stats

from regjax.analysis.choice import choose_level
from regjax.analysis.effects import all_effects
from regjax.analysis.level_sentences import _statistics, level_sentence
from regjax.analysis.levels import LevelTest, level_effects, level_tests, place_text
from regjax.analysis.signflip import smallest_p
from regjax.analysis.trend import best_places, find_trend, fit_slope, join_intervals, place_levels, t_interval
from regjax.report.levels import make_section
from regjax.report.text import effects_text

STRATA = np.log10([500.0, 2000.0, 8000.0])
LEVELS = np.linspace(-6, -1, 11)


def make_scores(rng, slope, num_seeds, height=3.0):
    """Return scores [stratum, level, seed] whose best place moves by a slope per unit of the strata; noise of SD 1."""
    tops = -3.4 + slope * (STRATA - STRATA.mean())
    means = height * np.exp(-0.5 * np.square(LEVELS - tops[:, None]))
    return means[..., None] + rng.normal(size=(3, len(LEVELS), num_seeds))


def test_a_planted_slope_is_found():
    """The interval holds the slope that was planted and not 0, and p says the same."""
    found = find_trend(make_scores(np.random.default_rng(0), -0.7, 20), LEVELS, STRATA)

    assert found.low < -0.7 < found.high < 0
    assert found.p < 0.05
    assert found.best == pytest.approx(-3.4 - 0.7 * (STRATA - STRATA.mean()), abs=0.3)
    assert (found.best_low < found.best).all()
    assert (found.best < found.best_high).all()
    assert found.shares.sum(axis=1) == pytest.approx(1)


def test_a_slope_is_rarely_found_where_there_is_none():
    """Without a slope p is at most 0.05 in no more than 5% of studies and below 0.5 in about half, chance aside."""
    rng = np.random.default_rng(1)
    p = np.array([find_trend(make_scores(rng, 0.0, 10), LEVELS, STRATA).p for _ in range(200)])

    assert (p <= 0.05).sum() <= stats.binom.ppf(0.999, len(p), 0.05)
    # Two intervals joined are a little wide: small p-values are rarer than their size, never more frequent.
    assert stats.binom.ppf(0.001, len(p), 0.3) <= (p <= 0.5).sum() <= stats.binom.ppf(0.999, len(p), 0.5)


def test_p_and_interval_agree():
    """0 lies outside the interval exactly where p is at most the level, at every level."""
    rng = np.random.default_rng(2)
    for slope, alpha in itertools.product((0.0, -0.3, -0.6), (0.05, 0.05 / 3, 0.2)):
        found = find_trend(make_scores(rng, slope, 8), LEVELS, STRATA, alpha)
        assert (found.low > 0 or found.high < 0) == (found.p <= alpha)


def test_the_order_of_seeds_and_levels_changes_nothing():
    """Seeds under other numbers, and levels listed in another order, give the same trend."""
    rng = np.random.default_rng(3)
    scores = make_scores(rng, -0.5, 9)
    found = find_trend(scores, LEVELS, STRATA)
    seeds, levels = rng.permutation(9), rng.permutation(len(LEVELS))
    other = find_trend(scores[:, levels][:, :, seeds], LEVELS[levels], STRATA)

    assert other[:6] == pytest.approx(found[:6])
    assert other.shares == pytest.approx(found.shares[:, levels])


def test_a_constant_per_seed_changes_nothing():
    """What all levels of a seed gain or lose in a stratum says nothing about the best one."""
    rng = np.random.default_rng(4)
    scores = make_scores(rng, -0.5, 9)
    moved = find_trend(scores + 100 * rng.normal(size=(3, 1, 9)), LEVELS, STRATA)

    assert moved[:6] == pytest.approx(find_trend(scores, LEVELS, STRATA)[:6])


def test_the_best_place_is_the_top_of_the_parabola():
    """Through the best level and its neighbours, also where the steps of the grid differ; an end is itself."""
    rng = np.random.default_rng(5)
    x = np.cumsum(rng.uniform(0.2, 1.0, 6))
    for means in rng.normal(size=(20, 6)):
        top = int(means.argmax())
        expected = x[top]
        if 0 < top < 5:
            curve = np.polyfit(x[top - 1 : top + 2], means[top - 1 : top + 2], 2)
            bounds = (x[top - 1], x[top + 1])
            expected = optimize.minimize_scalar(lambda v, c=curve: -np.polyval(c, v), bounds=bounds, method="bounded").x
        assert best_places(means, x) == pytest.approx(expected, abs=1e-4)


def test_equal_levels_have_no_slope_and_p_one():
    """Where no level differs the first one is the best everywhere: slope 0, p 1."""
    found = find_trend(np.zeros((3, 11, 8)), LEVELS, STRATA)

    assert (found.slope, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_a_level_that_diverged_is_not_chosen():
    """A level without a value at some seed is no best one and no neighbour; without any level there is no trend."""
    scores = make_scores(np.random.default_rng(6), 0.0, 12)
    best = int(scores[0].mean(axis=1).argmax())
    scores[0, best, 3] = -np.inf
    found = find_trend(scores, LEVELS, STRATA)

    assert found.shares[0, best] == 0
    assert found.best[0] in LEVELS[[best - 1, best + 1]]
    scores[1, :, 0] = -np.inf
    assert math.isnan(find_trend(scores, LEVELS, STRATA).slope)


def test_few_seeds_have_no_finite_interval():
    """Five seeds cannot give a p-value of 0.05, whatever they show."""
    found = find_trend(make_scores(np.random.default_rng(7), -0.7, 5, height=50), LEVELS, STRATA)

    assert (found.low, found.high) == (-math.inf, math.inf)
    assert found.p >= 2 / 2**5


def test_the_t_interval_is_that_of_scipy():
    """Half-width and p are those of Student's t, p no smaller than of all seeds alike."""
    low, high, p = t_interval(0.5, 0.2, 12, 0.05)

    assert (low, high) == pytest.approx(stats.t.interval(0.95, 11, 0.5, 0.2))
    assert p == pytest.approx(2 * stats.t.sf(2.5, 11))
    assert t_interval(0.5, 1e-9, 12, 0.05)[2] == pytest.approx(0.001)
    assert join_intervals((0.0, 1.0, 0.2), (-1.0, 0.5, 0.1)) == (-1.0, 1.0, 0.2)


def test_slopes_are_least_squares():
    """The slope over strata is that of a straight line by least squares."""
    places = np.random.default_rng(8).normal(size=(4, 3))

    assert fit_slope(places, STRATA) == pytest.approx(np.polyfit(STRATA, places.T, 1)[0])


def test_off_levels_stand_one_step_beside():
    """0 stands one step below the doses of a logarithmic axis, infinity one above; a short range has a plain axis."""
    assert place_levels([0.0, 0.001, 0.1, 0.01]).x == pytest.approx([-4, -3, -1, -2])
    assert place_levels([math.inf, 1.0, 10.0]).x == pytest.approx([2, 0, 1])
    assert place_levels([0.0, 0.2, 0.4, 0.8]).log is False
    assert place_levels([-1.0, 1.0, 100.0]).log is False


FACTORS = [{"path": "l2.strength", "levels": [0, 0.01, 0.1]}, {"path": "data.train_size", "levels": [100, 1000]}]
TREND = {"name": "moves", "kind": "trend", "factor": "l2.strength", "by": "data.train_size"}
EFFECT = {"name": "helps", "kind": "best_level", "factor": "l2.strength", "by": "data.train_size"}
ASKED = [
    {**TREND, "choose_on": "validation.nll", "tests": ["moves"]},
    {**EFFECT, "choose_on": "validation.nll", "tests": ["helps (100)", "helps (1000)"]},
]


@pytest.fixture
def study(table):
    """Return the table of a study of two strata, its accuracies and its losses [level, stratum, seed]."""
    rng = np.random.default_rng(9)
    accuracy = rng.normal(0.5, 0.05, (3, 2, 12)).astype(np.float32)
    nll = rng.normal(1.0, 0.05, (3, 2, 12)).astype(np.float32)
    nll[1, 1] -= 1.0
    nll[2, 0] -= 1.0
    cells = [
        {"index": i, "name": f"cell {i}", "levels": {"l2.strength": level, "data.train_size": size}}
        for i, (level, size) in enumerate(itertools.product(FACTORS[0]["levels"], FACTORS[1]["levels"]))
    ]
    plan = {"factors": FACTORS, "cells": cells, "contrasts": [], "markers": [], "level_contrasts": ASKED}
    made = table(accuracy.reshape(6, 12), nll=np.repeat(nll.reshape(6, 12, 1), 4, axis=2), **plan)
    return made, accuracy.astype(float), nll.astype(float)


def test_declared_trends_are_rows_of_effects(study):
    """A trend is the slope of the best levels by validation, tested at 0.05 over the number of declared tests."""
    table, _, nll = study
    row = level_effects(table).iloc[0]
    expected = find_trend(-nll.transpose(1, 0, 2), np.array([-3.0, -2, -1]), np.array([2.0, 3]), 0.05 / 3)

    assert (row["kind"], row["verdict"], bool(row["confirmatory"])) == ("trend", "falls", True)
    assert row[["effect", "low", "high"]].tolist() == pytest.approx([expected.slope, expected.low, expected.high])
    assert row["p"] == pytest.approx(min(1.0, 3 * expected.p))
    assert row["metric"] == "slope of log10(l2.strength) on log10(data.train_size)"
    assert all_effects(table)["contrast"].tolist() == ["moves", "helps (100)", "helps (1000)"]


def test_declared_effects_of_best_levels_are_those_of_the_halvings(study):
    """The effect of the best level is cross-fitted in each stratum; its p is that of its interval."""
    table, accuracy, nll = study
    for i, row in enumerate(level_effects(table).iloc[1:].to_dict("records")):
        expected = choose_level(-nll[:, i], accuracy[:, i])
        assert row["effect"] == pytest.approx(expected.effect, abs=1e-6)
        assert row["p"] == pytest.approx(min(1, 3 * 2 * stats.t.sf(abs(expected.effect) / expected.se, 11)), rel=1e-4)
        assert (row["low"] > 0 or row["high"] < 0) == (row["p"] <= 0.05)


def test_sentences_name_levels_slope_and_seeds(study):
    """A sentence says what was chosen, on which seeds, the slope with its interval and p, and the family."""
    table, _, _ = study
    rows = level_effects(table).to_dict("records")
    trend, effect = (level_sentence(table, row) for row in rows[:2])

    assert "moves: the best l2.strength falls with data.train_size" in trend
    assert "best by validation NLL" in trend
    assert "0.1 at 100 and 0.01 at 1000" in trend or "at 100" in trend
    assert "chosen on all 12 seeds" in trend
    assert "adjusted for 3 tests" in trend
    assert "on one half of 12 seeds and judged on the other, 50 halvings both ways: 0.1 100%" in effect
    assert re.search(r"simultaneous 95% interval, adjusted p = ", effect), effect


def test_a_sentence_says_which_way_an_effect_goes_and_what_few_seeds_cannot(study):
    """An effect against its sign is told as lowered, with its size; without a finite interval the least p is told."""
    table, _, _ = study
    test, row = level_tests(table)[1], level_effects(table).to_dict("records")[1]
    assert test.num_tests == 3
    down = level_sentence(table, row | {"verdict": "lowers"})
    assert " lowered " in down
    assert " raised " in level_sentence(table, row | {"verdict": "raises"})
    assert _statistics(test._replace(num_tests=1, p=0.5)) == "95% interval, p = 0.500"
    assert _statistics(test._replace(low=-math.inf)) == f"12 seeds cannot give a p-value below {smallest_p(12):g}"


@pytest.mark.parametrize("num_done", [0, 1])
def test_without_two_seeds_nothing_is_tested(table, num_done):
    """Below two seeds a declared best level has neither effect nor interval nor p, and its sentence says why."""
    cells = [
        {"index": i, "name": f"cell {i}", "levels": {"l2.strength": level, "data.train_size": size}}
        for i, (level, size) in enumerate(itertools.product(FACTORS[0]["levels"], FACTORS[1]["levels"]))
    ]
    plan = {"factors": FACTORS, "cells": cells, "contrasts": [], "markers": [], "level_contrasts": ASKED}
    absent = {(cell, seed) for cell in range(6) for seed in range(num_done, 7)}
    made = table(np.random.default_rng(12).normal(0.5, 0.05, (6, 7)), absent=absent, **plan)
    rows = level_effects(made)

    assert rows["n"].tolist() == [num_done] * 3
    assert rows[["effect", "low", "high", "p", "better"]].isna().all(axis=None)
    assert rows["verdict"].tolist() == ["undecided"] * 3
    for row in rows.to_dict("records"):
        assert level_sentence(made, row) == (
            f"{row['contrast']}: too few seeds have a result, or a stratum has no level without a diverged run; "
            f"{num_done} of 7 seeds enter."
        )


def test_the_report_has_a_section_of_its_own(study):
    """Slopes have a table and a figure with their numbers, and stay out of the table of effects."""
    table, _, _ = study
    section = make_section(table)
    data = section.drawings[0].data

    assert [grid.title for grid in section.grids] == ["moves", "Effect of the best level on test accuracy"]
    assert data.groupby("data.train_size")["share of resamples"].sum().tolist() == pytest.approx([1, 1])
    text = effects_text(table)
    assert "* moves: the best l2.strength falls" in text
    assert text.count("slope of log10") == 1


def test_seeds_without_all_runs_do_not_enter(table):
    """A trend takes the seeds that have all cells; a run that diverged bars its level in its stratum."""
    rng = np.random.default_rng(10)
    cells = [
        {"index": i, "name": f"cell {i}", "levels": {"l2.strength": level, "data.train_size": size}}
        for i, (level, size) in enumerate(itertools.product(FACTORS[0]["levels"], FACTORS[1]["levels"]))
    ]
    plan = {"factors": FACTORS, "cells": cells, "contrasts": [], "markers": [], "level_contrasts": ASKED[:1]}
    made = table(rng.normal(0.5, 0.1, (6, 9)), absent={(0, 8)}, diverged={(2, 1): 5}, **plan)
    (test,) = level_tests(made)

    assert test.found.n == 8
    assert test.diverged == 1
    assert test.found.shares[0, 1] == 0
    assert "1 run diverged, whose levels are not chosen; 8 of 9 seeds enter" in level_sentence(
        made, level_effects(made).to_dict("records")[0]
    )


def test_an_effect_is_averaged_over_the_other_factors_on_whole_seeds(table):
    """Levels are means over the cells of the other factor; seeds to come, or without a first level, do not enter."""
    rng = np.random.default_rng(11)
    accuracy, nll = rng.normal(0.5, 0.05, (2, 6, 12)).astype(np.float32)
    other = {"path": "dropout.hidden", "levels": [0.0, 0.5]}
    cells = [
        {"index": i, "name": f"cell {i}", "levels": {"l2.strength": level, "dropout.hidden": rate}}
        for i, (level, rate) in enumerate(itertools.product(FACTORS[0]["levels"], other["levels"]))
    ]
    asked = {**EFFECT, "by": None, "choose_on": "validation.nll", "tests": ["helps"]}
    plan = {"factors": [FACTORS[0], other], "cells": cells, "contrasts": [], "markers": [], "level_contrasts": [asked]}
    losses = np.repeat(nll[..., None], 4, axis=2)
    (test,) = level_tests(table(accuracy, nll=losses, absent={(3, 11)}, diverged={(0, 5): 5}, **plan))
    scores, primary = (
        np.delete(v.astype(float).reshape(3, 2, 12).mean(axis=1), [5, 11], axis=1) for v in (nll, accuracy)
    )
    expected = choose_level(-scores, primary)

    assert (test.found.n, test.diverged) == (10, 1)
    assert test.found.shares.tolist() == expected.shares.tolist()
    assert test.found[:3] == pytest.approx(expected[:3], abs=1e-6)


@pytest.mark.parametrize(
    ("levels", "place", "text"),
    [
        ([0, 0.01, 0.1], -3.0, "0"),
        ([0, 0.01, 0.1], -2.6, "0"),
        ([0, 0.01, 0.1], -2.4, "0.01"),
        ([0, 0.01, 0.1], -1.5, "0.0316"),
        ([0, 0.01, 0.1], -0.2, "0.1"),
        ([0, "off", 1, 10], 1.4, "10"),
        ([0, "off", 1, 10], 1.6, "off"),
        ([0, "off", 1, 10], -0.7, "0"),
        ([1, 2, 3], 2.5, "2.5"),
        ([1, 2, 3], 0.0, "1"),
    ],
)
def test_a_place_is_told_as_the_level_there(levels, place, text):
    """Among the doses a place is a dose; beyond them it is the last dose, or the level beside it if that is nearer."""
    places = place_levels([math.inf if level == "off" else level for level in levels])

    assert place_text(LevelTest(*[None] * 12)._replace(levels=levels, level_places=places), place) == text
