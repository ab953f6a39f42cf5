"""Parts given from Python: a network, examples and regularizers of one's own, without registration."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import own_parts
import pytest
from studies import tiny

import regjax
from regjax.data import load_dataset
from regjax.models.custom import describe_model
from regjax.plan import make_plan

OWN: dict[str, Any] = {"model": own_parts.PLAIN, "regularizers": {"l2_again": own_parts.L2Again}}


def own(**changes: Any) -> dict[str, Any]:
    """Return a study of the user's network and regularizer."""
    base = {
        "factors": {"l2_again.strength": [0.0, 0.05], "l2.strength": [0.0, 0.05]},
        "model": {"name": "custom"},
        "training__epochs": 2,
        "seeds__count": 2,
    }
    return tiny(**(base | changes))


def ids(study: dict[str, Any], **given: Any) -> list[str]:
    """Return the identities of a study's runs."""
    parsed = regjax.parse_study(study, **given)
    return [run.id for run in make_plan(parsed, load_dataset(**parsed.dataset_arguments())).runs]


def refusal(study: dict[str, Any], **given: Any) -> str:
    """Return the message with which a study is refused."""
    with pytest.raises(regjax.ConfigError) as caught:
        regjax.parse_study(study, **given)
    return str(caught.value)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> regjax.Results:
    """Return the results of the user's study."""
    return regjax.run(own(), tmp_path_factory.mktemp("own") / "out", report=False, **OWN)


def test_an_own_penalty_is_that_of_regjax(done: regjax.Results) -> None:
    """L2 written by a user trains the networks that L2 of regjax trains; both change the network without."""
    frame = done.to_pandas()
    last = frame[frame["step"] == frame["step"].max()].pivot(index="cell", columns="seed", values="weight_norm")

    np.testing.assert_allclose(last.loc[1], last.loc[2], rtol=1e-5)
    assert (last.loc[0] > 1.001 * last.loc[1]).all()


def test_own_networks_predict(done: regjax.Results) -> None:
    """What is kept of an own network gives the probabilities of its own function, here and when loaded anew."""
    x = load_dataset("digits").x[:50]
    found = done.predict(0, 0, x)
    params = done.params(0, 0)
    logits = np.tanh(x.reshape(50, -1) / 16 @ params["hidden"]["kernel"]) @ params["output"]["kernel"]
    expected = np.exp(logits - logits.max(1, keepdims=True))

    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), atol=1e-5)
    np.testing.assert_array_equal(regjax.load_results(done.out, **OWN).predict(0, 0, x), found)


def test_running_again_trains_nothing(done: regjax.Results, capsys: pytest.CaptureFixture[str]) -> None:
    """The same own parts have the same identities, so that nothing is trained again."""
    regjax.run(own(), done.out, report=False, **OWN)

    assert "8 already done" in capsys.readouterr().err


def test_identities_follow_what_is_computed() -> None:
    """Another function, version or class gives other runs; a regularizer that is off does not count."""
    base = ids(own(), **OWN)
    again = regjax.Model(own_parts.init, own_parts.apply, num_hidden=1)
    marked = regjax.Model(own_parts.init, own_parts.apply, num_hidden=1, version="2")
    other = ids(own(), model=own_parts.PLAIN, regularizers={"l2_again": own_parts.L2Once})

    assert ids(own(), **(OWN | {"model": again})) == base
    assert not set(ids(own(), **(OWN | {"model": own_parts.make_scaled(2.0)}))) & set(base)
    assert not set(ids(own(), **(OWN | {"model": marked}))) & set(base)
    assert [a == b for a, b in zip(base, other, strict=True)] == [True, True, False, False] * 2


def test_a_rule_of_an_own_network_for_its_gradient_counts() -> None:
    """Two networks of the same outputs whose gradients are others, in parameters or in examples, are other runs."""

    def made(factor: float, leaf: str) -> regjax.Model:
        @jax.custom_vjp
        def same(h: jax.Array) -> jax.Array:
            return h

        same.defvjp(lambda h: (h, None), lambda _, g: (g * factor,))

        def ruled(params: Any, stats: Any, x: jax.Array, tap: Any, train: bool) -> Any:
            # A loop on examples of unknown length has no gradient there, and hinders nothing.
            x = jax.lax.while_loop(lambda x: x.max() > 1, lambda x: x / 2, x) if leaf == "params" else same(x)
            found = own_parts.apply(params, stats, x, tap, train)
            return found._replace(outputs=same(found.outputs)) if leaf == "params" else found

        return regjax.Model(own_parts.init, ruled, num_hidden=1)

    for leaf in ("params", "x"):
        one, again, other = (describe_model(made(factor, leaf), (8, 8, 1)) for factor in (1.0, 1.0, 0.5))
        assert one == again
        assert one != other


def test_settings_of_an_own_network_are_varied() -> None:
    """A class with settings has keys in the study's [model] and paths to vary, checked as those of regjax."""
    study = own(model={"name": "custom", "factor": 2.0}, factors={"model.factor": [1.0, 2.0, 4.0]})
    found = ids(study, model=own_parts.Scaled)

    assert len(set(found)) == 6
    assert "a number > 0" in refusal(own(factors={"model.factor": [1.0, -1.0]}), model=own_parts.Scaled)
    assert "fatcor" in refusal(own(model={"name": "custom", "fatcor": 1.0}), model=own_parts.Scaled)


def test_settings_of_a_network_have_to_say_how_to_make_it() -> None:
    """A class that says neither how many hidden layers it has nor how it is made cannot stand in for a network."""
    unfinished = regjax.part(type("Unfinished", (regjax.ModelSettings,), {}))

    with pytest.raises(NotImplementedError):
        regjax.parse_study(own(factors={"dropout.hidden": [0.0, [0.5]]}), model=unfinished)
    with pytest.raises(NotImplementedError):
        ids(own(), model=regjax.part(type("Half", (unfinished,), {"num_hidden": 1})), regularizers=OWN["regularizers"])


def test_what_is_not_given_is_refused() -> None:
    """A study of own parts without them says what to pass; names that are taken and classes that are none do not go."""
    assert "regjax.run(study, out, model=...)" in refusal(own(factors={"l2.strength": [0.0, 0.1]}))
    assert 'unknown regularizer "l2_again"' in refusal(own(), model=own_parts.PLAIN)
    assert "not taken" in refusal(own(), model=own_parts.PLAIN, regularizers={"dropout": own_parts.L2Again})
    assert "regjax.part" in refusal(own(), model=own_parts.PLAIN, regularizers={"mine": regjax.Regularizer})
    none = refusal(own(), model=own_parts.PLAIN, regularizers={"mine": own_parts.PLAIN.init})
    assert 'regularizers["mine"]: got ' in none
    assert "expected a subclass of regjax.Regularizer" in none
    with pytest.raises(TypeError, match=r"expected a regjax\.Model"):
        regjax.parse_study(own(), model=3)


def test_a_need_that_nothing_can_meet_is_refused() -> None:
    """A regularizer that asks for what no network has is an error that names it and what may be asked for."""
    study = own(factors={"picky.strength": [0.0, 0.1]})
    parsed = regjax.parse_study(study, model=own_parts.PLAIN, regularizers={"picky": own_parts.Picky})
    with pytest.raises(regjax.ConfigError) as caught:
        make_plan(parsed, load_dataset("digits"))
    (problem,) = caught.value.problems
    assert (problem.path, problem.got) == ("picky", "a class with needs = 'sound'")
    assert problem.expected.startswith("needs of these: images, classes, ")


def test_own_examples_are_trained_on(tmp_path: Path) -> None:
    """Arrays from Python are a data set; given beside a named one, or missing, they are refused."""
    found = load_dataset("digits")
    data = regjax.make_dataset("mine", found.x, found.y, peak=16.0)
    study = tiny(data__name="custom", training__epochs=1, seeds__count=1)
    given = regjax.run(study, tmp_path / "given", data=data, report=False).to_pandas()
    named = regjax.run(tiny(training__epochs=1, seeds__count=1), tmp_path / "named", report=False).to_pandas()

    assert given["test.nll"].tolist() == named["test.nll"].tolist()
    with pytest.raises(regjax.ConfigError, match=r"data\.name.*data=\.\.\."):
        regjax.run(study, tmp_path / "missing")
    with pytest.raises(regjax.ConfigError, match="beside data from Python"):
        regjax.run(tiny(), tmp_path / "both", data=data)
