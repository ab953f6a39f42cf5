"""The population's invariants: members are independent, paired by seed, sharded without communication."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from populations import EVERYTHING, assert_equal, assert_same_run, compiled, digits, make, started, train
from studies import tiny

from regjax.config import parse_study
from regjax.keys import stream_key
from regjax.plan import Run, make_plan
from regjax.train.inputs import seed_of, stack_recipes
from regjax.train.layout import Layout, Trajectory, make_rows
from regjax.train.program import place_data
from regjax.train.seats import begin, look
from regjax.train.state import Data, init_state
from regjax.train.step import make_now, step

NESTED = Layout(3, 8, 1)
TEN_STEPS = {
    **EVERYTHING,
    "factors": {**EVERYTHING["factors"], "optimizer.learning_rate": [0.003, 0.01]},
    "training": {"steps": 10, "batch_size": 32, "evaluate_every": {"steps": 10}},
}
# Weights stay where they are: 1 - 1e-30 is 1.
STILL, SINGLE = Layout(2, 4, 1), {
    "factors": {"dropout.hidden": [0.2, 0.5], "optimizer.learning_rate": [1e-30, 1e-31]}, "seeds__count": 2,
    "training": {"steps": 6, "batch_size": 32, "evaluate_every": {"steps": 1}},
}  # fmt: skip


def make_wild(run: Run) -> Run:
    """Return a run with an enormous learning rate."""
    optimizer = dataclasses.replace(run.recipe.optimizer, learning_rate=1e30)
    return run._replace(id="wild", recipe=dataclasses.replace(run.recipe, optimizer=optimizer))


@pytest.mark.parametrize("order", [(2, 0, 3, 1), (3, 1, 2, 0)])
def test_permuting_slots_changes_no_run(order: tuple[int, ...]) -> None:
    """With rows in other slots and mates in other columns every run leaves the same bits (I2)."""
    program, functions = compiled(2, Layout(4, 2, 1), **EVERYTHING)
    rows = make_rows(program.group.runs[:8], 2)
    first = train(program, functions, rows)
    mates = [trajectory for row in rows for trajectory in row]
    shuffled = [(mates[2 * i + 1], mates[2 * order[i]]) for i in order]
    other = train(program, functions, shuffled)

    assert len(first.runs) == 8
    assert set(other.runs) <= set(first.runs)
    for run in other.runs:
        assert_same_run(first.runs[run], other.runs[run])


@pytest.mark.parametrize("devices", [1, 4])
def test_device_count_does_not_matter_at_equal_slots_per_device(devices: int) -> None:
    """A member's numbers are bit-equal on 1, 2 and 4 devices with two rows of two columns each (I2)."""
    runs = make(**EVERYTHING).group.runs
    two = train(*compiled(2, Layout(4, 2, 1), **EVERYTHING), make_rows(runs[:8], 2))
    other = train(*compiled(devices, Layout(2 * devices, 2, 1), **EVERYTHING), make_rows(runs[: 4 * devices], 2))

    shared = set(two.runs) & set(other.runs)
    assert len(shared) == min(8, 4 * devices)
    for run in shared:
        assert_same_run(two.runs[run], other.runs[run])


def test_nested_equals_alone_for_ten_steps() -> None:
    """A run as a column among the cells of its seed agrees with itself alone in its slot to rounding (I2)."""
    program, functions = compiled(1, NESTED, **TEN_STEPS)
    nested = train(program, functions, make_rows(program.group.runs, 8)).runs
    alone = train(*compiled(1, Layout(1, 1, 1), **TEN_STEPS), make_rows(program.group.runs, 1)).runs

    assert len(alone) == len(nested) == 24
    for run, outcome in alone.items():
        for leaf, other in zip(jax.tree.leaves(outcome.end[0]), jax.tree.leaves(nested[run].end[0]), strict=True):
            np.testing.assert_allclose(leaf, other, rtol=1e-4, atol=1e-5)
        for name in set(outcome.records) - {"run"}:
            np.testing.assert_allclose(outcome.records[name], nested[run].records[name], rtol=1e-4, atol=1e-5)


def test_mates_share_order_and_uniforms_at_every_update() -> None:
    """While weights stay put, cells of one rate see equal losses bit for bit, other rates and seeds others (I3)."""
    program, functions = compiled(1, STILL, **SINGLE)
    runs = program.group.runs
    done = train(program, functions, make_rows(runs, 4)).runs
    losses = np.array([done[run.id].records["batch.nll"] for run in runs]).reshape(2, 2, 2, 6)

    np.testing.assert_array_equal(losses[:, :, 0], losses[:, :, 1])
    for other in (losses[0] - losses[1], losses[:, 0] - losses[:, 1], np.diff(losses, axis=-1)):
        assert (np.abs(other) > 1e-4).all()


@pytest.mark.parametrize("place", [0, 3])
def test_a_diverging_mate_changes_nothing(place: int) -> None:
    """With a member whose learning rate is enormous the others stay bit-equal, and it alone is marked (I2, I9)."""
    program, functions = compiled(2, Layout(2, 2, 1))
    rows = make_rows(program.group.runs[:4], 2)
    calm = train(program, functions, rows).runs
    members = [trajectory for row in rows for trajectory in row]
    replaced, members[place] = members[place].runs[0].id, Trajectory((make_wild(members[place].runs[0]),))
    mixed = train(program, functions, [tuple(members[:2]), tuple(members[2:])]).runs
    wild = mixed.pop("wild")

    assert set(mixed) == set(calm) - {replaced}
    for run, outcome in mixed.items():
        assert_same_run(calm[run], outcome)
        assert (outcome.records["diverged"] == -1).all()
    assert wild.end[-1] >= 1
    assert wild.records["diverged"].tolist() == [wild.end[-1]]


def test_first_bad_step_is_exact() -> None:
    """The divergence step is the first update after which loss or parameters are not finite, found one by one."""
    program, functions = compiled(1, STILL, **SINGLE)
    live = started(program, functions, [(Trajectory((make_wild(program.group.runs[0]),)),)])
    finite = []
    while live.seats.living.any():
        live, records, _ = look(program, functions, place_data(program), live, most=1)
        sound = all(np.isfinite(leaf[0, 0]).all() for leaf in jax.tree.leaves(live.state.params))
        finite.append(sound and bool(np.isfinite(records["batch.loss"][0, 0, 0])))

    assert finite[0]
    assert finite.index(False) == len(finite) - 1
    assert int(live.state.diverged[0, 0]) == len(finite)


def test_cells_of_a_seed_share_weights_and_order() -> None:
    """Members of a row start from equal weights and differ in hypers; other seeds differ in weights and rows (I3)."""
    program, functions = compiled(1, NESTED, **TEN_STEPS)
    live = started(program, functions, make_rows(program.group.runs, 8))
    kernel = np.asarray(live.state.params["hidden_0"]["kernel"])
    rows = np.asarray(live.seed.rows.train)
    hypers = zip(*(np.asarray(leaf).reshape(3, 8) for leaf in jax.tree.leaves(live.recipe.regularizers)), strict=True)

    for seed in range(3):
        assert all(np.array_equal(kernel[seed, 0], kernel[seed, i]) for i in range(8))
    assert not np.array_equal(kernel[0], kernel[1])
    assert rows.shape == (3, 96)
    assert not np.array_equal(rows[0], rows[1])
    assert all(len(set(zip(*row, np.asarray(live.recipe.optimizer.learning_rate)[0], strict=True))) == 8
               for row in hypers)  # fmt: skip


def test_streams_that_do_not_vary_are_shared_by_all_seeds() -> None:
    """With only "init" varied every seed has one split, one order and one set of dropout draws."""
    program = make(seeds__vary=["init"], factors={"dropout.hidden": [0.1, 0.5]})

    streams = [run.streams for run in program.group.runs]
    assert {s["order"] for s in streams} == {s["dropout"] for s in streams} == {s["split"] for s in streams} == {0}
    assert {s["init"] for s in streams} == {0, 1, 2}
    assert not program.axes.rows


def test_batch_norm_keeps_weights_of_other_layers() -> None:
    """Cells with and without batch norm start from bit-equal weights of every layer both have (I3)."""
    study = parse_study(tiny(factors={"model.norm": ["none", "batch"]}))
    data = Data(jnp.asarray(digits().x), jnp.asarray(digits().y))
    plain, normed = (
        jax.jit(init_state)(
            jax.tree.map(lambda leaf: leaf[0], stack_recipes([group.runs[0].recipe])),
            seed_of(study, digits(), group.runs[0]), data,
        ).params
        for group in make_plan(study, digits()).groups
    )  # fmt: skip

    assert set(normed) - set(plain) == {"norm_0"}
    for layer in plain:
        shared = set(plain[layer]) & set(normed[layer])
        assert "kernel" in shared
        assert all(np.array_equal(plain[layer][name], normed[layer][name]) for name in shared)


def test_no_collective_operation() -> None:
    """Neither of the compiled population programs has an operation that talks between devices (I6)."""
    program, functions = compiled(4, Layout(8, 2, 1), **EVERYTHING)
    words = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter", "collective-broadcast")

    assert program.mesh.size == 4
    for function in (functions.advance, functions.renew):
        text = function.as_text()
        assert "num_partitions=4" in text
        assert not [word for word in words if word in text]


def test_intervals_of_one_program_add_up() -> None:
    """Looks of 1 + 3 intervals equal one of 4, bit for bit, with the same compiled program."""
    program, functions = compiled(2, Layout(2, 2, 1))
    data, rows = place_data(program), make_rows(program.group.runs[:4], 2)
    whole, records, four = look(program, functions, data, begin(program, functions, data, rows))
    parts = begin(program, functions, data, rows)
    parts, first, one = look(program, functions, data, parts, most=1)
    parts, rest, three = look(program, functions, data, parts)

    assert (four, one, three) == (4, 1, 3)
    assert_equal(whole.state, parts.state)
    for name, values in records.items():
        joined = np.concatenate([first[name][:, :, :1], rest[name][:, :, :3]], axis=2)
        np.testing.assert_array_equal(values, joined)


@pytest.mark.parametrize(("batches", "every", "steps"), [(5, 7, 21), (6, 3, 12), (3, 6, 12)])
def test_a_whole_run_equals_single_steps(batches: int, every: int, steps: int) -> None:
    """Columns trained in intervals that cut, divide, span or miss epochs equal a loop over rows derived by hand."""
    changes = {
        "data": {"name": "digits", "split": {"train": 32 * batches + 5, "validation": 64, "test": 64}},
        "training": {"steps": steps, "batch_size": 32, "evaluate_every": {"steps": every}},
        "seeds__count": 1, "factors": {"dropout.hidden": [0.0, 0.3]},
    }  # fmt: skip
    program, functions = compiled(1, Layout(1, 2, 1), **changes)
    done = train(program, functions, make_rows(program.group.runs, 2)).runs
    seed = jax.tree.map(jnp.asarray, seed_of(program.study, digits(), program.group.runs[0]))
    x, y = jnp.asarray(digits().x), jnp.asarray(digits().y)
    chosen = []
    for count in range(steps):
        key = jax.random.fold_in(stream_key(program.group.runs[0].seed, "order"), count // batches)
        order = np.asarray(jax.random.permutation(key, seed.rows.train))
        chosen.append(order[32 * (count % batches) : 32 * (count % batches) + 32])

    for run in program.group.runs:
        recipe = jax.tree.map(lambda leaf: leaf[0], stack_recipes([run.recipe]))
        state, losses = init_state(recipe, seed, Data(x, y)), []
        for count, rows in enumerate(chosen):
            state, loss = single_step(recipe, seed, state, x[rows], y[rows], jnp.int32(count))
            losses.append(float(loss))
        np.testing.assert_allclose(
            done[run.id].records["batch.loss"], np.reshape(losses, (-1, every)).mean(1), rtol=1e-4
        )
        for got, expected in zip(jax.tree.leaves(done[run.id].end[0]), jax.tree.leaves(state.params), strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-4)


@jax.jit
def single_step(recipe, seed, state, x, labels, count):
    """Return the state after one update, and the loss of its batch."""
    state, sums = step(
        recipe, state, seed.scale.apply(x), labels, jnp.arange(len(x)), make_now(recipe, seed, state, count)
    )
    return state, sums["loss"]
