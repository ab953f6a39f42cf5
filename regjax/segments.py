"""How long a segment and a look are: a matter of the clock, and never of results."""

import dataclasses
import time
from pathlib import Path

from regjax import store
from regjax.train.program import Program
from regjax.train.seats import Live

# A save costs about 0.1 s, and what is trained since the last one is lost with the process.
SEGMENT_SECONDS = 20.0
# A request to end takes effect after a look at the latest.
LOOK_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Segment:
    """A segment that has begun.

    Attributes:
      fixed: intervals, where the study says so or an earlier process has stored this segment; else None.
      stored: whether one has: its runs may be published, so that it is never cut shorter.
      began: when it began, by `time.perf_counter`.
    """

    fixed: int | None
    stored: bool
    began: float

    def is_full(self, intervals: int) -> bool:
        """Return whether a segment of so many intervals is to be saved."""
        if self.fixed is not None:
            return intervals >= self.fixed
        return time.perf_counter() - self.began >= SEGMENT_SECONDS


def begin_segment(program: Program, out: Path, name: str, live: Live) -> Segment:
    """Return the next segment of a queue.

    Killed between its records and its checkpoint, a segment is trained again to the same length: runs that ended in it
    may be published already.
    """
    head = store.segment_head(out, name, int(live.seats.segments))
    return Segment(program.segment if head is None else head.intervals, head is not None, time.perf_counter())


def is_timed(program: Program) -> bool:
    """Return whether the clock may size the looks: where runs stop early it would decide when slots are refilled."""
    return not any(run.recipe.observer.can_stop for run in program.group.runs)


def first_look(program: Program) -> int:
    """Return how many intervals a look takes before the time of one is known."""
    return 1 if is_timed(program) else program.room


def next_look(program: Program, intervals: int, seconds: float) -> int:
    """Return how many intervals a look takes, from the time that the last one took."""
    if not is_timed(program):
        return program.room
    return max(1, int(LOOK_SECONDS * intervals / max(seconds, 1e-9)))
