"""Precision: what is rounded, what is not, and that the program asks the hardware for it."""

from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from small_runs import WIDTHS, flat, make_batches, make_recipe, make_seed, traced, train
from studies import tiny

import regjax
from regjax.config import ConfigError, parse_study
from regjax.data import load_dataset
from regjax.models import MLP
from regjax.plan import make_plan
from regjax.train.population import make_mesh, make_population
from regjax.train.program import argument_shapes, make_program


def keep(site: object, h: jax.Array) -> jax.Array:
    """Return the activations as they are."""
    return h


def test_bfloat16_rounds_weights_inputs_and_activations() -> None:
    """The forward pass is NumPy's with every operand rounded to bfloat16 and products summed in float32."""
    recipe = make_recipe(precision="bfloat16")
    x = make_batches(1)[0][0]
    params, stats = recipe.model.init(jax.random.key(0), x)
    got = recipe.forward(params, stats, jnp.asarray(x), keep, True).outputs

    def rounded(a: np.ndarray) -> np.ndarray:
        return np.asarray(a).astype(ml_dtypes.bfloat16).astype(np.float32)

    h = rounded(x)
    for name in (*(f"hidden_{i}" for i in range(len(WIDTHS))), "output"):
        layer = params[name]
        h = rounded(rounded(h @ rounded(layer["kernel"])) + rounded(layer["bias"]))
        h = h if name == "output" else np.maximum(h, 0)
    exact = make_recipe().forward(params, stats, jnp.asarray(x), keep, True).outputs

    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, h, atol=0.02, rtol=0.01)
    assert 1e-4 < np.abs(got - exact).max() < 0.05


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_parameters_and_statistics_stay_float32(norm: str) -> None:
    """Under bfloat16 parameters, optimizer state and batch statistics are float32 and take updates below its grid."""
    model = MLP(WIDTHS, norm=norm)
    x, labels = make_batches(10)
    recipe = traced(make_recipe(model=model, precision="bfloat16"))
    state, sums = jax.jit(train)(recipe, make_seed(), x, labels)
    exact, _ = jax.jit(train)(traced(make_recipe(model=model)), make_seed(), x, labels)

    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.stats))} == {np.dtype("float32")}
    assert sums["loss"].dtype == jnp.float32
    for name, leaf in flat(state.params).items():
        assert (leaf != leaf.astype(ml_dtypes.bfloat16).astype(np.float32)).any(), name
        np.testing.assert_allclose(leaf, flat(exact.params)[name], atol=0.03)


@pytest.mark.parametrize(("precision", "asked"), [("float32", "HIGHEST"), ("tf32", "HIGH"), ("bfloat16", "DEFAULT")])
def test_the_program_asks_for_its_precision(precision: str, asked: str) -> None:
    """The lowered program's matrix products carry the study's precision, and bfloat16 operands where it says so."""
    digits = load_dataset("digits")
    study = parse_study(tiny(training__precision=precision))
    (group,) = make_plan(study, digits).groups
    program = make_program(study, digits, group, jax.devices()[:1])
    recipe, seed, state, data = argument_shapes(program)
    population = make_population(make_mesh(jax.devices()[:1]), program.axes, 1)
    moment = jnp.zeros(program.layout.rows, jnp.int32)
    text = population.advance.lower(recipe, seed, state, data, moment, jnp.int32(1), jnp.int32(1)).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]

    assert products
    assert all(f"precision = [{asked}, {asked}]" in line or asked == "DEFAULT" for line in products)
    assert all(("bf16" in line) == (precision == "bfloat16") for line in products)


def test_a_kept_network_predicts_in_its_precision(tmp_path: Path) -> None:
    """A bfloat16 run's network predicts what was stored with it, the report names it, and it is another run."""
    study = tiny(training__precision="bfloat16", measure={"predictions": "test"}, seeds__count=1)
    results = regjax.run(study, tmp_path / "out")
    kept = results.predictions()
    one = kept[kept["cell"] == 1]
    digits = regjax.load_dataset("digits")
    exact = make_plan(parse_study({**study, "training": {**study["training"], "precision": "float32"}}), digits)

    probabilities = results.predict(1, 0, digits.x[one["row"]])
    np.testing.assert_allclose(probabilities, one[[f"p{k}" for k in range(10)]], atol=2e-2)
    assert "bfloat16" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not {run.id for run in exact.runs} & set(results.table.records["run"])


def test_other_precisions_are_refused() -> None:
    """A precision that there is not is refused with the ones that there are."""
    with pytest.raises(ConfigError, match='"float32", "tf32" or "bfloat16"'):
        parse_study(tiny(training__precision="float16"))
