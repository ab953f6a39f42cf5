"""The benchmark's side of a worker process."""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

SCRIPTS = Path(__file__).parent.parent
LIMIT_SECONDS = 1800.0
TAIL = 300
# Inherited settings of these names would give a system another layout than the benchmark says.
OURS = (
    *("XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "JAX_COMPILATION_CACHE_DIR", "JAX_PLATFORMS", "JAX_THREEFRY_PARTITIONABLE"),
    *("KERAS_BACKEND", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "REGJAX_CACHE"),
)
# Workers that wait must not take the cores from the one that trains: OpenBLAS would spin on, GNU OpenMP sleeps after
# milliseconds (its "passive" policy made PyTorch a third slower). On an accelerator all share its memory.
SHARED = {
    "OPENBLAS_THREAD_TIMEOUT": "4",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class PeerError(Exception):
    """A worker cannot do what was asked; the message says why, in one line."""


class System(NamedTuple):
    """A way to train: its name, what it is, the worker's module and environment."""

    name: str
    title: str
    module: str
    environment: dict[str, str]


def count_cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_systems() -> dict[str, System]:
    """Return the systems by name, regjax first.

    >>> list(make_systems())[:2]
    ['regjax', 'jax-loop']
    """
    # The older layout of random draws: up to a fifth faster on a CPU than jax's default, and no worse elsewhere.
    loop = {"JAX_THREEFRY_PARTITIONABLE": "0"}
    single = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_NUM_CPU_DEVICES": str(count_cores())}
    systems = (
        System("regjax", "regjax, a population", "regjax_population", {}),
        System("jax-loop", "Flax/Optax, one run at a time", "jax_loop", loop),
        System("jax-cores", "Flax/Optax, one run per core at once", "jax_loop", loop | single),
        System("keras-tensorflow", "Keras 3 on TensorFlow, fit", "keras_fit", {"KERAS_BACKEND": "tensorflow"}),
        System("keras-jax", "Keras 3 on JAX, fit", "keras_fit", {"KERAS_BACKEND": "jax"}),
        System("torch", "PyTorch eager", "torch_eager", {}),
        System("torch-vmap", "PyTorch torch.func ensemble", "torch_vmap", {}),
    )
    return {system.name: system for system in systems}


NUMPY = System("numpy", "NumPy, for the peak only", "numpy_matmul", {})


class Worker:
    """A process that trains with one system; use it as a context manager."""

    def __init__(self, system: System, cache: Path) -> None:
        self.system = system
        inherited = {key: value for key, value in os.environ.items() if key not in OURS}
        paths = [str(SCRIPTS), str(SCRIPTS.parent), inherited.get("PYTHONPATH", "")]
        environment = inherited | SHARED | system.environment
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "REGJAX_CACHE": str(cache)}
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "peers.worker", system.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def ask(self, what: str, **details: Any) -> dict[str, Any]:
        """Return the answer of the worker.

        Raises:
          PeerError: the worker failed, died or took too long.
        """
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write((json.dumps({"do": what, **details}) + "\n").encode())
            stdin.flush()
        except BrokenPipeError:
            raise PeerError(self.last_words()) from None
        if not select.select([stdout], [], [], LIMIT_SECONDS)[0]:
            raise PeerError(f"no answer to {what!r} within {LIMIT_SECONDS:g} s")
        line = stdout.readline()
        if not line:
            raise PeerError(self.last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(" ".join(answer["error"].split())[:TAIL])
        return answer

    def last_words(self) -> str:
        """Return why the process ended, as far as it said so."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f"the worker ended with status {self.process.wait()}: {lines[-1][:TAIL] if lines else 'it said nothing'}"
