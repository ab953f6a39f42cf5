"""Measures inside kept networks and of training rates, against NumPy and planted tables."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import small_runs
import studies

import regjax
from regjax.analysis.table import arrange_table
from regjax.claims.measures import inside, rates, shift, take_measure
from regjax.claims.measures.inputs import run_inputs
from regjax.config import ConfigError, parse_study
from regjax.models import MLP
from regjax.results import Results
from regjax.tasks import Fit
from regjax.train.state import Data, init_state

UPDATES = 8
WHERE = {"model.norm": "none"}
TRAINING = {"steps": UPDATES, "batch_size": 32, "evaluate_every": {"steps": UPDATES}, "keep": "last"}


def train(out: Path, **changes: Any) -> Results:
    """Return a few updates of tiny networks with and without batch norm."""
    study: dict[str, Any] = {
        "model__widths": [8, 6],
        "optimizer": {"name": "sgd", "learning_rate": 0.2},
        "training": TRAINING,
        "factors": {"model.norm": ["none", "batch"]},
    }
    return regjax.run(parse_study(studies.tiny(**{**study, **changes})), out, report=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return networks of ten classes."""
    return train(tmp_path_factory.mktemp("inside"))


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return networks of two classes by one logit, the rarer one weighed up."""
    data = {"name": "breast_cancer", "split": {"train": 96, "validation": 64, "test": 128}}
    task = {"name": "binary", "class_weights": "balanced"}
    return train(tmp_path_factory.mktemp("binary"), data=data, task=task)


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return networks of a regression."""
    data = {"name": "diabetes", "split": {"train": 96, "validation": 64, "test": 128}}
    return train(tmp_path_factory.mktemp("values"), data=data, primary={"metric": "test.mse", "at": "last"})


def forward(params: dict[str, Any], x: np.ndarray, factor: float = 1.0) -> list[np.ndarray]:
    """Return hidden layers and logits of a plain network in float64, weights that read units times `factor`."""
    h, layers = x.reshape(len(x), -1).astype(np.float64), []
    for index, name in enumerate(["hidden_0", "hidden_1", "output"]):
        z = h @ params[name]["kernel"].astype(np.float64) * (factor if index else 1.0) + params[name]["bias"]
        h = z if name == "output" else np.maximum(z, 0)
        layers.append(h)
    return layers


def nll(logits: np.ndarray, y: np.ndarray) -> float:
    """Return the mean negative log likelihood by logsumexp."""
    return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]).mean())


def test_correlation_is_numpys(results: Results) -> None:
    """The correlation of units is NumPy's, of the hidden layers that the kept weights give by hand."""
    found = inside.unit_correlation(results, WHERE)
    for seed in results.plan["seeds"]:
        layers = forward(results.params(0, seed), run_inputs(results, 0, seed).x_test)[:2]
        each = []
        for h in layers:
            r = np.abs(np.corrcoef(h[:, h.std(axis=0) > 0].T))
            each.append((r.sum() - len(r)) / (len(r) * (len(r) - 1)))
        assert found[0, seed] == pytest.approx(np.mean(each), abs=1e-5)
    assert np.isnan(found[1]).all()
    assert np.isnan(inside.correlate_units(np.array([[1.0, 2.0, 5.0], [1.0, 3.0, 5.0]])))


def test_scaled_weights_are_numpys(results: Results) -> None:
    """Scaling weights that read units costs what it costs by hand; the factor 1 costs nothing."""
    cost, none = inside.scaling_cost(results, 0.2, WHERE), inside.scaling_cost(results, 1.0)
    inputs, params = run_inputs(results, 0, 1), results.params(0, 1)
    plain, scaled = (nll(forward(params, inputs.x_test, f)[-1], inputs.y_test) for f in (1.0, 0.2))
    assert cost[0, 1] == pytest.approx(scaled - plain, abs=1e-5)
    np.testing.assert_array_equal(none, np.zeros((2, 3)))


@pytest.mark.parametrize("damage", inside.DAMAGES)
def test_no_damage_costs_nothing(results: Results, damage: str) -> None:
    """Damage of size 0 costs nothing, whatever its kind."""
    np.testing.assert_array_equal(inside.accuracy_lost(results, damage, 0.0, draws=1)[0], np.zeros(3))


def test_removing_all_units_leaves_the_output_bias(results: Results) -> None:
    """Without any unit the class of the largest output bias is all that is left."""
    lost = inside.accuracy_lost(results, "important_units", 1.0, where=WHERE)
    inputs, params = run_inputs(results, 0, 2), results.params(0, 2)
    whole = (forward(params, inputs.x_test)[-1].argmax(axis=1) == inputs.y_test).mean()
    bare = (params["output"]["bias"].argmax() == inputs.y_test).mean()
    assert lost[0, 2] == pytest.approx(whole - bare, abs=1e-7)
    for damage, amount in (("important_units", 1.1), ("units", 1.0)):
        with pytest.raises(ValueError, match=f"got amount = {amount:g} of {damage}, expected a share of them"):
            inside.accuracy_lost(results, damage, amount, where=WHERE)


def test_damage_of_one_logit_is_numpys(binary: Results) -> None:
    """Of two classes by one logit class 1 is predicted above 0, and nll is that of log odds."""
    lost = inside.accuracy_lost(binary, "important_units", 1.0, where=WHERE)
    cost = inside.scaling_cost(binary, 0.2, WHERE)
    for seed in binary.plan["seeds"]:
        inputs, params = run_inputs(binary, 0, seed), binary.params(0, seed)
        sign = 2 * inputs.y_test - 1
        odds, scaled = (forward(params, inputs.x_test, factor)[-1][:, 0] * sign for factor in (1.0, 0.2))
        right, bare = (odds > 0).mean(), (params["output"]["bias"] * sign > 0).mean()
        assert right > bare
        assert lost[0, seed] == pytest.approx(right - bare, abs=1e-7)
        rise = np.log1p(np.exp(-scaled)).mean() - np.log1p(np.exp(-odds)).mean()
        assert cost[0, seed] == pytest.approx(rise, abs=1e-5)


def test_values_have_neither_accuracy_nor_nll(values: Results) -> None:
    """Of a regression the cost of damage and of scaling is refused."""
    for name, options in (("accuracy_lost", {"damage": "units", "amount": 0.5}), ("scaling_cost", {"factor": 0.2})):
        with pytest.raises(ConfigError, match=f"{name}.*: got the task regression, expected one with classes"):
            take_measure(values, name, options, None)


def test_importance_is_activation_times_weights() -> None:
    """The unit that says most to the next layer goes first, however its scale is split between layers."""
    h, kernel = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]), np.array([[9.0], [1.0], [2.0]])
    for scale in (1.0, 100.0):
        unit = np.array([1.0, scale, 1.0])
        (gates,) = inside._remove_important([h * unit], {"output": {"kernel": kernel / unit[:, None]}}, 1 / 3)
        assert gates.tolist() == [0.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="expected a network 'mlp'"):
        inside._remove_important([h], {"head": {"kernel": kernel}}, 0.5)


def test_drawn_damage_has_the_size_it_says() -> None:
    """Removed units are as many as said and the mean is kept; noise has the share said of a matrix, biases none."""
    (gate,) = inside._remove_units(jax.random.key(0), [np.ones(20_000, np.float32)], 0.2)
    assert set(np.unique(gate)) == {0.0, 1.25}
    assert gate.mean() == pytest.approx(1, abs=0.02)
    params = {"kernel": np.full((200, 100), 3.0, np.float32), "bias": np.ones(5, np.float32)}
    shaken = inside._shake(jax.random.key(0), params, 0.5)
    assert np.std(shaken["kernel"] - params["kernel"]) == pytest.approx(1.5, rel=0.03)
    np.testing.assert_array_equal(shaken["bias"], params["bias"])


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return networks with ghost norm, their learning rates tuned, one cell with clipped gradients."""
    return train(
        tmp_path_factory.mktemp("tuned"),
        model={"name": "mlp", "widths": [8, 6], "norm": "ghost"},
        factors={"clip_norm.bound": ["off", 1.0]},
        tune={"optimizer.learning_rate": [0.01, 0.5], "seeds": 1},
    )


@pytest.mark.parametrize("name", ["results", "binary", "values", "tuned"])
def test_followed_training_is_the_engines(request: pytest.FixtureRequest, name: str) -> None:
    """The updates that shifts are measured on end in the parameters that the engine kept, whatever the loss is."""
    known = request.getfixturevalue(name)
    for cell in {0, *inside.pick_cells(known, {"model.norm": "batch"})}:
        state, found = shift.follow_run(known, cell, 1, UPDATES)
        for mine, kept in zip(jax.tree.leaves(state.params), jax.tree.leaves(known.params(cell, 1)), strict=True):
            np.testing.assert_allclose(mine, kept, atol=2e-6)
        measured = shift.covariate_shift(known, "moments", UPDATES, known.plan["cells"][cell]["levels"])
        assert measured[cell, 1] == pytest.approx(float(np.mean(found["moments"])), rel=1e-5)
        assert np.isfinite(measured[cell]).all()


@pytest.mark.parametrize(("precision", "asked"), [("float32", "HIGHEST"), ("tf32", "HIGH")])
def test_followed_training_asks_for_the_precision_of_the_study(precision: str, asked: str) -> None:
    """All matrix products of the followed updates, and of what is measured, carry the study's precision."""
    recipe = small_runs.traced(small_runs.make_recipe(precision=precision))
    (x,), (labels,) = small_runs.make_batches(1)
    seed = small_runs.make_seed()
    seed = seed._replace(rows=seed.rows._replace(train=jnp.arange(len(x), dtype=jnp.int32)))
    text = shift._follow.lower(recipe, seed, jnp.asarray(x), jnp.asarray(labels), updates=2).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]

    assert products
    assert all(f"precision = [{asked}, {asked}]" in line for line in products)


def test_cells_that_cannot_be_followed_are_refused(tuned: Results) -> None:
    """A regularizer that is on, updates beyond the end and a network other than an mlp are named."""
    linear = Results(tuned.out)
    linear.plan = {**tuned.plan, "study": {**tuned.plan["study"], "model": {"name": "linear"}}}
    off = {"clip_norm.bound": "off"}
    for known, options, said in (
        (tuned, {}, "got clip_norm in cell 'clip_norm.bound=1', expected cells without regularizers"),
        (tuned, {"where": off, "updates": UPDATES + 1}, f"expected at most the {UPDATES} of its runs"),
        (linear, {}, "got the model 'linear', expected \"mlp\""),
    ):
        with pytest.raises(ConfigError) as raised:
            take_measure(known, "covariate_shift", {"quantity": "turn", "updates": UPDATES, **options}, None)
        assert said in str(raised.value)


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.25, 1.0, 4.0]])
def test_shift_is_numpys_of_one_hidden_layer(weights: list[float]) -> None:
    """Every quantity of an update is what NumPy makes of the two networks, the gradients written out by hand."""
    recipe = small_runs.traced(small_runs.make_recipe(model=MLP((5,))))
    (x,), (labels,) = small_runs.make_batches(1)
    state = init_state(recipe, small_runs.make_seed(), Data(jnp.asarray(x), jnp.asarray(labels)))
    other = init_state(recipe, small_runs.make_seed(1), Data(jnp.asarray(x), jnp.asarray(labels)))
    after = jax.tree.map(lambda a, b: a + 0.3 * b, state.params, other.params)
    fit = Fit(weights=jnp.asarray([weights]))
    found = jax.jit(shift.compare)(recipe, state, after, jnp.asarray(x), jnp.asarray(labels), fit)

    def slopes(lower: Any, upper: Any) -> tuple[list[np.ndarray], np.ndarray]:
        h = np.maximum(x @ lower["hidden_0"]["kernel"] + lower["hidden_0"]["bias"], 0)
        kernel = upper["output"]["kernel"]
        p = np.exp(h @ kernel + upper["output"]["bias"])
        error = (p / p.sum(axis=1, keepdims=True) - np.eye(3)[labels]) * np.array(weights)[labels][:, None] / len(x)
        back = (error @ kernel.T) * (h > 0)
        return [back.sum(0), x.T @ back, error.sum(0), h.T @ error], h

    def turned(a: np.ndarray, b: np.ndarray) -> float:
        return 1 - float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))

    old, new = jax.tree.map(np.asarray, (state.params, after))
    (plain, h), (moved, h_after), (mixed, _) = (slopes(*pair) for pair in ((old, old), (new, new), (new, old)))
    whole = [np.concatenate([g.ravel() for g in each]) for each in (plain, moved)]
    expected = {
        "gradient_angle": turned(plain[3], mixed[3]),
        "gradient_change": np.linalg.norm(mixed[3] - plain[3]) / np.linalg.norm(plain[3]),
        "moments": np.sqrt(
            (((h_after.mean(0) - h.mean(0)) ** 2 + (h_after.std(0) - h.std(0)) ** 2).sum()) / h.var(0).sum()
        ),
        "turn": turned(*whole),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-3)
    same = jax.jit(shift.compare)(recipe, state, state.params, jnp.asarray(x), jnp.asarray(labels))
    assert max(abs(float(value)) for value in same.values()) < 1e-6


def planted(columns: dict[str, list[list[float]]], diverged: list[list[int]]) -> Any:
    """Return results with these metrics [cell, seed] at the only record, of two norms at three learning rates."""
    levels = [{"model.norm": n, rates.RATE: r} for n in ("none", "batch") for r in (0.1, 1.0, 10.0)]
    cells = [{"index": i, "name": str(i), "levels": level} for i, level in enumerate(levels)]
    plan = {"cells": cells, "seeds": [0, 1], "primary": {}}
    places = [(c, s) for c in range(6) for s in range(2)]
    runs = pd.DataFrame([{"run": f"{c}-{s}", "cell": c, "seed": s, "restores": False} for c, s in places])
    rows = [
        {"run": f"{c}-{s}", "step": 5, "best_step": 5, "stopped": -1, "diverged": diverged[c][s],
         **{name: values[c][s] for name, values in columns.items()}}
        for c, s in places
    ]  # fmt: skip
    return SimpleNamespace(plan=plan, table=arrange_table(plan, runs, pd.DataFrame(rows)))


def test_largest_rate_is_the_last_that_learns() -> None:
    """The largest rate skips runs that stay at chance or diverge, per seed; no rate at all is NaN."""
    accuracy = [[0.9, 0.1], [0.2, 0.1], [0.9, 0.3], [0.9, 0.9], [0.2, 0.9], [0.6, 0.9]]
    diverged = [[-1, -1], [-1, -1], [3, -1], [-1, -1], [-1, -1], [-1, 5]]
    found = rates.largest_rate(planted({"train.accuracy": accuracy}, diverged))
    np.testing.assert_array_equal(found, [[0.1, np.nan]] * 3 + [[10.0, 1.0]] * 3)


def test_borrowed_rate_is_the_lenders_best() -> None:
    """The gain is that of a seed's own best rate over the lenders' best, both chosen on the seed's validation."""
    validation = [[3.0, 1.0], [1.0, 2.0], [2.0, 3.0], [4.0, 1.0], [3.0, 9.0], [2.0, 9.0]]
    test = [[0.0, 0.0]] * 3 + [[5.0, 7.0], [4.0, 6.0], [1.0, 2.0]]
    results = planted({"validation.nll": validation, "test.nll": test}, [[-1, -1]] * 6)
    # Seed 0 borrows the second rate and would take the third; seed 1 borrows the first, its own best too.
    gains = rates.over_borrowed(results, "test.nll", {"model.norm": "none"})
    np.testing.assert_array_equal(gains, [[0.0, 0.0]] * 3 + [[1.0 - 4.0, 0.0]] * 3)
    with pytest.raises(ValueError, match="expected a level of each other factor"):
        rates.over_borrowed(results, "test.nll", {"model.norm": "layer"})


def test_cells_are_picked_by_level_or_list() -> None:
    """Levels may be one or a list; without any all cells are meant."""
    results = planted({"test.nll": [[0.0, 0.0]] * 6}, [[-1, -1]] * 6)
    assert inside.pick_cells(results, None) == [0, 1, 2, 3, 4, 5]
    assert inside.pick_cells(results, {"model.norm": "batch", rates.RATE: [0.1, 10.0]}) == [3, 5]
