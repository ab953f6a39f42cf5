"""The check of an accelerator, run on the simulated CPU devices; and that what is wrong fails it."""

import doctest
import json
import math
import platform
from pathlib import Path

import accelerator_check
import invariants
import jax
import numpy as np
import pytest
from invariants import CHECKS, Case, Found

import regjax


def test_every_check_passes_on_cpu_devices(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """All checks of the mlp pass; the JSON holds devices, versions, rows and memory, and names no machine or folder."""
    out = tmp_path / "check.json"
    status = accelerator_check.main(["--quick", "--no-benchmark", "--models", "mlp", "--out", str(out)])
    text = out.read_text()
    result = json.loads(text)

    assert [row["name"] for row in result["checks"]] == list(CHECKS)
    assert [row for row in result["checks"] if not row["passed"]] == []
    assert status == 0
    assert (result["platform"], result["device_count"]) == ("cpu", len(jax.devices()))
    assert result["versions"]["regjax"] == regjax.__version__
    assert [memory["compiled_bytes_per_device"] > 0 for memory in result["memory"]] == [True]
    assert platform.node() not in text
    assert str(Path.cwd()) not in text
    assert "all checks passed" in capsys.readouterr().out


def test_a_failing_check_is_named_and_is_the_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """With a tolerance of zero the rounding of the cnn's other layout fails, though it is small; equal bits pass."""
    words = ["--quick", "--no-benchmark", "--models", "cnn", "--checks", "repeat", "layouts"]
    out = tmp_path / "check.json"
    assert accelerator_check.main([*words, "--tolerance", "0", "--out", str(out)]) == 1

    repeat, layouts = json.loads(out.read_text())["checks"]
    assert (repeat["passed"], repeat["difference"]) == (True, 0.0)
    assert not layouts["passed"]
    assert 0 < layouts["difference"] < accelerator_check.TOLERANCE
    assert capsys.readouterr().out.rstrip().endswith("FAILED: cnn layouts")


def test_one_bit_of_difference_fails_the_checks_of_bits() -> None:
    """Against results whose parameters differ in their last bit, each check of equal bits fails."""
    regjax.configure()
    case = Case("mlp", True, tuple(jax.devices()), accelerator_check.TOLERANCE)
    state = case.company["state"]
    off = state._replace(params=jax.tree.map(lambda leaf: np.nextafter(leaf, np.float32(9)), state.params))
    case.__dict__["company"] = {**case.company, "state": off}

    rows = [accelerator_check.run_check(name, case) for name in ("repeat", "alone", "permuted", "diverging")]
    assert [row["passed"] for row in rows] == [False] * 4
    assert all(0 < row["difference"] < 1e-6 for row in rows)


def test_what_cannot_be_checked_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception becomes a failed row without folders; a difference that is no number becomes null."""

    def broken(case: Case) -> Found:
        """Fails."""
        raise OSError("cannot read /home/someone/lib.so")

    case = Case("mlp", True, tuple(jax.devices()), 0.0)
    monkeypatch.setitem(CHECKS, "repeat", broken)
    row = accelerator_check.run_check("repeat", case)
    assert (row["passed"], row["note"]) == (False, "OSError: cannot read lib.so")

    monkeypatch.setitem(CHECKS, "repeat", lambda case: Found(math.inf))
    row = accelerator_check.run_check("repeat", case)
    assert (row["passed"], row["difference"]) == (False, None)


def test_the_benchmark_is_embedded() -> None:
    """The benchmark's own JSON comes back with its speeds, and one that fails says so."""
    found = accelerator_check.run_benchmark(["digits"], ["jax-loop"], quick=True)
    (row,) = found["workloads"][0]["rows"]
    assert row["epochs_per_second"]["median"] > 0
    assert found["workloads"][0]["title"] in accelerator_check.benchmark_lines(found)
    assert "status" in accelerator_check.run_benchmark(["nonsense"], ["jax-loop"], quick=True)["absent"]


def test_examples_of_the_docstrings_hold() -> None:
    """The script's modules do what their examples say."""
    found = [doctest.testmod(module) for module in (accelerator_check, invariants)]
    assert sum(result.attempted for result in found) >= 3
    assert sum(result.failed for result in found) == 0
