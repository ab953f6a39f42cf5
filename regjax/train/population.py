"""The population: one member's whole segment as a pure function, vmapped once, sharded over a `member` mesh."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from regjax.keys import stream_key
from regjax.recipe import Recipe
from regjax.train import evaluate
from regjax.train.state import Data, Seed, State, Sums, init_state
from regjax.train.step import make_now, step

MEMBERS = PartitionSpec("member")
SHARED = PartitionSpec()


def advance(
    recipe: Recipe, seed: Seed, state: State, data: Data, start: jax.Array, intervals: jax.Array, room: int
) -> tuple[State, evaluate.Record]:
    """Return the state after `intervals` intervals of `recipe.every` updates, and the records of their ends.

    An epoch is `len(train rows) // batch_size` updates over a fresh permutation of the training rows; what does not
    fill a batch is left out, another part in each epoch. The number of updates made is a loop counter, not a part of
    the state: it is the same for all members, and stays unbatched under vmap.

    Args:
      recipe, seed, state, data: of one member.
      start: updates made so far, int32.
      intervals: how many to run, int32, at most `room`; traced, so that one program serves any number.
      room: length of the record arrays [room]; rows from `intervals` on are zero.
    """
    per_epoch = len(seed.rows.train) // recipe.batch_size
    every = recipe.every

    def shuffle(count: jax.Array) -> jax.Array:
        key = jax.random.fold_in(stream_key(seed.streams["order"], "order"), count // per_epoch)
        return jax.random.permutation(key, seed.rows.train)

    def update(carry: tuple[State, jax.Array, Sums], count: jax.Array) -> tuple[tuple[State, jax.Array, Sums], None]:
        state, order, sums = carry
        order = jax.lax.cond(count % per_epoch == 0, shuffle, lambda _: order, count)
        first = (count % per_epoch) * recipe.batch_size
        rows = jax.lax.dynamic_slice(order, (first,), (recipe.batch_size,))
        now = make_now(recipe, seed, state, count)
        state, new = step(recipe, state, seed.scale.apply(data.x[rows]), data.y[rows], now)
        return (state, order, jax.tree.map(jnp.add, sums, new)), None

    def interval(index: jax.Array, carry: tuple) -> tuple:
        state, order, records = carry
        counts = start + index * every + jnp.arange(every, dtype=jnp.int32)
        zero = Sums(*(jnp.zeros((), seed.scale.factor.dtype) for _ in Sums._fields))
        (state, order, sums), _ = jax.lax.scan(update, (state, order, zero), counts)
        means = jax.tree.map(lambda total: total / every, sums)
        state, record = evaluate.observe(recipe, state, seed, data, start + (index + 1) * every, means)
        return state, order, jax.tree.map(lambda rows, value: rows.at[index].set(value), records, record)

    shapes = jax.eval_shape(
        lambda: evaluate.observe(recipe, state, seed, data, start, Sums(*(seed.scale.factor.sum(),) * 3))[1]
    )
    records = jax.tree.map(lambda leaf: jnp.zeros((room,), leaf.dtype), shapes)
    state, _, records = jax.lax.fori_loop(0, intervals, interval, (state, shuffle(start), records))
    return state, records


def finish(recipe: Recipe, seed: Seed, data: Data, state: State, moment: int) -> jax.Array:
    """Return predictions [test rows, classes] of a kept moment: the best state where a run ended and restores it."""
    params, stats = end_state(recipe, state, moment)
    return evaluate.predict(recipe, params, stats, data, seed.rows.test, seed)


def end_state(recipe: Recipe, state: State, moment: int) -> tuple[Any, Any]:
    """Return (params, stats) that a run stands for at the `moment`-th of its recipe's moments.

    For a step at or after the end of a run that stops early and restores, that is its best state.
    """
    when = recipe.moments[moment]
    if isinstance(when, str) or "best" not in recipe.moments:
        return state.kept[moment]
    end = jnp.where(state.watch.stopped >= 0, state.watch.stopped, recipe.steps)
    restores = (recipe.stop.restore > 0) & jnp.isfinite(recipe.stop.patience) & (state.watch.best_step >= 0)
    use_best = restores & (end <= when)
    best = state.kept[recipe.moments.index("best")]
    return jax.tree.map(lambda b, k: jnp.where(use_best, b, k), best, state.kept[moment])


@dataclasses.dataclass(frozen=True)
class Axes:
    """Which parts of the seeds differ between members: rows (a split per seed) and scale (fitted per split)."""

    rows: bool
    scale: bool

    def tree(self, batched: Any, shared: Any) -> Seed:
        """Return a prefix tree for `Seed` with `batched` or `shared` at each part."""
        return Seed(batched, batched if self.rows else shared, batched if self.scale else shared)


@dataclasses.dataclass(frozen=True)
class Population:
    """The compiled functions of a group on a mesh. Leading axis of all member arguments: slots.

    Attributes:
      init: (recipe, seed, data) -> state.
      advance: (recipe, seed, state, data, start, intervals) -> (state, records [slots, room]); the state is donated.
      finish: (recipe, seed, data, state, moment) -> predictions [slots, test rows, classes].
      end: (recipe, state, moment) -> (params, stats) [slots, ...].
    """

    init: Callable[..., State]
    advance: Any
    finish: Callable[..., jax.Array]
    end: Callable[..., Any]


def make_mesh(devices: Sequence[jax.Device]) -> Mesh:
    """Return the one-axis mesh over which members are sharded."""
    return Mesh(np.array(devices), ("member",))


def make_population(mesh: Mesh, axes: Axes, room: int) -> Population:
    """Return the population's functions for a mesh, jitted; what is compiled follows from their arguments' structure.

    Members never talk to each other: `shard_map` over `member`, `vmap` inside, no collective operation.

    Args:
      mesh: from `make_mesh`.
      axes: which parts of the seeds are batched.
      room: most intervals of one call of `advance`.
    """
    seed_axes, seed_specs = axes.tree(0, None), axes.tree(MEMBERS, SHARED)

    def over_members(function: Callable, in_axes: tuple, in_specs: tuple, out_specs: Any, donate: tuple = ()) -> Any:
        @functools.partial(jax.shard_map, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
        def sharded(*arguments: Any) -> Any:
            with jax.default_matmul_precision("highest"):
                return jax.vmap(function, in_axes=in_axes)(*arguments)

        return jax.jit(sharded, donate_argnums=donate)

    def at_moment(function: Callable, in_axes: tuple, in_specs: tuple) -> Callable:
        return functools.cache(
            lambda moment: over_members(functools.partial(function, moment=moment), in_axes, in_specs, MEMBERS)
        )

    finishers = at_moment(finish, (0, seed_axes, None, 0), (MEMBERS, seed_specs, SHARED, MEMBERS))
    ends = at_moment(end_state, (0, 0), (MEMBERS, MEMBERS))
    return Population(
        init=over_members(init_state, (0, seed_axes, None), (MEMBERS, seed_specs, SHARED), MEMBERS),
        advance=over_members(
            functools.partial(advance, room=room),
            (0, seed_axes, 0, None, None, None),
            (MEMBERS, seed_specs, MEMBERS, SHARED, SHARED, SHARED),
            (MEMBERS, MEMBERS),
            donate=(2,),
        ),
        finish=lambda recipe, seed, data, state, moment: finishers(moment)(recipe, seed, data, state),
        end=lambda recipe, state, moment: ends(moment)(recipe, state),
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
    )
