"""Who sits in the slots: a queue of rows, refilled as trajectories end, and the looks at them between intervals."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from regjax.train.layout import Layout, Row
from regjax.train.population import place, place_seed
from regjax.train.program import Program, Trainer, argument_shapes, stack_queue
from regjax.train.state import Data, Seed, State


class Seats(NamedTuple):
    """Which trajectories sit in the slots, host arrays. All that a resumed chunk needs besides the state.

    Attributes:
      row: number of the queue's row in each row of slots, -1 for none, int64 [rows].
      step: updates made, int32 [rows].
      over: which observers have seen their run end (all of them where the slot is padding), bool [rows, columns,
        observers].
      seconds: wall time of the trajectory so far, float64 [rows, columns].
      taken: rows that have left the queue, those that other processes train included, int64 [].
      since_save: intervals since the last save, int64 [].
      segments: saves made, int64 [].
    """

    row: np.ndarray
    step: np.ndarray
    over: np.ndarray
    seconds: np.ndarray
    taken: np.ndarray
    since_save: np.ndarray
    segments: np.ndarray

    @property
    def ended(self) -> np.ndarray:
        """Which trajectories need no more training, bool [rows, columns]."""
        return np.logical_and.reduce(self.over, axis=-1)

    @property
    def living(self) -> np.ndarray:
        """Which rows train something that counts, bool [rows]."""
        return (self.row >= 0) & ~np.logical_and.reduce(self.ended, axis=1)


@dataclasses.dataclass
class Live:
    """A queue of rows in training: what is on the devices and who sits where. `advance` donates the state."""

    queue: tuple[Row, ...]
    seats: Seats
    recipe: Any
    seed: Seed
    state: State
    # On a CPU device arrays may share the memory of the NumPy arrays they were made from, which has to live as long.
    host: tuple[Any, Seed, Any]


def begin(
    program: Program, compiled: Trainer, data: Data, queue: Sequence[Row], may_take: Callable[[int], bool] | None = None
) -> Live:
    """Return the first rows of a queue in their slots, before their first update; see `refill`."""
    live = take_seats(program, queue, empty_seats(program.layout))
    return refill(program, compiled, data, live, may_take)


def empty_seats(layout: Layout) -> Seats:
    """Return slots in which nothing sits."""
    zero = np.zeros((), np.int64)
    return Seats(
        row=np.full(layout.rows, -1, np.int64),
        step=np.zeros(layout.rows, np.int32),
        over=np.ones(layout, bool),
        seconds=np.zeros(layout[:2]),
        taken=zero,
        since_save=zero,
        segments=zero,
    )


def take_seats(program: Program, queue: Sequence[Row], seats: Seats, state: State | None = None) -> Live:
    """Return the rows that `seats` names on the devices, in `state` (host arrays; zeros by default)."""
    recipes, seeds = stack_queue(program, queue, seats.row)
    if state is None:
        state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), argument_shapes(program)[2])
    return Live(
        queue=tuple(queue),
        seats=seats,
        recipe=place(program.mesh, recipes, batched=True),
        seed=place_seed(program.mesh, seeds, program.axes),
        state=place(program.mesh, state, batched=True),
        host=(recipes, seeds, state),
    )


def refill(
    program: Program, compiled: Trainer, data: Data, live: Live, may_take: Callable[[int], bool] | None = None
) -> Live:
    """Return the chunk with the next rows of the queue in the rows of slots that have ended; others are untouched.

    Rows, given by their places in the queue, that `may_take` refuses are passed over for good: another process trains
    them, or has.
    """
    seats = live.seats
    free, passed, chosen = np.flatnonzero(~seats.living), int(seats.taken), list[int]()
    while len(chosen) < len(free) and passed < len(live.queue):
        if may_take is None or may_take(passed):
            chosen.append(passed)
        passed += 1
    free = free[: len(chosen)]
    row, step, over, seconds = (np.copy(part) for part in seats[:4])
    row[~seats.living] = -1
    for seat, taken in zip(free, chosen, strict=True):
        row[seat], step[seat], seconds[seat] = taken, 0, 0.0
        over[seat] = (np.arange(program.layout.columns) >= len(live.queue[taken]))[:, None]
    seats = seats._replace(row=row, step=step, over=over, seconds=seconds, taken=np.asarray(passed, np.int64))
    if not len(free):
        return dataclasses.replace(live, seats=seats)
    fresh = np.zeros(program.layout.rows, bool)
    fresh[free] = True
    recipes, seeds = stack_queue(program, live.queue, row)
    recipe, seed = place(program.mesh, recipes, batched=True), place_seed(program.mesh, seeds, program.axes)
    state = compiled.renew(recipe, seed, data, live.state, place(program.mesh, fresh, batched=True))
    return Live(live.queue, seats, recipe, seed, jax.block_until_ready(state), host=(recipes, seeds, live.host[2]))


def look(
    program: Program, compiled: Trainer, data: Data, live: Live, most: int | None = None
) -> tuple[Live, dict[str, np.ndarray], int]:
    """Return the chunk after its next intervals, their records [rows, columns, room] on the host, and how many.

    As many intervals as the room, `most` and the next end of a living row allow, so that none trains beyond it.
    """
    seats, every = live.seats, program.group.steps.evaluate_steps
    left = (program.group.steps.steps - seats.step[seats.living]) // every
    intervals = int(min(program.room, program.room if most is None else most, left.min()))
    start = place(program.mesh, seats.step, batched=True)
    state, records = compiled.advance(
        live.recipe, live.seed, live.state, data, start, np.int32(intervals), np.int32(every)
    )
    arrays = jax.device_get(records)
    step = (seats.step + intervals * every).astype(np.int32)
    last = {name: arrays[name][:, :, intervals - 1] for name in ("diverged", "stopped")}
    over = seats.over | (last["diverged"] >= 0) | (last["stopped"] >= 0)
    over |= (step >= program.group.steps.steps)[:, None, None]
    seats = seats._replace(step=step, over=over, since_save=seats.since_save + intervals)
    return dataclasses.replace(live, state=state, seats=seats), arrays, intervals
