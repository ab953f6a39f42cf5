"""The two-stage procedure: the seeds that a pilot asks for, and what its intervals promise."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from regjax.analysis.effects import make_effects
from regjax.analysis.inference import infer_study, seed_effects
from regjax.analysis.questions import verdict_sentence
from regjax.analysis.stein import needed_seeds, stein_intervals
from regjax.report.extras import make_extras
from regjax.report.seeds import seeds_sentence

SIMULATE = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "simulate_stein.py"))
REPEATS = 2000
STEIN = {"pilot": 4, "max": 8, "halfwidth": 0.004}
ACCURACY = np.array([[0.90, 0.92, 0.91, 0.93, 0.90, 0.94], [0.91, 0.935, 0.91, 0.95, 0.92, 0.945]])


def covered(noise, pilot, halfwidth, num_contrasts=1, most=60):
    """Return how many simulated studies hold all true effects, and if the uncapped ones are as narrow as asked."""
    rng = np.random.default_rng(5)
    draws = SIMULATE["NOISES"][noise](rng, (REPEATS, num_contrasts, most))
    found = [SIMULATE["cover_stein"](d, pilot, most, halfwidth) for d in draws]
    return sum(hit for hit, _, _ in found), all(narrow for _, n, narrow in found if n < most)


@pytest.mark.parametrize(("pilot", "halfwidth", "num_contrasts"), [(3, 1.0, 1), (5, 0.5, 1), (10, 0.6, 4), (4, 0.2, 2)])
def test_intervals_cover_normal_effects(pilot, halfwidth, num_contrasts):
    """All intervals of a family hold the truth in 95% of studies, capped or not, and are as narrow as asked for."""
    hits, narrow = covered("normal", pilot, halfwidth, num_contrasts)

    assert hits >= stats.binom.ppf(0.001, REPEATS, 0.95)
    assert narrow


def test_one_contrast_is_covered_exactly():
    """For one contrast coverage is 95%, not more: the level is used."""
    assert covered("normal", 5, 0.7)[0] <= stats.binom.ppf(0.999, REPEATS, 0.95)


def test_adding_seeds_until_it_is_narrow_does_not_cover():
    """The naive rule, a seed more until the t interval is narrow, holds the truth in clearly less than 95%."""
    draws = np.random.default_rng(6).normal(size=(REPEATS, 60))
    hits = sum(SIMULATE["cover_naive"](d, 3, 60, 0.5)[0] for d in draws)

    assert hits < stats.binom.ppf(0.001, REPEATS, 0.95)
    assert hits < 0.93 * REPEATS


def test_the_formula():
    """N is the square of t s / h rounded up, with Bonferroni's t; it is at least the pilot and at most the cap."""
    pilot = np.random.default_rng(7).normal(size=(2, 6))
    sd = pilot.std(axis=1, ddof=1).max()
    wanted = int(np.ceil((stats.t.ppf(1 - 0.05 / 4, 5) * sd / 0.3) ** 2))
    found = needed_seeds(["a", "b"], pilot, pilot=6, most=10_000, halfwidth=0.3)
    capped = needed_seeds(["a", "b"], pilot, pilot=6, most=8, halfwidth=0.3)

    assert found["needed"] == found["seeds"] == capped["needed"] == wanted
    assert capped["seeds"] == 8
    assert needed_seeds(["a", "b"], pilot, pilot=6, most=8, halfwidth=50.0)["seeds"] == 6
    assert needed_seeds(["a", "b"], pilot, pilot=6, most=8, halfwidth=1e-300)["seeds"] == 8


def test_a_pilot_without_an_sd():
    """A contrast with fewer than two pilot seeds, or without spread, asks for none and has no finite interval."""
    effects = np.array([[1.0, np.nan, np.nan, 2.0], [1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 3.0], [np.nan] * 4])
    found = needed_seeds(list("abcd"), effects[:, :3], pilot=3, most=50, halfwidth=2.0)
    low, high = stein_intervals(effects, 3, np.full(4, 0.05))

    assert found["sd"] == {"a": None, "b": 1.0, "c": 0.0, "d": None}
    assert needed_seeds([], np.zeros((0, 3)), pilot=3, most=50, halfwidth=2.0)["seeds"] == 3
    assert np.isinf(low[[0, 2]]).all()
    assert np.isinf(high[[0, 2]]).all()
    assert np.isfinite(low[1])
    assert np.isnan(low[3])


def test_equal_effects_in_all_seeds_are_a_point():
    """Effects equal in all seeds, also 0, give a point from enough pilot seeds on: 6 at 5%, 7 at 3%."""
    effects = np.array([[0.02] * 8, [0.0] * 8, [0.02] * 7 + [0.03], [0.02] * 5 + [np.nan] * 3, [0.02] * 8])
    low, high = stein_intervals(effects, 6, np.array([0.05, 0.05, 0.05, 0.05, 0.03]), 1e-8)

    assert low[:2].tolist() == high[:2].tolist() == [0.02, 0.0]
    assert np.isinf(low[2:]).all()
    assert np.isinf(high[2:]).all()


def test_a_point_of_symmetric_effects_misses_as_rarely_as_it_says():
    """Effects that are -1 or 1 with equal chance have a point that misses their mean in 2 / 2^n of studies at most."""
    draws = np.random.default_rng(8).choice([-1.0, 1.0], size=(20_000, 6))
    low, high = stein_intervals(draws, 6, np.full(len(draws), 0.05))

    missed = ((low > 0) | (high < 0)).mean()
    assert (low == high).mean() == pytest.approx(2 / 2**6, abs=0.005)
    assert missed <= 0.05


def test_a_part_that_does_nothing_is_decided(table):
    """An effect of 0 in all seeds of a two-stage study is no difference beyond the margin, not undecided."""
    equal = np.repeat(ACCURACY[:1], 2, axis=0)
    row = make_effects(table(equal, stein={**STEIN, "pilot": 6})).iloc[0]

    assert (row["low"], row["high"], row["verdict"]) == (0.0, 0.0, "no difference beyond the margin")


def test_exploratory_rows_name_the_procedure(table):
    """Rows without a p-value of a two-stage study say that their interval is of two stages, and of them alone."""
    found = table(ACCURACY, stein=STEIN)
    sentence = verdict_sentence(found, make_effects(found, at={"kind": "last"}).iloc[0])

    assert "(exploratory: 95% two-stage (Stein) interval of this contrast alone; no p-value; " in sentence
    short = table(ACCURACY, stein={**STEIN, "pilot": 1})
    sentence = verdict_sentence(short, make_effects(short, at={"kind": "last"}).iloc[0])
    assert "no effect can be excluded, as the pilot seeds leave no SD" in sentence


def test_the_effects_of_a_study_in_two_stages(table):
    """The interval has the pilot's SD and df and the mean of all seeds; there is no p, and the sentence says so."""
    found = table(ACCURACY, stein={**STEIN, "needed": 9, "seeds": 6, "sd": {"dropout.hidden: 0.5 vs 0": 0.007}})
    row = make_effects(found).iloc[0]
    d = ACCURACY[1] - ACCURACY[0]
    half = stats.t.ppf(0.975, 3) * d[:4].std(ddof=1) / np.sqrt(6)

    assert (row["low"], row["high"]) == pytest.approx((d.mean() - half, d.mean() + half), abs=1e-6)
    assert np.isnan(row["p"])
    sentence = verdict_sentence(found, row)
    assert "two-stage (Stein) interval; no p-value" in sentence
    assert "adjusted" not in sentence


def test_declared_contrasts_share_the_level_and_the_others_stand_alone():
    """Two contrasts declared of a study in two stages have Student's interval at 0.05 / 2, a third one at 0.05."""
    values = np.random.default_rng(9).normal(size=(4, 9))
    weights = np.eye(4)[1:] - np.eye(4)[0]
    found = infer_study({"stein": STEIN}, seed_effects(weights, values), np.array([True, True, False]))
    d = values[1:] - values[0]
    half = stats.t.ppf([1 - 0.05 / 4, 1 - 0.05 / 4, 1 - 0.05 / 2], 3) * d[:, :4].std(axis=1, ddof=1) / 3

    assert found["low"] == pytest.approx(d.mean(axis=1) - half)
    assert found["high"] == pytest.approx(d.mean(axis=1) + half)
    assert np.isnan(found["p"]).all()


def test_the_report_says_how_the_seeds_came_about(table):
    """A capped study is told as such; a study with a fixed number of seeds has no such section."""
    capped = table(ACCURACY, stein={**STEIN, "needed": 9, "seeds": 6, "max": 6, "sd": {"a": 0.007, "b": None}})
    (section,) = [extra for extra in make_extras(capped) if extra.anchor == "seeds"]

    assert "9 seeds needed, 6 taken" in section.sentences[0]
    assert "wider than asked for" in section.sentences[0]
    assert "no interval: b" in section.sentences[0]
    assert "do not differ" not in section.sentences[0]
    flat = seeds_sentence(capped.plan | {"stein": {**capped.plan["stein"], "sd": {"a": 0.007, "c": 0.0}}})
    assert flat.endswith("Pilot seeds do not differ, so that there is an interval only where no seed does: c.")


def test_before_the_pilot_is_judged(table):
    """While only the pilot is there, intervals are of the same procedure and the report says it is not done."""
    found = table(ACCURACY[:, :4], stein=STEIN)

    assert np.isnan(make_effects(found)["p"]).all()
    assert "the pilot is not done" in make_extras(found)[0].sentences[0]
