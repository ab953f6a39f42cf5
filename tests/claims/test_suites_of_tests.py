"""Tests that belong to the quick suite or the full one alone, and what is left of a claim there."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from regjax.claims import declare
from regjax.claims.declare import Case, Declared, load_claim
from regjax.claims.judging import find_test
from regjax.config.base import check_table

EXPERIMENT = Path(__file__).parents[2] / "configs" / "claims" / "C19.toml"


def declared(only: dict[str, str], rule: list[str]) -> tuple[Declared | None, list[Any]]:
    """Return a claim with tests {name: its suite} on studies of the same names, and what is wrong with it."""
    tests = [
        {"name": name, "says": "x", "study": name, "measure": "m", "expect": "higher", "margin": 1.0, "only": suite}
        for name, suite in only.items()
    ]
    return check_table(
        Declared,
        {"claim": {"id": "C1", "statement": "all", "measured": "somehow", "quick": "some"},
         "studies": {name: {"file": f"{name}.toml"} for name in only}, "full": {"both": {"file": "large.toml"}},
         "tests": tests, "rule": {"supported": rule, "refuted": rule}},
    )  # fmt: skip


def test_a_suite_has_its_own_tests_and_their_studies() -> None:
    """What belongs to the other suite is gone, from the rule as well; the full suite has its larger studies."""
    claim, _ = declared({"both": "", "small": "quick", "large": "full"}, ["small", "large"])
    assert claim is not None
    quick, full = claim.of_suite(full=False), claim.of_suite(full=True)

    assert [test.name for test in quick.tests] == ["both", "small"]
    assert [test.name for test in full.tests] == ["both", "large"]
    assert quick.supporting() == quick.refuting() == ["small"]
    assert full.supporting() == full.refuting() == ["large"]
    assert set(quick.files(full=False)) == {"both", "small"}
    assert full.files(full=True)["both"].file == "large.toml"
    assert set(full.files(full=True)) == {"both", "large"}


def test_a_suite_may_have_its_own_statement() -> None:
    """The quick one says what it tests in place of the statement; the full one has the statement."""
    claim, _ = declared({"both": ""}, ["both"])
    assert claim is not None

    assert claim.of_suite(full=False).claim.statement == "some"
    assert claim.of_suite(full=True).claim.statement == "all"


def test_every_suite_needs_a_test_that_decides() -> None:
    """A rule without a test in one of the suites, and a suite that is none, are refused."""
    claim, problems = declared({"both": "", "small": "quick"}, ["small"])
    assert claim is None
    assert "full suite" in str(problems)
    assert declared({"both": "slow"}, ["both"])[0] is None


@pytest.mark.parametrize("full", [False, True])
def test_the_experiment_has_numbers_in_the_full_suite_alone(full: bool) -> None:
    """On digits the two published numbers say nothing: no quick test compares with them."""
    claim = load_claim(EXPERIMENT).of_suite(full)

    assert ("0.9774" in claim.claim.statement) == full
    assert any(test.than in (0.0053, 0.9774, 0.9827) for test in claim.tests) == full


def test_rounds_of_timing_are_counted_as_they_are() -> None:
    """A measure with five rounds, one of them lost, has four of five, however many seeds its study has."""
    plan = {"seeds": list(range(20)), "factors": [], "cells": [{"index": 0, "levels": {}}]}
    results: Any = SimpleNamespace(out=Path("study"), plan=plan)
    test = declare.Test(
        name="time", says="x", measure="update_cost", than=1.0, expect="higher", margin=1.05, scale="log"
    )
    found = find_test(test, Case(name="any"), {"main": results}, lambda *_: np.array([[1.2, 1.3, np.nan, 1.2, 1.3]]))

    assert (found.evidence.n, found.more["seeds"]) == (4, 5)
    assert found.evidence.estimate == pytest.approx(np.log([1.2, 1.3]).mean())
