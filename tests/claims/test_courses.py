"""Measures of courses of training, against planted curves, plain loops and closed forms."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from regjax.analysis.table import arrange_table
from regjax.claims.measures import courses
from regjax.claims.measures.reliability import log_seed_sd
from regjax.config import ConfigError

EVERY = 10


def planted(nll: np.ndarray, ends: dict[int, int] | None = None, diverged: dict[int, int] | None = None) -> Any:
    """Return results of curves [cell, seed, evaluation], the same on validation and test.

    Args:
      nll: of all evaluations, those after a stop included.
      ends: {cell: step} of the cells that stop early, all seeds alike.
      diverged: {cell: step}.
    """
    ends, diverged = ends or {}, diverged or {}
    cells, seeds, count = nll.shape
    levels = [{"early_stopping.patience": ends.get(c, "off"), "x": 0 if c in ends else c} for c in range(cells)]
    rows = []
    for c, s, t in np.ndindex(*nll.shape):
        step = (t + 1) * EVERY
        lived = nll[c, s, : min(t + 1, ends.get(c, step) // EVERY)]
        rows.append(
            {"run": f"{c}-{s}", "step": step, "validation.nll": nll[c, s, t], "test.nll": nll[c, s, t],
             "test.accuracy": 1 - nll[c, s, t], "best_step": (int(lived.argmin()) + 1) * EVERY,
             "stopped": ends[c] if c in ends and step >= ends[c] else -1,
             "diverged": diverged[c] if c in diverged and step >= diverged[c] else -1}
        )  # fmt: skip
    runs = pd.DataFrame(
        [{"run": f"{c}-{s}", "cell": c, "seed": s, "restores": False} for c in range(cells) for s in range(seeds)]
    )
    plan = {
        "cells": [{"index": c, "name": str(c), "levels": levels[c]} for c in range(cells)],
        "factors": [
            {"path": "early_stopping.patience", "levels": ["off", *ends.values()]},
            {"path": "x", "levels": list(range(cells))},
        ],
        "seeds": list(range(seeds)),
        "steps": count * EVERY,
        "design": {"reference": 0},
    }  # fmt: skip
    return SimpleNamespace(table=arrange_table(plan, runs, pd.DataFrame(rows)), plan=plan)


def test_steps_to_a_value_are_those_of_a_plain_search() -> None:
    """The first evaluation that is as good as the target counts, and the last one where none is."""
    rng = np.random.default_rng(0)
    nll = rng.uniform(size=(3, 5, 12))
    results = planted(nll)
    for target in (0.02, 0.1, 0.4):
        found = courses.steps_to(results, "validation.nll", target)
        for c, s in np.ndindex(3, 5):
            hits = [t for t in range(12) if nll[c, s, t] <= target]
            assert found[c, s] == EVERY * ((hits[0] if hits else 11) + 1)
            assert courses.missed(results, "validation.nll", target)[c, s] == (not hits)


def test_an_accuracy_reaches_its_target_from_below() -> None:
    """Of a metric of which more is better the target is reached by values above it."""
    results = planted(np.array([[[0.9, 0.5, 0.2, 0.3]]]))

    assert courses.steps_to(results, "test.accuracy", 0.5).item() == 20
    assert courses.steps_to(results, "test.accuracy", "own_best").item() == 30


def test_own_best_and_the_baselines_best_are_told_apart() -> None:
    """A slower course has a later best, and reaches the other's best at another step; a tolerance comes earlier."""
    fast, slow = [0.8, 0.5, 0.6, 0.7, 0.7, 0.7], [0.9, 0.8, 0.6, 0.5, 0.305, 0.3]
    results = planted(np.array([[fast], [slow]]))

    assert courses.steps_to(results)[:, 0].tolist() == [20, 60]
    assert courses.steps_to(results, within=0.01)[:, 0].tolist() == [20, 50]
    assert courses.steps_to(results, target="baseline_best")[:, 0].tolist() == [20, 40]
    assert courses.missed(results)[:, 0].tolist() == [0, 1]
    assert courses.missed(results, target="baseline_best")[:, 0].tolist() == [0, 0]


def test_excess_sees_what_comes_after_the_stop() -> None:
    """At the stop, and restored, against the run's own best, the best of the whole course, and its planned end."""
    course = [0.9, 0.4, 0.5, 0.6, 0.2, 0.8]
    results = planted(np.array([[course], [course]]), ends={1: 40})
    found = {
        (state, over): courses.excess(results, "test.nll", state, over)[1, 0]
        for state in ("stop", "best")
        for over in ("run", "course", "end")
    }

    assert found == pytest.approx(
        {("stop", "run"): 0.2, ("stop", "course"): 0.4, ("stop", "end"): -0.2,
         ("best", "run"): 0.0, ("best", "course"): 0.2, ("best", "end"): -0.4}
    )  # fmt: skip
    assert courses.end_step(results)[:, 0].tolist() == [60, 40]
    by_accuracy = courses.excess(results, "test.accuracy", "stop", "course")
    assert by_accuracy[1, 0] == pytest.approx(0.4)


def test_a_stop_without_the_course_beside_it_is_refused() -> None:
    """What would have come is known only from a cell that does not stop."""
    results = planted(np.ones((2, 1, 6)), ends={0: 20, 1: 40})

    with pytest.raises(ConfigError, match="does not stop"):
        courses.excess(results)


def test_a_diverged_run_has_no_number() -> None:
    """Neither its end, nor its times, nor its excess counts."""
    results = planted(np.linspace(1, 0.5, 8) * np.ones((2, 2, 1)), diverged={1: 30})

    for measure in (courses.end_step, courses.steps_to, courses.missed, courses.excess):
        found = measure(results)
        assert np.isfinite(found[0]).all()
        assert np.isnan(found[1]).all()


def test_a_share_of_the_course_is_its_evaluation() -> None:
    """Half of ten evaluations is the fifth; before the first there is none."""
    results = planted(np.arange(10.0).reshape(1, 1, 10))

    assert courses.at_share(results, "test.nll", 0.5).item() == 4
    assert courses.at_share(results, "test.nll", 1.0).item() == 9
    with pytest.raises(ConfigError, match="first evaluation"):
        courses.at_share(results, "test.nll", 0.05)


def test_the_effect_at_the_end_is_paired() -> None:
    """Each run is compared with the baseline of its seed."""
    nll = np.random.default_rng(1).uniform(size=(2, 4, 3))

    assert courses.end_effect(planted(nll), "test.nll") == pytest.approx(nll[..., -1] - nll[0, :, -1])


def test_a_study_without_runs_or_baseline_is_refused() -> None:
    """Times need a finished run, and an effect at the end a cell to compare with; both are said."""
    results = planted(np.ones((2, 1, 3)))
    unrun = SimpleNamespace(
        plan=results.plan, table=dataclasses.replace(results.table, records=results.table.records.iloc[:0])
    )
    with pytest.raises(ConfigError, match="got no finished run, expected a study that was run"):
        courses.steps_to(unrun)
    results.plan["design"] = {"reference": None}
    with pytest.raises(ConfigError, match="got a design without a baseline, expected one with a cell to compare with"):
        courses.end_effect(results, "test.nll")


def test_a_spread_takes_three_seeds() -> None:
    """A cell with two runs that did not diverge has no standard deviation over seeds, the others have theirs."""
    nll = np.random.default_rng(4).uniform(size=(2, 2, 3))

    assert np.isnan(log_seed_sd(planted(nll), "test.nll")).all()
    some = log_seed_sd(planted(np.concatenate([nll, nll + 0.1], axis=1), diverged={1: 10}), "test.nll")
    assert np.isfinite(some[0]).all()
    assert np.isnan(some[1]).all()


def test_misleading_pairs_are_those_of_a_count() -> None:
    """The mean of the pseudo-values is the share of all pairs of different seeds; paired runs are counted plainly."""
    rng = np.random.default_rng(2)
    nll = np.stack([rng.normal(0.5, 0.1, (9, 1)), rng.normal(0.42, 0.1, (9, 1))])
    results = planted(nll)
    base, mine = nll[:, :, 0]
    true = (mine - base).mean()
    wrong = [[d * true <= 0 or abs(d) > 2 * abs(true) for d in mine[s] - base] for s in range(9)]
    pairs = [wrong[s][t] for s in range(9) for t in range(9) if s != t]

    assert courses.misleading(results, "test.nll")[1].mean() == pytest.approx(np.mean(pairs))
    assert courses.misleading(results, "test.nll", paired=True)[1].tolist() == [wrong[s][s] for s in range(9)]
    assert np.isnan(courses.misleading(results, "test.nll")[0]).all()


def test_misleading_agrees_with_the_normal_distribution() -> None:
    """Runs with SD 1 and a mean effect of 1 mislead in P(|Z| > 1 / sqrt 2) of unpaired pairs, here within 0.05."""
    rng = np.random.default_rng(3)
    nll = np.stack([rng.normal(0, 1, (600, 1)), rng.normal(1, 1, (600, 1))])
    share = courses.misleading(planted(nll), "test.nll")[1].mean()

    assert share == pytest.approx(2 * norm.sf(1 / np.sqrt(2)), abs=0.05)
