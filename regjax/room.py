"""Room on the disk: what a plan will write, against what is free, before anything is trained."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from regjax.files import StoreError
from regjax.metrics import SPLITS
from regjax.plan import Plan
from regjax.train.inputs import seed_of
from regjax.train.layout import count_bytes, data_shapes, member_shapes
from regjax.train.program import Program

# A queue keeps two checkpoints, and the new one beside them until it is whole.
CHECKPOINTS = 3
# Bytes of a number in a table, compressed or not: they hardly compress.
NUMBER = 8
# Columns of a record that are no metric of a split.
OTHER_COLUMNS = 12
# Bytes of a run in done.json, runs.parquet and histograms of weights.
RUN_BYTES = 4096


def check_room(out: Path, plan: Plan, programs: Sequence[tuple[Program, int]]) -> None:
    """Refuse to begin where the disk has less room than these runs will take.

    Args:
      out: run directory, or where it will be.
      plan: what is kept.
      programs: (program, number of runs to train) of each group.

    Raises:
      StoreError: says how much is needed, and how much is free.
    """
    needed = sum(estimate_bytes(plan, program, runs) for program, runs in programs)
    place = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise StoreError(
            f"{out} will take about {needed / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB are free there: make room, "
            'choose another --out, or keep less (training.keep = "none", without measure.predictions)'
        )


def estimate_bytes(plan: Plan, program: Program, runs: int) -> int:
    """Return about how many bytes so many runs of a program take on disk, checkpoints included.

    records + kept parameters + predictions + CHECKPOINTS * slots * state
    """
    first, study = program.group.runs[0], plan.study
    recipe = first.recipe
    shapes = member_shapes(recipe, seed_of(study, program.dataset, first), data_shapes(program.dataset))
    columns = OTHER_COLUMNS + (len(SPLITS) + 1) * len(recipe.task.prediction_names) + 8 * (len(SPLITS) + 1)
    each = RUN_BYTES + program.intervals * columns * NUMBER
    if study.training.keep != "none":
        each += count_bytes(shapes.params) + count_bytes(shapes.stats)
    if study.measure.predictions:
        each += program.group.counts["test"] * (len(recipe.task.prediction_names) + 2) * NUMBER
    return runs * each + CHECKPOINTS * program.layout.slots * program.state_bytes
