"""A group's compiled program, and the trajectories that are trained with it, slot by slot."""

import abc
import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from regjax import runtime
from regjax.data import Dataset
from regjax.grouping import count_flops
from regjax.plan import Group, Study
from regjax.train.inputs import seed_of, stack_recipes, stack_seeds
from regjax.train.layout import (
    Layout,
    Row,
    Trajectory,
    choose_layout,
    count_bytes,
    count_observers,
    data_shapes,
    fill,
    is_large,
    make_rows,
    member_shapes,
)
from regjax.train.population import MEMBERS, SHARED, Axes, Population, make_mesh, make_population, place
from regjax.train.state import Data, Seed, State, init_state

# Length of the record arrays of a program: some ten seconds on two cores.
ROOM_FLOPS = 3e12
# Where slots are refilled the host looks between intervals for runs that have ended: a look costs some milliseconds.
LOOK_FLOPS = 2e10


@dataclasses.dataclass(frozen=True)
class Program:
    """What a group is trained with; nothing of it lies on a device.

    Attributes:
      study, dataset, group: what is trained.
      mesh: the devices.
      axes: which parts of the seeds differ between rows.
      population: its functions.
      layout: the slots.
      room: most intervals between two looks of the host at what has ended.
      segment: intervals between two saves, where the study says so; else None.
      state_bytes: of one member.
      asked: the layout that would have been best, where memory allowed only this one.
      streamed: whether the examples stay on the host and come in blocks, or lie on every device.
    """

    study: Study
    dataset: Dataset
    group: Group
    mesh: Mesh
    axes: Axes
    population: Population
    layout: Layout
    room: int
    segment: int | None
    state_bytes: int
    asked: Layout | None = None
    streamed: bool = False

    @property
    def devices(self) -> str:
        """The devices in words: what bits depend on besides runs and layout."""
        devices = list(self.mesh.devices.flat)
        return f"{devices[0].device_kind} x {len(devices)}"

    @property
    def intervals(self) -> int:
        """Evaluations of a run that does not end early."""
        return self.group.steps.steps // self.group.steps.evaluate_steps


def make_program(
    study: Study,
    dataset: Dataset,
    group: Group,
    devices: Sequence[jax.Device],
    layout: Layout | None = None,
    streamed: bool | None = None,
) -> Program:
    """Return the program of a group for these devices; nothing is compiled yet.

    Args:
      study, dataset, group, devices: what is trained, and on what.
      layout: its slots; None for the best.
      streamed: whether the examples stay on the host; None where they are large for the devices.
    """
    mesh = make_mesh(devices)
    drawn = bool({"split", "subset"} & set(study.seeds.vary))
    axes = Axes(rows=drawn, scale=drawn and study.data.scale == "standard")
    first = group.runs[0]
    seed = seed_of(study, dataset, first)
    shapes = member_shapes(first.recipe, seed, data_shapes(dataset), count_observers(group))
    state_bytes = count_bytes(shapes)
    layout = layout or choose_layout(group, state_bytes, devices)
    segment, room = choose_segment(group, layout.slots, count_flops(shapes.params, dataset.x.shape[1:]))
    return Program(
        study=study,
        dataset=dataset,
        group=group,
        mesh=mesh,
        axes=axes,
        population=make_population(mesh, axes, room),
        layout=layout,
        room=room,
        segment=segment,
        state_bytes=state_bytes,
        streamed=is_large(dataset, devices) if streamed is None else streamed,
    )


def count_params(params: Any) -> int:
    """Return the number of parameters in a tree of arrays or shapes."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def choose_segment(group: Group, slots: int, example_flops: float) -> tuple[int | None, int]:
    """Return the intervals of a segment, where the study says how many, and most intervals between two looks.

    Without early stopping nothing ends within a segment, and the records of ROOM_FLOPS are held at once; with it a look
    comes after LOOK_FLOPS, and at least twice within the shortest patience.
    """
    steps, recipe = group.steps, group.runs[0].recipe
    total = steps.steps // steps.evaluate_steps
    flops = example_flops * recipe.batch_size * recipe.every * slots
    room = max(1, min(total, round(ROOM_FLOPS / flops)))
    segment = None
    if steps.save_steps is not None:
        segment = room = min(total, steps.save_steps // steps.evaluate_steps)
    stops = [run.recipe.observer.stop for run in group.runs if run.recipe.observer.can_stop]
    patience = min((stop.patience for stop in stops), default=np.inf)
    looks = round(min(LOOK_FLOPS / flops, patience / 2)) if stops else room
    return segment, max(1, min(room, looks))


def place_data(program: Program) -> Data:
    """Return all examples on the devices, once for all members; where they are streamed only the first of them."""
    count = 1 if program.streamed else None
    arrays = (program.dataset.x[:count], program.dataset.y[:count])
    return Data(*(place(program.mesh, np.ascontiguousarray(array), batched=False) for array in arrays))


class Trainer(abc.ABC):
    """What trains a program: the functions of its population that take data, compiled.

    Attributes:
      renew, advance, finish: as those of `Population`.
      cached: whether the compilation cache had the program.
      seconds: that compiling took.
    """

    renew: Any
    advance: Any
    finish: Any
    cached: bool
    seconds: float

    @abc.abstractmethod
    def memory(self) -> int:
        """Return the bytes per device that training needs."""


class Compiled(Trainer):
    """Training from examples that lie on every device, compiled ahead of time from shapes alone."""

    def __init__(self, program: Program) -> None:
        begin = time.perf_counter()
        recipe, seed, state, data = argument_shapes(program)
        start = shape_of(program.mesh, np.zeros(program.layout.rows, np.int32), batched=True)
        count = shape_of(program.mesh, np.int32(0), batched=False)
        fresh = shape_of(program.mesh, np.zeros(program.layout.rows, bool), batched=True)
        population = program.population
        self.renew = compile_quickly(program, population.renew.lower(recipe, seed, data, state, fresh))
        before = runtime.COMPILATIONS.cached_here()
        self.advance = population.advance.lower(recipe, seed, state, data, start, count, count).compile()
        self.finish = population.finish
        self.cached = runtime.COMPILATIONS.cached_here() > before
        self.seconds = time.perf_counter() - begin

    def memory(self) -> int:
        """Return the bytes per device that training needs, as the compiler reports them."""
        return max(count_memory(self.advance), count_memory(self.renew))


def compile_quickly(program: Program, lowered: Any) -> Any:
    """Return a lowered function compiled for few calls: on a CPU in a quarter of the time, and slower to run."""
    on_cpu = program.mesh.devices.flat[0].platform == "cpu"
    return lowered.compile(compiler_options={"xla_backend_optimization_level": 1} if on_cpu else None)


def count_memory(function: Any) -> int:
    """Return the bytes per device of a compiled function: arguments, results and what it needs in between."""
    found = function.memory_analysis()
    held = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return held + found.temp_size_in_bytes


def shape_of(mesh: Mesh, tree: Any, batched: bool) -> Any:
    """Return a tree of arrays as shapes on the mesh's devices, as `place` puts them."""
    sharding = NamedSharding(mesh, MEMBERS if batched else SHARED)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, sharding=sharding), tree)


def argument_shapes(program: Program) -> tuple[Any, Seed, State, Data]:
    """Return recipe, seed, state and data of a group as shapes on its devices."""
    layout, mesh = program.layout, program.mesh
    queue = make_rows(program.group.runs[:1], 1)
    recipes, seeds = stack_queue(program, queue, np.zeros(layout.rows, np.int64))
    recipe = shape_of(mesh, recipes, batched=True)
    axes = program.axes
    seed = Seed(
        shape_of(mesh, seeds.streams, batched=True),
        shape_of(mesh, seeds.rows, batched=axes.rows),
        shape_of(mesh, seeds.scale, batched=axes.scale),
        shape_of(mesh, seeds.fit, batched=axes.rows),
    )
    whole = data_shapes(program.dataset)
    held = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), whole)
    data = shape_of(mesh, held if program.streamed else whole, batched=False)
    one = jax.tree.map(lambda leaf: leaf[0, 0], recipes)
    first = seed_of(program.study, program.dataset, program.group.runs[0])
    member = jax.eval_shape(init_state, one, first, whole)
    sharding = NamedSharding(mesh, MEMBERS)
    state = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((layout.rows, layout.columns, *leaf.shape), leaf.dtype, sharding=sharding),
        member,
    )
    return recipe, seed, state, data


def stack_queue(program: Program, queue: Sequence[Row], rows: np.ndarray) -> tuple[Any, Seed]:
    """Return recipes [rows, columns] and seeds [rows] of what sits in the slots, as host arrays.

    Args:
      program: its layout and seeds.
      queue: all rows.
      rows: which of them sits in each row of slots; what is unfilled repeats its neighbour, an empty row the first.
    """
    layout = program.layout
    members: list[Trajectory] = []
    for index in np.maximum(rows, 0):
        members += fill(queue[index], layout.columns)
    recipes = stack_recipes(
        [member.runs[0].recipe for member in members],
        [fill([run.recipe.observer for run in member.runs], layout.observers) for member in members],
    )
    grid = jax.tree.map(lambda leaf: leaf.reshape(layout.rows, layout.columns, *leaf.shape[1:]), recipes)
    firsts = [members[i * layout.columns].runs[0] for i in range(layout.rows)]
    seeds = {run.id: seed_of(program.study, program.dataset, run) for run in firsts}
    return grid, stack_seeds([seeds[run.id] for run in firsts], program.axes.rows, program.axes.scale)
