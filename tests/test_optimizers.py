"""Optimizers and schedules against optax and against formulas written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_runs as small
from reference import KerasAdam

from regjax.optimizers import OPTIMIZERS, SGD, Adam, RMSProp, Schedule, learning_rate
from regjax.recipe import Recipe, make_mask
from regjax.regularizers import Decay

STEPS = 50
LR = 0.02


def train_optax(transformation: optax.GradientTransformation, recipe: Recipe):
    """Return the parameters after 50 updates of the small network by an optimizer of optax."""
    x, labels = small.make_batches(STEPS)
    params = small.init_state(small.traced(recipe), small.make_seed(), small.Data(x[0], labels[0])).params

    def loss(params, x, y):
        outputs = recipe.model.apply(params, {}, x, lambda site, h: h, True).outputs
        return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()

    def update(carry, batch):
        params, state = carry
        updates, state = transformation.update(jax.grad(loss)(params, *batch), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.jit(lambda: jax.lax.scan(update, (params, transformation.init(params)), (x, labels))[0][0])()


def test_adamw_equals_optax():
    """50 updates of a network by adam beside decay give the weights of optax' adamw, to float32 precision."""
    recipe = small.make_recipe(Decay(0.1), optimizer=Adam(LR))
    transformation = optax.adamw(LR, weight_decay=0.1, mask=lambda params: make_mask(params, "matrices"))
    x, labels = small.make_batches(STEPS)
    found = small.flat(jax.jit(small.train)(small.traced(recipe), small.make_seed(), x, labels)[0].params)

    for path, leaf in small.flat(train_optax(transformation, recipe)).items():
        np.testing.assert_allclose(found[path], leaf, rtol=1e-4, atol=2e-5, err_msg=path)


CASES = {
    "sgd": (SGD(LR), optax.sgd(LR)),
    "momentum": (SGD(LR, momentum=0.9), optax.sgd(LR, momentum=0.9)),
    "nesterov": (SGD(LR, momentum=0.9, nesterov=True), optax.sgd(LR, momentum=0.9, nesterov=True)),
    "adam": (Adam(LR), optax.adam(LR)),
    "adam betas": (Adam(LR, b1=0.8, b2=0.95, epsilon=1e-3), optax.adam(LR, b1=0.8, b2=0.95, eps=1e-3)),
    "rmsprop": (RMSProp(LR), optax.rmsprop(LR, decay=0.9, eps=1e-7, eps_in_sqrt=False)),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_optax(case):
    """50 updates of a matrix that the noisy gradient of a quadratic pulls at are those of optax."""
    optimizer, theirs = CASES[case]
    noise = jnp.asarray(np.random.default_rng(0).normal(size=(STEPS, 3, 2)), jnp.float32)
    scales = jnp.array([[1e-3, 1.0]] * 3)

    def follow(transformation, rate):
        def update(carry, shock):
            w, state = carry
            u, state = transformation.update(scales * (w - 1 + shock), state, w)
            return (w + rate * u, state), w + rate * u

        begin = jnp.zeros((3, 2))
        return jax.lax.scan(update, (begin, transformation.init(begin)), noise)[1]

    found, expected = jax.jit(lambda: (follow(optimizer.direction(), -LR), follow(theirs, 1.0)))()
    assert np.abs(expected[-1]).min() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [SGD(), RMSProp(rho=0.8, epsilon=1e-3), Adam(b1=0.0, epsilon=1e-3), Adam(0.1, b1=0.0, epsilon_style="keras")],
    ids=["sgd", "rmsprop", "adam", "adam of keras"],
)
def test_the_metric_is_by_what_an_update_was_scaled(optimizer):
    """Without momentum the update of each coordinate is its gradient times the metric."""
    state = optimizer.direction().init({"w": jnp.zeros(4)})
    for gradient in np.random.default_rng(2).normal(size=(5, 4)) * [1e-4, 1e-2, 1.0, 1e2]:
        gradients = {"w": jnp.asarray(gradient, jnp.float32)}
        updates, state = optimizer.direction().update(gradients, state)
        scale = optimizer.metric(state, gradients)
        np.testing.assert_allclose(updates["w"], scale["w"] * gradients["w"], rtol=1e-5)


def test_keras_epsilon():
    """Keras' style equals the paper's formula where epsilon matters; the style of optax does not."""
    gradients = np.random.default_rng(0).normal(size=(30, 6)) * [1e-9, 1e-8, 1e-7, 1e-3, 1.0, 0.0]
    with jax.enable_x64(True):
        styles = [Adam(epsilon=1e-7, epsilon_style=style).direction() for style in ("keras", "optax")]
        states, found = [s.init(jnp.zeros(6)) for s in styles], [None, None]
        oracle = KerasAdam()
        for gradient in gradients:
            expected = oracle("w", gradient)
            for i, style in enumerate(styles):
                found[i], states[i] = style.update(jnp.asarray(gradient), states[i])
            np.testing.assert_allclose(found[0], expected, rtol=1e-12)

    assert np.abs(np.asarray(found[1]) - expected).max() > 0.01


def test_optax_epsilon():
    """The optax style is optax' own Adam in float64, update by update."""
    gradients = np.random.default_rng(1).normal(size=(30, 4)) * [1e-8, 1e-4, 1.0, 1e3]
    with jax.enable_x64(True):
        ours, theirs = Adam().direction(), optax.scale_by_adam()
        a, b = ours.init(jnp.zeros(4)), theirs.init(jnp.zeros(4))
        for gradient in gradients:
            u, a = ours.update(jnp.asarray(gradient), a)
            v, b = theirs.update(jnp.asarray(gradient), b)
            np.testing.assert_allclose(u, v, rtol=1e-10)


TOTAL = 40
SCHEDULES = {
    "constant": (Schedule(), optax.constant_schedule(1.0)),
    "cosine": (Schedule("cosine"), optax.cosine_decay_schedule(1.0, TOTAL)),
    "step": (Schedule("step", every=7, decay=0.5), optax.exponential_decay(1.0, 7, 0.5, staircase=True)),
    "warm-up": (
        Schedule(warmup_steps=5),
        optax.join_schedules([optax.linear_schedule(0.2, 1.0, 4), optax.constant_schedule(1.0)], [5]),
    ),
    "warm-up and cosine": (
        Schedule("cosine", warmup_steps=5),
        optax.join_schedules([optax.linear_schedule(0.2, 1.0, 4), optax.cosine_decay_schedule(1.0, TOTAL - 5)], [5]),
    ),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_schedules_equal_optax(case):
    """The factor at every update, and past the last, is that of optax' schedule."""
    ours, theirs = SCHEDULES[case]
    steps = jnp.arange(TOTAL + 3, dtype=jnp.int32)
    found = jax.vmap(lambda t: ours.factor(t, TOTAL))(steps)

    np.testing.assert_allclose(found, np.array([theirs(t) for t in steps]), rtol=1e-5, atol=1e-6)
    assert (found <= 1).all()
    assert (found >= 0).all()


def test_cosine_cycles_restart():
    """Each of three cycles after the warm-up is a cosine of its own from 1 towards 0; past the last the factor is 0."""
    steps = jnp.arange(4 + 36 + 2, dtype=jnp.int32)
    found = jax.vmap(lambda t: Schedule("cosine", warmup_steps=4, cycles=3).factor(t, 40))(steps)
    cycle = [0.5 * (1 + np.cos(np.pi * t / 12)) for t in range(12)]

    np.testing.assert_allclose(found, [0.25, 0.5, 0.75, 1, *cycle, *cycle, *cycle, 0, 0], rtol=1e-5, atol=1e-6)
    for total, cycles in ((1000, 7), (49, 7), (3000, 1000)):  # no restart is missed by rounding
        factors = jax.vmap(lambda t, n=cycles, m=total: Schedule("cosine", cycles=n).factor(t, m))(jnp.arange(total))
        starts = [-(-i * total // cycles) for i in range(cycles)]
        assert (np.flatnonzero(np.diff(factors, prepend=0) > 0) == starts).all()


def test_learning_rate_is_traced():
    """Learning rates are a member axis: one program, and each member's rate is its own times the factor."""
    rates = jnp.array([0.1, 0.01])
    found = jax.jit(jax.vmap(lambda lr: learning_rate(SGD(lr, Schedule("cosine")), jnp.int32(20), TOTAL)))(rates)

    np.testing.assert_allclose(found, rates / 2, rtol=1e-6)


def test_optimizers_of_a_study():
    """The names that a study may use; adamw is adam, whose decay is a regularizer."""
    assert {"sgd", "adam", "adamw", "rmsprop"} == set(OPTIMIZERS)
    assert OPTIMIZERS["adamw"] is Adam
