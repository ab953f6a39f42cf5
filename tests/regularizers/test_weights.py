"""Which weights penalties, decays and constraints touch, and what they do to them over a training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small

from regjax.models import MLP
from regjax.optimizers import SGD, Adam
from regjax.regularizers import L1, L2, Batch, Decay, Dropout, L1Proximal, LabelSmoothing, MaxNorm, UnitNorm
from regjax.train.step import make_now

TRAIN = jax.jit(jax.vmap(small.train, in_axes=(0, None, None, None)))


def finish(*recipes, steps=300):
    """Return {path: leaves [member, ...]} after training small networks side by side."""
    x, labels = small.make_batches(steps)
    return small.flat(TRAIN(small.stack(*recipes), small.make_seed(), x, labels)[0].params)


def test_proximal_step_gives_exact_zeros_and_subgradients_do_not():
    """After 300 updates at one strength most weights are exactly 0 under l1_proximal, none under l1."""
    params = finish(small.make_recipe(L1(0.0), L1Proximal(0.05)), small.make_recipe(L1(0.05), L1Proximal(0.0)))
    kernels = np.concatenate([w.reshape(2, -1) for path, w in params.items() if path.endswith("kernel")], axis=1)
    proximal, subgradient = np.mean(kernels == 0, axis=1)

    assert proximal > 0.5
    assert subgradient == 0


def test_max_norm_holds_after_every_update():
    """No unit's incoming weights ever exceed the bound, of any layer, while the free network exceeds it."""
    x, labels = small.make_batches(60)

    def norms(recipe):
        def update(state, batch):
            now = make_now(recipe, small.make_seed(), state, batch[0])
            state = small.step(recipe, state, batch[1], batch[2], jnp.arange(16), now)[0]
            kernels = [state.params[layer]["kernel"] for layer in ("hidden_0", "hidden_1", "output")]
            return state, jnp.stack([jnp.linalg.norm(w, axis=0).max() for w in kernels])

        begin = small.init_state(recipe, small.make_seed(), small.Data(x[0], labels[0]))
        return jax.lax.scan(update, begin, (jnp.arange(60, dtype=jnp.int32), x, labels))[1]

    made = jax.jit(jax.vmap(norms))(
        small.stack(*(small.make_recipe(MaxNorm(b), optimizer=SGD(0.5, momentum=0.9)) for b in (0.8, 99.0)))
    )
    assert made[0].max() <= 0.8 * (1 + 1e-6)
    assert made[0].max() > 0.8 * (1 - 1e-3)
    assert (made[1].max(axis=0) > 0.8).all()


def test_max_norm_leaves_small_columns_alone():
    """A column within the ball keeps every bit; one outside lands on the sphere in its direction; zero stays zero."""
    recipe = small.traced(small.make_recipe(MaxNorm(2.0)))
    kernel = jnp.array([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]])
    params = {"hidden_0": {"kernel": kernel, "bias": jnp.full(3, 9.0)}}
    state = small.State(params, {}, None, (), {}, None, jnp.int32(-1), ())
    found = recipe.regularizers[0].project(params, make_now(recipe, small.make_seed(), state, jnp.int32(0)))["hidden_0"]

    np.testing.assert_allclose(found["kernel"][:, 0], [1.2, 1.6], rtol=1e-6)
    np.testing.assert_array_equal(found["kernel"][:, 1:], kernel[:, 1:])
    np.testing.assert_array_equal(found["bias"], params["hidden_0"]["bias"])


def touched(part, decay_on):
    """Return the paths of the leaves that a part changes, by its penalty's gradient or its projection."""
    recipe = small.traced(small.make_recipe(part, model=MLP(small.WIDTHS, norm="batch"), decay_on=decay_on))
    params, stats = recipe.model.init(jax.random.key(0), jnp.ones((1, small.NUM_FEATURES)))
    params = jax.tree.map(lambda w: w + 0.5, params)
    state = small.State(params, stats, None, (), {}, None, jnp.int32(-1), ())
    now, regularizer = make_now(recipe, small.make_seed(), state, jnp.int32(0)), recipe.regularizers[0]
    moved = small.flat(regularizer.project(params, now))

    def penalty(weights):
        value = regularizer.penalty(small.see(weights), now)
        return jnp.zeros(()) if value is None else value

    slopes = small.flat(jax.grad(penalty)(params))
    return {path for path, leaf in small.flat(params).items() if (moved[path] != leaf).any() or slopes[path].any()}


KERNELS = {"hidden_0/kernel", "hidden_1/kernel", "output/kernel"}
NORMS = {f"norm_{i}/{kind}" for i in range(2) for kind in ("scale", "bias")}


@pytest.mark.parametrize("part", [L1(0.1), L2(0.1), Decay(0.1), L1Proximal(0.1)], ids=lambda part: type(part).__name__)
def test_what_is_touched(part):
    """With "matrices" kernels only; with "all" biases and norm scales too; patterns choose by path.

    Beside batch norm the output alone has a bias.
    """
    assert touched(part, "matrices") == KERNELS
    assert touched(part, "all") == KERNELS | {"output/bias"} | NORMS
    assert touched(part, ("*/scale", "hidden_0/kernel")) == {"norm_0/scale", "norm_1/scale", "hidden_0/kernel"}
    assert touched(part, ("hidden_*",)) == {path for path in KERNELS if path.startswith("hidden")}
    assert touched(part, ("nothing",)) == set()


@pytest.mark.parametrize("part", [MaxNorm(0.1), UnitNorm(0.5)], ids=lambda part: type(part).__name__)
def test_norms_of_units_touch_matrices_only(part):
    """Max-norm and unit norm are of incoming weights: biases and scales have none, even with "all"."""
    assert touched(part, "all") == KERNELS


def test_l2_equals_decay_under_plain_sgd_only():
    """The coupled and the decoupled form agree under sgd and differ under Adam."""
    for optimizer, agree in ((SGD(0.1), True), (Adam(0.01), False)):
        parts = ((L2(0.1), Decay(0.0)), (L2(0.0), Decay(0.1)))
        first, second = finish(*(small.make_recipe(*p, optimizer=optimizer) for p in parts), steps=30)["output/kernel"]

        assert (np.abs(first - second).max() < 1e-5) == agree
        assert agree or np.abs(first - second).max() > 1e-3


def test_label_smoothing_mixes_with_the_uniform():
    """Smoothed targets sum to one; at strength 1 they are uniform."""
    y = jnp.eye(4)
    for strength in (0.1, 1.0):
        found = LabelSmoothing(jnp.float32(strength)).batch(Batch(y, y, jnp.arange(4)), None).y
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(np.diag(found), 1 - strength * 3 / 4, rtol=1e-6)


def test_metrics_are_of_the_unsmoothed_labels():
    """Under label smoothing the objective differs from the reported nll, which is that of the true labels."""
    x, labels = small.make_batches(1)
    recipe = small.traced(small.make_recipe(LabelSmoothing(0.5), Dropout(0.0)))
    begin = small.init_state(recipe, small.make_seed(), small.Data(x[0], labels[0]))
    now = make_now(recipe, small.make_seed(), begin, jnp.int32(0))
    sums = small.step(recipe, begin, jnp.asarray(x[0]), jnp.asarray(labels[0]), jnp.arange(16), now)[1]
    outputs = recipe.model.apply(begin.params, {}, jnp.asarray(x[0]), lambda site, h: h, False).outputs
    nll = -jax.nn.log_softmax(outputs)[np.arange(16), labels[0]].mean()

    np.testing.assert_allclose(sums["nll"], nll, rtol=1e-6)
    np.testing.assert_allclose(sums["loss"], 0.5 * nll - 0.5 * jax.nn.log_softmax(outputs).mean(), rtol=1e-5)
