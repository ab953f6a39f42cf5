"""Hundreds of updates with regularizers against the NumPy oracle, in float64, given the same dropout masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from oracles import ORACLES
from reference import KerasAdam, Sgd, train_step

from regjax.keys import hash_name, stream_key
from regjax.optimizers import SGD, Adam
from regjax.regularizers import REGULARIZERS
from regjax.regularizers.draws import drop

STEPS = 200
KERAS = Adam(1e-2, epsilon=1e-7, epsilon_style="keras")
MANY: dict[str, dict] = {
    "label_smoothing": {"strength": 0.1},
    "dropout": {"hidden": 0.5, "input": 0.125},
    "l1": {"strength": 1e-3},
    "l2": {"strength": 1e-2},
    "decay": {"strength": 0.1},
    "l1_proximal": {"strength": 1e-2},
    "max_norm": {"bound": 1.0},
}
CASES = {
    "dropout per layer": (KERAS, KerasAdam, {"dropout": {"hidden": (0.25, 0.5)}}),
    # l1_proximal and l1 apart: at the exact zeros of the one the subgradient of the other jumps with the last bit.
    "all but l1_proximal": (KERAS, KerasAdam, {name: MANY[name] for name in MANY if name != "l1_proximal"}),
    "all but l1": (KERAS, KerasAdam, {name: MANY[name] for name in MANY if name != "l1"}),
    "sgd": (
        SGD(0.1),
        Sgd,
        {"dropout": {"hidden": 0.5}, "l2": {"strength": 1e-2}, "label_smoothing": {"strength": 0.1}},
    ),
}
SHAPES = {"input": (16, small.NUM_FEATURES), **{f"hidden_{i}": (16, width) for i, width in enumerate(small.WIDTHS)}}


def make_noise(rates: dict[str, float]) -> list[dict[str, np.ndarray]]:
    """Return the dropout factors of every step and site, drawn by `drop` on ones."""

    @jax.jit
    @jax.vmap
    def draw(step):
        key = jax.random.fold_in(stream_key(7, "dropout"), step)
        return {
            name: drop(jax.random.fold_in(key, hash_name(name)), jnp.ones(SHAPES[name]), rate)
            for name, rate in rates.items()
        }

    factors = jax.device_get(draw(jnp.arange(STEPS, dtype=jnp.int32)))
    return [{name: values[t] for name, values in factors.items()} for t in range(STEPS)]


@pytest.mark.parametrize("case", CASES)
def test_training_equals_the_numpy_oracle(case):
    """The objective of each of 200 updates equals the oracle's to 1e-8, and so do the weights at the end."""
    optimizer, direction, values = CASES[case]
    oracles = [ORACLES[name](**fields) for name, fields in values.items()]
    with jax.enable_x64(True):
        x, labels = small.make_batches(STEPS, "float64")
        parts = [REGULARIZERS[name](**fields) for name, fields in values.items()]
        recipe = small.make_recipe(*parts, optimizer=optimizer, dtype="float64", steps=STEPS)
        begin = small.flat(recipe.model.init(stream_key(7, "init"), jnp.asarray(x[0]))[0])
        state, sums = jax.jit(small.train)(small.traced(recipe, "float64"), small.make_seed(7, "float64"), x, labels)
        rates = ORACLES["dropout"](**values.get("dropout", {})).rate
        noise = make_noise({"input": rates("input", 0), **{f"hidden_{i}": rates("hidden", i) for i in range(2)}})

    params, losses, move = begin, [], direction()
    for t in range(STEPS):
        targets = np.eye(small.NUM_CLASSES)[labels[t]]
        params, loss = train_step(
            params, x[t], targets, oracles, noise=noise[t], direction=move, lr=float(optimizer.learning_rate)
        )
        losses.append(loss)
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(sums["loss"], losses, rtol=1e-8)
    for path, leaf in small.flat(state.params).items():
        np.testing.assert_allclose(leaf, params[path], rtol=1e-7, atol=1e-9, err_msg=path)
