"""The linear model with a regularizer reaches the optimum that scikit-learn finds for the same objective."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import linear_model
from sklearn.datasets import load_breast_cancer, load_diabetes

import regjax

HELD = 40  # validation rows, and as many test rows, behind the training rows


def standardised(x: np.ndarray) -> np.ndarray:
    """Return features of mean 0 and SD 1."""
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


def solve(
    out: Path, x: np.ndarray, y: np.ndarray, factors: dict[str, list[float]], rate: float, steps: int, **tables: Any
) -> list[np.ndarray]:
    """Return the weights [features, outputs] of each cell after full-batch gradient descent on the first rows.

    Without momentum: a proximal step after an update with momentum is that of a smaller penalty.
    """
    rows = np.arange(len(x))
    data = regjax.make_dataset("own", x, y, parts={"train": rows[:-HELD], "test": rows[-HELD:]})
    study: dict[str, Any] = {
        "question": "Is the optimum that of scikit-learn?",
        "primary": {"metric": "test.mse", "at": "last"},
        "data": {"name": "custom", "scale": "none", "validation": {"count": HELD, "take": "last"}},
        "model": {"name": "linear", "init": "zeros"},
        "optimizer": {"name": "sgd", "learning_rate": rate},
        "training": {"steps": steps, "batch_size": len(x) - 2 * HELD, "evaluate_every": {"steps": steps},
                     "keep": "last"},
        "seeds": {"count": 1},
        "factors": factors,
    }  # fmt: skip
    results = regjax.run(study | tables, out, data=data, report=False)
    return [results.params(cell["index"], 0)["output"]["kernel"] for cell in results.plan["cells"]]


REGRESSIONS = [
    ("l2.strength", lambda s, n: linear_model.Ridge(alpha=s * n / 2)),
    ("l1_proximal.strength", lambda s, n: linear_model.Lasso(alpha=s / 2, tol=1e-10, max_iter=100_000)),
    ("elastic_net.strength", lambda s, n: linear_model.ElasticNet(alpha=s / 2, l1_ratio=0.5, tol=1e-10,
                                                                  max_iter=100_000)),
]  # fmt: skip


@pytest.mark.parametrize(("path", "peer"), REGRESSIONS, ids=["ridge", "lasso", "elastic_net"])
def test_linear_regression(path: str, peer: Any, tmp_path: Path) -> None:
    """Weights of each strength are scikit-learn's to 1e-3, exact zeros included."""
    found = load_diabetes(scaled=False)
    x, y = standardised(found.data), standardised(found.target)
    strengths = [0.05, 0.3]
    kernels = solve(tmp_path / "out", x, y, {path: [0.0, *strengths]}, 0.2, 4000,
                    task={"name": "regression", "scale_targets": False})  # fmt: skip
    train = slice(0, len(x) - 2 * HELD)
    for strength, kernel in zip(strengths, kernels[1:], strict=True):
        expected = peer(strength, len(x[train])).fit(x[train].astype(float), y[train].astype(float)).coef_
        np.testing.assert_allclose(kernel[:, 0], expected, atol=1e-3)
        assert (expected == 0).any() == (path != "l2.strength")
        np.testing.assert_array_equal(kernel[:, 0] == 0, expected == 0)


def test_logistic_regression(tmp_path: Path) -> None:
    """One logit with L2, and with L1 by the proximal step, are scikit-learn's logistic regressions to 1e-3."""
    found = load_breast_cancer()
    # Ten features: of all thirty the optimum without a strong penalty is far away.
    x, y = standardised(found.data[:, :10]), found.target.astype(np.int32)
    factors = {"l2.strength": [0.0, 0.02], "l1_proximal.strength": [0.0, 0.02]}
    kernels = solve(tmp_path / "out", x, y, factors, 0.5, 20_000, task={"name": "binary"},
                    primary={"metric": "test.nll", "at": "last"})  # fmt: skip
    train = slice(0, len(x) - 2 * HELD)
    # Before 1.8 l1_ratio is for one penalty alone; from then on naming a penalty is a warning.
    named = {"penalty": "elasticnet"} if linear_model.LogisticRegression().penalty == "l2" else {}
    for index, ratio in ((2, 0.0), (1, 1.0)):
        peer = linear_model.LogisticRegression(C=1 / (0.02 * len(x[train])), l1_ratio=ratio, solver="saga", tol=1e-9,
                                               max_iter=100_000, **named)  # fmt: skip
        expected = peer.fit(x[train].astype(float), y[train]).coef_[0]
        np.testing.assert_allclose(kernels[index][:, 0], expected, atol=1e-3)
    assert (expected == 0).any()
    np.testing.assert_array_equal(kernels[1][:, 0] == 0, expected == 0)
