"""Measures of what training costs: which program is compared, and what follows from the times."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studies import tiny

import regjax
from regjax.claims.measures import costs
from regjax.config import ConfigError


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a tiny study with runs that stop at the first, the second and no evaluation."""
    study = tiny(
        factors={"early_stopping.up": ["off", 1], "early_stopping.patience": ["off", 1]},
        fixed={"early_stopping.min_delta": 1e6, "early_stopping.strip": 4},
        design={"kind": "one_at_a_time"},
    )
    return regjax.run(study, Path(tmp_path_factory.mktemp("costs")))


def test_ratios_are_of_updates_alone() -> None:
    """The evaluation is taken off both times; a round in which nothing is left has no ratio."""
    evaluation, with_part, without = 0.3, 1.2, 0.4
    turn = [[evaluation, evaluation + with_part], [evaluation, evaluation + without]]
    lost = [[evaluation, evaluation - 0.1], [evaluation, evaluation + without]]
    found = costs.update_ratios(np.array([[turn, turn], [lost, lost]]), block=1)

    assert found[0] == pytest.approx(with_part / without)
    assert np.isnan(found[1])


def test_a_call_that_was_held_up_changes_no_ratio() -> None:
    """Of each call the shortest of a block counts; a round beyond the last whole block is left out."""
    turn = np.array([[0.3, 1.5], [0.3, 0.7]])
    seconds = np.tile(turn, (7, 2, 1, 1))
    for place in [(0, 0, 0, 1), (1, 1, 1, 1), (2, 0, 0, 0), (4, 0, 1, 0), (6, 0, 0, 1)]:
        seconds[place] *= 1.4

    assert costs.update_ratios(seconds) == pytest.approx([3.0, 3.0])


def test_bytes_are_those_of_the_part(results: Any) -> None:
    """Nothing more costs nothing; a layer 16 times as wide costs more than twice; other cells are not looked at."""
    wider = costs.memory_cost(results, {"model.widths": [256]})

    assert costs.memory_cost(results, {})[0].tolist() == [1.0] * 3
    assert (wider[0] > 2).all()
    assert np.isnan(wider[1:]).all()


def test_a_part_is_checked_as_in_a_study(results: Any) -> None:
    """A name that is none is told before anything is compiled."""
    with pytest.raises(ConfigError, match="norm"):
        costs.memory_cost(results, {"model.nrm": "batch"})


def test_the_time_of_a_call_is_in_neither_update_nor_evaluation() -> None:
    """Of planted times the parts come back, whatever a call costs; a program with room for one has all in it."""
    for call in (0.0, 40.0):

        def timer(updates: int, intervals: int = 1, call: float = call) -> float:
            return call + intervals * (0.25 * updates + 1.5)

        assert costs.unit_seconds(timer, 8, 200, 3) == (0.25, 1.5)
        assert costs.unit_seconds(timer, 8, 2, 3) == (0.25, 1.5)
        assert costs.unit_seconds(timer, 8, 1, 3) == (0.25, call + 1.5)


def test_seconds_follow_updates_and_evaluations(results: Any) -> None:
    """A run that can stop takes time in proportion to its end; one that cannot is evaluated once and pays less."""
    seconds, ends = costs.seconds_run(results, rounds=3), results.table.status.end
    plain, up, patience = range(3)

    assert set(ends[up].tolist()) == {12}
    assert set(ends[patience].tolist()) == {6}
    assert seconds[up] == pytest.approx(2 * seconds[patience])
    assert (seconds > 0).all()
    assert (seconds[plain] < seconds[up]).all()
