"""From the results of a suite to its verdicts: the evidence of every test, the rules, and all of it as plain JSON."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from regjax.analysis.levels import level_tests
from regjax.analysis.table import at_label
from regjax.claims.choices import find_choices, halves_of
from regjax.claims.declare import Case, Declared, Test, in_case
from regjax.claims.effects import Take, contrast_evidence, find_evidence, parse_state, test_values
from regjax.claims.lines import draw_lines
from regjax.claims.measures import MEASURES
from regjax.claims.mechanisms import MECHANISMS
from regjax.claims.suite import Suite
from regjax.claims.verdict import ALPHA, Evidence, Rules, find_power, judge_claim, judge_suite
from regjax.metrics import ABOUT
from regjax.report.words import metric_words
from regjax.results import Results

ONE_CASE = (Case.model_construct(name=""),)
SHOWN = ("name", "says", "expect", "margin", "scale", "unit", "measure", "mechanism", "contrast")


class Found(NamedTuple):
    """What a test found: the evidence, and what else its row shows."""

    evidence: Evidence
    more: dict[str, Any]


# {claim: {case: {test: what it found}}}, of a claim without cases one case "".
Findings = dict[str, dict[str, dict[str, Found]]]


def judge(suite: Suite, results: Mapping[str, Results], take: Take, tell: Callable[[str], None]) -> dict[str, Any]:
    """Return every claim with its cases, tests, evidence and verdict, and the numbers of its figure.

    Args:
      suite: the claims.
      results: by the names of the suite's studies.
      take: from results to the numbers of a measure.
      tell: what is being done, a line each.
    """
    found: Findings = {}
    for path, declared in suite.claims.items():
        tell(f"judging {declared.claim.id}")
        known = {name: results[folder] for name, folder in suite.names(path).items()}
        found[declared.claim.id] = {
            case.name: {test.name: find_test(test, case, known, take) for test in declared.tests}
            for case in declared.cases or ONE_CASE
        }
    judged, digests = judge_findings(list(suite.claims.values()), found), suite.digests()
    for path, claim in zip(suite.claims, judged["claims"], strict=True):
        claim |= {
            "digest": digests[claim["id"]],
            "file": path.name,
            "studies": sorted(set(suite.names(path).values())),
            "figure": find_figure(suite, path, results, take),
        }
    return judged


def judge_findings(claims: Sequence[Declared], found: Findings) -> dict[str, Any]:
    """Return the level, the size of the family, and every claim with its verdict, cases and tests as plain JSON.

    Args:
      claims: as declared.
      found: of every test of every case of these claims.
    """
    evidence = {
        one: {case: {name: test.evidence for name, test in tests.items()} for case, tests in cases.items()}
        for one, cases in found.items()
    }
    verdicts = judge_suite(evidence, {d.claim.id: Rules(d.supporting(), d.refuting()) for d in claims})
    hypotheses = count_hypotheses(evidence)
    first_step = ALPHA / max(1, hypotheses)
    made = []
    for declared in claims:
        one = declared.claim.id
        cases = [
            {
                "name": case,
                **dataclasses.asdict(verdicts[one][case]),
                "tests": [describe_test(declared, name, test, first_step) for name, test in tests.items()],
            }
            for case, tests in found[one].items()
        ]
        rule = {"supported": declared.supporting(), "refuted": declared.refuting()}
        made.append(
            {**declared.claim.model_dump(), "verdict": judge_claim(verdicts[one]), "rule": rule, "cases": cases}
        )
    return {"alpha": ALPHA, "hypotheses": hypotheses, "claims": made}


def count_hypotheses(evidence: Mapping[str, Mapping[str, Mapping[str, Evidence]]]) -> int:
    """Return the size of the family: two hypotheses of every case that is not exact."""
    cases = [tests for cases in evidence.values() for tests in cases.values()]
    return 2 * sum(any(test.exact is None for test in tests.values()) for tests in cases)


def find_test(test: Test, case: Case, results: Mapping[str, Results], take: Take) -> Found:
    """Return what a test found in a case.

    Args:
      test, case: as declared.
      results: of the claim's studies, by their names in the claim.
      take: from results to the numbers of a measure.
    """
    if test.mechanism:
        checks = MECHANISMS[test.mechanism](**{**test.options, **case.options})
        exact = Evidence(math.nan, math.nan, 0, "", 0.0, all(check.passed for check in checks))
        return Found(exact, {"checks": [check._asdict() | {"values": list(check.values)} for check in checks]})
    test = in_case(test, case)
    known = results[test.study]
    more = {"study": known.out.name, "seeds": len(known.plan["seeds"])}
    if test.contrast:
        (found,) = (one for one in level_tests(known.table) if one.name == test.contrast)
        return Found(contrast_evidence(test, found), more)
    effects = test_values(known, test, case, take)
    # Measures of time have a number for each round in place of a seed.
    values = take(known, test.measure, {**test.options, **case.options}, parse_state(test.at))
    choices = find_choices(known, test, case, values)
    more |= {"choices": choices, "halves": halves_of(effects) if choices else []}
    return Found(find_evidence(test, effects), more | {"seeds": len(effects), "effects": plain(effects)})


def describe_test(declared: Declared, name: str, found: Found, alpha: float) -> dict[str, Any]:
    """Return the row of a test as plain JSON; what is not known is null.

    Args:
      declared: the claim.
      name: of the test.
      found: its evidence.
      alpha: level of the first step of Holm, at which power is stated.
    """
    (test,) = (one for one in declared.tests if one.name == name)
    evidence = found.evidence
    low, high = evidence.interval()
    power, smallest = find_power(evidence, alpha)
    numbers = {
        "estimate": evidence.estimate, "se": evidence.se, "low": low, "high": high, "p_holds": evidence.p_holds,
        "p_fails": evidence.p_fails, "power": power, "smallest": smallest,
        "skew": evidence.skew,
    }  # fmt: skip
    return {
        **test.model_dump(include=set(SHOWN)),
        "about": describe_measure(test),
        "bound": None if test.mechanism else test.bound,
        **{key: value if math.isfinite(value) else None for key, value in numbers.items()},
        "than": None if test.trend else test.than,
        "value": find_value(test, evidence.estimate),
        "n": evidence.n,
        "seeds": 0,
        "exact": evidence.exact,
        "effects": [],
        "choices": [],
        "halves": [],
        "checks": [],
        "study": "",
        **found.more,
    }


def find_value(test: Test, effect: float) -> float | None:
    """Return what was measured where a test compares with a number: the reference and the effect together; else None.

    >>> find_value(Test.model_construct(than=0.6, scale="log", trend=""), math.log(0.5))
    0.3
    """
    if test.than is None or test.trend or not math.isfinite(effect):
        return None
    return test.than * math.exp(effect) if test.scale == "log" else test.than + effect


def describe_measure(test: Test) -> str:
    """Return what a test's numbers are.

    >>> describe_measure(Test.model_construct(measure="test.nll", mechanism="", contrast="", at="best"))
    'test NLL at best: mean negative log likelihood of the label, in nats'
    """
    if test.mechanism or test.contrast:
        return "exact checks" if test.mechanism else f"best level: {test.contrast}"
    if test.measure in MEASURES:
        return MEASURES[test.measure].about
    words, name = metric_words(test.measure), test.measure.rpartition(".")[2]
    return f"{words} at {at_label(parse_state(test.at))}: {ABOUT[name]}"


def find_figure(suite: Suite, path: Path, results: Mapping[str, Results], take: Take) -> dict[str, Any] | None:
    """Return the numbers of a claim's curves; None where its figure shows the effects of its tests alone."""
    declared = suite.claims[path]
    figure = declared.figure
    if figure.kind != "levels":
        return None
    known = results[suite.sources[path, figure.study].name]
    about = describe_measure(Test.model_construct(measure=figure.measure, mechanism="", contrast="", at=figure.at))
    rows = draw_lines(known, figure, declared.cases, take)
    lines = figure.lines or next(iter(figure.each), "")
    return {"measure": figure.measure, "about": about, "over": figure.over, "lines": lines, "rows": rows}


def plain(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Return numbers as JSON has them, null where they are not finite."""
    return [float(value) if math.isfinite(value) else None for value in values]
