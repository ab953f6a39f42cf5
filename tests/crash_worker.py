"""A study trained in a process that is killed: for tests/killed.py, which forks it from a warm server."""

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np  # noqa: F401  # imported once in the server, not in every process
from studies import tiny

import regjax
import regjax.conductor
import regjax.execute
from regjax import cli, execute, leases, store, waves
from regjax.progress import Progress
from regjax.train import checkpoint

# Runs stop early and are refilled; every segment is saved.
STUDY: dict[str, Any] = tiny(
    factors={"early_stopping.patience": [1, 3], "optimizer.learning_rate": [0.1, 0.4]},
    training={"steps": 24, "batch_size": 32, "evaluate_every": {"steps": 2}, "save_every": {"steps": 4}},
    measure={"predictions": "test"},
    seeds={"count": 12},
)


def train(out: str, cache: str, devices: int, point: tuple[str, int] | None, started: Any, seconds: float) -> None:
    """Train the study into a folder, saying when training begins; killed at the n-th time that `point` is reached.

    A lease that nobody renews for `seconds` is lost.
    """
    leases.SECONDS = seconds
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # open as long as the process
    os.environ["REGJAX_CACHE"] = cache
    jax.config.update("jax_num_cpu_devices", devices)
    original = execute.train_queue

    def train_queue(*arguments: Any) -> None:
        started.set()
        original(*arguments)

    execute.train_queue = train_queue
    if point is not None:
        die_at(*point)
    regjax.run(STUDY, out, progress=Progress(sys.stderr, live=False), report=False)


def share(out: str, cache: str, seconds: float, slow: float, together: Any) -> None:
    """Train the study beside another process, both beginning at once; each look takes `slow` seconds more.

    A lease that nobody renews for `seconds` is lost.
    """
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # open as long as the process
    os.environ["REGJAX_CACHE"] = cache
    jax.config.update("jax_num_cpu_devices", 2)
    leases.SECONDS, waves.WAIT = seconds, 0.1
    train_queue, look, first = execute.train_queue, execute.look, [True]

    def wait_and_train(*arguments: Any) -> None:
        if first.pop() if first else False:
            together.wait(60)
        train_queue(*arguments)

    def look_slowly(*arguments: Any) -> Any:
        time.sleep(slow)
        return look(*arguments)

    execute.train_queue, execute.look = wait_and_train, look_slowly
    regjax.run(STUDY, out, progress=Progress(sys.stderr, live=False), report=False)


def command(words: list[str], cache: str, slow: float, limit: int, started: Any, said: Any) -> None:
    """Run a command of regjax; each look takes `slow` seconds more, and no file may grow beyond `limit` bytes.

    Says when the first look begins; what the command says goes to the pipe `said`.
    """
    os.dup2(said.fileno(), 2)
    sys.stderr = sys.stdout = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ["REGJAX_CACHE"] = cache
    jax.config.update("jax_num_cpu_devices", 2)
    original = execute.look

    def look(*arguments: Any) -> Any:
        started.set()
        time.sleep(slow)
        return original(*arguments)

    execute.look = look
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    sys.exit(cli.main(words))


def die_at(point: str, times: int) -> None:
    """Kill this process at the n-th time that it comes to a point, as `kill -9` would."""
    left = [times]

    def here() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(module: Any, name: str, wanted: str, after: bool) -> None:
        original = getattr(module, name)

        def wrapped(*arguments: Any) -> Any:
            hit = not wanted or wanted in str(arguments[0])
            if hit and not after:
                here()
            result = original(*arguments)
            if hit and after:
                here()
            return result

        setattr(module, name, wrapped)

    if point == "inside a checkpoint":
        original = Path.rename

        def rename(self: Path, target: Any) -> Any:
            if self.name.endswith(".new") and "checkpoint" in self.parts:
                here()
            return original(self, target)

        Path.rename = rename  # type: ignore[method-assign, assignment]
        return
    places: dict[str, tuple[Any, str, str, bool]] = {
        "after a segment file": (store, "write_table", "seg-", True),
        "after the checkpoint": (checkpoint, "save", "/checkpoint/", True),
        "before done.json": (store, "write_json", "done-", False),
        "after done.json": (store, "write_json", "done-", True),
        "at a refill": (execute, "refill", "", True),
    }
    around(*places[point])
