"""What holds for every model: sites, members of a population, second derivatives, precision, studies."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from studies import tiny

import regjax
from regjax.models import CNN, MLP, MODELS, Linear, ResNet, ViT
from regjax.models import pool as pooling
from regjax.models.mlp import MLP as SAME_MLP
from regjax.progress import Progress
from regjax.recipe import apply_model
from regjax.train.evaluate import no_tap

X = np.random.default_rng(0).normal(size=(3, 8, 8, 8)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(3, size=(3, 8)).astype(np.int32)
SMALL = {
    "linear": Linear(),
    "mlp": MLP((8, 8), skip=True, norm="layer"),
    "cnn": CNN((4,), dense=(6,), norm="ghost", ghost_size=3),
    "resnet": ResNet(width=2, shortcut="pad"),
    "vit": ViT(width=8, depth=1, heads=2, mlp_width=6),
}
SITES = {
    "linear": ["input_0/1"],
    "mlp": ["input_0/1", "residual_0/2", "hidden_0/2", "residual_1/2", "hidden_1/2"],
    "cnn": ["input_0/1", "hidden_0/2", "hidden_1/2"],
    "resnet": ["input_0/1", *(f"{kind}_{i}/3" for i in range(3) for kind in ("residual", "hidden"))],
    "vit": ["input_0/1", "residual_0/2", "hidden_0/1", "residual_1/2"],
}
EACH = pytest.mark.parametrize("name", SMALL)


@functools.cache
def begin(settings):
    """Return (model, parameters, statistics) for images of 8 x 8."""
    model = settings.make(3)
    return model, *jax.jit(model.init)(jax.random.key(0), X[0, :1])


def test_every_model_is_tested():
    """The small settings above are one for each row of MODELS."""
    assert {name: type(settings) for name, settings in SMALL.items()} == MODELS
    assert SAME_MLP is MLP


@EACH
def test_sites(name):
    """Sites come in order, once each, under their kind's number and count, with examples first, in evaluation too."""
    model, params, stats = begin(SMALL[name])
    seen = []

    def tap(site, h):
        assert site.name == ("input" if site.kind == "input" else f"{site.kind}_{site.index}")
        assert h.shape[0] == 8
        seen.append(f"{site.kind}_{site.index}/{site.count}")
        return 0 * h

    for train in (True, False):
        seen.clear()
        outputs = jax.eval_shape(lambda: model.apply(params, stats, X[0], tap, train).outputs)  # noqa: B023
        assert outputs.shape == (8, 3)
        assert seen == SITES[name]
    assert sum(text.startswith("hidden") for text in seen) == SMALL[name].num_hidden


@EACH
def test_initial_weights_depend_on_names_only(name):
    """Other inputs, and for the models that have a norm another norm, leave the initial weights' bits alone."""
    model, params, stats = begin(SMALL[name])
    assert small.same_bits(params, jax.jit(model.init)(jax.random.key(0), 9 * X[1, :2])[0])
    if hasattr(SMALL[name], "norm"):
        plain, normed = (
            small.flat(begin(type(SMALL[name])(**{**vars(SMALL[name]), "norm": "none"}))[1]),
            small.flat(params),
        )
        kernels = [path for path in plain if path.endswith("kernel")]
        assert small.same_bits({path: plain[path] for path in kernels}, {path: normed[path] for path in kernels})
    assert bool(stats) == (getattr(SMALL[name], "norm", "none") in ("batch", "ghost"))


@EACH
def test_members_of_a_population_equal_members_alone(name, monkeypatch):
    """Three updates of three members in one vmapped program are those of each alone; weights and statistics move."""
    if name == "resnet":  # patches would take the most time of all tests to compile; the cnn has them
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    rates = (0.01, 0.02, 0.05)
    recipes = [small.make_recipe(model=SMALL[name], optimizer=regjax.optimizers.SGD(rate)) for rate in rates]
    alone = jax.jit(lambda recipe: small.train(recipe, small.make_seed(), X, LABELS)[0])
    many = jax.jit(jax.vmap(lambda recipe: small.train(recipe, small.make_seed(), X, LABELS)[0]))(small.stack(*recipes))

    first = begin(SMALL[name])
    for index, recipe in enumerate(recipes):
        one = alone(small.traced(recipe))
        for field in ("params", "stats"):
            found = jax.tree.map(lambda leaf: leaf[index], getattr(many, field))  # noqa: B023
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, getattr(one, field))
    before, after = small.flat((first[1], first[2])), small.flat((one.params, one.stats))
    # a key's bias adds the same to all scores of a query, which the softmax leaves out
    assert [p for p in before if (before[p] == after[p]).all() and "key" not in p] == []


@pytest.mark.parametrize("form", ["patches", "native"])
@EACH
def test_second_derivatives(name, form, monkeypatch):
    """A penalty on the slope with respect to the inputs has a gradient that agrees with differences of the penalty."""
    if form == "native":
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert pooling.choose_form("auto") == form
    settings = SMALL[name]

    def penalty(size, params, direction, stats, x):
        moved = jax.tree.map(lambda w, d: w + size * d, params, direction)

        def total(x):
            return jnp.sum(jnp.sin(settings.make(3, "float64").apply(moved, stats, x, no_tap, True).outputs))

        return jnp.sum(jnp.square(jax.grad(total)(x)))

    with jax.enable_x64(True):
        x = jnp.asarray(X[0, :4], jnp.float64)
        params, stats = settings.make(3, "float64").init(jax.random.key(0), x[:1])
        direction = jax.tree.map(lambda w: jnp.cos(jnp.arange(w.size, dtype=w.dtype)).reshape(w.shape), params)
        both = jax.jit(jax.value_and_grad(penalty))
        found = [both(size, params, direction, stats, x) for size in (0.0, 1e-5, -1e-5)]
        slope, high, low = float(found[0][1]), float(found[1][0]), float(found[2][0])
    assert abs(slope) > 1e-3
    np.testing.assert_allclose(slope, (high - low) / 2e-5, rtol=1e-4)


@EACH
def test_bfloat16(name):
    """In bfloat16 outputs are near those of float32, gradients are finite float32, statistics stay float32."""
    model, params, stats = begin(SMALL[name])

    def loss(params, precision):
        found = apply_model(model, precision, params, stats, jnp.asarray(X[0]), no_tap, True)
        return jnp.mean(jnp.square(found.outputs)), found

    slope = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    (_, rough), slopes = slope(params, "bfloat16")
    (_, exact), _ = slope(params, "float32")

    np.testing.assert_allclose(rough.outputs, exact.outputs, atol=0.1 * np.abs(exact.outputs).max())
    assert {leaf.dtype for leaf in jax.tree.leaves((slopes, rough.stats))} == {np.dtype("float32")}
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


MISFITS = [
    (ResNet(depth=10), None, "depth", "10"),
    (ResNet(), (64,), "name", '"resnet" for inputs of shape [64]'),
    (ResNet(), (8, 7, 1), "name", '"resnet" for inputs of shape [8, 7, 1]'),
    (ResNet(width=6, norm="group", groups=4), None, "groups", "4 for a layer of 6"),
    (MLP((8, 12), norm="group"), None, "groups", "8 for a layer of 12"),
    (CNN((8,), dense=(9,), norm="group"), None, "groups", "8 for a layer of 9"),
    (ViT(heads=3), None, "heads", "3 for width = 64"),
    (ViT(), (8, 6), "patch", "4 for images of 8 x 6"),
    (ViT(), (64,), "name", '"vit" for inputs of shape [64]'),
]


@pytest.mark.parametrize(("settings", "shape", "key", "got"), MISFITS)
def test_misfits(settings, shape, key, got):
    """Settings that contradict each other or the inputs are found with the setting and what was got."""
    assert [(found.key, found.got) for found in settings.find_misfits(shape)] == [(key, got)]
    assert all(settings.find_misfits((8, 8)) == [] for settings in SMALL.values())


TABLES = {
    "linear": {"init": "zeros"},
    "mlp": {"widths": [8], "skip": True, "norm": "ghost", "ghost_size": 12},
    "resnet": {"width": 2},
    "vit": {"width": 8, "depth": 1, "heads": 2, "mlp_width": 8, "pool": "token"},
}


@pytest.mark.parametrize("name", TABLES)
def test_a_study(name, tmp_path, monkeypatch):
    """A study names the model and its settings, and is trained to the end."""
    if name == "resnet":  # as above, for the time to compile
        monkeypatch.setattr("regjax.models.conv.choose_form", lambda form: "native")
    study = tiny(model={"name": name, **TABLES[name]}, factors={"l2.strength": [0.0, 0.01]}, seeds__count=1)
    study |= {"training": {"steps": 4, "batch_size": 32, "evaluate_every": {"steps": 4}}}
    results = regjax.run(study, tmp_path, progress=Progress(), report=False)

    assert len(results.to_pandas()["run"].unique()) == 2
    assert np.isfinite(results.to_pandas()["test.nll"]).all()
