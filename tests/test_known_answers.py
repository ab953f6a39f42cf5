"""Synthetic data whose right answer is known in closed form: regjax finds it."""

from pathlib import Path
from typing import Any

import numpy as np

import regjax
from regjax.data import load_dataset, ridge_optimum
from regjax.plan import find_rows, make_plan


def train(out: Path, data: dict[str, Any], factors: dict[str, Any], **changes: Any) -> regjax.Results:
    """Return the results of full-batch gradient descent on a linear model, two seeds that share the data."""
    size = data["split"]["train"]
    study = {
        "question": "Is the known answer found?",
        "primary": {"metric": "test.mse", "at": "last"},
        "data": data,
        "task": {"scale_targets": False},
        "model": {"name": "linear"},
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "training": {"steps": 600, "batch_size": size, "evaluate_every": {"steps": 600}, "keep": "last"},
        "seeds": {"count": 2},
        "factors": factors,
    }
    return regjax.run(study | changes, out, report=False)


def test_l1_recovers_the_support_and_l2_zeroes_nothing(tmp_path: Path) -> None:
    """Proximal L1 keeps the planted features alone, every one of them; L2 leaves no weight at zero (sparse linear)."""
    data = {"name": "sparse_linear", "num_examples": 700, "num_features": 30, "num_informative": 5, "seed": 3,
            "split": {"train": 500, "validation": 100, "test": 100}}  # fmt: skip
    # The largest chance correlation with noise is sqrt(2 log 30 / 500) = 0.12; half the strength is the threshold.
    results = train(tmp_path / "out", data, {"l1_proximal.strength": [0.0, 0.5], "l2.strength": [0.0, 0.5]})
    planted = load_dataset("sparse_linear", num_examples=700, num_features=30, num_informative=5, seed=3)
    support = set(np.flatnonzero(planted.truth["weights"]))
    for seed in (0, 1):
        l1 = results.feature_norms({"l1_proximal.strength": 0.5, "l2.strength": 0.0}, seed)
        l2 = results.feature_norms({"l1_proximal.strength": 0.0, "l2.strength": 0.5}, seed)
        assert set(np.flatnonzero(l1)) == support
        assert (l2 > 0).all()


def test_ridge_is_its_closed_form(tmp_path: Path) -> None:
    """The coupled L2 penalty reaches the exact ridge optimum of correlated features."""
    data = {"name": "ridge_linear", "num_examples": 400, "num_features": 12,
            "split": {"train": 200, "validation": 100, "test": 100}}  # fmt: skip
    results = train(tmp_path / "out", data, {"l2.strength": [0.0, 0.2]}, seeds={"count": 2, "vary": ["init"]})
    found = load_dataset("ridge_linear", num_examples=400, num_features=12)
    rows = training_rows(results, found)
    for seed in (0, 1):
        params = results.params(1, seed)["output"]
        weights, bias = ridge_optimum(found.x[rows], found.y[rows], 0.2)
        np.testing.assert_allclose(params["kernel"][:, 0], weights, atol=1e-3)
        np.testing.assert_allclose(params["bias"], bias, atol=1e-3)


def training_rows(results: regjax.Results, dataset: Any) -> np.ndarray:
    """Return the training rows of a study in which seeds do not draw the split."""
    study = regjax.parse_study(results.plan["study"])
    return find_rows(study, dataset, make_plan(study, dataset).runs[0]).train


def test_logistic_data_is_learned_to_its_least_nll(tmp_path: Path) -> None:
    """On logistic data the linear model comes within 5% of the least NLL there can be, and never far below it."""
    data = {"name": "logistic", "num_examples": 6000, "num_features": 5,
            "split": {"train": 3000, "validation": 1000, "test": 2000}}  # fmt: skip
    changes = {"task": {"name": "binary"}, "primary": {"metric": "test.nll", "at": "last"}}
    results = train(tmp_path / "out", data, {"l2.strength": [0.0, 1e-4]}, **changes,
                    optimizer={"name": "sgd", "learning_rate": 1.0})  # fmt: skip
    least = float(load_dataset("logistic", num_examples=6000, num_features=5).truth["nll"])
    found = results.to_pandas()["test.nll"]
    assert (np.abs(found / least - 1) < 0.05).all()
