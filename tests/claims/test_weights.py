"""Measures of weights, of chosen inputs and of the spread between runs, against closed forms and brute force."""

import itertools
import shutil

import jax
import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score
from studies import tiny

import regjax
from regjax import store
from regjax.claims.measures import pseudo_values, take_measure
from regjax.claims.measures.inputs import make_forward, run_inputs
from regjax.claims.measures.networks import iter_networks, load_networks, predict_labels
from regjax.claims.measures.reliability import damage
from regjax.claims.measures.selection import stability
from regjax.claims.measures.weights import first_kernel, gini_index
from regjax.config import ConfigError
from regjax.files import StoreError
from regjax.results import load_results


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Five seeds on one split of digits, a third of the training labels wrong at the second level."""
    study = tiny(
        factors={"label_noise.rate": [0.0, 0.3, 0.6]},
        seeds={"count": 5, "vary": ["init", "order", "labels"]},
        training__keep="last",
        primary__at="last",
        measure={"predictions": "test"},
    )
    return regjax.run(study, tmp_path_factory.mktemp("digits") / "out")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Four seeds of a linear model on ten features and their copies, with L1 and L2 in turn."""
    study = tiny(
        primary={"metric": "test.mse", "at": "last"},
        data={
            "name": "sparse_linear", "num_examples": 200, "num_features": 10, "num_informative": 3, "copies": 2,
            "split": {"train": 64, "validation": 32, "test": 64},
        },
        model={"name": "linear"},
        optimizer={"name": "sgd", "learning_rate": 0.05},
        training={"steps": 60, "batch_size": 64, "evaluate_every": {"steps": 60}, "keep": "last"},
        seeds={"count": 4},
        factors={"l1_proximal.strength": [0.0, 0.2], "l2.strength": [0.0, 2.0]},
        design={"kind": "one_at_a_time"},
    )  # fmt: skip
    return regjax.run(study, tmp_path_factory.mktemp("planted") / "out")


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two seeds of a binary task, in two cells whose settings mean the same."""
    study = tiny(
        data={"name": "logistic", "num_features": 8, "split": {"train": 64, "validation": 32, "test": 64}},
        task={"name": "binary"},
        factors={"dropout.hidden": [0.5, [0.5]]},
        seeds__count=2,
    )
    return regjax.run(study, tmp_path_factory.mktemp("twins") / "out", report=False)


def recorded(results, metric):
    """Return a metric of the last records, [cell, seed]."""
    return take_measure(results, metric, {}, {"kind": "last"})


def test_inputs_are_those_of_the_run(digits):
    """On the inputs of a run its kept network has the accuracies that were recorded, on test and on training rows."""
    for cell, (place, seed) in itertools.product(range(3), enumerate(digits.plan["seeds"])):
        inputs, kept = run_inputs(digits, cell, seed), digits.params(cell, seed)
        forward = make_forward(digits, cell)
        for split, x, y in (
            ("test", inputs.x_test, inputs.y_test),
            ("train", inputs.x_train, inputs.y_train),
            ("validation", inputs.x_validation, inputs.y_validation),
        ):
            found = np.mean(np.argmax(forward(kept, {}, x), axis=1) == y)
            assert found == pytest.approx(recorded(digits, f"{split}.accuracy")[cell, place], abs=1e-6)


def test_given_labels_are_those_that_noise_left(digits):
    """Without noise they are the clean ones; with it as many differ as its rate says, the same and more at more."""
    seeds = digits.plan["seeds"]
    wrong = np.array([[(i := run_inputs(digits, c, s)).given != i.y_train for s in seeds] for c in range(3)])

    assert not wrong[0].any()
    assert wrong[1].mean() == pytest.approx(0.3, abs=0.07)
    assert (wrong[1] <= wrong[2]).all()
    assert (wrong[1, 0] != wrong[1, 1]).any()


def test_networks_are_the_kept_ones(digits):
    """Stacked networks are `params` of each seed, in the order of the seeds."""
    networks = load_networks(digits, 1)

    assert networks.seeds.tolist() == digits.plan["seeds"]
    for place, seed in enumerate(networks.seeds):
        jax.tree.map(
            np.testing.assert_array_equal,
            jax.tree.map(lambda leaf, s=place: leaf[s], networks.params),
            digits.params(1, int(seed)),
        )


def test_cells_that_are_one_run_have_one_network(twins):
    """A rate of all layers and a list of it are the same runs: both cells have their networks."""
    found = list(iter_networks(twins))

    assert [networks.cell for networks in found] == [0, 1]
    jax.tree.map(np.testing.assert_array_equal, found[0].params, found[1].params)


def test_labels_of_one_output_are_its_sign(twins):
    """Of a binary task the label is 1 where the probability of class 1 is above a half."""
    x = np.random.default_rng(0).standard_normal((50, 8), np.float32)
    found = predict_labels(twins, load_networks(twins, 1), np.stack([x, x]))

    assert 0 < found.mean() < 1
    np.testing.assert_array_equal(found, [twins.predict(1, seed, x)[:, 0] > 0.5 for seed in twins.plan["seeds"]])


def test_gini_is_half_the_relative_mean_difference():
    """The index is the mean absolute difference of two sizes over twice their mean, however they are scaled."""
    w = np.random.default_rng(0).standard_normal((2, 30))
    size = np.abs(w)
    expected = np.abs(size[:, :, None] - size[:, None, :]).mean(axis=(1, 2)) / (2 * size.mean(axis=1))

    np.testing.assert_allclose(gini_index(w), expected)
    np.testing.assert_allclose(gini_index(-7 * w), expected)


def test_gini_of_a_network_is_the_mean_over_its_matrices(digits):
    """Each matrix counts by its weights; biases do not count."""
    kept = digits.params(0, 2)
    matrices = [kept["hidden_0"]["kernel"].ravel(), kept["output"]["kernel"].ravel()]
    expected = np.average([gini_index(m) for m in matrices], weights=[m.size for m in matrices])

    assert take_measure(digits, "gini", {}, None)[0, 2] == pytest.approx(expected)


@pytest.mark.parametrize("of", ["outputs", "probabilities"])
def test_jacobian_of_one_hidden_layer(digits, of):
    """The norm is that of the chain rule: output weights, units that are on, input weights, derivative of softmax."""
    kept, inputs = digits.params(0, 1), run_inputs(digits, 0, 1)
    x = inputs.x_test[:7].reshape(7, -1)
    first, last = kept["hidden_0"], kept["output"]
    hidden = x @ first["kernel"] + first["bias"]
    logits = np.maximum(hidden, 0) @ last["kernel"] + last["bias"]
    rows = np.einsum("fh,rh,hk->rkf", first["kernel"], hidden > 0, last["kernel"])
    if of == "probabilities":
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        rows = np.einsum("rkj,rjf->rkf", p[:, :, None] * (np.eye(10) - p[:, None, :]), rows)
    found = take_measure(digits, "jacobian_norm", {"of": of, "examples": 7}, None)

    assert found.shape == (3, 5)
    assert found[0, 1] == pytest.approx(np.sqrt((rows**2).sum(axis=(1, 2)).mean()), rel=1e-4)


def test_copies_share_their_weight_under_l2(planted):
    """Without L2 copies keep the difference they began with; under it, it is gone; no copies are apart by nothing."""
    apart = take_measure(planted, "copies_apart", {"copies": 2}, None)
    first, second = np.split(planted.params(0, 0)["output"]["kernel"][:, 0].astype(float), 2)

    assert apart[0, 0] == pytest.approx(np.sqrt(((first - second) ** 2 / 2).sum() / (first**2 + second**2).sum()))
    assert (apart[2] < 0.05 * apart[0]).all()
    np.testing.assert_array_equal(take_measure(planted, "copies_apart", {"copies": 1}, None), 0)


def test_selection_scores_are_those_of_scikit_learn(planted):
    """Precision, recall and F1 of exact zeros against the planted support, without threshold and with one."""
    data = regjax.load_dataset("sparse_linear", num_examples=200, num_features=10, num_informative=3, copies=2)
    right = np.isin(np.arange(20), data.truth["support"])
    oracles = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    for threshold, (score, oracle) in itertools.product((0.0, 0.5), oracles.items()):
        found = take_measure(planted, "selection", {"score": score, "threshold": threshold}, None)
        for cell, seed in itertools.product(range(3), range(4)):
            size = np.abs(planted.params(cell, seed)["output"]["kernel"][:, 0])
            assert found[cell, seed] == pytest.approx(oracle(right, size > threshold * size.max()))
    assert take_measure(planted, "selection", {"score": "f1"}, None)[1].min() > 0.6


def test_stability_of_equally_many_is_the_mean_agreement_of_pairs():
    """Where all choose k of d it is the mean over pairs of (r d - k^2) / (k (d - k)), r in common; else as defined."""
    rng = np.random.default_rng(1)
    chosen = np.array([np.isin(np.arange(9), rng.permutation(9)[:3]) for _ in range(6)])
    pairs = [((a & b).sum() * 9 - 9) / 18 for a, b in itertools.combinations(chosen, 2)]

    assert stability(chosen) == pytest.approx(np.mean(pairs))
    assert stability(np.ones((4, 5), bool)) == stability(np.zeros((4, 5), bool)) == 0
    assert abs(stability(rng.random((400, 50)) < 0.3)) < 0.02


def test_stability_of_a_cell_is_that_of_its_choices(planted, twins):
    """Without exact zeros nothing is selected; the pseudo-values are those of the choices of three runs or more."""
    found = take_measure(planted, "selection_stability", {}, None)
    chosen = np.array([planted.params(1, s)["output"]["kernel"][:, 0] != 0 for s in range(4)])

    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_allclose(found[1], pseudo_values(lambda kept: stability(chosen[kept]), 4))
    assert np.isnan(take_measure(twins, "selection_stability", {}, None)).all()


def test_other_first_layers_are_refused():
    """Inputs are chosen by the first layer of an `mlp`: not by a convolution, nor by what follows a stem or patches."""
    dense, maps = {"kernel": np.ones((2, 5, 3))}, {"kernel": np.ones((2, 3, 3, 1, 4))}
    others = [({"hidden_0": maps}, r"a first layer with weights \(3, 3, 1, 4\)"),
              ({"stem": maps, "output": dense}, "a network with a layer 'stem'"),
              ({"embed": dense, "hidden_0": dense}, "a network with a layer 'embed'")]  # fmt: skip

    assert first_kernel({"hidden_0": dense, "norm_0": {}, "output": {}}).shape == (2, 5, 3)
    for params, got in others:
        with pytest.raises(ValueError, match=f'got {got}, expected "mlp" or "linear"'):
            first_kernel(params)


def test_data_that_changed_are_not_those_of_the_run(digits, tmp_path):
    """Inputs of a study whose data are others by now are refused, by both digests."""
    out = shutil.copytree(digits.out, tmp_path / "out")
    plan = store.read_json(out / "plan.json")
    now = plan["data"]["digest"]
    store.write_json(out / "plan.json", plan | {"data": plan["data"] | {"digest": "before"}})
    with pytest.raises(StoreError, match=f"was trained on data before, now 'digits' is {now}"):
        run_inputs(load_results(out), 0, 0)


def test_spread_over_seeds(digits):
    """The pseudo-values are n log SD - (n - 1) log SD without the seed."""
    values = recorded(digits, "test.accuracy")[1]
    without = [np.log(np.std(np.delete(values, s), ddof=1)) for s in range(5)]
    expected = 5 * np.log(np.std(values, ddof=1)) - 4 * np.array(without)

    np.testing.assert_allclose(take_measure(digits, "log_seed_sd", {"metric": "test.accuracy"}, None)[1], expected)


def test_churn_is_the_disagreement_of_pairs(digits):
    """Its mean is the share of test examples that two runs label differently, over all pairs of runs."""
    frame = digits.predictions()
    found = take_measure(digits, "churn", {}, None)
    for cell in range(3):
        mine = frame[frame["cell"] == cell].sort_values(["seed", "row"])
        labels = mine[[f"p{k}" for k in range(10)]].to_numpy().argmax(axis=1).reshape(5, -1)
        pairs = [np.mean(a != b) for a, b in itertools.combinations(labels, 2)]
        assert found[cell].mean() == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(("loss", "metric"), [("squared", "brier"), ("kl", "nll"), ("zero_one", "accuracy")])
def test_bias_and_variance_sum_to_the_risk(digits, loss, metric):
    """Jackknife means of bias and variance sum to the mean loss; of squared loss both are those of the analysis."""
    parts = {part: take_measure(digits, "bias_variance", {"part": part, "loss": loss}, None).mean(axis=1)
             for part in ("bias", "variance")}  # fmt: skip
    risk = recorded(digits, f"test.{metric}").mean(axis=1)
    expected = 1 - risk if loss == "zero_one" else risk

    np.testing.assert_allclose(parts["bias"] + parts["variance"], expected, rtol=1e-4)
    if loss == "squared":
        np.testing.assert_allclose(parts["variance"], digits.bias_variance("squared")["variance"], rtol=1e-5)
    if loss == "zero_one":
        np.testing.assert_allclose(parts["variance"], take_measure(digits, "churn", {}, None).mean(axis=1) / 2)


def test_damage_is_the_same_in_all_cells_and_none_at_none(digits):
    """Undamaged accuracy is the recorded one; damage depends on the seed and does harm."""
    x = np.full((50, 8, 8, 1), 0.5, np.float32)

    np.testing.assert_allclose(
        take_measure(digits, "damaged_accuracy", {"kind": "mask", "severity": 0.0}, None),
        recorded(digits, "test.accuracy"),
        atol=1e-6,
    )
    assert (damage(x, "mask", 0.25, 3) == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert (damage(x, "noise", 0.25, 3) - x).std() == pytest.approx(0.25, abs=0.02)
    np.testing.assert_array_equal(damage(x, "noise", 0.25, 3), damage(x, "noise", 0.25, 3))
    assert (damage(x, "noise", 0.25, 3) != damage(x, "noise", 0.25, 4)).any()
    assert take_measure(digits, "damaged_accuracy", {"kind": "mask", "severity": 1.0}, None).max() < 0.25


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("jacobian_norm", {"of": "loss"}, '"loss", expected "outputs" or "probabilities"'),
        ("selection", {"score": "auc"}, 'expected "precision", "recall" or "f1"'),
        ("selection", {}, "expected synthetic ones with a known support"),
        ("bias_variance", {"part": "noise"}, 'expected "bias" or "variance"'),
        ("damaged_accuracy", {"kind": "fog"}, 'expected "noise" or "mask"'),
        ("log_seed_sd", {"metric": "test.nl"}, "expected one of the recorded: .*test.nll"),
    ],
)
def test_wrong_options_are_refused(digits, name, options, message):
    """A measure says what it was given and what it knows."""
    with pytest.raises(ConfigError, match=rf"^measure '{name}' of study 'out': .*got .*{message}"):
        take_measure(digits, name, options, None)
