"""Verdicts follow from planted effects as the rules say, and the suite errs no more often than it promises."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import nct, t, ttest_1samp
from worlds import SEEDS, declare, judged, make_test, seeds_with, verdict_of

from regjax.claims.effects import find_evidence
from regjax.claims.verdict import Evidence, find_power, hall, invert_hall

EXPECTED = {
    # (expectation, mean of an effect with SD 0.3 over 12 seeds; margin 1): verdict
    ("higher", 2.0): "supported",
    ("higher", -2.0): "refuted",
    ("higher", 0.3): "refuted",
    ("higher", 0.0): "refuted",
    ("lower", -2.0): "supported",
    ("lower", 2.0): "refuted",
    ("not higher", 0.0): "supported",
    ("not higher", -5.0): "supported",
    ("not higher", 2.0): "refuted",
    ("not lower", 0.0): "supported",
    ("not lower", 5.0): "supported",
    ("not lower", -2.0): "refuted",
}


@pytest.mark.parametrize(("expect", "mean"), EXPECTED, ids=lambda value: str(value))
def test_a_clear_effect_has_the_verdict_of_its_side(expect: str, mean: float) -> None:
    """With a small error the place of the effect decides; less than the margin refutes."""
    declared = declare(tests=[make_test("effect", expect=expect)])

    assert verdict_of({"effect": seeds_with(mean, 0.3)}, declared) == EXPECTED[expect, mean]


@pytest.mark.parametrize("expect", ["higher", "lower", "not higher", "not lower"])
def test_few_or_noisy_seeds_decide_nothing(expect: str) -> None:
    """A wide interval, one seed, no seed or lost runs alone leave a claim undecided, whatever was expected."""
    declared = declare(tests=[make_test("effect", expect=expect)])
    for effects in (seeds_with(0.5, 20.0), np.array([9.0]), np.full(SEEDS, np.nan), np.zeros(0)):
        assert verdict_of({"effect": effects}, declared) == "undecided"


def test_rounding_of_equal_seeds_is_no_evidence() -> None:
    """Seeds that are equal but for float64 rounding show nothing in either direction, and no effect refutes."""
    evidence = Evidence(estimate=-3e-16, se=1e-17, n=SEEDS, expect="lower", bound=0.02)

    assert (evidence.p_holds, evidence.p_fails) == (1.0, 0.0)


def test_an_effect_smaller_than_the_margin_is_called_so() -> None:
    """Where the effect is there and a relevant one is excluded the case is refuted, and marked as trivial."""
    (claim,) = judged([(declare(), {"": {"effect": seeds_with(0.3, 0.1)}})])["claims"]

    assert (claim["verdict"], claim["cases"][0]["trivial"]) == ("refuted", True)


def test_a_lost_seed_is_left_out_and_counted() -> None:
    """An effect without a number enters neither mean nor n, and the row says of how many."""
    effects = np.append(seeds_with(2.0, 0.3, SEEDS - 2), [np.nan, np.inf])
    (claim,) = judged([(declare(), {"": {"effect": effects}})])["claims"]
    (row,) = claim["cases"][0]["tests"]

    assert (row["n"], row["seeds"]) == (SEEDS - 2, SEEDS)
    assert row["estimate"] == pytest.approx(2.0)


def test_all_needed_tests_must_hold_and_any_failure_refutes() -> None:
    """Of two tests both support; one open leaves the claim undecided, one that fails refutes it."""
    declared = declare(tests=[make_test("a"), make_test("b")])
    good, open_, bad = seeds_with(2, 0.3), seeds_with(0.5, 9), seeds_with(-2, 0.3)

    assert verdict_of({"a": good, "b": good}, declared) == "supported"
    assert verdict_of({"a": good, "b": open_}, declared) == "undecided"
    assert verdict_of({"a": good, "b": bad}, declared) == "refuted"


def test_the_declared_rule_says_which_tests_count() -> None:
    """A test that the rule does not name decides nothing."""
    declared = declare(tests=[make_test("a"), make_test("b")], rule={"supported": ["a"], "refuted": ["a"]})

    assert verdict_of({"a": seeds_with(2, 0.3), "b": seeds_with(-2, 0.3)}, declared) == "supported"


@pytest.mark.parametrize(
    ("means", "verdict"),
    [((2, 2), "supported"), ((-2, -2), "refuted"), ((2, -2), "conditional"), ((2, None), "undecided"),
     ((-2, None), "undecided"), ((None, None), "undecided")],
)  # fmt: skip
def test_cases_make_the_verdict(means: tuple[float | None, float | None], verdict: str) -> None:
    """Only a claim with supported and refuted cases is conditional; an open case beside equal ones leaves it open."""
    declared = declare(cases=["small", "large"])
    cases = {
        name: {"effect": seeds_with(0.5, 9) if mean is None else seeds_with(mean, 0.3)}
        for name, mean in zip(("small", "large"), means, strict=True)
    }

    assert judged([(declared, cases)])["claims"][0]["verdict"] == verdict


def test_exact_checks_are_facts_outside_of_the_family() -> None:
    """Passed checks support and a failed one refutes, without a seed; they add no hypothesis to the family."""
    exact = declare("C2", [{"name": "m", "says": "so", "mechanism": "x"}])
    found = judged([(declare(), {"": {"effect": seeds_with(2, 0.3)}}), (exact, {"": {"m": [True, True]}})])

    assert [claim["verdict"] for claim in found["claims"]] == ["supported", "supported"]
    assert found["hypotheses"] == 2
    assert verdict_of({"m": [True, False]}, exact) == "refuted"


def test_an_exact_check_beside_an_estimate_is_part_of_the_conjunction() -> None:
    """A claim with both kinds needs both: failed checks refute it, passed ones leave the estimate to decide."""
    mixed = declare(tests=[make_test("effect"), {"name": "m", "says": "so", "mechanism": "x"}])
    strong = seeds_with(2, 0.3)

    assert verdict_of({"effect": strong, "m": [True]}, mixed) == "supported"
    assert verdict_of({"effect": strong, "m": [False]}, mixed) == "refuted"
    assert verdict_of({"effect": seeds_with(0.5, 9), "m": [True]}, mixed) == "undecided"


def test_equal_effects_in_all_seeds_are_sure() -> None:
    """Without any spread the effect itself decides: 0 is not higher, and a sure rise is a rise."""
    same = declare(tests=[make_test("effect", expect="not higher")])

    assert verdict_of({"effect": np.zeros(SEEDS)}, same) == "supported"
    assert verdict_of({"effect": np.full(SEEDS, 2.0)}) == "supported"


@pytest.mark.parametrize(("expect", "alternative", "holds", "fails"), [
    ("higher", "greater", 0.0, 1.0), ("lower", "less", 0.0, -1.0),
    ("not higher", "less", 1.0, 1.0), ("not lower", "greater", -1.0, -1.0),
])  # fmt: skip
def test_p_values_are_those_of_one_sided_t_tests(expect: str, alternative: str, holds: float, fails: float) -> None:
    """p of holding and of failing, skewness aside, are scipy's one-sided t-tests against the ends of the rule."""
    effects = np.random.default_rng(3).normal(0.4, 1.0, 15)
    evidence = Evidence(effects.mean(), effects.std(ddof=1) / math.sqrt(15), 15, expect, 1.0)
    other = {"greater": "less", "less": "greater"}[alternative]

    assert evidence.p_holds == pytest.approx(ttest_1samp(effects, holds, alternative=alternative).pvalue)
    assert evidence.p_fails == pytest.approx(ttest_1samp(effects, fails, alternative=other).pvalue)


def only_test(**changes: Any) -> Any:
    """Return the one test of a planted claim."""
    return declare(tests=[make_test("effect", **changes)]).tests[0]


def test_p_of_skewed_effects_is_the_larger_of_t_and_hall() -> None:
    """p of holding and of failing are tails of Hall's statistic, worked from the effects, where these are smaller."""
    effects = np.random.default_rng(4).exponential(size=30)
    evidence = find_evidence(only_test(margin=2.5), effects)

    def tails(excess: np.ndarray) -> tuple[float, float]:
        spread = np.sqrt(((excess - excess.mean()) ** 2).mean())
        skew = ((excess - excess.mean()) ** 3).mean() / spread**3
        s = excess.mean() / effects.std(ddof=1)
        statistic = math.sqrt(30) * (s + skew * s**2 / 3 + skew**2 * s**3 / 27 + skew / (6 * 30))
        return float(t.sf(math.sqrt(30) * s, 29)), float(t.sf(statistic, 29))

    right, left = tails(effects), tails(2.5 - effects)
    # The long tail is on the side of large effects: that they are below the margin is what t is too sure of.
    assert right[0] > right[1]
    assert left[1] > 3 * left[0]
    assert evidence.p_holds == pytest.approx(right[0], rel=1e-9)
    assert evidence.p_fails == pytest.approx(left[1], rel=1e-9)


def test_mirrored_effects_have_mirrored_p() -> None:
    """What is expected higher of effects is as sure as what is expected lower of their mirror image."""
    effects = np.random.default_rng(5).gamma(1.0, size=24)
    one = find_evidence(only_test(expect="higher"), effects)
    other = find_evidence(only_test(expect="lower"), -effects)

    assert (one.p_holds, one.p_fails) == (other.p_holds, other.p_fails)


def test_skewness_makes_t_too_sure_and_the_verdicts_much_less_so() -> None:
    """Of exponential effects at the margin, 48 seeds, t refutes 6 times as often as 1 in 1,000, the rule 1 to 4."""
    drawn = np.random.default_rng(6).exponential(size=(12_000, 48))
    found = [find_evidence(only_test(margin=1.0), effects) for effects in drawn]
    alone = [dataclasses.replace(one, skew=math.nan).p_fails for one in found]

    assert np.mean(np.array(alone) <= 1e-3) > 6e-3
    assert 1e-3 < np.mean([one.p_fails <= 1e-3 for one in found]) < 4e-3


def test_the_suite_is_wrong_in_at_most_one_of_twenty_worlds() -> None:
    """In suites of 8 claims at the edge of their hypotheses any wrong verdict comes in at most 5% of the worlds.

    Half of the claims have no effect (they must not be supported), half one of exactly the margin (not refuted).
    """
    rng, worlds, wrong = np.random.default_rng(11), 400, 0
    declared = [declare(f"C{i}") for i in range(8)]
    for _ in range(worlds):
        effects = [rng.normal(0.0 if i < 4 else 1.0, 1.5, 10) for i in range(8)]
        found = judged([(d, {"": {"effect": e}}) for d, e in zip(declared, effects, strict=True)])
        verdicts = [claim["verdict"] for claim in found["claims"]]
        wrong += "supported" in verdicts[:4] or "refuted" in verdicts[4:]

    # Three standard errors above 5%.
    assert wrong / worlds <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / worlds)


def test_power_is_the_share_of_worlds_in_which_the_margin_is_found() -> None:
    """With a known error the stated power agrees with simulation, and the smallest effect is found in 90%."""
    n, sd, alpha, rng = 14, 1.0, 0.01, np.random.default_rng(5)
    se = sd / math.sqrt(n)
    power, smallest = find_power(Evidence(0.0, se, n, "higher", 0.9), alpha)
    for effect, expected, tolerance in ((0.9, power, 0.03), (smallest, 0.9, 0.04)):
        drawn = rng.normal(effect, sd, (4000, n))
        found = ttest_1samp(drawn, 0.0, axis=1, alternative="greater").pvalue <= alpha
        assert found.mean() == pytest.approx(expected, abs=tolerance)


@settings(deadline=None)
@given(st.floats(-8, 8), st.floats(-5, 5), st.integers(2, 200))
def test_hall_rises_and_is_inverted(t_value: float, skew: float, n: int) -> None:
    """The inverse is one, and a larger t never has a smaller transform."""
    assert invert_hall(hall(t_value, skew, n), skew, n) == pytest.approx(t_value, abs=1e-3)
    assert hall(t_value + 0.5, skew, n) >= hall(t_value, skew, n)


def test_power_counts_the_skewness_that_the_rule_counts() -> None:
    """With the long tail on the side of the bound power falls to the share of t beyond Hall's threshold; else not."""
    n, alpha = 20, 1e-3
    critical = t.ppf(1 - alpha, n - 1)
    powers = {}
    for skew in (-1.0, 0.0, 1.0, math.nan):
        evidence = Evidence(0.0, 1.0, n, "higher", 5.0, skew=skew)
        powers[skew] = find_power(evidence, alpha)[0]
    needed = brentq(lambda x: hall(x, -1.0, n) - critical, 0, 50)

    assert powers[0.0] == pytest.approx(nct.sf(critical, n - 1, 5.0))
    assert find_power(Evidence(0.0, 1.0, n, "higher", 5.0), alpha)[0] == powers[0.0] == powers[1.0]
    assert powers[-1.0] == pytest.approx(nct.sf(needed, n - 1, 5.0))
    assert powers[-1.0] < 0.8 * powers[0.0]
    assert find_power(Evidence(0.0, 1.0, n, "not higher", 5.0, skew=1.0), alpha)[0] == pytest.approx(powers[-1.0])
