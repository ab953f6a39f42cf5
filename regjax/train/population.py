"""The population: one member's whole segment as a pure function, vmapped over rows and columns, sharded over devices.

Slots form a grid [rows, columns]. The members of a row share a seed and a step, hence the order of examples and every
draw: these are computed once per row. Rows are independent and are split over the `member` mesh.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from regjax.keys import stream_key
from regjax.observers import Observer, Watch
from regjax.recipe import MATMULS, Recipe
from regjax.train import evaluate
from regjax.train.state import Data, Seed, State, Sums, init_state, see
from regjax.train.step import make_now, step

MEMBERS = PartitionSpec("member")
SHARED = PartitionSpec()


def batch_rows(recipe: Recipe, seed: Seed, start: jax.Array, count: int) -> jax.Array:
    """Return the rows of `count` batches from update `start` on, int32 [count, batch].

    An epoch is `len(train rows) // batch_size` updates over a fresh permutation of the training rows; what does not
    fill a batch is left out, another part in each epoch.

    Args:
      recipe, seed: of one member.
      start: updates made so far; a multiple of `count` where `count` divides the epoch.
      count: how many batches, static.
    """
    per_epoch = len(seed.rows.train) // recipe.batch_size
    # A stretch that divides the epoch lies within one; else it touches as many as the worst start makes it.
    touched = 1 if per_epoch % count == 0 else (per_epoch + count - 2) // per_epoch + 1

    def order(epoch: jax.Array) -> jax.Array:
        key = jax.random.fold_in(stream_key(seed.streams["order"], "order"), epoch)
        return jax.random.permutation(key, seed.rows.train)[: per_epoch * recipe.batch_size]

    orders = jax.vmap(order)(start // per_epoch + jnp.arange(touched, dtype=jnp.int32))
    batches = orders.reshape(touched * per_epoch, recipe.batch_size)
    return jax.lax.dynamic_slice_in_dim(batches, start % per_epoch, count)


def count_stretch(recipe: Recipe, num_train: int) -> int:
    """Return for how many updates the order is made at once: an epoch where epochs fill the interval, else all."""
    per_epoch = num_train // recipe.batch_size
    return per_epoch if recipe.every % per_epoch == 0 else recipe.every


def zero_sums(recipe: Recipe, seed: Seed) -> Sums:
    """Return the sums before the first update of an interval."""
    return {name: jnp.zeros((), seed.scale.factor.dtype) for name in ("loss", *recipe.task.batch_names)}


def train_batches(
    recipe: Recipe,
    seed: Seed,
    carry: tuple[State, Sums],
    first: jax.Array,
    count: jax.Array,
    take: Callable[[jax.Array], tuple[jax.Array, jax.Array, jax.Array]],
) -> tuple[State, Sums]:
    """Return state and sums after `count` updates from update `first` on; `take(index)` gives (x, labels, rows)."""

    def update(index: jax.Array, carry: tuple[State, Sums]) -> tuple[State, Sums]:
        state, sums = carry
        now = make_now(recipe, seed, state, first + index)
        x, labels, rows = take(index)
        state, new = step(recipe, state, seed.scale.apply(x), labels, rows, now, seed.fit)
        return state, jax.tree.map(jnp.add, sums, new)

    return jax.lax.fori_loop(0, count, update, carry)


def advance(
    recipe: Recipe,
    seed: Seed,
    state: State,
    data: Data,
    start: jax.Array,
    intervals: jax.Array,
    updates: jax.Array,
    room: int,
) -> tuple[State, evaluate.Record]:
    """Return the state after `intervals` intervals of `recipe.every` updates, and the records of their ends.

    The number of updates made is no part of the state: it is the same for all members of a row, and stays unbatched
    over them.

    Args:
      recipe, seed, state, data: of one member.
      start: updates made so far, int32, a multiple of `recipe.every`.
      intervals: how many to run, int32, at most `room`; traced, so that one program serves any number.
      updates: how many of an interval's updates to make, int32: all but when a part is timed or profiled.
      room: length of the record arrays [room]; rows from `intervals` on are zero.
    """
    every, stretch = recipe.every, count_stretch(recipe, len(seed.rows.train))

    def train_stretch(begin: jax.Array, index: jax.Array, carry: tuple[State, Sums]) -> tuple[State, Sums]:
        first = begin + index * stretch
        batches = batch_rows(recipe, seed, first, stretch)
        count = jnp.minimum(stretch, updates - index * stretch)

        def take(index: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            return data.x[batches[index]], data.y[batches[index]], batches[index]

        return train_batches(recipe, seed, carry, first, count, take)

    def observe(state: State, step: jax.Array, sums: Sums) -> tuple[State, evaluate.Record]:
        def estimate(params: Any) -> Any:
            return evaluate.estimate_stats(recipe, params, state.stats, data, seed)

        views, seen = see(recipe, state.views, state.params, state.stats, step, estimate)
        evaluated = evaluate.evaluate(recipe, seen, data, seed)
        return evaluate.observe(recipe, state._replace(views=views), seed, step, sums, evaluated, seen)

    def interval(index: jax.Array, carry: tuple) -> tuple:
        state, records = carry
        begin = start + index * every
        stretches = (updates + stretch - 1) // stretch
        train = functools.partial(train_stretch, begin)
        state, sums = jax.lax.fori_loop(0, stretches, train, (state, zero_sums(recipe, seed)))
        state, record = observe(state, begin + every, sums)
        return state, jax.tree.map(lambda rows, value: rows.at[index].set(value), records, record)

    shapes = jax.eval_shape(observe, state, start, zero_sums(recipe, seed))[1]
    records = jax.tree.map(lambda leaf: jnp.zeros((room, *leaf.shape), leaf.dtype), shapes)
    return jax.lax.fori_loop(0, intervals, interval, (state, records))


def renew(recipe: Recipe, seed: Seed, data: Data, state: State, fresh: jax.Array) -> State:
    """Return the state before the first update where `fresh`, else `state` as it is."""
    return jax.tree.map(lambda new, old: jnp.where(fresh, new, old), init_state(recipe, seed, data), state)


def finish(recipe: Recipe, seed: Seed, data: Data, state: State, moment: int) -> jax.Array:
    """Return predictions [observers, test rows, outputs] of a kept moment: the best state where a run restores it."""
    states = end_state(recipe, state, moment)

    def one(seen: tuple[Observer, tuple[Any, Any]]) -> jax.Array:
        observer, (params, stats) = seen
        return evaluate.predict(recipe, observer, params, stats, data, seed.rows.test, seed)

    return jax.lax.map(one, (recipe.observer, states))


def end_state(recipe: Recipe, state: State, moment: int) -> tuple[Any, Any]:
    """Return (params, stats) [observers, ...] that runs stand for at the `moment`-th of the recipe's moments.

    For a step at or after the end of a run that stops early and restores, that is its best state.
    """
    when = recipe.moments[moment]
    if isinstance(when, str) or "best" not in recipe.moments:
        return state.kept[moment]

    def choose(observer: Observer, watch: Watch, best: Any, kept: Any) -> Any:
        end = jnp.where(watch.stopped >= 0, watch.stopped, recipe.steps)
        can_stop = jnp.isfinite(jnp.stack(observer.stop.thresholds)).any()
        restores = (observer.stop.restore > 0) & can_stop & (watch.best_step >= 0)
        return jax.tree.map(lambda b, k: jnp.where(restores & (end <= when), b, k), best, kept)

    best = state.kept[recipe.moments.index("best")]
    return jax.vmap(choose)(recipe.observer, state.watch, best, state.kept[moment])


@dataclasses.dataclass(frozen=True)
class Axes:
    """Which parts of the seeds differ between rows: examples and fit (a split per seed), scale (fitted per split)."""

    rows: bool
    scale: bool

    def tree(self, batched: Any, shared: Any) -> Seed:
        """Return a prefix tree for `Seed` with `batched` or `shared` at each part."""
        rows = batched if self.rows else shared
        return Seed(batched, rows, batched if self.scale else shared, rows)


@dataclasses.dataclass(frozen=True)
class Population:
    """The jitted functions of a group on a mesh.

    Leading axes: recipe, state and what is returned [rows, columns]; seed, start and fresh [rows].

    Attributes:
      renew: (recipe, seed, data, state, fresh) -> state; the state is donated.
      advance: (recipe, seed, state, data, start, intervals, updates) -> (state, records [rows, columns, room]); the
        state is donated.
      finish: (recipe, seed, data, state, moment) -> predictions [rows, columns, observers, test rows, outputs].
      end: (recipe, state, moment) -> (params, stats) [rows, columns, observers, ...].
    """

    renew: Any
    advance: Any
    finish: Callable[..., jax.Array]
    end: Callable[..., Any]


def make_mesh(devices: Sequence[jax.Device]) -> Mesh:
    """Return the one-axis mesh over which rows are sharded."""
    return Mesh(np.array(devices), ("member",))


class Kind(NamedTuple):
    """How an argument is spread: its vmapped axis over rows, that over columns, whether devices split or share it."""

    rows: Any
    columns: Any
    spec: Any


MEMBER, ROW, ALL = Kind(0, 0, MEMBERS), Kind(0, None, MEMBERS), Kind(None, None, SHARED)


def seed_kind(axes: Axes) -> Kind:
    """Return how seeds are spread."""
    return Kind(axes.tree(0, None), None, axes.tree(MEMBERS, SHARED))


def over_members(mesh: Mesh, function: Callable, *kinds: Kind, donate: tuple[int, ...] = ()) -> Any:
    """Return a function of one member over all members, jitted; its results are [rows, columns, ...].

    Members never talk to each other: `shard_map` over rows, `vmap` inside, no collective operation.

    Args:
      mesh: from `make_mesh`.
      function: of one member.
      kinds: of its arguments.
      donate: which arguments' memory is given up to the results.
    """
    rows, columns, specs = (tuple(kind[i] for kind in kinds) for i in range(3))

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=specs, out_specs=MEMBERS, check_vma=False)
    def sharded(*arguments: Any) -> Any:
        with jax.default_matmul_precision(MATMULS[arguments[0].precision]):
            return jax.vmap(jax.vmap(function, in_axes=columns), in_axes=rows)(*arguments)

    return jax.jit(sharded, donate_argnums=donate)


def make_population(mesh: Mesh, axes: Axes, room: int) -> Population:
    """Return the population's functions for a mesh, jitted; what is compiled follows from their arguments' structure.

    Args:
      mesh: from `make_mesh`.
      axes: which parts of the seeds are batched.
      room: most intervals of one call of `advance`.
    """
    seed = seed_kind(axes)

    @functools.cache
    def finishes(moment: int) -> Any:
        return over_members(mesh, functools.partial(finish, moment=moment), MEMBER, seed, ALL, MEMBER)

    @functools.cache
    def ends(moment: int) -> Any:
        return over_members(mesh, functools.partial(end_state, moment=moment), MEMBER, MEMBER)

    one_advance = functools.partial(advance, room=room)
    return Population(
        renew=over_members(mesh, renew, MEMBER, seed, ALL, MEMBER, ROW, donate=(3,)),
        advance=over_members(mesh, one_advance, MEMBER, seed, MEMBER, ALL, ROW, ALL, ALL, donate=(2,)),
        finish=lambda *arguments: finishes(arguments[-1])(*arguments[:-1]),
        end=lambda *arguments: ends(arguments[-1])(*arguments[:-1]),
    )


def place(mesh: Mesh, tree: Any, batched: bool) -> Any:
    """Return `tree` on the mesh's devices: split along its leading axis when `batched`, else copied to each."""
    return jax.device_put(tree, NamedSharding(mesh, MEMBERS if batched else SHARED))


def place_seed(mesh: Mesh, seed: Seed, axes: Axes) -> Seed:
    """Return the stacked seeds on the mesh's devices."""
    return Seed(
        streams=place(mesh, seed.streams, batched=True),
        rows=place(mesh, seed.rows, batched=axes.rows),
        scale=place(mesh, seed.scale, batched=axes.scale),
        fit=place(mesh, seed.fit, batched=axes.rows),
    )
