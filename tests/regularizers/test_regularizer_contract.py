"""The contract of every row of REGULARIZERS; a new row is tested as it stands and needs an oracle in reference.py."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from oracles import ORACLES
from reference import Sgd, train_step
from small_blocks import Blocks

from regjax.models import MLP
from regjax.optimizers import SGD, Adam, RMSProp
from regjax.parts import Hyper, hypers, is_off
from regjax.regularizers import REGULARIZERS, Batch, Regularizer, Site
from regjax.train.step import Acting, compute_objective, make_now

STEPS = 100
# Settings with which a regularizer acts in the first update already.
EAGER: dict[str, dict] = {"lookahead": {"steps": 1}}
OPTIMIZERS = {"momentum": SGD(0.05, momentum=0.9), "adam": Adam(0.01), "rmsprop": RMSProp(0.01)}
SWITCHES = [
    (name, field) for name, cls in REGULARIZERS.items() for field, h in hypers(cls).items() if h.off is not None
]
# Rows that act at places which the small perceptron has not; values that differ on sixteen examples of eight pixels.
MODELS = {"spatial_dropout": Blocks(), "stochastic_depth": Blocks()}
VALUES = {
    ("label_noise", "rate"): (0.25, 0.5, 0.75),
    ("augment", "shift"): (1.0, 2.0, 3.0),
    ("cutout", "size"): (1.0, 2.0, 3.0),
    ("mixup", "alpha"): (0.5, 1.5, 8.0),
    ("cutmix", "alpha"): (0.25, 0.75, 8.0),
}
# Beside batch norm XLA compiles a network with several of these, all off, with other last bits than one with none: each
# multiplication by one is exact, but sums are fused and associated anew. Most of their hypers are costly, so that the
# planner can leave them out; of all the others, and of each of these without batch norm, the bits are held.
INEXACT = ("dropconnect", "gaussian_dropout", "alpha_dropout", "fgsm", "activation_l2")
SITES = ("input", "hidden", "residual")
EACH_SWITCH = pytest.mark.parametrize(("name", "field"), SWITCHES, ids=[f"{n}.{f}" for n, f in SWITCHES])
EACH = pytest.mark.parametrize("name", REGULARIZERS)


def make_off(name):
    """Return a regularizer with every switch at its off value."""
    off = {f: h.off for f, h in hypers(REGULARIZERS[name]).items() if h.off is not None}
    return REGULARIZERS[name](**off, **EAGER.get(name, {}))


def make_on(name, field, value):
    """Return a regularizer with one switch at `value` and the others off."""
    off = {f: h.off for f, h in hypers(REGULARIZERS[name]).items() if h.off is not None}
    return REGULARIZERS[name](**{**off, field: value}, **EAGER.get(name, {}))


def some_values(name, field):
    """Return three values inside the range, none of them off."""
    h = hypers(REGULARIZERS[name])[field]
    if (name, field) in VALUES:
        return VALUES[name, field]
    values = [v for v in (0.125, 0.25, 0.5, 0.75, 1.5, 2.5) if h.range.contains(v) and v != h.off]
    assert len(values) >= 3
    return values[:3]


def ends(h: Hyper):
    """Return the two ends of a range, the float32 next to an open one, a million in place of infinity."""
    low = max(h.range.low, -1e6) if h.range.low_closed else h.range.low + 1e-6
    high = min(h.range.high, 1e6)
    if h.range.high_closed or np.isinf(h.range.high):
        return low, high
    return low, float(np.nextafter(np.float32(high), np.float32(low)))


def make_images(steps, dtype="float32"):
    """Return the small batches with their eight features as images of two rows; a perceptron flattens them again."""
    x, labels = small.make_batches(steps, dtype)
    return x.reshape(*x.shape[:2], 2, 4), labels


def make_recipe(name, part, **fields):
    """Return a recipe with one regularizer, on a network that has the places where it acts."""
    parts = () if part is None else (part,)
    return small.make_recipe(*parts, model=MODELS.get(name, small.PLAIN_MLP), **fields)


def trainer():
    """Return the jitted training loop of one member, with a program cache of its own."""
    return jax.jit(lambda *arguments: small.train(*arguments))


def population():
    """Return the jitted training loop vmapped over recipes, with a program cache of its own."""
    return jax.jit(jax.vmap(small.train, in_axes=(0, None, None, None)))


@functools.cache
def trained(names: tuple[str, ...], optimizer: str, model=small.PLAIN_MLP):
    """Return the final state of 100 steps with the named regularizers at their off values."""
    parts = [make_off(name) for name in names]
    recipe = small.make_recipe(*parts, optimizer=OPTIMIZERS[optimizer], model=model)
    x, labels = make_images(STEPS)
    return trainer()(small.traced(recipe), small.make_seed(), x, labels)


def make_moment(recipe, seed):
    """Return (state, x, labels, now) of the first update."""
    x, labels = make_images(1)
    state = jax.jit(small.init_state)(recipe, seed, small.Data(x[0], labels[0]))
    now = make_now(recipe, seed, state, jnp.int32(0))
    now = now._replace(memory=state.memory[0], metric=lambda: jax.tree.map(jnp.ones_like, state.params))
    return state, jnp.asarray(x[0]), jnp.asarray(labels[0]), now


def penalty_of(part, recipe, batch, now):
    """Return params -> what the regularizer adds to the mean loss of a batch, None for nothing."""

    def penalty(params):
        empty = dataclasses.replace(recipe, regularizers=())
        found = []

        catch = Regularizer()
        catch.penalty = lambda seen, now: found.append(part.penalty(seen, now))
        compute_objective(empty, [Acting(catch, now)], batch, params, {})
        return found[0]

    return penalty


def test_every_regularizer_has_an_oracle():
    """The oracles of reference.py are exactly the rows of the table."""
    assert set(ORACLES) == set(REGULARIZERS)


@EACH
def test_defaults_are_off(name):
    """A regularizer made without arguments is off, by its values and by `is_off`."""
    assert REGULARIZERS[name](**EAGER.get(name, {})) == make_off(name)
    assert is_off(REGULARIZERS[name], {})


@EACH
def test_off_values_are_in_their_ranges(name):
    """A study may write a hyper's off value, as it may any value of the range."""
    assert all(h.range.contains(h.off) for h in hypers(REGULARIZERS[name]).values() if h.off is not None)


def test_needs_are_those_that_are_asked_for():
    """What regularizers cannot do without are the five words that `Regularizer` tells: another is never missed."""
    needs = {need for cls in REGULARIZERS.values() for need in cls.needs}
    assert needs == {"images", "classes", "residual", "hidden", "channels"}


@EACH
def test_costs_are_of_costly_hypers(name):
    """What a planner is told of costs: draws proportional to what is drawn for, or passes; nothing without a cause."""
    cls = REGULARIZERS[name]
    assert (cls.passes > 0) <= (cls.costly != ())
    for key in cls.costly:
        assert hypers(cls)[key].off is not None
        one, three = (
            cls.count_draws(key, [(Site("a", kind, 0, 1), 7 * k) for kind in SITES], 11 * k, 13 * k) for k in (1, 3)
        )
        assert three == pytest.approx(3 * one)
        assert (one > 0) == (cls.passes == 0)


@pytest.mark.parametrize("name", ["fgsm", "sam"])
def test_passes_are_those_of_the_program(name):
    """A regularizer's passes are, to a whole one, the operations by which it makes an update longer."""
    seed, (x, labels) = small.make_seed(), small.make_batches(1, size=256)

    def count(*parts):
        recipe = small.traced(small.make_recipe(*parts, model=MLP((64, 64))))
        return jax.jit(small.train).lower(recipe, seed, x, labels).cost_analysis()["flops"]

    assert round(count(make_off(name)) / count() - 1) == REGULARIZERS[name].passes


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@EACH
def test_off_equals_absent(name, optimizer):
    """100 updates with a regularizer at its off value give the bits of the program without it."""
    model = MODELS.get(name, small.PLAIN_MLP)
    without, with_off = trained((), optimizer, model), trained((name,), optimizer, model)

    assert small.same_bits(without[0].params, with_off[0].params)
    assert small.same_bits(without[1], with_off[1])


@pytest.mark.parametrize(
    ("optimizer", "norm"), [("momentum", "none"), ("adam", "batch"), ("rmsprop", "none"), ("adam", "blocks")]
)
def test_all_off_equals_none(optimizer, norm):
    """100 updates with all regularizers off together give the bits of the program with none, `INEXACT` excepted."""
    model = MLP(small.WIDTHS, norm=norm) if norm != "blocks" else Blocks()
    names = tuple(name for name in REGULARIZERS if norm != "batch" or name not in INEXACT)
    without, with_off = trained((), optimizer, model), trained(names, optimizer, model)

    # What regularizers remember is there or not; nothing else differs.
    a, b = (state._replace(memory=())._asdict() for state in (without[0], with_off[0]))
    assert small.same_bits(a, b)
    assert small.same_bits(without[1], with_off[1])


def test_all_off_beside_batch_norm_is_close_to_none():
    """With every regularizer off, `INEXACT` too, 100 updates of a network with batch norm differ by rounding only."""
    model = MLP(small.WIDTHS, norm="batch")
    without, with_off = trained((), "momentum", model), trained(tuple(REGULARIZERS), "momentum", model)

    found = small.flat(with_off[0].params)
    for path, leaf in small.flat(without[0].params).items():
        np.testing.assert_allclose(found[path], leaf, rtol=0, atol=1e-5, err_msg=path)


@pytest.mark.parametrize("name", ["activation_l2", "dropconnect", "gaussian_dropout", "alpha_dropout"])
def test_off_equals_absent_beside_batch_norm(name):
    """Of those that are not exact together, these are so alone: off beside batch norm leaves every bit."""
    model = MLP(small.WIDTHS, norm="batch")
    without, with_off = trained((), "adam", model), trained((name,), "adam", model)

    assert small.same_bits(without[0].params, with_off[0].params)


@EACH_SWITCH
def test_one_program_for_all_strengths(name, field):
    """Under jit and vmap one program serves all strengths: each trains a network of its own, finite at both ends.

    The off member is that of the program without; the optimizer's memory holds the gradients, finite as well.
    """
    off, x, labels = hypers(REGULARIZERS[name])[field].off, *make_images(2)
    traces = []

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def run(recipe, seed):
        traces.append(name)
        return small.train(recipe, seed, x, labels)

    def run_at(values):
        recipes = [make_recipe(name, make_on(name, field, v), optimizer=OPTIMIZERS["momentum"]) for v in values]
        state, sums = run(small.stack(*recipes), small.make_seed())
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.params, state.opt, sums)))
        assert {leaf.dtype for leaf in jax.tree.leaves((state.params, sums))} == {np.dtype("float32")}
        return small.flat(state.params)

    found = run_at([off, *some_values(name, field)])
    run_at([*ends(hypers(REGULARIZERS[name])[field]), off, off])
    assert (len(traces), run._cache_size()) == (1, 1)

    everything = np.concatenate([leaf.reshape(4, -1) for leaf in found.values()], axis=1)
    assert all(np.abs(everything[i] - everything[j]).max() > 1e-4 for i in range(4) for j in range(i))
    absent = small.stack(*[make_recipe(name, None, optimizer=OPTIMIZERS["momentum"])] * 4)
    for path, leaf in small.flat(population()(absent, small.make_seed(), x, labels)[0].params).items():
        np.testing.assert_allclose(found[path][0], leaf[0], rtol=0, atol=1e-6, err_msg=path)


@EACH_SWITCH
def test_one_step_equals_its_oracle(name, field):
    """One update in float64 gives the numbers of the NumPy oracle, at each of three strengths."""
    values = some_values(name, field)
    with jax.enable_x64(True):
        x, labels = make_images(1, "float64")
        seed = small.make_seed(3, "float64")
        recipes = [make_recipe(name, make_on(name, field, v), dtype="float64") for v in values]
        arrays = small.stack(*recipes, dtype="float64")
        states, sums = population()(arrays, seed, x, labels)
        first = jax.jit(small.init_state)(small.traced(recipes[0], "float64"), seed, small.Data(x[0], labels[0]))
        begin = first.params
        x = x.reshape(1, 16, -1)
        sites = {
            "input": ("input", 0, x[0].shape),
            **{f"hidden_{i}": ("hidden", i, (16, w)) for i, w in enumerate(small.WIDTHS)},
        }
        for index, value in enumerate(values):
            oracle = ORACLES[name](**{field: value})
            rates = {name: oracle.rate(kind, i) for name, (kind, i, _) in sites.items()}
            noise = {s: small.site_noise(3, 0, s, sites[s][2], rate) for s, rate in rates.items() if rate}
            one, y = small.flat(begin), np.eye(3)[labels[0]]
            if oracle.step is not None:  # gradients by differences
                (expected, loss), rtol, atol = oracle.step(one, x[0], y, 0.1), 1e-6, 1e-8
            else:
                expected, loss = train_step(one, x[0], y, [oracle], noise=noise, direction=Sgd(), lr=0.1)
                rtol, atol = 1e-10, 1e-13
            np.testing.assert_allclose(sums["loss"][index, 0], loss, rtol=rtol / 100)
            for path, leaf in small.flat(states.params).items():
                assert leaf.dtype == np.float64
                np.testing.assert_allclose(leaf[index], expected[path], rtol=rtol, atol=atol, err_msg=path)


@EACH
def test_every_hook_is_the_identity_when_off(name):
    """At the off value batch and activations keep their bits, the penalty has no gradient, weights are not moved."""
    recipe = small.traced(make_recipe(name, make_off(name)))
    state, x, _, now = make_moment(recipe, small.make_seed())
    part, batch = recipe.regularizers[0], Batch(x, jnp.eye(3)[np.arange(16) % 3], jnp.arange(16))
    moved = jax.tree.map(lambda w: w * 1.37 - 0.01, state.params)

    sites = [(kind, index) for kind in ("input", "hidden", "residual") for index in range(1 + (kind != "input"))]
    penalty = penalty_of(part, recipe, batch, now)

    @jax.jit
    def apply(x, moved, batch):
        found = [part.site(Site(f"{kind}_{i}", kind, i, 2), h, now) for kind, i in sites for h in (x, x[..., None])]
        weights = [hook(moved, now) for hook in (part.project, part.weights, part.gradient)]
        slopes = None if penalty(moved) is None else jax.value_and_grad(penalty)(moved)
        return part.batch(batch, now)._asdict(), found, weights, slopes

    same, found, weights, slopes = apply(x, moved, batch)
    assert small.same_bits(same, batch._asdict())
    assert small.same_bits(found, [x, x[..., None]] * len(sites))
    assert small.same_bits(weights, [moved] * 3)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(slopes))


@EACH
def test_penalties_have_finite_gradients_at_zero(name):
    """The gradient of a penalty is finite at zero weights, where |w| and a norm have no derivative."""
    fields = {f: some_values(name, f)[0] for f, h in hypers(REGULARIZERS[name]).items() if h.off is not None}
    recipe = small.traced(make_recipe(name, REGULARIZERS[name](**fields)))
    state, x, labels, now = make_moment(recipe, small.make_seed())
    zero = jax.tree.map(jnp.zeros_like, state.params)
    part, batch = recipe.regularizers[0], Batch(x, jax.nn.one_hot(labels, 3), jnp.arange(16))
    penalty = penalty_of(part, recipe, batch, now)

    if jax.eval_shape(penalty, zero) is not None:
        assert all(jnp.isfinite(slope).all() for slope in jax.tree.leaves(jax.jit(jax.grad(penalty))(zero)))
    projected = part.project(zero, now._replace(before=zero))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(projected))
