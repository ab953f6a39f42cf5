"""Steps: when training ends, when it is evaluated and saved, and at which step a state lies."""

from typing import Any, NamedTuple

from regjax.config.fields import LARGEST_INT
from regjax.config.problems import ConfigError, Problem, show
from regjax.config.tables import Every, Training


class Steps(NamedTuple):
    """Counts of updates: of the whole training, of an epoch, between evaluations, between saves (None: no wish)."""

    steps: int
    steps_per_epoch: int
    evaluate_steps: int
    save_steps: int | None


def count_steps(every: Every, steps_per_epoch: int) -> int:
    """Return a distance in updates."""
    return every.steps if every.steps is not None else (every.epochs or 0) * steps_per_epoch


def resolve_steps(training: Training, steps_per_epoch: int) -> Steps:
    """Return the training's distances in updates.

    Args:
      training: the table; its batch size is taken to be part of `steps_per_epoch`.
      steps_per_epoch: updates per pass over the training examples, >= 1.

    Raises:
      ConfigError: an epoch has no full batch, the end is no evaluation, or a save is none.
    """
    if steps_per_epoch < 1:
        got = f"{training.batch_size}, more than there are training examples"
        raise ConfigError([Problem("training.batch_size", got, "at most the number of training examples")])
    steps = training.steps if training.steps is not None else (training.epochs or 0) * steps_per_epoch
    evaluate = count_steps(training.evaluate_every, steps_per_epoch)
    save = count_steps(training.save_every, steps_per_epoch) if training.save_every else None
    problems = []
    if steps > LARGEST_INT:
        problems.append(Problem("training", f"{steps} steps", f"at most {LARGEST_INT} steps"))
    if steps % evaluate:
        expected = f"a divisor of the {steps} steps of the training, so that the end is evaluated"
        hint = f"try evaluate_every = {{ steps = {_divisor(steps, evaluate)} }}"
        problems.append(Problem("training.evaluate_every", f"{evaluate} steps", expected, hint))
    if save is not None and save % evaluate:
        problems.append(
            Problem("training.save_every", f"{save} steps", f"a multiple of evaluate_every, {evaluate} steps")
        )
    if problems:
        raise ConfigError(problems)
    return Steps(steps, steps_per_epoch, evaluate, save)


def _divisor(number: int, near: int) -> int:
    """Return the largest divisor of `number` that is not above `near`."""
    small = {d for d in range(1, min(int(number**0.5) + 1, 100_000)) if number % d == 0}
    return max(d for d in small | {number // d for d in small} if d <= near)


def resolve_at(at: Any, steps_per_epoch: int, steps: int, evaluate_steps: int) -> dict[str, Any]:
    """Return a state as the plan names it.

    Args:
      at: "best", "last", {"epoch": n} or {"step": n}.
      steps_per_epoch: updates per pass over the training examples.
      steps: updates in all.
      evaluate_steps: updates between two evaluations.

    Returns:
      {"kind": "best"}, {"kind": "last"} or {"kind": "step", "step": n, "label": "epoch 10"}.

    Raises:
      ConfigError: the step lies beyond the end, or no evaluation lies at it.

    >>> resolve_at({"epoch": 10}, 375, 3750, 375)
    {'kind': 'step', 'step': 3750, 'label': 'epoch 10'}
    """
    if isinstance(at, str):
        return {"kind": at}
    ((unit, number),) = at.items()
    step = number * (steps_per_epoch if unit == "epoch" else 1)
    got = show(at) if unit == "step" else f"{show(at)}, which is step {step}"
    if step > steps:
        raise ConfigError([Problem("primary.at", got, f"a state of the training, which ends at step {steps}")])
    if step % evaluate_steps:
        hint = f"the nearest is step {max(round(step / evaluate_steps), 1) * evaluate_steps}"
        raise ConfigError([Problem("primary.at", got, f"an evaluation; they lie every {evaluate_steps} steps", hint)])
    return {"kind": "step", "step": step, "label": f"{unit} {number}"}
