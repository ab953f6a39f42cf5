"""The population's invariants: members are independent, paired by seed, sharded without communication."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from studies import tiny

from regjax.config import parse_study
from regjax.data import Dataset, load_dataset
from regjax.keys import stream_key
from regjax.plan import Run, make_plan
from regjax.train.inputs import seed_of
from regjax.train.layout import Chunk
from regjax.train.program import Compiled, Program, make_program, run_segment, start
from regjax.train.state import Data, init_state
from regjax.train.step import make_now, step

EVERYTHING = {
    "fixed": {"early_stopping.patience": 2, "label_smoothing.strength": 0.1, "decay.strength": 0.01},
    "factors": {"dropout.hidden": [0.0, 0.5], "l2.strength": [0.0, 0.001], "optimizer.learning_rate": [0.003, 0.01]},
}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Return the embedded data set."""
    return load_dataset("digits")


def make(digits: Dataset, devices: int, **changes: Any) -> Program:
    """Return the program of a tiny study's only group on some of the simulated devices."""
    study = parse_study(tiny(**changes))
    (group,) = make_plan(study, digits).groups
    return make_program(study, digits, group, jax.devices()[:devices])


def train(program: Program, runs: Sequence[Run], slots: int, compiled: Compiled | None = None) -> tuple[Any, dict]:
    """Return the final state (first len(runs) members, host arrays) and the records of a chunk."""
    live = start(program, Chunk(tuple(runs), slots))
    compiled = compiled or Compiled(program, live)
    live, records = run_segment(program, compiled, live, program.room)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(runs)], live.state), records


def assert_equal(left: Any, right: Any) -> None:
    """Assert that two trees of arrays are equal bit for bit, NaN included."""
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_permuting_members_permutes_results(digits: Dataset) -> None:
    """Permuting the members of a chunk permutes their states and records bit for bit (I2)."""
    program = make(digits, 2, **EVERYTHING)
    runs = program.group.runs[:8]
    order = np.random.default_rng(0).permutation(8)

    state, records = train(program, runs, 8)
    shuffled, shuffled_records = train(program, [runs[i] for i in order], 8)

    assert_equal(jax.tree.map(lambda leaf: leaf[order], state), shuffled)
    assert_equal({k: v[order] for k, v in records.items()}, shuffled_records)


@pytest.mark.parametrize("devices", [1, 4])
def test_device_count_does_not_matter_at_equal_slots_per_device(digits: Dataset, devices: int) -> None:
    """A member's numbers are bit-equal on 1, 2 and 4 devices with two slots each (I2)."""
    runs = make(digits, 2, **EVERYTHING).group.runs
    two, _ = train(make(digits, 2, **EVERYTHING), runs[:4], 4)
    other, _ = train(make(digits, devices, **EVERYTHING), runs[: 2 * devices], 2 * devices)

    shared = min(4, 2 * devices)
    assert_equal(jax.tree.map(lambda leaf: leaf[:shared], two), jax.tree.map(lambda leaf: leaf[:shared], other))


def test_alone_equals_in_company_for_ten_steps(digits: Dataset) -> None:
    """A member alone on one device agrees with itself among twelve to 1e-5 for ten updates (I2, other layout)."""
    changes = {**EVERYTHING, "training": {"steps": 10, "batch_size": 32, "evaluate_every": {"steps": 10}}}
    program = make(digits, 1, **changes)
    runs = program.group.runs[:12]
    company, _ = train(program, runs, 12)

    for place in (0, 5, 11):
        alone, _ = train(program, runs[place : place + 1], 1)
        jax.tree.map(
            lambda a, c, i=place: np.testing.assert_allclose(a[0], c[i], rtol=1e-4, atol=1e-5),
            alone.params,
            company.params,
        )


def test_a_diverging_mate_changes_nothing(digits: Dataset) -> None:
    """With a member whose learning rate is enormous the others stay bit-equal, and it alone is marked (I2, I9)."""
    program = make(digits, 2)
    runs = list(program.group.runs[:4])
    wild = runs[2]._replace(
        recipe=jax.tree.map(lambda v: v, runs[2].recipe).__class__(
            **{
                **{f: getattr(runs[2].recipe, f) for f in runs[2].recipe.__dataclass_fields__},
                "optimizer": type(runs[2].recipe.optimizer)(learning_rate=1e30),
            }
        )
    )
    calm, _ = train(program, runs, 4)
    state, records = train(program, [runs[0], runs[1], wild, runs[3]], 4)

    keep = [0, 1, 3]
    assert_equal(jax.tree.map(lambda leaf: leaf[keep], calm), jax.tree.map(lambda leaf: leaf[keep], state))
    assert (state.diverged >= 1).tolist() == [False, False, True, False]
    assert records["diverged"][2, -1] == state.diverged[2]


def test_first_bad_step_is_exact(digits: Dataset) -> None:
    """The divergence step is the first update after which loss or parameters are not finite, found one by one."""
    changes = {"optimizer": {"name": "sgd", "learning_rate": 1e12}, "training": {
        "steps": 12, "batch_size": 32, "evaluate_every": {"steps": 1}}}  # fmt: skip
    program = make(digits, 1, **changes)
    run = program.group.runs[0]
    live = start(program, Chunk((run,), 1))
    compiled = Compiled(program, live)
    first = None
    for count in range(1, 13):
        live, records = run_segment(program, compiled, live, 1)
        finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(live.state.params))
        if first is None and not (finite and np.isfinite(records["batch.loss"][0, 0])):
            first = count

    assert first is not None
    assert int(live.state.diverged[0]) == first


def test_cells_of_a_seed_share_weights_order_and_uniforms(digits: Dataset) -> None:
    """Hypers change neither initial weights nor the order of examples, and seeds change both (I3)."""
    program = make(digits, 1, **EVERYTHING)
    runs = program.group.runs[:16]  # two seeds of eight cells
    live = start(program, Chunk(tuple(runs), 16))
    kernel = np.asarray(live.state.params["hidden_0"]["kernel"])

    for seed in (0, 1):
        assert all(np.array_equal(kernel[8 * seed], kernel[8 * seed + i]) for i in range(8))
    assert not np.array_equal(kernel[0], kernel[8])
    rows = np.asarray(live.seed.rows.train)
    assert np.array_equal(rows[0], rows[7])
    assert not np.array_equal(rows[0], rows[8])


def test_streams_that_do_not_vary_are_shared_by_all_seeds(digits: Dataset) -> None:
    """With only "init" varied every seed has one split, one order and one set of dropout draws."""
    program = make(digits, 1, seeds__vary=["init"], factors={"dropout.hidden": [0.1, 0.5]})

    streams = [run.streams for run in program.group.runs]
    assert {s["order"] for s in streams} == {s["dropout"] for s in streams} == {s["split"] for s in streams} == {0}
    assert {s["init"] for s in streams} == {0, 1, 2}
    assert not program.axes.rows


def test_batch_norm_keeps_weights_of_other_layers(digits: Dataset) -> None:
    """Cells with and without batch norm start from bit-equal weights of every layer both have (I3)."""
    study = parse_study(tiny(factors={"model.norm": ["none", "batch"]}))
    plain, normed = (
        start(make_program(study, digits, group, jax.devices()[:1]), Chunk(group.runs[:1], 1)).state.params
        for group in make_plan(study, digits).groups
    )

    assert set(normed) - set(plain) == {"norm_0"}
    for layer in plain:
        assert_equal(plain[layer], normed[layer])


def test_no_collective_operation(digits: Dataset) -> None:
    """The compiled population program has no operation that talks between devices (I6)."""
    program = make(digits, 4, **EVERYTHING)
    live = start(program, Chunk(program.group.runs[:4], 4))
    text = Compiled(program, live).function.as_text()

    words = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter", "collective-broadcast")
    assert len(program.mesh.devices) == 4
    assert not [word for word in words if word in text]


def test_intervals_of_one_program_add_up(digits: Dataset) -> None:
    """Segments of 1 + 3 intervals equal one of 4, bit for bit, with the same compiled program."""
    program = make(digits, 2)
    chunk = Chunk(program.group.runs[:2], 2)
    live = start(program, chunk)
    compiled = Compiled(program, live)
    whole, records = run_segment(program, compiled, live, 4)
    one, first = run_segment(program, compiled, start(program, chunk), 1)
    split, rest = run_segment(program, compiled, one, 3)

    assert_equal(whole.state, split.state)
    for name, values in records.items():
        assert_equal(values, np.concatenate([first[name][:, :1], rest[name][:, :3]], axis=1))


def test_epochs_are_fresh_permutations_trained_batch_by_batch(digits: Dataset) -> None:
    """Two epochs of the population equal a loop of single steps over rows derived by hand, also from mid-epoch on."""
    study = {"training": {"steps": 6, "batch_size": 32, "evaluate_every": {"steps": 2}}, "seeds__count": 1}
    program = make(digits, 1, **study, factors={"dropout.hidden": [0.0, 0.3]})
    runs = program.group.runs[:2]
    trained, records = train(program, runs, 2)

    for place, run in enumerate(runs):
        seed = jax.tree.map(jnp.asarray, seed_of(program.study, digits, run))
        recipe = jax.tree.map(jnp.float32, run.recipe)
        state = init_state(recipe, seed, Data(jnp.asarray(digits.x), jnp.asarray(digits.y)))
        losses = []
        for count in range(6):
            key = jax.random.fold_in(stream_key(run.seed, "order"), count // 3)
            order = np.asarray(jax.random.permutation(key, seed.rows.train))
            rows = order[32 * (count % 3) : 32 * (count % 3) + 32]
            now = make_now(recipe, seed, state, jnp.int32(count))
            state, sums = step(recipe, state, seed.scale.apply(jnp.asarray(digits.x[rows])), digits.y[rows], now)
            losses.append(float(sums.loss))

        assert sorted(order) == sorted(np.asarray(seed.rows.train))
        np.testing.assert_allclose(records["batch.loss"][place], np.reshape(losses, (3, 2)).mean(1), rtol=1e-4)
        for got, expected in zip(jax.tree.leaves(trained.params), jax.tree.leaves(state.params), strict=True):
            np.testing.assert_allclose(got[place], expected, atol=1e-4)
