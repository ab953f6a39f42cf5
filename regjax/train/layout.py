"""How runs are laid out: which share a trajectory, which a row, and how many slots there are."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from regjax.costs import CPU_STATE_BYTES, MAX_SLOTS, SHARED_ROW
from regjax.data import Dataset
from regjax.plan import Group, Run
from regjax.recipe import Recipe
from regjax.train.state import Data, Seed, init_state

# Where runs may stop early, slots are refilled: as many runs per slot as make the last round short, and no fewer slots
# per device than keep a small network efficient.
RUNS_PER_SLOT = 4
LEAST_SLOTS = 8
# An accelerator's memory also holds activations, gradients and the data.
ACCELERATOR_SHARE = 0.4
FALLBACK_MEMORY = 4 * 2**30
# Share of it that the examples may take; larger data is streamed from the host.
DATA_SHARE = 0.25


class Trajectory(NamedTuple):
    """Runs that are one course of training, watched by several observers: they differ in observers only."""

    runs: tuple[Run, ...]


Row = tuple[Trajectory, ...]  # of one seed


class Layout(NamedTuple):
    """A grid of slots [rows, columns]; rows are a multiple of the devices. `observers` watch each slot's trajectory."""

    rows: int
    columns: int
    observers: int

    @property
    def slots(self) -> int:
        """Number of trajectories that train at once."""
        return self.rows * self.columns


def make_trajectories(runs: Sequence[Run]) -> tuple[Trajectory, ...]:
    """Return the runs by trajectory, in the order of each one's first run."""
    found: dict[Any, dict[str, Run]] = {}
    for run in runs:
        course = dataclasses.replace(run.recipe, observer=None)  # type: ignore[arg-type]
        # Twin cells, whose settings mean the same, are one run.
        found.setdefault((course, tuple(sorted(run.streams.items()))), {})[run.id] = run
    return tuple(Trajectory(tuple(members.values())) for members in found.values())


def count_observers(group: Group) -> int:
    """Return how many runs share the course of training that most of them share."""
    return max(len(trajectory.runs) for trajectory in make_trajectories(group.runs))


def make_rows(runs: Sequence[Run], columns: int) -> tuple[Row, ...]:
    """Return the trajectories of these runs in rows of one seed each, at most `columns` to a row.

    Rows in which nothing can stop early come first: whatever ends before them leaves its slot to the others.
    """
    by_seed: dict[Any, list[Trajectory]] = {}
    for trajectory in make_trajectories(runs):
        by_seed.setdefault(tuple(sorted(trajectory.runs[0].streams.items())), []).append(trajectory)
    rows = [tuple(mine[i : i + columns]) for mine in by_seed.values() for i in range(0, len(mine), columns)]
    return tuple(sorted(rows, key=lambda row: all(map(can_stop, row))))


def can_stop(trajectory: Trajectory) -> bool:
    """Return whether a trajectory may end before its last update: each of its runs has a stopping criterion."""
    return all(run.recipe.observer.can_stop for run in trajectory.runs)


def member_shapes(recipe: Recipe, seed: Seed, data: Data, observers: int = 1) -> Any:
    """Return the shapes of one member's state under so many observers, without computing it."""
    observer = jax.tree.map(lambda value: np.full(observers, value, np.float32), recipe.observer)
    return jax.eval_shape(init_state, dataclasses.replace(recipe, observer=observer), seed, data)


def count_bytes(tree: Any) -> int:
    """Return the bytes of a tree of arrays or shapes."""
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def choose_layout(group: Group, member_bytes: int, devices: Sequence[jax.Device], most: int | None = None) -> Layout:
    """Return the grid of slots of a group, of the nested and the flat one that which is sooner through the queue.

    Nested: the columns are the cells of a seed, as many as fit, which share draws and batches. Flat: one column, so
    that a slot is refilled whatever its mates do; always where every trajectory may stop early. Depends on the planned
    runs, not on the missing ones: a continued group keeps its layout, and with it its bits. Runs that redraw a stream
    do not count, so that they are trained by the program of the reported ones.

    Args:
      group: its planned runs.
      member_bytes: bytes of one member's state.
      devices: over which the rows are spread evenly.
      most: largest number of slots per device, by default what fits.
    """
    group = group._replace(runs=tuple(run for run in group.runs if not run.stream))
    trajectories = make_trajectories(group.runs)
    observers = count_observers(group)
    room = most or find_room(member_bytes, devices)
    stoppable = all(map(can_stop, trajectories))
    if stoppable and devices[0].platform == "cpu":
        room = min(room, max(LEAST_SLOTS, -(-len(trajectories) // (RUNS_PER_SLOT * len(devices)))))
    cells = max(map(len, make_rows(group.runs, len(trajectories))))
    nested = -(-cells // -(-cells // room))

    best: tuple[float, Layout] | None = None
    for columns in {1} if stoppable else {1, nested}:
        num_rows = len(make_rows(group.runs, columns))
        most_rows = min(max(1, room // columns), -(-num_rows // len(devices)))
        # Fewer rows than fit may fill the last round better; below half of them a device would idle in small networks.
        for per_device in range(most_rows, max(1, most_rows // 2) - 1, -1):
            rows = per_device * len(devices)
            rounds = -(-num_rows // rows)
            work = rounds * rows * columns * (SHARED_ROW if columns > 1 else 1.0)
            if best is None or work < best[0]:
                best = work, Layout(rows, columns, observers)
    assert best is not None
    return best[1]


def find_room(member_bytes: int, devices: Sequence[jax.Device]) -> int:
    """Return how many members a device takes: those whose state stays in its cache, or fits an accelerator's memory."""
    if devices[0].platform == "cpu":
        return max(1, min(MAX_SLOTS, CPU_STATE_BYTES // member_bytes))
    return max(1, int(ACCELERATOR_SHARE * find_memory(devices[0])) // (2 * member_bytes))


def find_memory(device: jax.Device) -> int:
    """Return the bytes of an accelerator's memory that jax may use; for a CPU device the machine's memory."""
    if device.platform == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (device.memory_stats() or {}).get("bytes_limit", FALLBACK_MEMORY)


def is_large(dataset: Dataset, devices: Sequence[jax.Device]) -> bool:
    """Return whether the examples would take more than DATA_SHARE of the memory; CPU devices share one memory."""
    copies = len(devices) if devices[0].platform == "cpu" else 1
    return copies * (dataset.x.nbytes + dataset.y.nbytes) > DATA_SHARE * find_memory(devices[0])


def halve(layout: Layout, num_devices: int) -> Layout | None:
    """Return the layout with half the slots, rows before columns; None where one slot per device is left.

    >>> halve(Layout(8, 3, 1), 2), halve(Layout(2, 3, 1), 2), halve(Layout(2, 1, 1), 2)
    (Layout(rows=4, columns=3, observers=1), Layout(rows=2, columns=2, observers=1), None)
    """
    per_device = layout.rows // num_devices
    if per_device > 1:
        return layout._replace(rows=-(-per_device // 2) * num_devices)
    return layout._replace(columns=-(-layout.columns // 2)) if layout.columns > 1 else None


def fill(items: Sequence[Any], slots: int) -> list[Any]:
    """Return `slots` items, the last repeated where there are fewer.

    >>> fill([1, 2], 4)
    [1, 2, 2, 2]
    """
    return [*items, *[items[-1]] * (slots - len(items))]


def data_shapes(dataset: Dataset) -> Data:
    """Return the shapes of a data set's arrays, to trace with."""
    return Data(*(cast(jax.Array, jax.ShapeDtypeStruct(array.shape, array.dtype)) for array in (dataset.x, dataset.y)))
