"""What training tells of itself while it goes on."""

from collections.abc import Container, Mapping

import numpy as np

from regjax.design import name_level
from regjax.plan import Group, Plan
from regjax.progress import GroupState, Phase, Progress
from regjax.train.program import Program
from regjax.train.seats import Live, Seats


def describe_groups(plan: Plan, done: Container[str]) -> list[GroupState]:
    """Return where each group stands, under the levels that its runs share and not all runs of the plan do."""
    found = []
    for index, group in enumerate(plan.groups):
        runs = {run.id for run in group.runs}
        finished = sum(run in done for run in runs)
        name = f"{index}  {name_group(plan, group)}".strip()
        phase: Phase = "done" if finished == len(runs) else "waiting"
        found.append(GroupState(name, len(runs), finished, phase=phase))
    return found


def name_group(plan: Plan, group: Group) -> str:
    """Return the levels that tell a group's runs from those of other groups, "" where there is nothing to tell."""
    each = len({run.cell for run in plan.runs}) // len(plan.cells) or 1  # candidates of a cell, in tuning
    mine = [plan.cells[cell].levels for cell in sorted({run.cell // each for run in group.runs})]
    shared = {
        path: mine[0][path]
        for path, levels in plan.study.factors.items()
        if len({repr(cell[path]) for cell in mine}) == 1 < len(levels)
    }
    return ", ".join(f"{path} {name_level(level, plan.study.factors[path])}" for path, level in shared.items())


def tell(
    progress: Progress,
    program: Program,
    live: Live,
    before: Seats,
    ended: np.ndarray,
    arrays: Mapping[str, np.ndarray],
    intervals: int,
) -> None:
    """Tell how far a queue is: epochs trained, epochs that early ends have spared, runs that are over and how."""
    steps = program.group.steps
    epochs = steps.evaluate_steps / steps.steps_per_epoch
    runs = np.zeros(before.ended.shape)
    for row in np.flatnonzero(before.living):
        for column, trajectory in enumerate(live.queue[before.row[row]]):
            runs[row, column] = len(trajectory.runs)
    left = (program.intervals - live.seats.step // steps.evaluate_steps)[:, None]
    progress.skip(float((runs * ended * left).sum()) * epochs)
    progress.finish(int((runs * ended).sum()), *count_ends(runs * ended, arrays, intervals))
    active = runs * ~before.ended
    at = int(live.seats.step[before.living].max()) / steps.steps_per_epoch
    progress.advance(float(active.sum()) * intervals * epochs, at)


def count_ends(runs: np.ndarray, arrays: Mapping[str, np.ndarray], intervals: int) -> tuple[int, int]:
    """Return how many of the runs diverged and how many stopped early; whichever came first counts.

    Args:
      runs: runs of each trajectory that is over, [rows, columns], 0 elsewhere.
      arrays: records of a look, with diverged and stopped [rows, columns, room, observers].
      intervals: how many of them there are.
    """
    bad, stop = (arrays[name][:, :, intervals - 1] for name in ("diverged", "stopped"))
    real = np.arange(stop.shape[-1]) < runs[..., None]
    stopped = real & (stop >= 0) & ~((bad >= 0) & (bad <= stop))
    return int((real & (bad >= 0) & ~stopped).sum()), int(stopped.sum())


def count_trained(program: Program, live: Live) -> float:
    """Return the epochs that a resumed queue needs no more: of runs that are over, and of those in their slots."""
    steps, seats = program.group.steps, live.seats
    whole = sum(len(t.runs) for row in live.queue[: int(seats.taken)] for t in row) * steps.steps
    for row in np.flatnonzero(seats.living):
        for column, trajectory in enumerate(live.queue[seats.row[row]]):
            if not seats.ended[row, column]:
                whole -= len(trajectory.runs) * (steps.steps - int(seats.step[row]))
    return whole / steps.steps_per_epoch
