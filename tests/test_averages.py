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
from regjax import execute
from regjax.config import ConfigError, parse_study
from regjax.data import load_dataset
from regjax.models import MLP
from regjax.observers import EMA, SWA, EarlyStopping, MCDropout, Observer, Snapshots
from regjax.plan import make_plan
from regjax.progress import Progress
from regjax.regularizers import Dropout
from regjax.train import evaluate
from regjax.train.inputs import seed_of, stack_recipes
from regjax.train.population import batch_rows, train_batches, zero_sums
from regjax.train.state import Data, init_state

STUDY = {
    "primary": {"metric": "test.accuracy", "at": "last", "margin": 0.01},
    "model": {"name": "mlp", "widths": [16], "norm": "batch"},
    # Not Adam: of a bias before batch norm the gradient is rounding, which Adam makes a step of full length.
    "optimizer": {"name": "sgd", "learning_rate": 0.2},
    "training": {
        "steps": 12,
        "batch_size": 32,
        "evaluate_every": {"steps": 3},
        "save_every": {"steps": 6},
        "keep": "last",
    },
    "seeds": {"count": 2},
    "fixed": {"dropout.hidden": 0.5},
    "measure": {"predictions": "test"},
}
FACTORS = {"ema.decay": [0.0, 0.9], "swa.start": [1.0, 0.5], "snapshots.count": [1, 2], "mc_dropout.samples": [0, 3]}


def run(out, factors, stream=None, **changes):
    """Return the results of a tiny study with batch norm and dropout."""
    study = tiny(**{**STUDY, "factors": factors, **changes})
    return regjax.run(study, out, progress=Progress(io.StringIO(), live=False), report=False, stream=stream)


def walk(count, *shape):
    """Return a random walk of weights [count, *shape]."""
    return np.cumsum(np.random.default_rng(4).normal(size=(count, *shape)), axis=0).astype(np.float32)


def test_what_looks_at_evaluations_alone_does_not_follow():
    """Without an average of every update the memory of an observer is the same object after an update."""
    memory = {"swa": (walk(1, 3), 0)}
    assert Observer(EarlyStopping(), swa=SWA(0.5)).follow(memory, None, jnp.int32(0)) is memory


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
    """Of 12 updates in 4 cycles the networks after 3, 6, 9 and 12 count; before a cycle ends the live one does."""
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


def test_mc_dropout_without_samples_is_weight_scaling():
    """At 0 samples outputs have the bits of a program without; a sample is a pass of training noise, drawn anew."""
    (x,), _ = small.make_batches(1)
    plain, none, one, two = (look(observer, x) for observer in (None, MCDropout(0.0), MCDropout(1.0), MCDropout(2.0)))

    assert none.tobytes() == plain.tobytes()
    assert np.abs(one - plain).max() > 0.01
    assert np.abs(one - two).max() > 0.01


def test_the_error_of_mc_dropout_falls_with_the_samples():
    """The mean square distance from the mean of 1000 samples is 16 times smaller with 64 samples than with 4."""
    x = small.make_batches(1, size=400)[0][0]
    few, many, most = (jax.nn.softmax(look(MCDropout(float(k)), x)) for k in (4, 64, 1000))
    ratio = jnp.mean(jnp.square(few - most)) / jnp.mean(jnp.square(many - most))

    assert 16 * 0.85 < ratio * (1 - 64 / 1000) / (1 - 4 / 1000) < 16 * 1.18


def test_mc_dropout_of_a_nearly_linear_network_is_weight_scaling():
    """Where outputs are small softmax is linear, and the mean of 1000 samples tends to weight scaling."""
    (x,), _ = small.make_batches(1)
    model, dropout = MLP(()), Dropout(input=0.5)
    plain, mean = (jax.nn.softmax(look(o, x, model, dropout, 0.02)) for o in (None, MCDropout(1000.0)))

    assert jnp.abs(plain - 1 / 3).max() > 0.01
    np.testing.assert_allclose(mean, plain, atol=2e-3)


def look(sampling, x, model=small.PLAIN_MLP, dropout=Dropout(0.5), scale=1.0):  # noqa: B008 - frozen
    """Return the outputs of a network with dropout as an observer that samples sees them."""
    observer = Observer(EarlyStopping(), mc_dropout=sampling)
    recipe = small.traced(small.make_recipe(dropout, model=model, observer=observer))
    params, stats = recipe.model.init(jax.random.key(2), x)
    params = jax.tree.map(lambda w: scale * w, params)
    one = jax.tree.map(lambda leaf: leaf[0], recipe.observer)
    return np.asarray(jax.jit(evaluate.forward)(recipe, one, params, stats, x, small.make_seed()))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return the results of all averages together: sixteen observers of one course of training, in one program."""
    return run(tmp_path_factory.mktemp("averages") / "out", FACTORS)


@pytest.fixture(scope="module")
def course():
    """Return, of the first seed, recipe, seed, data, and the networks after each of the 12 updates."""
    plan = make_plan(parse_study(tiny(**{**STUDY, "factors": {"l2.strength": [0.0, 0.1]}})), load_dataset("digits"))
    dataset, member = load_dataset("digits"), plan.groups[0].runs[0]
    recipe = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), stack_recipes([member.recipe]))
    seed, data = seed_of(plan.study, dataset, member), Data(jnp.asarray(dataset.x), jnp.asarray(dataset.y))

    @jax.jit
    def train():
        batches = batch_rows(recipe, seed, jnp.int32(0), 12)

        def update(state, t):
            take = lambda index: (data.x[batches[t]], data.y[batches[t]], batches[t])  # noqa: E731
            state, _ = train_batches(recipe, seed, (state, zero_sums(recipe, seed)), t, jnp.int32(1), take)
            return state, (state.params, state.stats)

        return jax.lax.scan(update, init_state(recipe, seed, data), jnp.arange(12, dtype=jnp.int32))[1]

    return recipe, seed, data, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), jax.device_get(train()))


def average(course, decay, start):
    """Return, in NumPy, the networks that are evaluated after 3, 6, 9 and 12 updates."""
    _, seed, data, networks = course
    x = np.asarray(seed.scale.apply(data.x[seed.rows.train]), np.float64).reshape(len(seed.rows.train), -1)
    seen, taken = [], []
    for t in (3, 6, 9, 12):
        share = decay ** np.arange(t - 1.0, -1, -1) if decay else np.eye(t)[-1]
        share /= share.sum()
        network = jax.tree.map(lambda w, share=share: np.tensordot(share, w[: len(share)], 1), networks)
        if t >= 12 * start:
            taken.append(network[0])
            network = jax.tree.map(lambda *ws: np.mean(ws, axis=0), *taken), network[1]
        if len(taken) > 1:
            h = x @ network[0]["hidden_0"]["kernel"] + network[0]["hidden_0"].get("bias", 0.0)
            network = network[0], {"norm_0": {"mean": h.mean(axis=0), "var": h.var(axis=0)}}
        seen.append(network)
    return seen


@pytest.mark.parametrize("decay", FACTORS["ema.decay"])
@pytest.mark.parametrize("start", FACTORS["swa.start"])
def test_kept_networks_and_predictions_are_the_averages(study, course, decay, start):
    """EMA, then SWA with statistics of its own, then the mean over snapshots: kept weights and predictions of a run
    are those of NumPy."""
    recipe, seed, data, _ = course
    seen = average(course, decay, start)
    cell = {"ema.decay": decay, "swa.start": start, "snapshots.count": 1.0, "mc_dropout.samples": 0.0}
    found = small.flat({"params": study.params(cell, 0), "stats": study.stats(cell, 0)})
    for path, leaf in small.flat({"params": seen[-1][0], "stats": seen[-1][1]}).items():
        np.testing.assert_allclose(found[path], leaf, rtol=1e-3, atol=1e-4, err_msg=path)

    x = seed.scale.apply(data.x[seed.rows.test])
    each = [jax.nn.softmax(recipe.model.apply(*seen[i], x, evaluate.no_tap, False).outputs) for i in (1, 3)]
    for count, expected in ((1.0, each[1]), (2.0, (each[0] + each[1]) / 2)):
        np.testing.assert_allclose(stored(study, {**cell, "snapshots.count": count}), expected, atol=1e-4)


def stored(study, cell):
    """Return the stored predictions of the first seed's run of a cell."""
    frame = study.predictions()
    index = next(known["index"] for known in study.plan["cells"] if known["levels"] == cell)
    return frame[(frame["cell"] == index) & (frame["seed"] == 0)].filter(regex=r"^p\d").to_numpy()


def test_predict_gives_the_stored_predictions(study):
    """`Results.predict` uses the kept average, ensemble and noise: on the test rows it gives what was stored."""
    data, frame = load_dataset("digits"), study.predictions()
    for known in study.plan["cells"][:1] + study.plan["cells"][-2:]:
        mine = frame[(frame["cell"] == known["index"]) & (frame["seed"] == 1)]
        found = study.predict(known["index"], 1, data.x[mine["row"]])
        np.testing.assert_allclose(found, mine.filter(regex=r"^p\d"), rtol=1e-5, atol=1e-6)


def numbers(study, cell):
    """Return the records of a cell without identity and wall time."""
    frame = study.to_pandas()
    frame = frame[frame["cell"] == cell].sort_values(["seed", "step"])
    return frame.loc[:, "batch.accuracy":].to_numpy(float)


def test_off_is_the_live_network_whoever_else_watches(study, tmp_path):
    """The run without averages has the records, weights and predictions of a study without any, bit for bit."""
    alone = run(tmp_path / "out", {"early_stopping.patience": ["off", 3]})

    assert numbers(study, 0).tobytes() == numbers(alone, 0).tobytes()
    assert small.same_bits(study.params(0, 0), alone.params(0, 0))
    assert small.same_bits(study.stats(0, 0), alone.stats(0, 0))
    first, second = (r.predictions().query("cell == 0").filter(regex=r"^p\d").to_numpy() for r in (study, alone))
    assert first.tobytes() == second.tobytes()


def test_an_average_does_not_depend_on_the_others(study, tmp_path):
    """The runs of one average have the same records in a study without the others, bit for bit."""
    alone = run(tmp_path / "out", {"swa.start": FACTORS["swa.start"]})
    cells = {tuple(known["levels"].values()): known["index"] for known in study.plan["cells"]}

    for index, start in enumerate(FACTORS["swa.start"]):
        assert numbers(study, cells[0.0, start, 1.0, 0.0]).tobytes() == numbers(alone, index).tobytes()


class Cut(BaseException):
    """What ends a process between two segments."""


def test_continued_averages_equal_uninterrupted_ones(study, tmp_path, monkeypatch):
    """Cut off after its first segment and run again, a study has every record and every average bit for bit."""
    save = execute.save

    def cut(*arguments):
        save(*arguments)
        raise Cut

    monkeypatch.setattr(execute, "save", cut)
    with pytest.raises(Cut):
        run(tmp_path / "out", FACTORS)
    monkeypatch.undo()
    again = run(tmp_path / "out", FACTORS)

    for cell in range(len(study.plan["cells"])):
        assert numbers(study, cell).tobytes() == numbers(again, cell).tobytes()
        assert small.same_bits(study.params(cell, 1), again.params(cell, 1))


def test_streamed_averages_equal_resident_ones(study, tmp_path):
    """With examples that come from the host averages and their noise are those of the resident program."""
    streamed = run(tmp_path / "out", {name: FACTORS[name] for name in ("ema.decay", "mc_dropout.samples")}, stream=True)
    cells = {tuple(known["levels"].values()): known["index"] for known in study.plan["cells"]}
    for known in streamed.plan["cells"]:
        decay, samples = known["levels"].values()
        same = numbers(study, cells[decay, 1.0, 1.0, samples])
        np.testing.assert_allclose(numbers(streamed, known["index"]), same, rtol=1e-5, atol=1e-6)


def test_parameters_of_an_ensemble_are_those_of_its_networks(study):
    """A run of two snapshots keeps two networks, of which the last is the one that a run without snapshots keeps."""
    levels = {"ema.decay": 0.9, "swa.start": 1.0, "mc_dropout.samples": 0.0}
    one, two = (study.params({**levels, "snapshots.count": count}, 1) for count in (1.0, 2.0))

    assert {leaf.shape[0] for leaf in jax.tree.leaves(two)} == {2}
    assert small.same_bits(jax.tree.map(lambda leaf: leaf[1], two), one)
    assert not small.same_bits(jax.tree.map(lambda leaf: leaf[0], two), one)


def test_what_cannot_be_streamed_is_refused(tmp_path):
    """SWA beside batch norm needs the training examples at evaluations: streamed, the study says so."""
    with pytest.raises(ConfigError, match=r"swa: got batch norm and streamed data, expected .*--no-stream"):
        run(tmp_path / "out", {"swa.start": [1.0, 0.5]}, stream=True)


@pytest.mark.parametrize(
    ("path", "levels", "expected"),
    [
        ("snapshots.count", [1, 2.5], r"got 2.5, expected an integer in \[1, 64\]"),
        ("snapshots.count", [1, 3], r"got 3, expected a divisor of the 4 evaluations"),
        ("mc_dropout.samples", [0, 0.5], r"got 0.5, expected an integer in \[0, 1000\]"),
        ("early_stopping.up", ["off", 1.5], r"got 1.5, expected an integer in \[1, inf\]"),
        ("ema.decay", [0.0, 1.0], r"got 1.0, expected a number in \[0, 1\)"),
    ],
)
def test_counts_are_whole_and_cycles_end_at_evaluations(path, levels, expected):
    """What an average cannot be is told with its path, when the study is read or planned."""
    with pytest.raises(ConfigError, match=rf"{path}.*{expected}"):
        make_plan(parse_study(tiny(**{**STUDY, "factors": {path: levels}})), load_dataset("digits"))
