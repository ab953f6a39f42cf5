"""How runs are laid out: trajectories, rows, slots."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import pytest
from populations import make

from regjax.observers import EarlyStopping, Observer
from regjax.plan import Group
from regjax.recipe import Recipe
from regjax.train.layout import (
    LEAST_SLOTS,
    Layout,
    can_stop,
    choose_layout,
    find_room,
    halve,
    make_rows,
    make_trajectories,
)

STOPS = {"early_stopping.patience": ["off", 1, 3], "dropout.hidden": [0.0, 0.5]}


def make_group(seeds: int, patience: float = float("inf"), cells: int = 2) -> Group:
    """Return the group of the tiny study's first cells with this many seeds, all of one patience."""
    group = make(seeds__count=seeds).group
    runs = [run._replace(recipe=with_stop(run.recipe, patience)) for run in group.runs if run.cell < cells]
    return group._replace(runs=tuple(runs))


def with_stop(recipe: Recipe, patience: float) -> Recipe:
    """Return the recipe with another patience."""
    return dataclasses.replace(recipe, observer=Observer(EarlyStopping(patience)))


def devices(number: int) -> list[jax.Device]:
    """Return some of the simulated devices."""
    return jax.devices()[:number]


@pytest.mark.parametrize(
    ("seeds", "num_devices", "rows"), [(60, 2, 60), (61, 2, 62), (1, 4, 4), (300, 2, 100), (7, 1, 7)]
)
def test_rows_are_even_over_devices_and_little_is_padded(seeds: int, num_devices: int, rows: int) -> None:
    """As few rounds as fit, equally full, rows a multiple of the devices."""
    group = make_group(seeds, cells=1)
    assert choose_layout(group, 1000, devices(num_devices), most=64) == Layout(rows, 1, 1)


@pytest.mark.parametrize(("seeds", "expected"), [(100, Layout(50, 2, 1)), (64, Layout(64, 2, 1)), (3, Layout(6, 1, 1))])
def test_cells_of_a_seed_are_columns_unless_that_pads_more_than_it_shares(seeds: int, expected: Layout) -> None:
    """Two cells that cannot stop share a row; three seeds on two devices would leave a fourth row empty."""
    assert choose_layout(make_group(seeds), 1000, devices(2), most=64) == expected


def test_large_members_train_few_at_a_time() -> None:
    """A member whose state exceeds the share of a CPU device's cache still gets one slot per device."""
    assert choose_layout(make_group(30), 10**9, devices(2)) == Layout(2, 1, 1)


def test_where_runs_stop_slots_are_few_and_flat() -> None:
    """With patience everywhere each slot serves some four runs, and a row is one trajectory; few runs keep eight."""
    assert choose_layout(make_group(80, 2), 1000, devices(2), most=64) == Layout(40, 1, 1)
    assert choose_layout(make_group(16, 2), 1000, devices(2), most=64) == Layout(2 * LEAST_SLOTS, 1, 1)


def test_at_most_so_many_slots() -> None:
    """A limit on the slots per device bounds rows times columns."""
    for most in (1, 2, 5):
        assert choose_layout(make_group(10), 1000, devices(2), most=most).slots <= 2 * most


def test_runs_that_differ_in_stopping_only_are_one_trajectory() -> None:
    """Three patiences x two rates x three seeds are six trajectories of three observers."""
    group = make(seeds__count=3, factors=STOPS).group
    trajectories = make_trajectories(group.runs)

    assert [len(trajectory.runs) for trajectory in trajectories] == [3] * 6
    assert [run.id for t in trajectories for run in t.runs] != [run.id for run in group.runs]
    assert {run.id for t in trajectories for run in t.runs} == {run.id for run in group.runs}
    for trajectory in trajectories:
        assert len({(run.seed, run.recipe.regularizers) for run in trajectory.runs}) == 1
        assert sorted(run.recipe.observer.stop.patience for run in trajectory.runs) == [1, 3, float("inf")]
    assert choose_layout(group, 1000, devices(1)).observers == 3


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_rows_hold_every_run_once_and_one_seed(columns: int) -> None:
    """Rows cut the trajectories of each seed into at most so many; those that can stop come last."""
    group = make(seeds__count=3, factors={"dropout.hidden": [0.0, 0.1, 0.2, 0.3]}).group
    runs = [run._replace(recipe=with_stop(run.recipe, float("inf") if run.cell else 2.0)) for run in group.runs]
    rows = make_rows(runs, columns)
    ids = [run.id for row in rows for trajectory in row for run in trajectory.runs]

    assert sorted(ids) == sorted(run.id for run in group.runs)
    assert all(len(row) <= columns and len({t.runs[0].seed for t in row}) == 1 for row in rows)
    assert len(rows) == 3 * -(-4 // columns)
    stopping = [all(map(can_stop, row)) for row in rows]
    assert stopping == sorted(stopping)
    assert sum(stopping) == (3 if columns == 1 else 0)


def test_halving_ends_at_one_slot_per_device() -> None:
    """Halving shrinks the slots at every step, keeps rows a multiple of the devices, and ends in None."""
    for layout in (Layout(12, 5, 2), Layout(4, 1, 1), Layout(20, 3, 1)):
        seen = layout
        while (smaller := halve(seen, 4)) is not None:
            assert smaller.slots < seen.slots
            assert smaller.rows % 4 == 0
            assert smaller.observers == layout.observers
            seen = smaller
        assert seen == Layout(4, 1, layout.observers)


@pytest.mark.parametrize(("stats", "members"), [({"bytes_limit": 16 * 10**9}, 400_000), (None, 107_374)])
def test_an_accelerator_takes_what_fits_its_memory(stats: dict[str, int] | None, members: int) -> None:
    """On an accelerator members of 8 kB, twice each, fill 40% of its memory; of 4 GiB where it does not say."""
    device: Any = SimpleNamespace(platform="gpu", memory_stats=lambda: stats)
    assert find_room(8000, [device]) == members
