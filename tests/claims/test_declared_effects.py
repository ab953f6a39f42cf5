"""What a claim may declare of its effects: averages and slopes over factors, its cases' studies, lines of a figure."""

import math
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from regjax.analysis.choice import Choice
from regjax.analysis.levels import LevelTest
from regjax.claims import declare
from regjax.claims.declare import Case, Declared, Figure
from regjax.claims.effects import contrast_evidence
from regjax.claims.effects import test_values as seed_effects
from regjax.claims.judging import find_test
from regjax.claims.lines import draw_lines
from regjax.config.base import check_table
from regjax.report.claims_figures import draw_levels

SIZES, NOISES, STRENGTHS = [50, 200, 800], [0.0, 0.4], [0.0, 0.1]
FACTORS = {"data.train_size": SIZES, "label_noise.rate": NOISES, "l2.strength": STRENGTHS}
# [size, noise, strength, seed]
VALUES = np.random.default_rng(3).uniform(0.5, 2.0, (3, 2, 2, 6))
EFFECTS = VALUES[:, :, 1] - VALUES[:, :, 0]


def crossed(folder: str = "crossed") -> Any:
    """Return what claims read of the results of a study with every combination of the levels."""
    cells = [
        {"index": index, "levels": dict(zip(FACTORS, levels, strict=True))}
        for index, levels in enumerate(product(*FACTORS.values()))
    ]
    factors = [{"path": path, "levels": levels} for path, levels in FACTORS.items()]
    return SimpleNamespace(out=Path(folder), plan={"factors": factors, "cells": cells, "seeds": list(range(6))})


def effects(case: Case | None = None, values: np.ndarray = VALUES, **declared: Any) -> np.ndarray:
    """Return the effects of seeds of a test that expects more with L2, by planted numbers."""
    given: dict[str, Any] = {"of": {"l2.strength": 0.1}, "margin": 2.0, **declared}
    test = declare.Test(name="planted", says="x", measure="any", expect="higher", **given)
    return seed_effects(crossed(), test, case or Case(name="all"), lambda *_: values.reshape(12, 6))


def slopes(y: np.ndarray) -> np.ndarray:
    """Return the slopes by least squares of y [size, seed] per doubling of the size."""
    return np.polyfit(np.log2(SIZES), y, 1)[0]


def test_an_averaged_effect_is_the_mean_over_levels() -> None:
    """Over one factor, the others at their first level, and over all combinations of two."""
    np.testing.assert_allclose(effects(averaged=["label_noise.rate"]), EFFECTS[0].mean(axis=0))
    np.testing.assert_allclose(effects(averaged=["data.train_size", "label_noise.rate"]), EFFECTS.mean(axis=(0, 1)))
    np.testing.assert_array_equal(effects(), EFFECTS[0, 0])


def test_an_averaged_trend_is_the_slope_of_means() -> None:
    """Per doubling of the size, of the means over labels; without averages at right labels alone."""
    found = effects(trend="data.train_size", averaged=["label_noise.rate"])
    np.testing.assert_allclose(found, slopes(EFFECTS.mean(axis=1)))
    np.testing.assert_allclose(effects(trend="data.train_size"), slopes(EFFECTS[:, 0]))


def test_a_trend_of_a_difference_is_an_interaction() -> None:
    """The slope of what wrong labels add, in the case of a strength."""
    case = Case(name="L2", where={"l2.strength": 0.1})
    found = effects(case, of={"label_noise.rate": 0.4}, trend="data.train_size")
    np.testing.assert_allclose(found, slopes(VALUES[:, 1, 1] - VALUES[:, 0, 1]))


def test_averages_of_ratios_are_geometric() -> None:
    """With a log scale the logarithms are averaged; a seed that lacks one number of the average has no effect."""
    logs = np.log(VALUES)
    found = effects(averaged=["data.train_size"], scale="log")
    np.testing.assert_allclose(found, (logs[:, 0, 1] - logs[:, 0, 0]).mean(axis=0))

    lost = VALUES.copy()
    lost[2, 0, 1, 4] = np.nan
    assert np.isnan(effects(values=lost, averaged=["data.train_size"])).tolist() == [False] * 4 + [True, False]


def test_averages_are_over_both_sides() -> None:
    """What the effect is compared with is averaged as well, be it other cells or a number."""
    reverse = effects(averaged=["label_noise.rate"], of={}, against={"l2.strength": 0.1})
    np.testing.assert_allclose(reverse, -EFFECTS[0].mean(axis=0))
    beside = effects(averaged=["label_noise.rate"], than=1.5)
    np.testing.assert_allclose(beside, VALUES[0, :, 1].mean(axis=0) - 1.5)


def test_a_best_level_without_interval_decides_nothing() -> None:
    """A contrast of the study that has too few seeds for an interval has neither error nor p-values below 1."""
    test = declare.Test(name="best", says="x", contrast="best L2", expect="higher", margin=0.1)
    few = Choice(5.0, math.nan, math.nan, 3, np.array([0.0, 1.0]), 1, 1, 5.0)
    found = LevelTest("best L2", {}, [0, 1], [None], few, None, None, math.nan, math.nan, math.nan, 1, 0)
    evidence = contrast_evidence(test, found)

    assert (evidence.estimate, evidence.n) == (5.0, 3)
    assert math.isnan(evidence.se)
    assert (evidence.p_holds, evidence.p_fails) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("test", "case", "expected"),
    [("", "", "main"), ("", "other", "other"), ("third", "other", "third"), ("main", "other", "main")],
)
def test_a_test_that_names_a_study_keeps_it_in_every_case(test: str, case: str, expected: str) -> None:
    """The study of a case is for tests that name none."""
    known = {name: crossed(name) for name in ("main", "other", "third")}
    one = declare.Test(name="x", says="x", measure="any", study=test, than=0.0, expect="higher", margin=1.0)
    found = find_test(one, Case(name="all", study=case), known, lambda *_: VALUES.reshape(12, 6))

    assert found.more["study"] == expected


def test_a_claim_needs_the_studies_that_its_tests_take() -> None:
    """Where every test has one of its own or its case's there need be no main one; a misspelt one is refused."""
    tests = [
        {"name": name, "says": "x", "measure": "m", "expect": "higher", "margin": 1.0, **more}
        for name, more in (("own", {"study": "own"}), ("of_case", {}))
    ]
    given = {
        "claim": {"id": "C1", "statement": "s", "measured": "m", "moderator": "study"},
        "studies": {name: {"file": f"{name}.toml"} for name in ("own", "other", "unused")},
        "tests": tests,
        "cases": [{"name": "all", "study": "other"}],
    }
    assert set(Declared.model_validate(given).of_suite(full=False).studies) == {"own", "other"}
    wrong = {
        "othr": {"cases": [{"name": "all", "study": "othr"}]},
        "main": {"cases": [{"name": "all"}]},
        "nobody": {"tests": tests[:1], "cases": [{"name": "all", "study": "nobody"}]},
    }
    for name, changes in wrong.items():
        claim, problems = check_table(Declared, given | changes)
        assert claim is None
        assert f"study '{name}'" in str(problems), problems


def test_a_case_with_a_study_needs_a_test_that_takes_it() -> None:
    """Where all tests name their studies, the study of a case would silently change nothing: it is refused."""
    test = {"name": "own", "says": "x", "measure": "m", "study": "own", "expect": "higher", "margin": 1.0}
    given = {
        "claim": {"id": "C1", "statement": "s", "measured": "m", "moderator": "size"},
        "studies": {name: {"file": f"{name}.toml"} for name in ("own", "large")},
        "tests": [test],
        "cases": [{"name": "small"}, {"name": "large", "study": "large"}],
    }
    claim, problems = check_table(Declared, given)

    assert claim is None
    assert "case 'large' with a study" in str(problems)
    assert check_table(Declared, given | {"cases": [{"name": "small"}]})[0] is not None


def test_a_figure_has_a_line_for_each_value_of_an_option() -> None:
    """Every line is the measure with its value of the option; the drawing names all of them."""
    figure = Figure(
        kind="levels", measure="any", options={"loss": "squared"}, each={"part": ["bias", "variance"]},
        over="data.train_size", where={"l2.strength": 0.1},
    )  # fmt: skip
    planted = {"bias": VALUES, "variance": -VALUES}

    def take(results: Any, name: str, options: Any, at: Any) -> np.ndarray:
        del results, at
        assert (name, options["loss"]) == ("any", "squared")
        return planted[options["part"]].reshape(12, 6)

    rows = draw_lines(crossed(), figure, [], take)
    assert [(row["line"], row["level"]) for row in rows] == [
        (part, str(size)) for part in ("bias", "variance") for size in SIZES
    ]
    means = VALUES[:, 0, 1].mean(axis=-1)
    np.testing.assert_allclose([row["mean"] for row in rows], [*means, *-means])
    shown = {"measure": "any", "about": "any", "over": figure.over, "lines": "part", "rows": rows}
    drawing = draw_levels({"id": "C1", "figure": shown})
    assert drawing is not None
    assert all(f"{row['line']} {row['level']}: {row['mean']:.4g}" in drawing.alt for row in rows)
