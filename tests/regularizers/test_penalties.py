"""What penalties, proximal steps, constraints and clipping promise, over a training and on given arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_runs as small
from reference import loss_and_gradients

from regjax.optimizers import SGD, Adam
from regjax.recipe import make_mask
from regjax.regularizers import (
    L1,
    L2SP,
    ClipNorm,
    ClipValue,
    ConfidencePenalty,
    ElasticNet,
    GradientNoise,
    GradientPenalty,
    GroupLasso,
    Jacobian,
    KLSparsity,
    L1Proximal,
    NonNegativity,
    Now,
    Orthogonality,
    Seen,
    Site,
    SpectralNorm,
    UnitNorm,
)  # fmt: skip
from regjax.regularizers.base import Batch

RANDOM = np.random.default_rng(3)
LAYER = {"bias": RANDOM.normal(size=4), "kernel": RANDOM.normal(size=(6, 4))}
TREE = jax.tree.map(jnp.float32, {"a": LAYER, "b": RANDOM.normal(size=(3, 3, 2, 5))})


def make_now(params, step=0, memory=(), metric=None):
    """Return a moment with learning rate 0.5."""
    seeds = {"noise": jnp.uint32(7)}
    mask = make_mask(params, "matrices")
    return Now(jnp.int32(step), 100, jnp.float32(0.5), seeds, params, mask, metric, memory)


def see(network, x, outputs=None, **activations):
    """Return what a penalty sees of a network at inputs `x`."""
    nothing = None
    outputs = network(x) if outputs is None else outputs
    loss = lambda outputs, y: jnp.sum(outputs * y, axis=1)  # noqa: E731
    seen = {Site(name, name.split("_")[0], 0, 1): h for name, h in activations.items()}
    return Seen({}, Batch(x, jnp.ones_like(outputs), nothing), outputs, seen, network, loss, nothing)


def find_start():
    """Return the initial parameters of the small task, flat."""
    data = small.Data(jnp.ones((1, small.NUM_FEATURES)), jnp.zeros(1, jnp.int32))
    return small.flat(small.init_state(small.traced(small.make_recipe()), small.make_seed(), data).params)


def test_which_regularizers_give_exact_zeros():
    """Proximal steps give exact zeros, those of the group lasso whole rows of the first kernel; l1 gives none."""
    strengths = {"l1": (0.05, 0, 0, 0, 0), "l1_proximal": (0, 0.05, 0, 0, 0), "elastic": (0, 0, 0.05, 0.1, 0)}
    groups, ratios = (0, 0, 0, 0, 0.15), (0.5, 0.5, 1.0, 0.5, 0.5)
    recipes = [
        small.make_recipe(L1(a), L1Proximal(b), ElasticNet(c, ratio), GroupLasso(g))
        for a, b, c, ratio, g in zip(*strengths.values(), ratios, groups, strict=True)
    ]
    x, labels = small.make_batches(200)
    train = jax.jit(jax.vmap(small.train, in_axes=(0, None, None, None)))
    params = small.flat(train(small.stack(*recipes), small.make_seed(), x, labels)[0].params)
    kernels = [w.reshape(5, -1) for path, w in params.items() if path.endswith("kernel")]
    zeros = np.mean(np.concatenate(kernels, axis=1) == 0, axis=1)
    rows = (params["hidden_0/kernel"][4] == 0).mean(axis=1)

    assert zeros[0] == 0
    assert all(zeros[1:4] > 0.3)
    np.testing.assert_allclose(params["output/kernel"][1], params["output/kernel"][2], rtol=0, atol=1e-6)
    assert 0 < np.mean(rows == 1) < 1
    assert all(rows[rows < 1] < 0.5)
    assert not (params["output/kernel"][4] == 0).any()


def test_group_lasso_layers():
    """ "first" alters the first dense kernel alone, "all" every one; a kernel of a convolution and a bias are left."""
    params = {"hidden_0": {"kernel": TREE["b"]}, "hidden_1": TREE["a"], "output": {"kernel": TREE["a"]["kernel"].T}}

    def altered(layers):
        new = small.flat(GroupLasso(jnp.float32(0.1), layers).project(params, make_now(params)))
        return {path for path, leaf in small.flat(params).items() if (new[path] != leaf).any()}

    assert altered("first") == {"hidden_1/kernel"}
    assert altered("all") == {"hidden_1/kernel", "output/kernel"}


def test_threshold_in_the_metric_of_adam():
    """After Adam's first update each coordinate's threshold is lr * strength / (|g| + epsilon)."""
    x, labels = small.make_batches(1)
    recipe = small.traced(small.make_recipe(L1Proximal(0.2, "optimizer"), optimizer=Adam(0.01, epsilon=1e-3)))
    found = small.flat(jax.jit(small.train)(recipe, small.make_seed(), x, labels)[0].params)

    start = find_start()
    slopes = loss_and_gradients(start, x[0], np.eye(3)[labels[0]], {})[1]
    for path in ("hidden_0/kernel", "output/kernel"):
        size = 0.01 / (np.abs(slopes[path]) + 1e-3)
        moved = start[path] - size * slopes[path]
        expected = np.sign(moved) * np.maximum(np.abs(moved) - 0.2 * size, 0)
        assert 0.01 < np.mean(expected == 0) < 0.99
        np.testing.assert_allclose(found[path], expected, rtol=1e-4, atol=2e-6)


def test_threshold_in_the_metric_of_sgd_is_euclidean():
    """Where the optimizer scales by one both metrics give the same bits."""
    now = make_now(TREE, metric=lambda: SGD().metric((), TREE))
    plain, metric = (L1Proximal(jnp.float32(0.3), kind).project(TREE, now) for kind in ("euclidean", "optimizer"))

    assert small.same_bits(plain, metric)
    assert (plain["b"] == 0).any()


def test_l2_sp_over_several_updates():
    """Four updates are those of NumPy with the pull to the start; more strength stays nearer to it."""
    x, labels = small.make_batches(4)
    strengths = (0.0, 0.5, 5.0)
    train = jax.jit(jax.vmap(small.train, in_axes=(0, None, None, None)))
    recipes = small.stack(*(small.make_recipe(L2SP(s)) for s in strengths))
    found = small.flat(train(recipes, small.make_seed(), x, labels)[0].params)
    start = find_start()

    for index, strength in enumerate(strengths):
        w = dict(start)
        for inputs, classes in zip(x, labels, strict=True):
            slopes = loss_and_gradients(w, inputs, np.eye(3)[classes], {})[1]
            pull = {path: strength * (w[path] - start[path]) * path.endswith("kernel") for path in w}
            w = {path: w[path] - 0.1 * (slopes[path] + pull[path]) for path in w}
        for path, leaf in w.items():
            np.testing.assert_allclose(found[path][index], leaf, rtol=1e-4, atol=1e-6)
    distances = [np.linalg.norm(leaf - start["hidden_0/kernel"]) for leaf in found["hidden_0/kernel"]]
    assert distances[0] > distances[1] > distances[2]


def test_spectral_norm_converges_from_below():
    """Power iterations rise to half the squared largest singular values; zero weights keep the last vector."""
    part = SpectralNorm(jnp.float32(1.0))
    matrices = [np.asarray(w).reshape(-1, w.shape[-1]) for w in (TREE["a"]["kernel"], TREE["b"])]
    expected = 0.5 * sum(np.linalg.norm(w, 2) ** 2 for w in matrices)
    now, values = make_now(TREE, memory=part.init(TREE)), []
    for _ in range(60):
        values.append(float(part.penalty(small.see(TREE), now)))
        now = now._replace(memory=part.remember(TREE, now))

    assert values[0] < expected * 0.999
    assert values[-1] == pytest.approx(expected, rel=1e-4)
    kept = part.remember(jax.tree.map(jnp.zeros_like, TREE), now)
    assert all((a == b).all() for a, b in zip(kept, now.memory, strict=True))


def test_orthogonality_is_zero_at_orthonormal_weights():
    """Orthonormal columns of a tall and rows of a wide matrix cost nothing; doubled, 9/2 per unit."""
    q = np.linalg.qr(RANDOM.normal(size=(6, 4)))[0]
    for w in (q, q.T):
        for size, value in ((1, 0), (2, 4 * 9 / 2)):
            params = {"kernel": jnp.float32(size * w)}
            found = Orthogonality(jnp.float32(1)).penalty(small.see(params), make_now(params))
            assert float(found) == pytest.approx(value, abs=1e-5)


def test_jacobian_estimate_has_no_bias():
    """The mean over 2000 updates is the Frobenius norm, also of a nonlinear network; more projections vary less."""
    w, x = jnp.float32(RANDOM.normal(size=(5, 4))), jnp.float32(RANDOM.normal(size=(3, 5)))
    network = lambda x: jnp.tanh(x @ w)  # noqa: E731
    slopes = (1 - np.tanh(x @ w) ** 2)[:, None] * np.asarray(w)[None]
    exact = 0.5 * 2.0 * np.mean(np.sum(slopes**2, axis=(1, 2)))

    def estimate(projections):
        part = Jacobian(jnp.float32(2.0), projections)
        at = lambda step: part.penalty(see(network, x), make_now({}, step))  # noqa: E731
        return np.asarray(jax.jit(jax.vmap(at))(jnp.arange(2000)))

    one, four = estimate(1), estimate(4)
    for values in (one, four):
        assert abs(values.mean() - exact) < 5 * values.std() / np.sqrt(2000)
    assert four.std() == pytest.approx(one.std() / 2, rel=0.1)


def test_gradient_penalty_of_a_linear_network():
    """The slope of a sum of outputs is the sum of the weights' columns, for every example."""
    w, x = jnp.float32(RANDOM.normal(size=(5, 4))), jnp.ones((3, 5))
    found = GradientPenalty(jnp.float32(3.0)).penalty(see(lambda x: x @ w, x), make_now({}))

    np.testing.assert_allclose(found, 1.5 * np.sum(np.asarray(w).sum(axis=1) ** 2), rtol=1e-5)


def test_none_leaves_the_work_out():
    """A costly hyper of None adds nothing to the loss or the gradient."""
    seen, now = small.see(TREE), make_now(TREE)

    assert [part(None).penalty(seen, now) for part in (Orthogonality, Jacobian, GradientPenalty)] == [None] * 3
    assert GradientNoise(None).gradient(TREE, now) is TREE


@pytest.mark.parametrize("bound", [0.5, 2.0, 1e3])
def test_clipping_is_that_of_optax(bound):
    """Clipped by norm and by value, a gradient is what optax makes of it."""
    for part, peer in ((ClipNorm, optax.clip_by_global_norm), (ClipValue, optax.clip)):
        found, expected = part(jnp.float32(bound)).gradient(TREE, make_now(TREE)), peer(bound).update(TREE, ())[0]
        for path, leaf in small.flat(found).items():
            np.testing.assert_allclose(leaf, small.flat(expected)[path], rtol=1e-6)


def test_gradient_noise_fades():
    """Its variance is scale / (1 + t)**decay; the normal numbers are those of every scale, and of each update anew."""
    zero = {"kernel": jnp.zeros((100, 200))}

    def draw(scale, step, decay=0.55):
        part = GradientNoise(jnp.float32(scale), jnp.float32(decay))
        return np.asarray(part.gradient(zero, make_now(zero, step))["kernel"])

    for step in (0, 9, 99):
        assert draw(0.3, step).var() == pytest.approx(0.3 / (1 + step) ** 0.55, rel=0.05)
    np.testing.assert_allclose(2 * draw(0.1, 5), draw(0.4, 5), rtol=1e-5)
    assert abs(np.corrcoef(draw(0.1, 5).ravel(), draw(0.1, 6).ravel())[0, 1]) < 0.03


def test_constraints_hold_at_a_share_of_one():
    """Unit norm makes every column but zeros of length one, non-negativity every weight >= 0; half, half way."""
    params = {"kernel": TREE["a"]["kernel"].at[:, 0].set(0), "bias": TREE["a"]["bias"]}
    now, kernel = make_now(params), np.asarray(params["kernel"])
    whole, half = (UnitNorm(jnp.float32(share)).project(params, now) for share in (1.0, 0.5))
    norms = np.linalg.norm(kernel, axis=0)

    np.testing.assert_allclose(np.linalg.norm(whole["kernel"], axis=0), [0, 1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(half["kernel"], axis=0)[1:], (1 + norms[1:]) / 2, rtol=1e-6)
    found = NonNegativity(jnp.float32(1.0)).project(params, now)
    np.testing.assert_array_equal(found["kernel"], np.maximum(kernel, 0))
    for new in (whole, found):
        np.testing.assert_array_equal(new["bias"], params["bias"])


def test_kl_sparsity_is_least_at_its_target():
    """At the mean activation target / (1 - target) penalty and slope vanish; at 0 the slope is finite and draws up."""
    part = KLSparsity(jnp.float32(1.0), jnp.float32(0.2))
    value = lambda h: part.penalty(see(lambda x: x, h[..., 0, 0, :], hidden_0=h), make_now({}))  # noqa: E731
    at = jax.value_and_grad(value)
    content = jnp.full((4, 2, 2, 3), 0.25 - 1e-4)

    assert float(at(content)[0]) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(at(content)[1], 0, atol=1e-6)
    assert (np.asarray(at(content * 0.5)[1]) < 0).all()
    assert (np.asarray(at(content * 4)[1]) > 0).all()
    assert np.isfinite(at(jnp.zeros_like(content))[1]).all()


def test_confidence_penalty_of_certain_predictions():
    """Uniform predictions give -strength log K, certain ones 0, with finite slopes."""
    value = lambda z: ConfidencePenalty(jnp.float32(2.0)).penalty(see(lambda x: x, z), make_now({}))  # noqa: E731
    certain = jnp.array([[1e4, -1e4, 0.0]])

    assert float(value(jnp.zeros((2, 3)))) == pytest.approx(-2 * np.log(3), rel=1e-6)
    assert float(value(certain)) == 0
    assert np.isfinite(jax.grad(value)(certain)).all()
