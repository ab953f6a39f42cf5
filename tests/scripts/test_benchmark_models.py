"""The benchmark of every model: networks of equal size, and one small run with real workers."""

import json
from pathlib import Path
from typing import Any

import benchmark_models
import jax
import pytest
from peers.models import MODEL_WORKLOADS
from peers.workloads import NUM_CLASSES

from regjax.models import MODELS


@pytest.mark.parametrize("name", list(MODEL_WORKLOADS))
def test_networks_have_as_many_parameters(name: str) -> None:
    """The network of PyTorch has as many parameters as regjax's, and gives a logit for each class."""
    torch = pytest.importorskip("torch")
    from peers.torch_models import make_model

    workload = MODEL_WORKLOADS[name]
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in workload.model.items()}
    ours = MODELS[settings.pop("name")](**settings).make(NUM_CLASSES)
    params, _ = jax.eval_shape(ours.init, jax.random.key(0), jax.ShapeDtypeStruct((2, *workload.shape), "float32"))
    theirs = make_model(workload.model, workload.shape)

    assert sum(p.numel() for p in theirs.parameters()) == sum(leaf.size for leaf in jax.tree.leaves(params))
    height, width, channels = workload.shape
    assert theirs(torch.zeros(2, channels, height, width)).shape == (2, NUM_CLASSES)


def test_every_model_has_a_workload() -> None:
    """No model of regjax is left out."""
    assert {workload.model["name"] for workload in MODEL_WORKLOADS.values()} == set(MODELS)


def test_a_network_of_another_size_is_a_row_that_says_so() -> None:
    """A peer with other numbers of parameters is absent, one with the same stays, one that failed keeps its reason."""
    ours: dict[str, Any] = {"system": "regjax", "parameters": 10}
    rows: list[dict[str, Any]] = [
        {"system": "a", "parameters": 9, "rounds": []},
        {"system": "b", "parameters": 10, "rounds": []},
        {"system": "c", "absent": "why"},
    ]
    for row in rows:
        benchmark_models.compare_sizes(row, ours)
    assert [row.get("absent") for row in rows] == ["9 parameters, regjax has 10", None, "why"]


def test_a_small_run_measures_all_systems(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """With tiny sizes regjax, PyTorch and PyTorch on each core train; JSON and table hold what was measured."""
    pytest.importorskip("torch")
    out = tmp_path / "found.json"
    benchmark_models.main(["--quick", "--rounds", "1", "--models", "linear", "--markdown", "--out", str(out)])
    (found,) = json.loads(out.read_text())["models"]

    assert [row["system"] for row in found["rows"]] == ["regjax", "torch", "torch-cores"]
    assert [row.get("absent") for row in found["rows"]] == [None] * 3
    assert {row["parameters"] for row in found["rows"]} == {7850}
    assert all(row["ratio"]["low"] > 0 for row in found["rows"])
    assert "| linear, 28x28x1 (tiny: --quick) | 7850 |" in capsys.readouterr().out
