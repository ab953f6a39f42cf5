"""What a group of runs is trained with, and what that cost."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from regjax.mirror import Mirror
from regjax.plan import Plan
from regjax.progress import Progress
from regjax.sharing import Sharing
from regjax.stop import Stop
from regjax.train.program import Program, Trainer
from regjax.train.state import Data


@dataclasses.dataclass
class Spent:
    """What a queue cost since its last part was published: wall seconds by kind, and population programs."""

    compile: float = 0.0
    train: float = 0.0
    evaluate: float = 0.0
    store: float = 0.0
    compiled: int = 0
    cached: int = 0

    def add_look(self, elapsed: float, evaluation: float) -> None:
        """Count the seconds of a look as training, but for those of its evaluations."""
        evaluated = min(evaluation, elapsed)
        self.evaluate += evaluated
        self.train += elapsed - evaluated

    def store_since(self, began: float) -> float:
        """Count the seconds since `began` as storing, and return now."""
        now = time.perf_counter()
        self.store += now - began
        return now

    def take(self) -> dict[str, Any]:
        """Return what was spent, as a part's file says it, and begin anew."""
        names = ("compile", "train", "evaluate", "store")
        taken = {"seconds": {name: getattr(self, name) for name in names},
                 "programs": {"compiled": self.compiled, "cached": self.cached}}  # fmt: skip
        self.__init__()  # type: ignore[misc]
        return taken


@dataclasses.dataclass(frozen=True)
class Work:
    """What training a group needs beside its queue."""

    plan: Plan
    program: Program
    compiled: Trainer
    data: Data
    out: Path
    progress: Progress
    spent: Spent
    evaluation: float  # seconds of one evaluation of all slots
    mirror: Mirror | None
    stop: Stop
    sharing: Sharing

    @property
    def keep_checkpoints(self) -> bool:
        """Return whether the study asks checkpoints of queues that are over to stay."""
        return bool(self.plan.study.training.keep_checkpoints)
