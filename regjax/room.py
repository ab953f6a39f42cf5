"""Room on the disk: what a plan will write, against what is free, before anything is trained."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from regjax.files import StoreError
from regjax.metrics import SPLITS
from regjax.plan import Plan
from regjax.queue import NUM_CHECKPOINTS
from regjax.train.inputs import seed_of
from regjax.train.layout import count_bytes, data_shapes, member_shapes
from regjax.train.program import Program

# Bytes of a number in a table, compressed or not: they hardly compress.
NUMBER = 8
# Columns of a record that are no metric of a split.
OTHER_COLUMNS = 12
# Bytes of a run in done.json, runs.parquet and histograms of weights.
RUN_BYTES = 4096


class Room(NamedTuple):
    """Bytes on the disk.

    Attributes:
      results: what stays: records, kept parameters, predictions and histograms of all runs, and the checkpoints that
        are asked to.
      checkpoints: the most that there are of others at a time: those of a group go when its runs are done.
    """

    results: int
    checkpoints: int

    @property
    def total(self) -> int:
        """Return what both take when there is most of them."""
        return self.results + self.checkpoints


def check_room(out: Path, plan: Plan, programs: Sequence[tuple[Program, int]]) -> None:
    """Refuse to begin where the disk has less room than these runs will take.

    Args:
      out: run directory, or where it will be.
      plan: what is kept.
      programs: (program, number of runs to train) of each group.

    Raises:
      StoreError: says how much is needed, and how much is free.
    """
    needed, free = add_rooms(estimate_room(plan, program, runs) for program, runs in programs).total, find_free(out)
    if needed > free:
        raise StoreError(
            f"{out} will take about {needed / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB are free there: make room, "
            'choose another --out, or keep less (training.keep = "none", measure.predictions = "none")'
        )


def find_free(out: Path) -> int:
    """Return how many bytes are free where a folder is, or where it will be."""
    place = next(path for path in (out, *out.absolute().parents) if path.exists())
    return shutil.disk_usage(place).free


def add_rooms(rooms: Iterable[Room]) -> Room:
    """Return what groups take that train one after the other.

    >>> add_rooms([Room(5, 30), Room(7, 20)])
    Room(results=12, checkpoints=30)
    """
    found = list(rooms)
    return Room(sum(room.results for room in found), max((room.checkpoints for room in found), default=0))


def estimate_room(plan: Plan, program: Program, runs: int) -> Room:
    """Return about how many bytes so many runs of a program take on disk.

    results = runs * (records + kept parameters + predictions), checkpoints = 3 slots * state: a queue keeps two,
    and the new one beside them until it is whole. With `training.keep_checkpoints` two of the three count as results.
    """
    first, study = program.group.runs[0], plan.study
    recipe = first.recipe
    shapes = member_shapes(recipe, seed_of(study, program.dataset, first), data_shapes(program.dataset))
    columns = OTHER_COLUMNS + (len(SPLITS) + 1) * len(recipe.task.prediction_names) + 8 * (len(SPLITS) + 1)
    each = RUN_BYTES + program.intervals * columns * NUMBER
    if study.training.keep != "none":
        each += count_bytes(shapes.params) + count_bytes(shapes.stats)
    if plan.predictions:
        each += program.group.counts["test"] * (len(recipe.task.prediction_names) + 2) * NUMBER
    one = program.layout.slots * program.state_bytes if runs else 0
    stay = NUM_CHECKPOINTS * one if study.training.keep_checkpoints else 0
    return Room(runs * each + stay, (NUM_CHECKPOINTS + 1) * one - stay)
