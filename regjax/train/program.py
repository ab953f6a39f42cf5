"""A group's compiled program, and the chunks that are trained with it."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from regjax.data import Dataset
from regjax.plan import Group, Study
from regjax.train.inputs import seed_of, stack_recipes, stack_seeds
from regjax.train.layout import Chunk, choose_slots, count_bytes, data_shapes, fill, member_shapes
from regjax.train.population import Axes, Population, make_mesh, make_population, place, place_seed
from regjax.train.state import Data, Seed, State

# A save costs about 0.1 s: a segment should train for some ten seconds on two cores. Counted in floating-point
# operations and never by the clock, so that a repeated study saves at the same steps.
SEGMENT_FLOPS = 3e12


@dataclasses.dataclass(frozen=True)
class Program:
    """What every chunk of a group needs.

    Attributes:
      study, dataset, group: what is trained.
      mesh: the devices.
      axes: which parts of the seeds differ between members.
      population: its functions.
      data: all examples, on the devices.
      slots: members of a chunk.
      room: most intervals of a segment.
      state_bytes: of one member.
    """

    study: Study
    dataset: Dataset
    group: Group
    mesh: Mesh
    axes: Axes
    population: Population
    data: Data
    slots: int
    room: int
    state_bytes: int

    @property
    def devices(self) -> str:
        """The devices in words: what a chunk's bits depend on besides its runs and slots."""
        devices = list(self.mesh.devices.flat)
        return f"{devices[0].device_kind} x {len(devices)}"


class Compiled:
    """`advance` compiled ahead of time, once per group, and the seconds that it took."""

    def __init__(self, program: Program, live: "Live") -> None:
        begin = time.perf_counter()
        arguments = (live.recipe, live.seed, live.state, program.data, np.int32(0), np.int32(1))
        self.function = program.population.advance.lower(*arguments).compile()
        self.seconds = time.perf_counter() - begin

    def memory(self) -> int:
        """Return the bytes per device that the program needs, as the compiler reports them."""
        found = self.function.memory_analysis()
        held = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
        return held + found.temp_size_in_bytes


@dataclasses.dataclass
class Live:
    """A chunk in training: what is on the devices, and the intervals made so far. Its state is donated by `advance`."""

    chunk: Chunk
    recipe: Any
    seed: Seed
    state: State
    intervals: int = 0
    # On a CPU a device array may share the memory of the NumPy array it was made from: both live as long as the chunk.
    host: Any = None


def make_program(study: Study, dataset: Dataset, group: Group, devices: Sequence[jax.Device]) -> Program:
    """Return the program of a group for these devices; nothing is compiled yet."""
    mesh = make_mesh(devices)
    drawn = bool({"split", "subset"} & set(study.seeds.vary))
    axes = Axes(rows=drawn, scale=drawn and study.data.scale == "standard")
    first = group.runs[0]
    seed = seed_of(study, dataset, first)
    shapes = member_shapes(first.recipe, seed, data_shapes(dataset))
    state_bytes = count_bytes(shapes)
    slots = choose_slots(len(group.runs), state_bytes, devices)
    room = choose_room(group, slots, count_params(shapes.params))
    return Program(
        study=study,
        dataset=dataset,
        group=group,
        mesh=mesh,
        axes=axes,
        population=make_population(mesh, axes, room),
        data=Data(*(place(mesh, np.ascontiguousarray(array), batched=False) for array in (dataset.x, dataset.y))),
        slots=slots,
        room=room,
        state_bytes=state_bytes,
    )


def count_params(params: Any) -> int:
    """Return the number of parameters in a tree of arrays or shapes."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def choose_room(group: Group, slots: int, params: int) -> int:
    """Return the intervals of a segment: those the study asks for, else as many as make SEGMENT_FLOPS."""
    steps, recipe = group.steps, group.runs[0].recipe
    total = steps.steps // steps.evaluate_steps
    if steps.save_steps is not None:
        return min(total, steps.save_steps // steps.evaluate_steps)
    flops = 6.0 * params * recipe.batch_size * recipe.every * slots
    return max(1, min(total, round(SEGMENT_FLOPS / flops)))


def start(program: Program, chunk: Chunk) -> Live:
    """Return a chunk before its first update."""
    runs = fill(chunk.runs, chunk.slots)
    seeds = [seed_of(program.study, program.dataset, run) for run in chunk.runs]
    recipes = stack_recipes([run.recipe for run in runs])
    recipe = place(program.mesh, recipes, batched=True)
    stacked = stack_seeds(fill(seeds, chunk.slots), program.axes.rows, program.axes.scale)
    seed = place_seed(program.mesh, stacked, program.axes)
    state = program.population.init(recipe, seed, program.data)
    return Live(chunk, recipe, seed, state, host=(recipes, stacked))


def resume(program: Program, live: Live, state: State, intervals: int) -> Live:
    """Return the chunk in a state read from a checkpoint, after so many intervals."""
    placed = place(program.mesh, state, batched=True)
    return dataclasses.replace(live, state=placed, intervals=intervals, host=(live.host, state))


def run_segment(program: Program, compiled: Compiled, live: Live, intervals: int) -> tuple[Live, dict[str, np.ndarray]]:
    """Return the chunk after `intervals` more intervals (at most `program.room`), and their records on the host."""
    begin = np.int32(live.intervals * program.group.steps.evaluate_steps)
    state, records = compiled.function(live.recipe, live.seed, live.state, program.data, begin, np.int32(intervals))
    return dataclasses.replace(live, state=state, intervals=live.intervals + intervals), jax.device_get(records)
