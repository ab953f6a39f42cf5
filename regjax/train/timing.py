"""What a group's program costs, by running it: seconds of updates and evaluations, memory, a profiler's trace."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from regjax.train.layout import Row, make_rows
from regjax.train.population import place
from regjax.train.program import Program, Trainer, place_data
from regjax.train.seats import Live, begin, empty_seats, take_seats
from regjax.train.state import Data
from regjax.train.stream import compile_program

# Enough to see a pattern; a trace of a whole epoch would take gigabytes.
TRACED_UPDATES = 20
TIMED_UPDATES = 50


class Estimate(NamedTuple):
    """Cost of a group.

    Attributes:
      slots: trajectories that train at once.
      rounds: how often the slots are filled, when nothing ends early.
      bytes_per_device: what the program needs, data included.
      compile_seconds: of this process; little where the compilation cache has the program.
      seconds: training and evaluation of all runs, when nothing ends early.
      streamed: whether the examples stay on the host.
    """

    slots: int
    rounds: int
    bytes_per_device: int
    compile_seconds: float
    seconds: float
    streamed: bool


def estimate_group(program: Program) -> Estimate:
    """Return what the runs of a program's group will cost, from compiling it and timing a few updates of it."""
    compiled, data = compile_program(program), place_data(program)
    updates = min(TIMED_UPDATES, program.group.steps.evaluate_steps)
    evaluation = time_interval(program, compiled, data, 0)
    update = max(0.0, time_interval(program, compiled, data, updates) - evaluation) / updates
    rounds = -(-len(make_rows(program.group.runs, program.layout.columns)) // program.layout.rows)
    return Estimate(
        slots=program.layout.slots,
        rounds=rounds,
        bytes_per_device=compiled.memory(),
        compile_seconds=compiled.seconds,
        seconds=rounds * program.intervals * (evaluation + program.group.steps.evaluate_steps * update),
        streamed=program.streamed,
    )


def time_interval(program: Program, compiled: Trainer, data: Data, updates: int) -> float:
    """Return the seconds of an interval of all slots that makes only so many updates; 0 times the evaluation.

    Weights are zero at first: the time does not depend on them.
    """
    live = take_seats(program, make_rows(program.group.runs[:1], 1), empty_seats(program.layout))
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        run_interval(program, compiled, data, live, updates)
        seconds.append(time.perf_counter() - began)
    # The first call pays for memory that is touched for the first time.
    return min(seconds[1:])


def run_interval(program: Program, compiled: Trainer, data: Data, live: Live, updates: int, intervals: int = 1) -> None:
    """Train the slots for an interval of only so many updates, and wait for it; nobody reads what it gives.

    Several intervals, at most the program's room, are one call of it.
    """
    start = place(program.mesh, live.seats.step, batched=True)
    live.state, records = compiled.advance(
        live.recipe, live.seed, live.state, data, start, np.int32(intervals), np.int32(updates)
    )
    jax.block_until_ready(records)


def trace_steps(program: Program, compiled: Trainer, data: Data, rows: Sequence[Row], folder: Path) -> None:
    """Write a jax profiler trace of TRACED_UPDATES updates and one evaluation of the first rows to `folder`.

    What is trained for it is thrown away.
    """
    live = begin(program, compiled, data, rows)
    updates = min(TRACED_UPDATES, program.group.steps.evaluate_steps)
    run_interval(program, compiled, data, live, updates)
    with jax.profiler.trace(str(folder)):
        run_interval(program, compiled, data, live, updates)
