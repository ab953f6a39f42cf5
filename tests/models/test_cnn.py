"""The convolutional network: against Linen's own layers, as a member of a population, as a part of studies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from flax import linen as nn
from studies import tiny

import regjax
from regjax.config import ConfigError, parse_study, study_json
from regjax.models import CNN, MODELS
from regjax.models.layers import ACTIVATIONS
from regjax.optimizers import Adam
from regjax.progress import Progress
from regjax.regularizers import REGULARIZERS, Dropout, Site
from regjax.train.evaluate import no_tap

X = jnp.asarray(np.random.default_rng(0).normal(size=(16, 9, 8, 2)), jnp.float32)
SMALL = CNN((3, 4), dense=(5,))


def begin(settings, x=X, dtype="float32"):
    """Return (model, parameters, stats)."""
    model = settings.make(3, dtype)
    return model, *jax.jit(model.init)(jax.random.key(0), x[:1])


class Linen(nn.Module):
    """The network of `CNN` from Linen's layers, pooled after the activation as is usual."""

    settings: CNN
    train: bool

    @nn.compact
    def __call__(self, x):
        """Return the outputs."""
        s = self.settings
        for index, width in enumerate((*s.channels, *s.dense)):
            if index < len(s.channels):
                size = (s.kernel, s.kernel)
                init = nn.initializers.glorot_uniform()
                x = nn.Conv(
                    width,
                    size,
                    padding=s.padding.upper(),
                    use_bias=s.norm == "none",
                    kernel_init=init,
                    name=f"hidden_{index}",
                )(x)
            else:
                x = x.reshape(len(x), -1)
                init = nn.initializers.glorot_uniform()
                x = nn.Dense(width, use_bias=s.norm == "none", kernel_init=init, name=f"hidden_{index}")(x)
            if s.norm == "batch":
                x = nn.BatchNorm(
                    not self.train, momentum=s.norm_momentum, epsilon=s.norm_epsilon, name=f"norm_{index}"
                )(x)
            x = ACTIVATIONS[s.activation](x)
            if index < len(s.channels):
                x = nn.max_pool(x, (s.windows[index],) * 2, (s.windows[index],) * 2)
        return nn.Dense(3, kernel_init=nn.initializers.glorot_uniform(), name="output")(x.reshape(len(x), -1))


@pytest.mark.parametrize(
    "settings",
    [
        CNN((3, 4), norm="batch", dense=(5,), norm_momentum=0.8),
        CNN((3, 4), kernel=5, pool=(1, 3), dense=(5,), activation="tanh"),
        CNN((4,), padding="valid", activation="elu"),
    ],
    ids=["norm", "plain", "valid"],
)
def test_equals_linen(settings):
    """Initial weights are those of Linen's layers bit for bit; outputs, statistics and gradients agree."""
    model, params, stats = begin(settings)
    variables = jax.jit(Linen(settings, True).init)(jax.random.key(0), X)
    assert small.same_bits(params, variables["params"])

    def ours(params):
        forward = model.apply(params, stats, X, no_tap, True)
        return jnp.sum(jnp.sin(forward.outputs)), forward

    def theirs(params):
        outputs, new = Linen(settings, True).apply({"params": params, "batch_stats": stats}, X, mutable="batch_stats")
        return jnp.sum(jnp.sin(outputs)), (outputs, new.get("batch_stats", {}))

    (_, found), slopes = jax.jit(jax.value_and_grad(ours, has_aux=True))(params)
    (_, expected), their_slopes = jax.jit(jax.value_and_grad(theirs, has_aux=True))(params)
    evaluate = jax.jit(lambda stats: model.apply(params, stats, X, no_tap, False).outputs)
    their_evaluate = jax.jit(lambda stats: Linen(settings, False).apply({"params": params, "batch_stats": stats}, X))
    pairs = [
        (tuple(found), expected), (slopes, their_slopes),
        (evaluate(found.stats), their_evaluate(found.stats)),
    ]  # fmt: skip
    for left, right in pairs:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), left, right)


def test_sites():
    """The input and every hidden layer are sites, at what the next layer reads; in training only."""
    model, params, stats = begin(SMALL)
    seen = []
    jax.eval_shape(lambda: model.apply(params, stats, X, lambda site, h: seen.append((site, h.shape)) or h, True))

    assert SMALL.num_hidden == 3
    assert seen == [
        (Site("input", "input", 0, 1), (16, 9, 8, 2)),
        (Site("hidden_0", "hidden", 0, 3), (16, 4, 4, 3)),
        (Site("hidden_1", "hidden", 1, 3), (16, 2, 2, 4)),
        (Site("hidden_2", "hidden", 2, 3), (16, 5)),
    ]
    zero = jax.jit(lambda: model.apply(params, stats, X, lambda site, h: 0 * h, True).outputs)()
    assert (zero == 0).all()


def test_images_without_channels():
    """Images [batch, height, width] are images of one channel."""
    grey = X[..., :1]
    model, params, stats = begin(SMALL, grey)
    flat = begin(SMALL, grey[..., 0])[1]

    assert small.same_bits(params, flat)
    apply = jax.jit(lambda x: model.apply(params, stats, x, no_tap, True).outputs)
    np.testing.assert_array_equal(apply(grey), apply(grey[..., 0]))


def test_float64():
    """With dtype float64 parameters, outputs and new statistics are float64."""
    model = CNN((3,), norm="batch").make(3, "float64")

    def begin_and_apply(key, x):
        params, stats = model.init(key, x)
        return params, model.apply(params, stats, x, no_tap, True)

    with jax.enable_x64(True):
        found = jax.eval_shape(begin_and_apply, jax.random.key(0), jnp.asarray(X, "float64"))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype("float64")}


MISFITS = [
    (CNN((4, 4), pool=(2, 2, 1)), None, ("pool", "3 values")),
    (CNN((4,)), (64,), ("name", '"cnn" for inputs of shape [64]')),
    (CNN((4,)), (2, 8, 8, 3), ("name", '"cnn" for inputs of shape [2, 8, 8, 3]')),
    (CNN((4,) * 4), (8, 8), ("pool", "2 after convolution 3, whose maps are 1 x 1")),
    (CNN((4,), pool=(9,)), (8, 16, 1), ("pool", "9 after convolution 0, whose maps are 8 x 16")),
    (CNN((4, 4), padding="valid"), (7, 7, 1), ("kernel", "3 for convolution 1, whose input is 2 x 2")),
]


@pytest.mark.parametrize(("settings", "shape", "expected"), MISFITS)
def test_misfits(settings, shape, expected):
    """Settings that contradict each other, and inputs that they cannot take, are found with setting and reason."""
    ((key, got, _),) = settings.find_misfits(shape)
    assert (key, got) == expected


@pytest.mark.parametrize("settings", [SMALL, CNN((3, 4), 5), CNN((4, 4, 4), pool=(1, 2, 2), padding="valid", kernel=2)])
def test_what_fits_is_accepted(settings):
    """Settings without misfits on a shape make a network that takes it."""
    assert settings.find_misfits(X.shape[1:]) == []
    model = settings.make(3)

    def outputs(key):
        return model.apply(*model.init(key, X[:1]), X, no_tap, True).outputs

    assert jax.eval_shape(outputs, jax.random.key(0)).shape == (16, 3)


def make_runs(*regularizers, steps=20):
    """Return (recipe, seed, batches) of the small task as images of 4 x 2."""
    x, labels = small.make_batches(steps)
    recipe = small.make_recipe(*regularizers, model=CNN((3, 4), pool=(2, 1), dense=(5,)), optimizer=Adam(0.01))
    return recipe, small.make_seed(), (x.reshape(*x.shape[:2], 4, 2), labels)


def test_all_off_equals_none():
    """20 updates with every regularizer off give the bits of the program with none."""
    ends = []
    for parts in ((), tuple(part() for part in REGULARIZERS.values())):
        recipe, seed, batches = make_runs(*parts)
        ends.append(jax.jit(lambda *a: small.train(*a))(small.traced(recipe), seed, *batches))

    # What regularizers remember is there or not; nothing else differs.
    states = [state._replace(memory=())._asdict() for state, _ in ends]
    assert small.same_bits(*states)
    assert small.same_bits(ends[0][1], ends[1][1])


def test_a_member_does_not_depend_on_its_mates():
    """In a vmapped population a network has the same bits beside other mates and in another place."""
    recipes = [make_runs(Dropout(hidden=rate))[0] for rate in (0.0, 0.5, 0.25)]
    _, seed, batches = make_runs()
    run = jax.jit(jax.vmap(lambda r: small.train(r, seed, *batches)[0].params))
    first, second = run(small.stack(*recipes)), run(small.stack(*recipes[::-1]))

    assert small.same_bits(first, jax.tree.map(lambda w: w[::-1], second))
    assert not small.same_bits(first, second)


MODEL = {"name": "cnn", "channels": [8], "dense": [16]}


def test_a_study(tmp_path):
    """A study with a cnn trains, learns, and has the same settings when read back from its plan."""
    study = tiny(model=MODEL, factors={"dropout.hidden": [0.0, [0.1, 0.3]]}, training__epochs=10)
    study |= {"seeds": {"count": 2}, "optimizer": {"name": "adam", "learning_rate": 0.01}}
    parsed = parse_study(study)
    results = regjax.run(parsed, tmp_path, progress=Progress(), report=False)
    accuracy = results.to_pandas()["test.accuracy"]

    assert parse_study(study_json(parsed)) == parsed
    assert len(results.to_pandas()["run"].unique()) == 4
    assert accuracy.max() > 0.5
    assert MODELS["cnn"] is CNN
    assert small.flat(results.params(0, 0))["hidden_0/kernel"].shape == (3, 3, 1, 8)


def test_a_study_on_inputs_that_do_not_fit_is_refused(tmp_path):
    """Flat inputs, and images too small for the pooling, are refused before anything is written."""
    np.savez(tmp_path / "flat.npz", x=np.zeros((60, 64), np.float32), y=np.arange(60) % 3)
    arrays = {
        "name": "arrays",
        "path": str(tmp_path / "flat.npz"),
        "split": {"train": 20, "validation": 20, "test": 20},
    }
    with pytest.raises(ConfigError, match=r"model\.name: got .cnn. for inputs of shape \[64\], expected images"):
        regjax.run(tiny(model=MODEL, data=arrays), tmp_path / "a")
    deep = {"factors": {"model.channels": [[4], [4, 4, 4, 4]]}}
    with pytest.raises(ConfigError, match=r"model\.pool: got 2 after convolution 3, whose maps are 1 x 1"):
        regjax.run(tiny(model=MODEL, **deep), tmp_path / "a")
    with pytest.raises(ConfigError, match=r"model\.pool: got 3 values, expected 1, one per convolution, or one"):
        parse_study(tiny(model={**MODEL, "pool": [2, 2, 2]}))
    assert not (tmp_path / "a").exists()
