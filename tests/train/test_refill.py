"""Slots are refilled from the queue and several observers watch one trajectory: neither changes a run."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from populations import EVERYTHING, Trained, assert_same_run, compiled, train

from regjax.observers import EarlyStopping, Observer
from regjax.plan import Run
from regjax.train.layout import Layout, Row, Trajectory, make_rows
from regjax.waves import unique

SLOTS = Layout(4, 2, 1)
STOPPING = {
    "factors": {"early_stopping.patience": ["off", 1, 2], "early_stopping.restore": [True, False],
                "dropout.hidden": [0.0, 0.5]},
    "training": {"steps": 16, "batch_size": 32, "evaluate_every": {"steps": 2}, "keep": "last"},
    "optimizer__learning_rate": 0.3, "primary__at": "last", "measure": {"predictions": "test"}, "seeds__count": 2,
}  # fmt: skip
WATCHED = Layout(2, 1, 5)


def lengths(trained: Trained, rows: Sequence[Row]) -> list[int]:
    """Return for how many intervals each row has a run in training."""
    return [max(len(trained.runs[run.id].records) for mate in row for run in mate.runs) for row in rows]


def count_by_hand(lengths: Sequence[int], slots: int) -> int:
    """Return the intervals until all rows are done, when the next takes the first slot that is free."""
    free = [0] * slots
    for length in lengths:
        free[free.index(min(free))] += length
    return max(free)


@pytest.fixture(scope="module")
def refilled() -> tuple[tuple[Row, ...], Trained]:
    """Return twelve rows of two that train in four row slots, with patience 2, and what they leave."""
    program, functions = compiled(2, SLOTS, **EVERYTHING)
    rows = make_rows(program.group.runs, 2)
    return rows, train(program, functions, rows)


def test_a_refilled_slot_changes_no_run(refilled: tuple[tuple[Row, ...], Trained]) -> None:
    """In rounds without refilling, and in reversed order with other slots and mates, every run leaves equal bits."""
    rows, first = refilled
    program, functions = compiled(2, SLOTS, **EVERYTHING)
    reverse = [row[::-1] for row in rows[::-1]]

    assert len(first.runs) == 24
    assert len({len(outcome.records) for outcome in first.runs.values()}) > 3
    for other in (train(program, functions, rows, refilling=False), train(program, functions, reverse)):
        assert other.runs.keys() == first.runs.keys()
        for run, outcome in other.runs.items():
            assert_same_run(first.runs[run], outcome)


def test_the_engine_runs_as_long_as_the_living_need(refilled: tuple[tuple[Row, ...], Trained]) -> None:
    """The intervals made are those of a hand-filled schedule, and fewer than in rounds without refilling."""
    rows, first = refilled
    long = lengths(first, rows)
    rounds = [max(long[i : i + 4]) for i in range(0, 12, 4)]
    again = train(*compiled(2, SLOTS, **EVERYTHING), rows, refilling=False)

    assert sum(first.intervals) == count_by_hand(long, 4) < sum(rounds) == sum(again.intervals)
    assert all(outcome.records["step"].is_monotonic_increasing for outcome in first.runs.values())
    records = sum(len(outcome.records) for outcome in first.runs.values())
    assert sum(np.multiply(first.intervals, first.active)) == records


def test_a_diverged_row_gives_its_slot_to_the_next(refilled: tuple[tuple[Row, ...], Trained]) -> None:
    """A row whose members diverge is over at the evaluation that finds it; the others move up and keep their bits."""
    rows, first = refilled
    program, functions = compiled(2, SLOTS, **EVERYTHING)

    def make_wild(run: Run, name: str) -> Trajectory:
        optimizer = dataclasses.replace(run.recipe.optimizer, learning_rate=1e30)
        # Without patience, so that nothing but the divergence ends it.
        recipe = dataclasses.replace(run.recipe, optimizer=optimizer, observer=Observer(EarlyStopping()))
        return Trajectory((run._replace(id=name, recipe=recipe),))

    wild = tuple(make_wild(mate.runs[0], f"wild {i}") for i, mate in enumerate(rows[0]))
    mixed = train(program, functions, [wild, *rows[1:]])
    long = lengths(first, rows)

    for index in (0, 1):
        diverged = mixed.runs[f"wild {index}"].records["diverged"].tolist()
        assert diverged == [-1] * (diverged[-1] - 1) + [len(diverged)]
        assert len(diverged) <= 2 < long[0]
    assert mixed.runs["wild 0"].records["test.nll"].isna().iloc[-1]
    assert sum(mixed.intervals) == count_by_hand([*lengths(mixed, [wild]), *long[1:]], 4)
    for run in set(mixed.runs) & set(first.runs):
        assert_same_run(first.runs[run], mixed.runs[run])


def test_observers_are_as_if_alone() -> None:
    """Runs that differ in stopping only share a trajectory, and leave what each leaves without the others."""
    program, functions = compiled(1, WATCHED, **STOPPING)
    runs = unique(program.group.runs)
    rows = make_rows(runs, 1)
    together = train(program, functions, rows)
    alone = train(program, functions, [(Trajectory((run,)),) for run in runs])

    assert len(runs) == 2 * 2 * 5
    assert [len(row[0].runs) for row in rows] == [5] * 4
    assert together.runs.keys() == alone.runs.keys()
    assert sum(together.intervals) == 2 * 8 < sum(alone.intervals)
    for run, outcome in together.runs.items():
        assert_same_run(alone.runs[run], outcome, mates=True)


def test_an_observer_sees_the_beginning_of_the_whole_course() -> None:
    """A patient run's records are the first of the run that never stops, up to its stop, bit for bit."""
    program, functions = compiled(1, WATCHED, **STOPPING)
    rows = make_rows(unique(program.group.runs), 1)
    done = train(program, functions, rows).runs
    seen = ["best_step", "stopped", "run"]
    ends = set()
    for (trajectory,) in rows:
        (whole,) = (run for run in trajectory.runs if np.isinf(run.recipe.observer.stop.patience))
        for run in (run for run in trajectory.runs if run is not whole):
            records = done[run.id].records
            ends.add(len(records))
            same = done[whole.id].records.iloc[: len(records)]
            assert same.drop(columns=seen).equals(records.drop(columns=seen))
            stopped = records["stopped"].to_numpy()
            assert (stopped[:-1] == -1).all()
            assert len(records) == 8 or stopped[-1] == records["step"].iloc[-1]

    assert len(ends) > 2


def test_trajectories_with_other_numbers_of_observers_train_together() -> None:
    """In a design of one factor at a time some trajectories have three observers and some one: equal bits again."""
    program, functions = compiled(1, WATCHED, **STOPPING)
    runs = unique(program.group.runs)
    full = train(program, functions, make_rows(runs, 1)).runs
    restoring = [run for run in runs if run.recipe.observer.stop.restore or np.isinf(run.recipe.observer.stop.patience)]
    chosen = [run for run in restoring if run.cell % 2 == 0 or np.isinf(run.recipe.observer.stop.patience)]
    rows = make_rows(chosen, 1)
    few = train(program, functions, rows).runs

    assert sorted(len(row[0].runs) for row in rows) == [1, 1, 3, 3]
    assert set(few) == {run.id for run in chosen}
    for run, outcome in few.items():
        assert_same_run(full[run], outcome, mates=True)
