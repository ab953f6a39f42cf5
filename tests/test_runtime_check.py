"""What `regjax.check_runtime` says of machines: variables, devices and versions are given."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest

import regjax

CPU, GPU, TPU = (SimpleNamespace(platform=name, device_kind=kind) for name, kind in
                 (("cpu", "cpu"), ("gpu", "Tesla T4"), ("tpu", "TPU v3")))  # fmt: skip
JAX = {"jax": "0.10.2", "jaxlib": "0.10.2"}
CUDA = {**JAX, "jax-cuda12-plugin": "0.10.2"}
COLAB = {"COLAB_RELEASE_TAG": "release", "COLAB_GPU": "", "COLAB_TPU_1VM": ""}
KAGGLE = {**COLAB, "KAGGLE_KERNEL_RUN_TYPE": "Interactive"}


def check(
    environ: dict[str, str], devices: list[Any], folder: Path, *chips: str, **versions: str
) -> regjax.RuntimeCheck:
    """Return what is said of a machine whose drivers made these devices."""
    for chip in chips:
        (folder / chip).touch()
    return regjax.check_runtime(environ, devices, folder, versions or JAX)


@pytest.mark.parametrize(
    ("environ", "devices", "host"),
    [
        ({}, [CPU] * 2, ""),
        (COLAB, [CPU], "Colab"),
        (KAGGLE, [CPU], "Kaggle"),
        ({**COLAB, "COLAB_GPU": "0"}, [CPU], "Colab"),
        ({**COLAB, "COLAB_GPU": "1"}, [GPU], "Colab"),
        ({**COLAB, "COLAB_TPU_1VM": "1", "TPU_ACCELERATOR_TYPE": "v5e-1"}, [TPU], "Colab"),
        ({**KAGGLE, "TPU_ACCELERATOR_TYPE": "v3-8", "ISTPUVM": "1"}, [TPU] * 8, "Kaggle"),
        ({"PJRT_DEVICE": "CPU"}, [CPU], ""),
    ],
)
def test_what_was_chosen_and_is_used_gives_no_warning(environ, devices, host, tmp_path) -> None:
    """A runtime without accelerator on its CPU, and one with an accelerator that jax uses, are fine."""
    found = check(environ, devices, tmp_path)

    assert found.warnings == ()
    assert (found.host, found.platform) == (host, devices[0].platform)
    assert found.devices.endswith(f"x {len(devices)}")


@pytest.mark.parametrize(
    ("environ", "chips", "kind"),
    [
        ({**COLAB, "COLAB_GPU": "1"}, (), "GPU"),
        ({**COLAB, "COLAB_TPU_1VM": "1"}, (), "TPU"),
        ({**COLAB, "COLAB_TPU_ADDR": "10.0.0.2:8470"}, (), "TPU"),
        ({**KAGGLE, "TPU_ACCELERATOR_TYPE": "v3-8"}, (), "TPU"),
        ({**KAGGLE, "ISTPUVM": "1"}, (), "TPU"),
        ({"TPU_NAME": "local"}, (), "TPU"),
        ({"PJRT_DEVICE": "TPU"}, (), "TPU"),
        (KAGGLE, ("nvidia0", "nvidia1"), "GPU"),
        ({}, ("accel0",), "TPU"),
    ],
)
def test_a_fall_back_to_the_cpu_is_a_warning_that_names_its_signs(environ, chips, kind, tmp_path) -> None:
    """Where a variable or a driver's device tells of an accelerator and jax has a CPU, that is the first warning."""
    found = check(environ, [CPU], tmp_path, *chips)

    assert f"although this seems to be a {kind} machine" in found.warnings[0]
    assert found.signs
    assert all(str(tmp_path / chip) in found.signs for chip in chips)
    assert f"WARNING: {found.warnings[0]}" in str(found)


@pytest.mark.parametrize(
    ("environ", "versions", "cause"),
    [
        ({"COLAB_GPU": "1", "JAX_PLATFORMS": "cpu"}, CUDA, "JAX_PLATFORMS=cpu"),
        ({"COLAB_GPU": "1", "CUDA_VISIBLE_DEVICES": ""}, CUDA, "CUDA_VISIBLE_DEVICES hides it"),
        ({"COLAB_GPU": "1"}, JAX, "no CUDA plugin"),
        ({"COLAB_GPU": "1"}, {**CUDA, "jax-cuda12-plugin": "0.7.2"}, "does not use jax-cuda12-plugin 0.7.2"),
        ({"COLAB_GPU": "1", "JAX_PLATFORMS": "cuda,cpu"}, CUDA, "Restart the kernel"),
        ({"COLAB_TPU_1VM": "1"}, JAX, "libtpu is not installed"),
        ({"COLAB_TPU_1VM": "1"}, {**JAX, "libtpu": "0.0.30"}, "one process at a time"),
        ({"COLAB_TPU_1VM": "1", "TPU_LIBRARY_PATH": "libtpu.so"}, JAX, "one process at a time"),
        ({"COLAB_TPU_1VM": "1", "JAX_PLATFORMS": "cpu"}, JAX, "JAX_PLATFORMS=cpu"),
    ],
)
def test_a_warning_names_the_likely_cause(environ, versions, cause, tmp_path) -> None:
    """Variables that hide it, a missing or unfitting plugin, a missing library, a TPU that is taken: each is told."""
    found = check(environ, [CPU], tmp_path, **versions)

    assert len(found.warnings) == 1
    assert cause in found.warnings[0]


def test_unused_chips_are_a_warning(tmp_path) -> None:
    """With two GPUs of which jax uses one it says so; eight cores of four TPU chips are all of them."""
    one = check({}, [GPU], tmp_path, "nvidia0", "nvidia1", "nvidiactl")
    both = check({}, [GPU, GPU], tmp_path)
    cores = check({}, [TPU] * 8, tmp_path, "accel0", "accel1", "accel2", "accel3")

    assert "1 of 2 GPU chips" in one.warnings[0]
    assert both.warnings == cores.warnings == ()


def test_by_default_the_process_itself_is_checked(monkeypatch) -> None:
    """Without arguments it is about this process: its devices, variables and installed versions."""
    monkeypatch.setenv("COLAB_GPU", "1")
    found = regjax.check_runtime()

    assert found.platform == jax.default_backend()
    assert found.devices.endswith(f"x {len(jax.devices())}")
    assert found.versions["jax"] == jax.__version__
    assert "COLAB_GPU=1" in found.signs


def test_a_study_is_told_of_a_fall_back(monkeypatch) -> None:
    """What `configure` returns, and every study prints, has the warning too."""
    monkeypatch.setenv("COLAB_GPU", "1")

    assert "although this seems to be a GPU machine" in regjax.configure().notice
