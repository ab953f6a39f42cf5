"""SAM and lookahead against optax, over whole courses of training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import small_runs as small

from regjax.optimizers import SGD, Adam
from regjax.regularizers import L2, SAM, Lookahead, Scheduled

STEPS = 30


def gradient_of(recipe):
    """Return (params, inputs, labels) -> gradient of the mean loss."""

    def loss(params, x, labels):
        outputs = recipe.model.apply(params, {}, x, lambda site, h: h, True).outputs
        return optax.softmax_cross_entropy_with_integer_labels(outputs, labels).mean()

    return jax.grad(loss)


def start(recipe, x, labels):
    """Return the initial parameters of the small network."""
    return small.init_state(small.traced(recipe), small.make_seed(), small.Data(x[0], labels[0])).params


def train(recipe, steps=STEPS):
    """Return the parameters after `steps` updates."""
    return jax.jit(small.train)(small.traced(recipe), small.make_seed(), *small.make_batches(steps))[0].params


def assert_close(found, expected):
    """Assert that two trees of parameters agree to float32 precision."""
    for path, leaf in small.flat(expected).items():
        np.testing.assert_allclose(small.flat(found)[path], leaf, rtol=1e-4, atol=2e-5, err_msg=path)


def test_sam_equals_optax():
    """30 updates are those of optax' SAM, whose updates go up and then down in turn."""
    recipe = small.make_recipe(SAM(0.3), optimizer=Adam(0.02))
    up = optax.chain(optax.contrib.normalize(), optax.sgd(0.3))
    transformation = optax.contrib.sam(optax.adam(0.02), up, reset_state=True)
    x, labels = small.make_batches(STEPS)
    gradient = gradient_of(recipe)

    def update(carry, batch):
        for _ in range(2):  # an update of ours is one up and one down, on the same examples
            params, state = carry
            updates, state = transformation.update(gradient(params, *batch), state, params)
            carry = optax.apply_updates(params, updates), state
        return carry, None

    begin = start(recipe, x, labels)
    end = jax.jit(lambda: jax.lax.scan(update, (begin, transformation.init(begin)), (x, labels))[0][0])()
    assert_close(train(recipe), end)


def test_lookahead_equals_optax():
    """32 updates are those of optax' lookahead, which returns slow weights and evaluates them at the syncs."""
    recipe = small.make_recipe(Lookahead(0.5, steps=4), optimizer=Adam(0.02))
    transformation = optax.lookahead(optax.adam(0.02), sync_period=4, slow_step_size=0.5)
    x, labels = small.make_batches(32)
    gradient = gradient_of(recipe)

    def update(carry, batch):
        params, state = carry
        updates, state = transformation.update(gradient(params.fast, *batch), state, params)
        return (optax.apply_updates(params, updates), state), None

    begin = optax.LookaheadParams.init_synced(start(recipe, x, labels))
    end = jax.jit(lambda: jax.lax.scan(update, (begin, transformation.init(begin)), (x, labels))[0][0])()
    assert_close(train(recipe, 32), end.slow)


def test_sam_stays_where_the_gradient_is_zero():
    """A gradient of zero moves nothing, and nothing becomes NaN; else the way is `radius` long."""
    zero, params = {"w": jnp.zeros(3), "b": jnp.zeros(2)}, {"w": jnp.arange(3.0), "b": jnp.ones(2)}
    gradient = {"w": jnp.array([3.0, 0.0, 0.0]), "b": jnp.array([0.0, -4.0])}
    moved = SAM(2.5).ascend(params, gradient, None)

    assert small.same_bits(SAM(2.5).ascend(params, zero, None), params)
    np.testing.assert_allclose(moved["w"], [1.5, 1, 2])
    np.testing.assert_allclose(moved["b"], [1, -1])
    assert SAM(None).ascend(params, gradient, None) is None


def test_sam_sees_penalties():
    """With the loss weighed down by L2 alone, the gradient at the point above is longer by the way there."""
    recipe = small.make_recipe(SAM(0.5), L2(1000.0), optimizer=SGD(1e-4))
    plain = small.make_recipe(SAM(0.0), L2(1000.0), optimizer=SGD(1e-4))
    x, labels = small.make_batches(1)
    begin = start(recipe, x, labels)
    ways = []
    for one in (recipe, plain):
        new, old = small.flat(train(one, 1)), small.flat(begin)
        ways.append(np.sqrt(sum(np.square(new[p] - old[p]).sum() for p in old)))

    np.testing.assert_allclose(ways[0] - ways[1], 1e-4 * 1000 * 0.5, rtol=1e-2)


def test_sam_can_begin_late():
    """Before its time a scheduled SAM leaves the weights as those without it, bit for bit."""
    late = small.make_recipe(Scheduled(SAM(0.3), begin=0.5), steps=20)
    without = small.make_recipe(steps=20)

    assert small.same_bits(train(late, 10), train(without, 10))
    assert not small.same_bits(train(late, 11), train(without, 11))
