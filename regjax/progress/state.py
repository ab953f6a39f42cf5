"""How far a wave of runs is, as numbers."""

import dataclasses
from typing import Literal

Phase = Literal["waiting", "compiling", "training", "done"]


@dataclasses.dataclass
class GroupState:
    """How far a group of runs that share a program is.

    Attributes:
      name: what its runs have in common and those of other groups have not.
      num_runs: all its runs.
      done: runs that are over, those of earlier processes included.
      stopped, diverged: of them, in this process, those that stopped early and those that diverged.
      slots: trajectories that train at once; 0 before it is known.
      phase: what its program is doing.
    """

    name: str
    num_runs: int
    done: int = 0
    stopped: int = 0
    diverged: int = 0
    slots: int = 0
    phase: Phase = "waiting"


@dataclasses.dataclass
class Wave:
    """How far a wave is.

    Attributes:
      name: "training", "tuning" or "pilot".
      num_runs: runs that this process trains.
      model_epochs: epochs that they are together, as far as they are still wanted.
      groups: one state for each group, empty where nobody named them.
      done, stopped, diverged: runs of this process that are over.
      done_epochs: epochs trained.
      epoch: the farthest that a run in training is.
      best: the best cell so far by validation, in words.
    """

    num_runs: int
    model_epochs: float
    name: str = "training"
    groups: tuple[GroupState, ...] = ()
    done: int = 0
    stopped: int = 0
    diverged: int = 0
    done_epochs: float = 0.0
    epoch: float = 0.0
    best: str = ""

    def rate(self, elapsed: float) -> float:
        """Return models x epochs per second."""
        return self.done_epochs / max(elapsed, 1e-9)

    def left(self, elapsed: float) -> float:
        """Return the seconds that the rest takes at the present rate, 0 where that is not known.

        >>> Wave(4, 40.0, done_epochs=10.0).left(5.0)
        15.0
        """
        rate = self.rate(elapsed)
        return max((self.model_epochs - self.done_epochs) / rate, 0.0) if rate else 0.0
