"""Devices, compiler flags and compilation cache: set before jax starts its backend."""

import contextlib
import os
import platform
import threading
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

SINGLE_THREAD = "--xla_cpu_multi_thread_eigen=false"

# Variables that are set where an accelerator was chosen; Colab keeps its own empty on other runtimes.
CHOSEN = {
    "tpu": ("COLAB_TPU_1VM", "COLAB_TPU_ADDR", "TPU_ACCELERATOR_TYPE", "TPU_NAME", "ISTPUVM", "PJRT_DEVICE"),
    "gpu": ("COLAB_GPU",),
}
# What their drivers make, one for each chip.
CHIPS = {"tpu": "accel[0-9]*", "gpu": "nvidia[0-9]*"}
# How JAX_PLATFORMS calls them.
PLATFORMS = {"tpu": ("tpu",), "gpu": ("gpu", "cuda", "rocm")}
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin")
PACKAGES = ("jax", "jaxlib", "libtpu", *PLUGINS)


class Compilations:
    """Counts programs that jax compiled and those that it took from the persistent cache, since the process began."""

    def __init__(self) -> None:
        self.compiled = 0
        self.cached = 0
        self._here = threading.local()

    def on_event(self, event: str, **_: object) -> None:
        """Count a cache event of `jax.monitoring`."""
        if event == "/jax/compilation_cache/cache_hits":
            self.cached += 1
            self._here.cached = self.cached_here() + 1

    def on_duration(self, event: str, duration_secs: float, **_: object) -> None:
        """Count a compilation; jax reports one for a program from the cache too."""
        self.compiled += event == "/jax/core/compile/backend_compile_duration"

    def taken(self) -> tuple[int, int]:
        """Return (programs compiled anew, programs from the cache) so far."""
        return self.compiled - self.cached, self.cached

    def cached_here(self) -> int:
        """Return the programs that the calling thread took from the cache so far."""
        return getattr(self._here, "cached", 0)


COMPILATIONS = Compilations()


class Runtime(NamedTuple):
    """What was configured: `devices` in words, and a `notice` where the best layout could not be had."""

    devices: str
    notice: str


class RuntimeCheck(NamedTuple):
    """What a machine seems to offer, and what jax uses of it; as text, a line each.

    host: "Colab" or "Kaggle", "" elsewhere.
    platform: "cpu", "gpu" or "tpu": what jax trains on.
    devices: all of its devices in words, such as "TPU v3 x 8".
    signs: why an accelerator is expected here, such as ("COLAB_GPU=1", "/dev/nvidia0").
    versions: {package: version} of jax and what it needs for accelerators, as far as they are installed.
    warnings: what is wrong, each with what to do; empty where all is well.
    """

    host: str
    platform: str
    devices: str
    signs: tuple[str, ...]
    versions: dict[str, str]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"jax trains on: {self.devices}{f' ({self.host})' if self.host else ''}",
            f"versions: {', '.join(f'{name} {number}' for name, number in self.versions.items())}",
            f"signs of an accelerator: {', '.join(self.signs) or 'none'}",
            *(f"WARNING: {text}" for text in self.warnings),
        ]
        return "\n".join(lines)


def count_cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder() -> Path | None:
    """Return the folder of the compilation cache: REGJAX_CACHE, or regjax in the user's cache; None where switched off.

    `REGJAX_CACHE=off` switches it off. The name carries the machine's kind, since CPU programs do not travel.
    """
    chosen = os.environ.get("REGJAX_CACHE", "")
    if chosen == "off":
        return None
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regjax"
    return base / f"xla-{platform.system()}-{platform.machine()}-{platform.node()}"


def configure() -> Runtime:
    """Set one XLA device per CPU core, single-threaded linear algebra and the persistent cache; return what is there.

    Members are sharded over the devices, so one thread per device is faster than one device with a pool of threads.
    Where jax has already started (a notebook), its devices are used as they are and the notice says so, as it does
    what `check_runtime` warns of. Calling it again is harmless.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {SINGLE_THREAD}".strip()
    import jax

    _use_cache()
    _count_compilations()
    # jax refuses a new number of devices once its backend runs
    with contextlib.suppress(RuntimeError):
        if _setting("jax_num_cpu_devices") < 1 and "xla_force_host_platform_device_count" not in flags:
            jax.config.update("jax_num_cpu_devices", count_cores())
    devices = jax.devices()
    notes = [*check_runtime(devices=devices).warnings, *_find_idle_cores(devices)]
    return Runtime(_count_devices(devices), " ".join(notes))


def check_runtime(
    environ: Mapping[str, str] | None = None,
    devices: Sequence[Any] | None = None,
    folder: str | Path = "/dev",
    versions: Mapping[str, str] | None = None,
) -> RuntimeCheck:
    """Return what this machine seems to offer and what jax uses of it; call it before any other use of jax.

    jax falls back to the CPU with a line in the log at most. Here it is a warning that names its likely cause, as is a
    machine with more chips than jax uses. An accelerator is expected where a variable says that one was chosen (on
    Colab, Kaggle and TPU machines), or where its driver has made a device.

    Args:
      environ: environment variables; by default those of this process.
      devices: what jax uses; by default `configure` is called and jax asked.
      folder: where drivers make their devices.
      versions: {package: version}; by default those installed.
    """
    environ = os.environ if environ is None else environ
    versions = _installed(PACKAGES) if versions is None else dict(versions)
    notes: list[str] = []
    if devices is None:
        import jax

        configure()
        devices = jax.devices()
        notes = _find_idle_cores(devices)
    platform = devices[0].platform
    chips = {kind: sorted(map(str, Path(folder).glob(pattern))) for kind, pattern in CHIPS.items()}
    signs = {kind: _find_chosen(kind, environ) + chips[kind] for kind in CHIPS}
    if platform == "cpu":
        for kind in (kind for kind in signs if signs[kind]):
            why = _find_cause(kind, environ, versions)
            notes.insert(0, f"jax trains on the CPU, although this seems to be a {kind.upper()} machine. {why}")
    elif len(devices) < len(chips.get(platform, ())):
        notes.append(
            f"jax uses {len(devices)} of {len(chips[platform])} {platform.upper()} chips. See whether a variable such "
            "as CUDA_VISIBLE_DEVICES hides the others, or another process has them, and restart the kernel."
        )
    host = "Kaggle" if environ.get("KAGGLE_KERNEL_RUN_TYPE") else "Colab" if environ.get("COLAB_RELEASE_TAG") else ""
    found = (*signs["tpu"], *signs["gpu"])
    return RuntimeCheck(host, platform, _count_devices(devices), found, versions, tuple(notes))


def _count_devices(devices: Sequence[Any]) -> str:
    """Return devices in words, such as "TPU v3 x 8"."""
    return f"{'cpu' if devices[0].platform == 'cpu' else devices[0].device_kind} x {len(devices)}"


def _find_idle_cores(devices: Sequence[Any]) -> list[str]:
    """Return a warning where jax has fewer CPU devices than there are cores."""
    if devices[0].platform != "cpu" or len(devices) >= count_cores():
        return []
    return [
        f"jax was started before regjax with {len(devices)} CPU device(s) for {count_cores()} cores: expect less "
        "speed. Import regjax and call regjax.configure() before any other use of jax."
    ]


def _find_chosen(kind: str, environ: Mapping[str, str]) -> list[str]:
    """Return the variables, with their values, that say that an accelerator of this kind was chosen."""
    found = [name for name in CHOSEN[kind] if environ.get(name, "") not in ("", "0")]
    return [f"{name}={environ[name]}" for name in found if name != "PJRT_DEVICE" or environ[name].lower() == kind]


def _find_cause(kind: str, environ: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """Return the likely cause why jax does not use an accelerator, and what to do."""
    chosen = environ.get("JAX_PLATFORMS", "")
    if chosen and not any(name in chosen.split(",") for name in PLATFORMS[kind]):
        return f"JAX_PLATFORMS={chosen} leaves it out: take that variable away and restart the kernel."
    fresh = "start a fresh runtime and install regjax so that pip keeps the jax that is there"
    if kind == "tpu":
        if "libtpu" not in versions and not environ.get("TPU_LIBRARY_PATH"):
            return f"libtpu is not installed: {fresh}, or install the extra [tpu]."
        return "A TPU belongs to one process at a time: end other notebooks and processes, then restart the kernel."
    if environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides it: take that variable away and restart the kernel."
    plugins = [name for name in PLUGINS if name in versions]
    if not plugins:
        return f"jax has no CUDA plugin: {fresh}, or install the extra [cuda12]."
    jaxlib = versions.get("jaxlib", "")
    if all(versions[name] != jaxlib for name in plugins):
        found = ", ".join(f"{name} {versions[name]}" for name in plugins)
        return f"jaxlib {jaxlib} does not use {found}, since their versions differ: {fresh}."
    return 'Restart the kernel; if that does not help, jax.devices("cuda") says what fails.'


def _installed(names: Sequence[str]) -> dict[str, str]:
    """Return {package: version} of those that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def read_flags() -> dict[str, str]:
    """Return the flags of XLA and jax that the environment holds, but those that name folders."""
    names = sorted(name for name in os.environ if name.startswith("JAX_") and not name.endswith("_DIR"))
    return {name: os.environ[name] for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS", *names) if name in os.environ}


def _setting(name: str) -> Any:
    """Return a setting of jax as it stands."""
    import jax

    return getattr(jax.config, name)


def _use_cache() -> None:
    import jax

    if _setting("jax_compilation_cache_dir"):
        return
    folder = cache_folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "set REGJAX_CACHE to a folder that can be written, or to off"
        warnings.warn(f"no compilation cache: {folder}: {error.strerror}; {hint}", stacklevel=3)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


_LISTENING: list[bool] = []


def _count_compilations() -> None:
    if _LISTENING:
        return
    import jax.monitoring

    jax.monitoring.register_event_listener(COMPILATIONS.on_event)
    jax.monitoring.register_event_duration_secs_listener(COMPILATIONS.on_duration)
    _LISTENING.append(True)
