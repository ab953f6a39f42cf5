"""A worker process of the benchmark: answers requests from standard input, one JSON object per line.

python -m peers.worker MODULE; requests are {"do": "prepare" | "round" | "peak" | "lattice" | "devices" |
"versions", ...}. Whatever a
library prints goes to standard error.
"""

import dataclasses
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from peers.workloads import Lattice, Trainer, Workload, from_json

PEAK_SECONDS = 0.15
# A round is repeated until it is long enough to be timed.
ROUND_SECONDS = 1.0


def measure_peak(module: ModuleType, sizes: list[int]) -> dict[str, Any]:
    """Return the best matmul speed over the sizes, in operations per second."""
    best = {"flops": 0.0, "size": 0}
    for size in sizes:
        multiply, flops = module.matmul(size)
        multiply()
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < PEAK_SECONDS:
            multiply()
            count += 1
        speed = count * flops / (time.perf_counter() - begin)
        best = max(best, {"flops": speed, "size": size}, key=lambda found: found["flops"])
    return best


class Requests:
    """Answers requests with one module; the trainer lives from `prepare` on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.trainer: Trainer | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request."""
        module = importlib.import_module(f"peers.{self.name}")
        match request["do"]:
            case "prepare":
                return self.prepare(module, Workload(**from_json(request["workload"])), request["path"])
            case "round":
                assert self.trainer is not None
                return timed(self.trainer.train, ROUND_SECONDS)
            case "peak":
                return measure_peak(module, request["sizes"]) if hasattr(module, "matmul") else {"flops": 0.0}
            case "lattice":
                return module.run_lattice(Lattice(**from_json(request["workload"])))
            case "devices":
                return {"devices": module.devices()}
            case _:
                return module.versions()

    def prepare(self, module: ModuleType, workload: Workload, path: str) -> dict[str, Any]:
        """Build, compile and make one round to warm up; return the seconds of it and what was chosen."""
        begin = time.perf_counter()
        self.trainer = module.prepare(workload, path)
        self.trainer.train()
        found = self.trainer._asdict()
        del found["train"]
        return {"seconds": time.perf_counter() - begin, **found}


def timed(train: Callable[[], int], least: float = 0.0) -> dict[str, Any]:
    """Return the seconds and model-updates of a round, or of as many as take `least` seconds."""
    updates, begin = 0, time.perf_counter()
    while not updates or time.perf_counter() - begin < least:
        updates += train()
    return {"seconds": time.perf_counter() - begin, "updates": updates}


def fastest(candidates: list[Any], make: Callable[[Any], Callable[[], int]]) -> Any:
    """Return the candidate whose `make(candidate)() -> model-updates` is the fastest; each twice, in turn."""
    trials = {index: make(candidate) for index, candidate in enumerate(candidates)}
    speeds = dict.fromkeys(trials, 0.0)
    for trial in trials.values():
        trial()
    for _ in range(2):
        for index, trial in trials.items():
            found = timed(trial)
            speeds[index] = max(speeds[index], found["updates"] / found["seconds"])
    return candidates[max(speeds, key=lambda index: speeds[index])]


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    requests = Requests(sys.argv[1])
    for line in sys.stdin:
        try:
            answer = requests.answer(json.loads(line))
        except Exception as error:  # a peer may fail in any way; the benchmark goes on without it
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def as_request(workload: Workload | Lattice) -> dict[str, Any]:
    """Return a workload as JSON takes it."""
    return dataclasses.asdict(workload)


if __name__ == "__main__":
    main()
