"""Training on examples that stay on the host, for data larger than the devices: the same course, block by block.

What `Compiled` does in one program is cut here into six that the host calls in turn (start a slot, order of a stretch,
a block of updates, the averages, a batch of an evaluation, the record), and one for predictions. They are made of the
same functions as the resident program, from the same keys: equal examples in equal order, equal arithmetic.

Blocks are loaded by Grain: threads gather rows of the stored array, place them on the devices, and stay a bounded
number of blocks ahead of the training. A pool of threads by hand was measured beside it and is no faster.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from regjax import runtime
from regjax.config import ConfigError, Problem
from regjax.recipe import Recipe
from regjax.train import evaluate
from regjax.train.population import (
    ALL,
    MEMBER,
    MEMBERS,
    ROW,
    batch_rows,
    count_stretch,
    over_members,
    place,
    seed_kind,
    train_batches,
    zero_sums,
)
from regjax.train.program import Compiled, Program, Trainer, argument_shapes, compile_quickly, count_memory, shape_of
from regjax.train.state import Data, Seed, State, Sums, see

# Bytes of a device's share of a block. Smaller ones cost calls, larger ones wait: the first of a look is loaded while
# nothing trains. 60 updates of 784-512-512-10 on two cores took 1.06 (4 MiB), 1.05 (8) and 1.10 (16) of the resident
# program's time, give or take 0.03.
BLOCK_BYTES = 8 * 2**20
# Blocks that are loaded or being loaded while one trains and one waits behind it.
PREFETCHED = 2


class Block(NamedTuple):
    """Examples on the devices, `x`, `y` and their `rows`: of one evaluation batch [batch, ...], of updates [rows,
    updates, batch, ...].

    `host`: the arrays that they were made from, whose memory a CPU device may share.
    """

    x: jax.Array
    y: jax.Array
    rows: jax.Array
    host: tuple[np.ndarray, np.ndarray, np.ndarray]


class Feed:
    """Blocks in their order, loaded ahead by threads. What a thread raises, `take` raises.

    At most PREFETCHED + 2 blocks exist at once: those ahead, the one taken last and the one before, which may train.
    """

    def __init__(self, load: Callable[[int], Block], count: int) -> None:
        import grain  # half a second that only streaming pays

        options = grain.ReadOptions(num_threads=PREFETCHED, prefetch_buffer_size=PREFETCHED)
        self._blocks: Iterator[Block] = iter(grain.MapDataset.range(count).map(load).to_iter_dataset(options))
        self._before: Any = None

    def take(self) -> Block:
        """Return the next block."""
        return next(self._blocks)

    def release(self, block: Block, result: Any) -> None:
        """Give back a block from which `result` is being computed, after waiting for what was computed before it."""
        jax.block_until_ready(self._before)
        self._before = (block, result)


class Streamed(Trainer):
    """Training from examples on the host; the `data` it is given is one of them, to make initial weights from."""

    def __init__(self, program: Program) -> None:
        begin = time.perf_counter()
        self.program = program
        self.static: Recipe = program.group.runs[0].recipe
        self.stretch = count_stretch(self.static, program.group.counts["train"])
        self.block = choose_block(program, self.stretch)
        mesh, seeds = program.mesh, seed_kind(program.axes)
        recipe, seed, state, data = argument_shapes(program)
        examples = ROW if program.axes.rows else ALL
        first = shape_of(mesh, np.zeros(program.layout.rows, np.int32), batched=True)
        fresh = shape_of(mesh, np.zeros(program.layout.rows, bool), batched=True)
        count = shape_of(mesh, np.int32(0), batched=False)
        zero = jax.eval_shape(zero_sums, self.static, seed)
        zero = jax.tree.map(lambda leaf: np.zeros(program.layout[:2], leaf.dtype), zero)
        self.zero = place(mesh, zero, batched=True)
        updates, batch, self.batches = block_shapes(program, self.block)

        # Traced before anything is compiled: what cannot be streamed is refused at once.
        looks = over_members(mesh, look, MEMBER, MEMBER, ROW, donate=(1,))
        seen = self._shapes(jax.eval_shape(looks, recipe, state, first)[1])
        self.renew = compile_quickly(program, program.population.renew.lower(recipe, seed, data, state, fresh))
        self.order = make_order(program, self.stretch).lower(seed, first).compile()
        before = runtime.COMPILATIONS.cached_here()
        trains = over_members(mesh, train_block, MEMBER, seeds, MEMBER, MEMBER, ROW, ROW, ROW, ROW, ALL, donate=(2,))
        self.train_block = trains.lower(recipe, seed, state, self.zero, *updates, first, count).compile()
        self.cached = runtime.COMPILATIONS.cached_here() > before
        self.look = looks.lower(recipe, state, first).compile()
        evaluates = over_members(mesh, evaluate_batch, MEMBER, seeds, MEMBER, examples, examples, ALL)
        sums = self._shapes(jax.eval_shape(evaluates, recipe, seed, seen, *batch[:2], count))
        self.evaluate_batch = evaluates.lower(recipe, seed, seen, *batch[:2], count).compile()
        observes = over_members(mesh, observe, MEMBER, seeds, MEMBER, MEMBER, MEMBER, MEMBER, ROW, donate=(2,))
        self.observe = observes.lower(recipe, seed, state, self.zero, [sums] * self.batches, seen, first).compile()
        self.predict_batch = over_members(mesh, predict_batch, MEMBER, seeds, MEMBER, examples)
        self.ahead = (PREFETCHED + 1) * max(count_share(updates), count_share(batch))
        self.seconds = time.perf_counter() - begin

    def _shapes(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: shape_of(self.program.mesh, leaf, batched=True), tree)

    def memory(self) -> int:
        """Return the bytes per device that training needs: as the compiler reports them, and the blocks ahead."""
        programs = (self.renew, self.order, self.train_block, self.look, self.evaluate_batch, self.observe)
        return self.ahead + max(map(count_memory, programs))

    def advance(
        self, recipe: Recipe, seed: Seed, state: State, data: Data, start: jax.Array, intervals: Any, updates: Any
    ) -> tuple[State, dict[str, np.ndarray]]:
        """Return state and records [rows, columns, intervals] after `intervals` intervals, as `population.advance`."""
        every, begin = self.static.every, np.asarray(start)
        blocks = cut_interval(int(updates), self.stretch, self.block)
        feed = self.open_feed(seed, begin, blocks, int(intervals))
        records = []
        for interval in range(int(intervals)):
            first, sums = begin + interval * every, self.zero
            for at, offset, count in blocks:
                block = feed.take()
                step = place(self.program.mesh, first + np.int32(at + offset), batched=True)
                examples = (block.x, block.y, block.rows)
                state, sums = self.train_block(recipe, seed, state, sums, *examples, step, np.int32(count))
                feed.release(block, sums)
            step = place(self.program.mesh, first + np.int32(every), batched=True)
            state, seen = self.look(recipe, state, step)
            evaluated = []
            for index in range(self.batches):
                block = feed.take()
                evaluated.append(self.evaluate_batch(recipe, seed, seen, block.x, block.y, np.int32(index)))
                feed.release(block, evaluated[-1])
            state, record = self.observe(recipe, seed, state, sums, evaluated, seen, step)
            records.append(record)
        return state, jax.tree.map(lambda *leaves: np.stack(leaves, axis=2), *jax.device_get(records))

    def open_feed(self, seed: Seed, begin: np.ndarray, blocks: Sequence[tuple[int, int, int]], intervals: int) -> Feed:
        """Return the blocks of some intervals: of each its updates, then its evaluation.

        Args:
          seed: of the rows of slots.
          begin: updates made so far, int32 [rows].
          blocks: of an interval, from `cut_interval`.
          intervals: how many.
        """
        splits = evaluate.find_splits(self.static, jax.device_get(seed))
        evaluation = cut_batches(np.concatenate(list(splits.values()), axis=-1))
        each, lock = len(blocks) + self.batches, threading.Lock()

        @functools.lru_cache(maxsize=2)
        def order(updates: int) -> np.ndarray:
            return np.asarray(self.order(seed, place(self.program.mesh, begin + np.int32(updates), batched=True)))

        def load(index: int) -> Block:
            interval, part = divmod(int(index), each)
            if part >= len(blocks):
                return self.send(evaluation[..., part - len(blocks), :], batched=self.program.axes.rows)
            at, offset, _ = blocks[part]
            with lock:
                rows = order(interval * self.static.every + at)
            rows = rows[:, offset : offset + self.block]
            return self.send(np.pad(rows, ((0, 0), (0, self.block - rows.shape[1]), (0, 0))), batched=True)

        return Feed(load, intervals * each)

    def send(self, rows: np.ndarray, batched: bool) -> Block:
        """Return the examples of these rows of the data set on the devices; `batched` over rows of slots."""
        host = (self.program.dataset.x[rows], self.program.dataset.y[rows], rows)
        x, y, numbers = place(self.program.mesh, host, batched)
        return Block(x, y, numbers, host)

    def finish(self, recipe: Recipe, seed: Seed, data: Data, state: State, moment: int) -> np.ndarray:
        """Return predictions [rows, columns, observers, test rows, outputs] of a kept moment."""
        states = self.program.population.end(recipe, state, moment)
        test = np.asarray(seed.rows.test)
        cut = cut_batches(test)
        feed = Feed(lambda index: self.send(cut[..., int(index), :], batched=self.program.axes.rows), cut.shape[-2])
        parts = [np.asarray(self.predict_batch(recipe, seed, states, feed.take().x)) for _ in range(cut.shape[-2])]
        return np.concatenate(parts, axis=3)[:, :, :, : test.shape[-1]]


def compile_program(program: Program) -> Trainer:
    """Return what trains a program, compiled: from data on the devices, or streamed from the host."""
    return Streamed(program) if program.streamed else Compiled(program)


def train_block(
    recipe: Recipe,
    seed: Seed,
    state: State,
    sums: Sums,
    x: jax.Array,
    y: jax.Array,
    rows: jax.Array,
    first: jax.Array,
    count: jax.Array,
) -> tuple[State, Sums]:
    """Return one member's state and sums after the first `count` updates of a block that begins at update `first`."""
    return train_batches(recipe, seed, (state, sums), first, count, lambda index: (x[index], y[index], rows[index]))


def look(recipe: Recipe, state: State, step: jax.Array) -> tuple[State, tuple[Any, Any]]:
    """Return one member's state and the (params, stats) [observers, ...] that are evaluated.

    Raises:
      ConfigError: batch statistics would have to be estimated, for which the examples are not at hand.
    """

    def refuse(params: Any) -> Any:
        expected = "data on the devices (--no-stream), or a network without batch norm"
        raise ConfigError([Problem("swa", "batch norm and streamed data", expected)])

    views, seen = see(recipe, state.views, state.params, state.stats, step, refuse)
    return state._replace(views=views), seen


def evaluate_batch(
    recipe: Recipe, seed: Seed, seen: tuple[Any, Any], x: jax.Array, y: jax.Array, index: jax.Array
) -> evaluate.Record:
    """Return one member's sums {metric: [observers or 1, splits]} over the `index`-th batch of an evaluation."""
    return evaluate.sum_batch(recipe, seen, x, y, index, seed)


def observe(
    recipe: Recipe,
    seed: Seed,
    state: State,
    sums: Sums,
    evaluated: Sequence[evaluate.Record],
    seen: tuple[Any, Any],
    step: jax.Array,
) -> tuple[State, evaluate.Record]:
    """Return one member's state and record after the batches of an evaluation."""
    stacked = jax.tree.map(lambda *batches: jnp.stack(batches), *evaluated)
    return evaluate.observe(recipe, state, seed, step, sums, stacked, seen)


def predict_batch(recipe: Recipe, seed: Seed, states: tuple[Any, Any], x: jax.Array) -> jax.Array:
    """Return one member's predictions [observers, batch, outputs]."""

    def one(seen: tuple[Any, tuple[Any, Any]]) -> jax.Array:
        observer, (params, stats) = seen
        return recipe.task.predict(evaluate.forward(recipe, observer, params, stats, x, seed), seed.fit)

    return jax.lax.map(one, (recipe.observer, states))


def make_order(program: Program, stretch: int) -> Any:
    """Return the jitted (seed, first [rows]) -> rows of the next `stretch` batches, int32 [rows, stretch, batch]."""
    rows, _, specs = seed_kind(program.axes)
    recipe = program.group.runs[0].recipe

    def order(seed: Seed, first: jax.Array) -> jax.Array:
        return jax.vmap(lambda s, f: batch_rows(recipe, s, f, stretch), in_axes=(rows, 0))(seed, first)

    return jax.jit(
        jax.shard_map(order, mesh=program.mesh, in_specs=(specs, MEMBERS), out_specs=MEMBERS, check_vma=False)
    )


def choose_block(program: Program, stretch: int) -> int:
    """Return the updates of a block: BLOCK_BYTES on a device or less, so that a stretch is cut evenly."""
    x, y = program.dataset.x, program.dataset.y
    examples = program.layout.rows // program.mesh.size * program.group.runs[0].recipe.batch_size
    most = max(1, BLOCK_BYTES // (examples * (x[:1].nbytes + y[:1].nbytes)))
    return -(-stretch // -(-stretch // most))


def cut_interval(updates: int, stretch: int, block: int) -> list[tuple[int, int, int]]:
    """Return the blocks of an interval's first `updates` updates: (start of its stretch, offset within it, updates).

    >>> cut_interval(7, stretch=4, block=3)
    [(0, 0, 3), (0, 3, 1), (4, 0, 3)]
    """
    return [
        (at, offset, min(block, stretch - offset, updates - at - offset))
        for at in range(0, updates, stretch)
        for offset in range(0, min(stretch, updates - at), block)
    ]


def cut_batches(rows: np.ndarray) -> np.ndarray:
    """Return rows [..., examples] as equal batches [..., batches, batch], the last filled up with row 0."""
    batches, size = evaluate.count_batches(rows.shape[-1])
    padded = np.zeros((*rows.shape[:-1], batches * size), rows.dtype)
    padded[..., : rows.shape[-1]] = rows
    return padded.reshape(*rows.shape[:-1], batches, size)


def block_shapes(program: Program, block: int) -> tuple[tuple[Any, ...], tuple[Any, ...], int]:
    """Return (x, y, rows) of a block of updates and of an evaluation batch as shapes, and how many batches that has."""
    recipe, counts, rows = program.group.runs[0].recipe, program.group.counts, program.layout.rows
    examples = min(counts["train"], recipe.train_examples) + counts["validation"] + counts["test"]
    batches, size = evaluate.count_batches(examples)

    def shapes(lead: tuple[int, ...], batched: bool) -> tuple[Any, Any, Any]:
        sharding = NamedSharding(program.mesh, MEMBERS if batched else ALL.spec)
        x, y = program.dataset.x, program.dataset.y
        return (
            jax.ShapeDtypeStruct((*lead, *x.shape[1:]), x.dtype, sharding=sharding),
            jax.ShapeDtypeStruct((*lead, *y.shape[1:]), y.dtype, sharding=sharding),
            jax.ShapeDtypeStruct(lead, np.int32, sharding=sharding),
        )

    batched = program.axes.rows
    batch = shapes((rows, size) if batched else (size,), batched)
    return shapes((rows, block, recipe.batch_size), True), batch, batches


def count_share(shapes: Sequence[Any]) -> int:
    """Return the bytes that arrays of these shapes take on one device."""
    return sum(int(np.prod(leaf.sharding.shard_shape(leaf.shape))) * leaf.dtype.itemsize for leaf in shapes)
