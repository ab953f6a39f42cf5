"""Forward passes and norms against transcriptions of their formulas in NumPy, and against Linen's norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from flax import linen as nn
from jax import lax

from regjax.models import MLP, Linear, ResNet, ViT
from regjax.models.norms import Between
from regjax.optimizers import Adam
from regjax.regularizers import Dropout
from regjax.train.evaluate import no_tap

X = jnp.asarray(np.random.default_rng(0).normal(1.0, 2.0, size=(10, 8, 8)), jnp.float32)
Z = jnp.asarray(np.random.default_rng(1).normal(1.0, 2.0, size=(10, 3, 2, 6)), jnp.float32)


def run(settings, train=True, x=X):
    """Return (outputs, flat float64 parameters) of a network whose parameters are all drawn anew."""
    model = settings.make(3)
    params, stats = jax.jit(model.init)(jax.random.key(0), x[:1])
    generator = np.random.default_rng(2)
    params = jax.tree.map(lambda w: jnp.asarray(generator.normal(0, 0.4, w.shape), jnp.float32), params)
    outputs = jax.jit(lambda p, x: model.apply(p, stats, x, no_tap, train).outputs)(params, x)
    return outputs, {path: leaf.astype(np.float64) for path, leaf in small.flat(params).items()}


def dense(flat, name, h):
    """Return a linear layer's map."""
    return h @ flat[f"{name}/kernel"] + flat.get(f"{name}/bias", 0.0)


def test_linear():
    """Outputs are the linear map, with and without bias; zeros begin with equal outputs."""
    for bias in (True, False):
        outputs, flat = run(Linear(bias=bias))
        assert ("output/bias" in flat) == bias
        np.testing.assert_allclose(outputs, dense(flat, "output", np.asarray(X).reshape(10, -1)), rtol=1e-4, atol=1e-4)
    assert (Linear(init="zeros").make(3).init(jax.random.key(0), X)[0]["output"]["kernel"] == 0).all()


def test_mlp_with_skip():
    """Layers are added to their inputs where widths are equal, else to a learned map of them without bias."""
    outputs, flat = run(MLP((6, 6, 5), skip=True, activation="tanh"))
    h = np.asarray(X, np.float64).reshape(10, -1)
    for index, shortcut in enumerate((lambda h: dense(flat, "skip_0", h), lambda h: h,
                                      lambda h: dense(flat, "skip_2", h))):  # fmt: skip
        h = np.tanh(dense(flat, f"hidden_{index}", h)) + shortcut(h)
    assert {path for path in flat if "skip" in path} == {"skip_0/kernel", "skip_2/kernel"}
    np.testing.assert_allclose(outputs, dense(flat, "output", h), rtol=1e-4, atol=1e-4)


def conv(flat, name, x, stride):
    """Return XLA's convolution."""
    kernel = jnp.asarray(flat[f"{name}/kernel"], jnp.float32)
    layout = ("NHWC", "HWIO", "NHWC")
    assert f"{name}/bias" not in flat  # a batch norm follows
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=layout)


@pytest.mark.parametrize("shortcut", ["projection", "pad"])
def test_resnet(shortcut):
    """Outputs are those of He's blocks written with XLA's convolutions: evaluation begins with statistics (0, 1)."""
    outputs, flat = run(ResNet(width=2, shortcut=shortcut), train=False)

    def norm(h, name):
        scale, bias = (jnp.asarray(flat[f"norm_{name}/{kind}"], jnp.float32) for kind in ("scale", "bias"))
        return h / np.sqrt(1 + 1e-5) * scale.reshape(1, 1, 1, -1) + bias.reshape(1, 1, 1, -1)

    h = jax.nn.relu(norm(conv(flat, "stem", X[..., None], 1), "stem"))
    for block, stride in enumerate((1, 2, 2)):
        a, b = 2 * block, 2 * block + 1
        branch = norm(conv(flat, f"conv_{b}", jax.nn.relu(norm(conv(flat, f"conv_{a}", h, stride), a)), 1), b)
        if stride == 2 and shortcut == "pad":
            h = jnp.concatenate([h[:, ::2, ::2], jnp.zeros_like(h[:, ::2, ::2])], axis=-1)
        elif stride == 2:
            h = norm(conv(flat, f"skip_{block}", h, 2), f"skip_{block}")
        h = jax.nn.relu(h + branch)
    assert h.shape == (10, 2, 2, 8)
    np.testing.assert_allclose(outputs, dense(flat, "output", np.asarray(h).mean((1, 2))), rtol=1e-4, atol=1e-4)


def vit(flat, x, *, patch, depth, heads, token):
    """Return the outputs of a vision transformer, one image at a time."""

    def norm(h, name):
        z = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-6)
        return z * flat[f"{name}/scale"] + flat[f"{name}/bias"]

    def one(image):
        cells = [image[i : i + patch, j : j + patch].ravel() for i in range(0, 8, patch) for j in range(0, 8, patch)]
        h = dense(flat, "embed", np.stack(cells))
        h = (np.vstack([flat["token/table"][None], h]) if token else h) + flat["position/table"]
        for block in range(depth):
            z = norm(h, f"norm_{2 * block}")
            q, k, v = (np.split(dense(flat, f"{n}_{block}", z), heads, axis=1) for n in ("query", "key", "value"))
            mixed = []
            for head in range(heads):
                weights = np.exp(q[head] @ k[head].T / np.sqrt(q[head].shape[1]))
                mixed.append(weights / weights.sum(1, keepdims=True) @ v[head])
            h = h + dense(flat, f"mix_{block}", np.hstack(mixed))
            z = dense(flat, f"hidden_{block}", norm(h, f"norm_{2 * block + 1}"))
            z = 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
            h = h + dense(flat, f"shrink_{block}", z)
        h = norm(h, "norm_output")
        return dense(flat, "output", h[0] if token else h.mean(0))

    return np.stack([one(image) for image in x])


@pytest.mark.parametrize("pool", ["mean", "token"])
def test_vit(pool):
    """Outputs are those of the transformer's formulas, image by image and head by head."""
    outputs, flat = run(ViT(patch=4, width=8, depth=2, heads=2, mlp_width=6, pool=pool))
    expected = vit(flat, np.asarray(X, np.float64), patch=4, depth=2, heads=2, token=pool == "token")
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


class Norm(nn.Module):
    """A norm by itself, ours or Linen's."""

    settings: MLP
    linen: type | None = None
    options: tuple = ()

    @nn.compact
    def __call__(self, x, train):
        """Return the normed values."""
        if self.linen is None:
            return Between(self.settings, train, "float32").normalise(x, "norm", "before")
        return self.linen(
            **dict(self.options), use_fast_variance=False, epsilon=self.settings.norm_epsilon, name="norm"
        )(x)


def apply_norm(settings, x, train, linen=None, stats=None, **options):
    """Return (values, statistics, gradients with respect to x and parameters) of a norm with drawn parameters."""
    layer, generator = Norm(settings, linen, tuple(options.items())), np.random.default_rng(3)
    made = Norm(settings).init(jax.random.key(0), x, False)
    params = jax.tree.map(lambda w: jnp.asarray(generator.normal(1, 0.4, w.shape), jnp.float32), made["params"])
    held = {"batch_stats": stats or made["batch_stats"]} if "batch_stats" in made else {}

    def total(params, x):
        y, new = layer.apply({"params": params, **held}, x, train, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(y)), (y, new.get("batch_stats", {}))

    (_, (y, new)), slopes = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))(params, x)
    return y, new, slopes


def agree(found, expected):
    """Assert that two trees agree to rounding."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5), found, expected)


@pytest.mark.parametrize("x", [Z, Z[:, 0, 0]], ids=["images", "units"])
def test_layer_and_group_norm_equal_linen(x):
    """The norm "group" is Linen's group norm, "layer" that of one group, on units Linen's layer norm."""
    settings = {norm: MLP((6,), norm=norm, groups=2) for norm in ("layer", "group")}
    agree(apply_norm(settings["group"], x, True), apply_norm(settings["group"], x, True, nn.GroupNorm, num_groups=2))
    one = apply_norm(settings["layer"], x, True)
    agree(one, apply_norm(settings["layer"], x, True, nn.GroupNorm, num_groups=1))
    if x.ndim == 2:
        agree(one, apply_norm(settings["layer"], x, True, nn.LayerNorm))


@pytest.mark.parametrize("x", [Z, Z[:, 0, 0]], ids=["images", "units"])
def test_ghost_norm_of_a_whole_batch_is_batch_norm(x):
    """With ghost batches as large as the batch or larger, values, gradients and running averages are batch norm's."""
    batch = apply_norm(MLP((6,), norm="batch"), x, True)
    for size in (10, 32):
        agree(apply_norm(MLP((6,), norm="ghost", ghost_size=size), x, True), batch)
    later = [apply_norm(MLP((6,), norm=norm), x, False, stats=batch[1])[0] for norm in ("ghost", "batch")]
    agree(*later)


def test_ghost_batches_have_statistics_of_their_own():
    """Ten examples by fours are 4, 4 and 2, each normed by itself; running averages take each example as much."""
    settings = MLP((6,), norm="ghost", ghost_size=4, norm_momentum=0.8)
    y, stats, _ = apply_norm(settings, Z, True)
    parts = [apply_norm(MLP((6,), norm="batch", norm_momentum=0.8), Z[a:b], True) for a, b in ((0, 4), (4, 8), (8, 10))]
    agree(y, jnp.concatenate([part[0] for part in parts]))
    shares = (0.4, 0.4, 0.2)
    agree(stats, jax.tree.map(lambda *s: sum(share * v for share, v in zip(shares, s, strict=True)),
                              *[part[1] for part in parts]))  # fmt: skip


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norm_after_the_activation(norm):
    """Placed after the activation, the norm takes its values."""
    settings = MLP((6,), norm=norm, norm_place="after")
    model = settings.make(3)
    params, stats = model.init(jax.random.key(0), X[:1])
    seen = {}
    model.apply(params, stats, X, lambda site, h: seen.setdefault(site.name, h), True)
    h = np.maximum(np.asarray(X, np.float64).reshape(10, -1) @ np.asarray(params["hidden_0"]["kernel"]), 0)
    axis = 0 if norm == "batch" else 1
    expected = (h - h.mean(axis, keepdims=True)) / np.sqrt(h.var(axis, keepdims=True) + 1e-5)
    np.testing.assert_allclose(seen["hidden_0"], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("norm", ["ghost", "layer", "group"])
def test_norms_leave_off_equal_to_absent(norm):
    """Eight updates with dropout at rate 0 give the bits of the program without dropout."""
    x, labels = small.make_batches(8)
    recipes = [small.make_recipe(*parts, model=MLP((12, 8), norm=norm, groups=4, ghost_size=5), optimizer=Adam(0.01))
               for parts in ((), (Dropout(),))]  # fmt: skip
    ends = [
        jax.jit(lambda *a: small.train(*a)[0].params)(small.traced(r), small.make_seed(), x, labels) for r in recipes
    ]
    assert small.same_bits(*ends)
