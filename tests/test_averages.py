"""Averages of weights and predictions against optax and NumPy, as classes and in whole studies."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_runs as small
from studies import tiny

import regjax
from regjax import keys
from regjax.config import ConfigError, parse_study
from regjax.data import load_dataset
from regjax.models import MLP
from regjax.observers import EMA, SWA, EarlyStopping, MCDropout, Observer, Snapshots
from regjax.plan import make_plan
from regjax.progress import Progress
from regjax.regularizers import Dropout
from regjax.train import evaluate
from regjax.train.inputs import seed_of, stack_recipes
from regjax.train.population import train_batches, batch_rows, zero_sums
from regjax.train.state import Data, init_state

STUDY = {
    "primary": {"metric": "test.accuracy", "at": "last", "margin": 0.01},
    "model": {"name": "mlp", "widths": [16], "norm": "batch"},
    "training": {"steps": 12, "batch_size": 32, "evaluate_every": {"steps": 3}, "keep": "last"},
    "seeds": {"count": 2},
    "fixed": {"dropout.hidden": 0.5},
    "measure": {"predictions": "test"},
}
FACTORS = {"ema.decay": [0.0, 0.9], "swa.start": [1.0, 0.5], "snapshots.count": [1, 2], "mc_dropout.samples": [0, 3]}


def run(out, factors, **changes):
    """Return the results of a tiny study with batch norm and dropout."""
    study = tiny(**{**STUDY, "factors": factors, **changes})
    return regjax.run(study, out, progress=Progress(io.StringIO(), live=False), report=False)


def walk(count, *shape):
    """Return a random walk of weights [count, *shape]."""
    return np.cumsum(np.random.default_rng(4).normal(size=(count, *shape)), axis=0).astype(np.float32)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 0.9999])
def test_ema_equals_optax(decay):
    """After every update the average is that of optax, its start corrected; without decay it is the weights."""
    weights, theirs = walk(40, 3), optax.ema(decay, debias=True)
    average, state = EMA(decay).init((jnp.full(3, 7.0), {})), theirs.init(jnp.zeros(3))
    part, follow = EMA(jnp.float32(decay)), jax.jit(EMA.follow)
    for step, w in enumerate(weights):
        average = follow(part, average, (w, {}), jnp.int32(step))
        with jax.enable_x64(True):
            expected, state = theirs.update(jnp.asarray(w, "float64"), state)
        np.testing.assert_allclose(average[0], expected, rtol=1e-5, atol=1e-5)
        if decay == 0:
            assert np.asarray(average[0]).tobytes() == w.tobytes()


@pytest.mark.parametrize(("start", "taken"), [(0.0, 10), (0.7, 4), (0.35, 7), (1.0, 1)])
def test_swa_is_the_mean_of_the_evaluations_from_its_start(start, taken):
    """The mean of the last weights in NumPy, whose number no rounding changes; at start 1 the last, bit for bit."""
    weights, steps = walk(10, 4), 10 * 7
    part, collect = SWA(jnp.float32(start)), jax.jit(SWA.collect, static_argnums=4)
    memory = part.init(jnp.full(4, 9.0))
    for index, w in enumerate(weights):
        memory = collect(part, memory, w, jnp.int32(7 * (index + 1)), steps)
        now = part.of(memory, (jnp.asarray(w), {}), None)[0]
        mean = weights[10 - taken : index + 1].mean(axis=0) if index >= 10 - taken else w
        np.testing.assert_allclose(now, mean, rtol=1e-5, atol=1e-6)

    assert memory.averaged == taken
    if start == 1:
        assert np.asarray(now).tobytes() == weights[-1].tobytes()


def test_snapshots_are_taken_at_the_ends_of_cycles():
    """Of 12 updates in 4 cycles the networks after 3, 6, 9 and 12 count, each once; before a cycle ends the live one."""
    weights = walk(12, 2)
    part = Snapshots(jnp.float32(4), room=6)
    memory = part.init((jnp.zeros(2), {}))
    for step in range(1, 13):
        network = (jnp.asarray(weights[step - 1]), {})
        memory = part.collect(memory, network, jnp.int32(step), 12)
        mean = part.weights @ part.of(memory, network)[0]
        ends = [3 * (i + 1) if 3 * (i + 1) <= step else step for i in range(4)]
        np.testing.assert_allclose(mean, weights[[end - 1 for end in ends]].mean(axis=0), rtol=1e-5, atol=1e-6)

    assert part.weights.tolist() == [0.25, 0.25, 0.25, 0, 0, 0.25]
    assert Snapshots(jnp.float32(1), room=3).weights.tolist() == [0, 0, 1]


def test_batch_statistics_are_those_of_the_training_examples():
    """Estimated mean and variance of a layer are the mean over equal batches of NumPy's, far from 0 and 1 as well."""
    recipe = small.traced(small.make_recipe(model=MLP((5,), norm="batch"), train_examples=90))
    x, labels = (part[0] for part in small.make_batches(1, size=96))
    params, stats = recipe.model.init(jax.random.key(0), jnp.asarray(x))
    rows = np.arange(96, dtype=np.int32)[::-1]
    seed = small.make_seed()._replace(rows=small.Rows(rows, rows, rows))
    found = {}
    for scale in (1.0, 300.0):
        data = Data(jnp.asarray(scale * x), jnp.asarray(labels))
        found = jax.jit(evaluate.estimate_stats)(recipe, params, stats, data, seed)
        (layer,) = [name for name in params if name not in ("hidden_0", "output")]
        h = scale * x[rows[:90]] @ params["hidden_0"]["kernel"]
        np.testing.assert_allclose(found[layer]["mean"], h.mean(axis=0), rtol=1e-4, atol=1e-4 * scale)
        np.testing.assert_allclose(found[layer]["var"], h.var(axis=0), rtol=1e-4)
