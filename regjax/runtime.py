"""Devices, compiler flags and compilation cache: set before jax starts its backend."""

import contextlib
import os
import platform
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

SINGLE_THREAD = "--xla_cpu_multi_thread_eigen=false"


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
    Where jax has already started (a notebook), its devices are used as they are and the notice says so. Calling it
    again is harmless.
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
    kind = devices[0].device_kind if devices[0].platform != "cpu" else "cpu"
    notice = ""
    if devices[0].platform == "cpu" and len(devices) < count_cores():
        notice = (
            f"jax was started before regjax with {len(devices)} CPU device(s) for {count_cores()} cores: expect less "
            "speed. Import regjax and call regjax.configure() before any other use of jax."
        )
    return Runtime(f"{kind} x {len(devices)}", notice)


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
        warnings.warn(f"no compilation cache: {folder}: {error.strerror}", stacklevel=3)
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
