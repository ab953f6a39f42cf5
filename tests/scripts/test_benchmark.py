"""The benchmark: its count of operations, its arithmetic, and one small run with real workers."""

import doctest
import itertools
import json
from pathlib import Path
from typing import Any

import benchmark
import jax
import jax.numpy as jnp
import pytest
from peers import client, table, worker, workloads
from peers.regjax_population import compile_seconds, lattice_study
from peers.workloads import LATTICE, NUM_CLASSES, WORKLOADS, Workload, count_flops, shrink, shrink_lattice
from studies import tiny

import regjax
from regjax.plan import make_plan


def xla_flops(function: Any, *shapes: tuple[int, ...]) -> float:
    """Return the operations of a function as the compiler counts them."""
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def test_dense_layers_are_counted_as_the_compiler_counts_them() -> None:
    """The count of the MLP of (a) is XLA's for the gradient of its chain of products, within 3 percent."""
    mlp = WORKLOADS["mlp"]
    sizes = [784, *mlp.dense, NUM_CLASSES]

    def loss(weights: list, x: jax.Array) -> jax.Array:
        for w in weights:
            x = x @ w
        return jnp.sum(x**2)

    shapes = [*itertools.pairwise(sizes), (mlp.batch_size, 784)]
    found = xla_flops(lambda *each: jax.grad(loss)(list(each[:-1]), each[-1]), *shapes)

    assert count_flops(mlp) == pytest.approx(found, rel=0.03)


def test_convolutions_are_counted_by_their_patches() -> None:
    """A 3x3 layer is counted as the product of its patches by its kernel; XLA leaves padding out."""
    small = Workload("", "", "", (4, 4, 2), 2, 2, 1, channels=(3,))
    patches, out = 2 * (4 * 4) * (3 * 3 * 2) * 3, 2 * (2 * 2 * 3) * NUM_CLASSES  # multiply-adds of a batch of 2
    assert count_flops(small) == 4 * patches + 6 * out

    def loss(kernel: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.sum(
            jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        )

    large = Workload("", "", "", (28, 28, 8), 4, 4, 1, channels=(16,))
    ours = count_flops(large) - 6 * 4 * 14 * 14 * 16 * NUM_CLASSES
    found = xla_flops(jax.value_and_grad(loss), (3, 3, 8, 16), (4, 28, 28, 8))
    assert 0.9 < found / ours < 1.0


def test_examples_of_the_docstrings_hold() -> None:
    """The benchmark's modules do what their examples say."""
    assert sum(doctest.testmod(module).attempted for module in (client, table, workloads)) >= 6
    assert sum(doctest.testmod(module).failed for module in (client, table, workloads)) == 0


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that slows to half in one round changes neither ratio nor share; medians are over rounds."""
    speeds, machine = {"regjax": 40.0, "peer": 10.0}, [1.0, 0.5, 1.0]
    rows: list[dict[str, Any]] = [
        {"system": name, "rounds": [{"seconds": 2.0, "updates": 2 * speed * now} for now in machine]}
        for name, speed in speeds.items()
    ]
    rows.append({"system": "gone", "absent": "why"})
    table.summarize_rows(rows, peaks=[800.0, 400.0, 800.0], flops=5.0, per_epoch=10.0)
    ours, peer, gone = rows

    assert ours["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert peer["ratio"] == {"median": 4.0, "low": 4.0, "high": 4.0}
    assert peer["epochs_per_second"] == {"median": 1.0, "low": 0.5, "high": 1.0}
    assert ours["peak_share"]["median"] == ours["peak_share"]["low"] == 0.25
    assert "ratio" not in gone


def test_a_sample_of_runs_is_scaled_and_said() -> None:
    """Seconds of 32 of 160 runs count five times, and the row says from how many runs they are."""
    rows: list[dict[str, Any]] = [
        {"system": "regjax", "title": "ours", "words": "", "num_runs": 160, "rounds": [{"seconds": 10.0, "runs": 160}]},
        {"system": "torch", "title": "peer", "words": "", "num_runs": 160, "rounds": [{"seconds": 6.0, "runs": 32}]},
    ]
    table.summarize_lattice(rows, 160)

    assert rows[1]["study_seconds"]["median"] == 30.0
    assert rows[1]["ratio"]["median"] == 3.0
    assert "from 32 of 160 runs" in table.row_cells(rows[1])[-1]
    assert "from" not in table.row_cells(rows[0])[-1]


def test_markdown_cells_are_escaped() -> None:
    """A bar in a cell does not end it, and the second line makes the first a head."""
    assert table.layout([["a", "b"], ["x|y", "z"]], markdown=True) == ["| a | b |", "|---|---|", "| x\\|y | z |"]


def test_the_fastest_candidate_is_taken() -> None:
    """Of candidates that make different numbers of updates in about the same time, the one that makes most wins."""
    assert worker.fastest([1, 10_000, 3], lambda updates: lambda: updates) == 10_000


def test_a_failing_worker_becomes_a_row(tmp_path: Path) -> None:
    """A library that is not installed and a process that dies are rows that say why, and no exception."""
    missing = client.System("missing", "not installed", "no_such_peer", {})
    dead = client.System("dead", "dies", "numpy_matmul", {"PYTHONHOME": str(tmp_path)})
    found = benchmark.measure(shrink(WORKLOADS["digits"]), [missing, dead], 1, [32], tmp_path, {})

    first, second = found["rows"]
    assert "no_such_peer" in first["absent"]
    assert "ended with status 1" in second["absent"]
    assert found["peaks"][0] > 0
    assert "absent" in table.row_cells(first)
    with client.Worker(dead, tmp_path) as dying, pytest.raises(client.PeerError, match="ended with status 1"):
        dying.ask("versions")  # at once, while it still starts


def test_a_small_benchmark_measures_both_systems(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """With tiny sizes regjax and the sequential loop train; JSON and table hold what was measured."""
    out = tmp_path / "found.json"
    benchmark.main(["--quick", "--rounds", "2", "--workloads", "digits", "--systems", "regjax", "jax-loop",
                    "--markdown", "--out", str(out)])  # fmt: skip
    result = json.loads(out.read_text())
    (found,) = result["workloads"]

    assert [row["system"] for row in found["rows"]] == ["regjax", "jax-loop"]
    assert [row.get("absent") for row in found["rows"]] == [None, None]
    assert all(len(row["rounds"]) == 2 and row["epochs_per_second"]["low"] > 0 for row in found["rows"])
    assert found["rows"][0]["ratio"]["median"] == 1.0
    assert {"regjax", "jax", "flax", "python"} <= set(result["versions"])
    assert result["quick"]
    assert "| regjax, a population |" in capsys.readouterr().out


def test_the_lattice_is_one_study_for_all(tmp_path: Path) -> None:
    """The study that regjax runs has the cells and runs that the peers train."""
    study = regjax.parse_study(lattice_study(LATTICE))
    plan = make_plan(study, regjax.load_dataset("digits"))
    assert len(plan.cells) == len(workloads.lattice_cells(LATTICE)) == 16
    assert len(plan.runs) == LATTICE.num_runs
    assert {group.counts["train"] for group in plan.groups} == {LATTICE.train}
    assert [len(y) for _, y in workloads.lattice_parts(LATTICE, 0)] == list(plan.groups[0].counts.values())


def test_the_lattice_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The loop trains a tiny lattice and compiles within its seconds; a system without a lattice is a row."""
    systems = [client.make_systems()["jax-loop"], client.make_systems()["keras-jax"]]
    found = benchmark.measure_lattice(shrink_lattice(LATTICE), systems, 1, tmp_path)
    trained, keras = found["rows"]

    assert trained["rounds"][0]["runs"] == 16
    assert 0 < trained["rounds"][0]["compile_seconds"] < trained["rounds"][0]["seconds"]
    assert "absent" in keras


def test_what_regjax_compiled_is_read_from_its_run_directory(tmp_path: Path) -> None:
    """A trained study says how long its programs took; an empty folder is an error and not zero seconds."""
    regjax.run(tiny(training__epochs=1), tmp_path / "out", report=False)
    assert compile_seconds(tmp_path / "out") > 0
    with pytest.raises(ValueError, match="no finished runs"):
        compile_seconds(tmp_path)


def test_a_wrong_number_of_rounds_is_refused(capsys: pytest.CaptureFixture) -> None:
    """No round is no measurement."""
    with pytest.raises(SystemExit):
        benchmark.main(["--rounds", "0"])
    assert "expected at least 1" in capsys.readouterr().err
