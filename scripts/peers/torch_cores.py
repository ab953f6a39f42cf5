"""PyTorch, eager: one run per core at once, each in a process of its own with one thread."""

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

from peers import torch_eager
from peers.torch_eager import count_cores, versions
from peers.workloads import Trainer, Workload

__all__ = ["prepare", "versions"]


def serve(pipe: Connection, workload: Workload, path: str) -> None:
    """Prepare a run, send what was chosen, then make a round for each message; ends with the process that asks."""
    trainer = torch_eager.prepare(workload, path, 1)
    pipe.send(trainer._replace(train=None))  # type: ignore[arg-type]
    while pipe.poll(None):
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(trainer.train())


def prepare(workload: Workload, path: str) -> Trainer:
    """Return one run on every core."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Any] = []
    for _ in range(count_cores()):
        ours, theirs = context.Pipe()
        context.Process(target=serve, args=(theirs, workload, path), daemon=True).start()
        theirs.close()
        pipes.append(ours)
    found = [pipe.recv() for pipe in pipes]

    def train() -> int:
        for pipe in pipes:
            pipe.send("round")
        return sum(pipe.recv() for pipe in pipes)

    return Trainer(train, len(pipes), f"{len(pipes)} processes, {found[0].words}", found[0].parameters)
