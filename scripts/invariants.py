"""The checks of `scripts/accelerator_check.py`: small populations whose results have to agree with each other.

Each check trains what it compares, and returns the largest difference and the largest that passes.
"""

import contextlib
import dataclasses
import functools
import io
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import regjax
from regjax import store
from regjax.plan import Run, make_plan
from regjax.progress import Progress
from regjax.train.layout import Layout, Row, make_rows
from regjax.train.program import Compiled, make_program, place_data
from regjax.train.seats import begin, look

STEPS, HALF = 10, 5
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter", "collective-broadcast")
FULL: dict[str, dict[str, Any]] = {"mlp": {"widths": [128, 128]}, "cnn": {"channels": [16, 32], "dense": [64]}}
QUICK: dict[str, dict[str, Any]] = {"mlp": {"widths": [16]}, "cnn": {"channels": [4]}}
# Cells of `make_study`: the columns of a row.
CELLS = 4


class Found(NamedTuple):
    """What a check measured: the largest difference, the largest that passes, and a note."""

    difference: float
    limit: float = 0.0
    note: str = ""


def make_study(name: str, model: dict[str, Any], seeds: int, dropout: bool = True) -> dict[str, Any]:
    """Return a study of STEPS updates: dropout off and on, with L2 off and on; one program.

    SGD and tanh keep rounding small: Adam blows it up where a gradient vanishes, as it does at a bias before batch
    norm, and one unit of ReLU that changes sides moves a parameter by more than all rounding.
    """
    factors = {"dropout.hidden": [0.0, 0.5], "l2.strength": [0.0, 0.001]}
    return {
        "question": "Do these devices compute what they should?",
        "primary": {"metric": "test.nll", "at": "last"},
        "data": {"name": "digits", "split": {"train": 512, "validation": 128, "test": 128}},
        "model": {"name": name, "norm": "batch", "activation": "tanh", **model},
        "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
        "training": {
            "steps": STEPS,
            "batch_size": 64,
            "evaluate_every": {"steps": HALF},
            "save_every": {"steps": HALF},
        },
        "seeds": {"count": seeds},
        "factors": factors if dropout else {"l2.strength": factors["l2.strength"]},
    }


class Subject:
    """A study's only program on some devices, compiled."""

    def __init__(self, study: dict[str, Any], devices: Sequence[jax.Device], layout: Layout | None = None) -> None:
        parsed = regjax.parse_study(study)
        dataset = regjax.load_dataset(**parsed.dataset_arguments())
        (group,) = make_plan(parsed, dataset).groups
        self.program = make_program(parsed, dataset, group, devices, layout)
        self.compiled = Compiled(self.program)
        self.data = place_data(self.program)
        self.rows = make_rows(group.runs, self.program.layout.columns)

    def train(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return what the slots hold after STEPS updates: state and records, host arrays [rows, columns, ...]."""
        live = begin(self.program, self.compiled, self.data, rows[: self.program.layout.rows])
        looks = []
        while live.seats.living.any():
            live, records, _ = look(self.program, self.compiled, self.data, live)
            # As after a save, so that the next look goes on.
            live.seats = live.seats._replace(since_save=np.zeros((), np.int64))
            looks.append(records)
        records = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=2), *looks)
        return {"state": jax.tree.map(np.asarray, live.state), "records": records}


@dataclasses.dataclass(frozen=True)
class Case:
    """A model on the devices to be checked; its programs are compiled when first used."""

    name: str
    quick: bool
    devices: tuple[jax.Device, ...]
    tolerance: float

    def study(self, **changes: Any) -> dict[str, Any]:
        """Return the case's study, with two seeds per device."""
        model = (QUICK if self.quick else FULL)[self.name]
        return make_study(self.name, model, seeds=2 * len(self.devices), **changes)

    @functools.cached_property
    def subject(self) -> Subject:
        """The program of all other checks: two rows on each device, the cells of a seed in each row."""
        return Subject(self.study(), self.devices, Layout(2 * len(self.devices), CELLS, 1))

    @functools.cached_property
    def company(self) -> dict[str, Any]:
        """All runs, trained beside each other."""
        return self.subject.train(self.subject.rows)

    @functools.cached_property
    def digests(self) -> list[tuple[str, str]]:
        """Digests of records and states of `regjax.run`."""
        return run_study(self.study())[0]


def pick(tree: Any, rows: Any, columns: Any) -> Any:
    """Return some slots of arrays [rows, columns, ...]."""
    return jax.tree.map(lambda leaf: leaf[rows, columns], tree)


def params_of(trained: dict[str, Any], row: int, column: int) -> Any:
    """Return parameters and batch statistics of a slot."""
    return pick((trained["state"].params, trained["state"].stats), row, column)


def largest_difference(found: Any, expected: Any) -> float:
    """Return max |found - expected| over all leaves, in units of the largest |expected|; 0 only for equal bits.

    >>> largest_difference([np.ones(2)], [np.ones(2)]), largest_difference([np.ones(2)], [np.array([1.0, 2.0])])
    (0.0, 0.5)
    >>> largest_difference([np.array([np.nan])], [np.ones(1)])
    inf
    """
    pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True))
    unequal = [(a, b) for a, b in pairs if a.tobytes() != b.tobytes()]
    if not unequal:
        return 0.0
    if not all(np.isfinite(leaf).all() for pair in unequal for leaf in pair):
        return math.inf
    unit = max(float(np.abs(b).max()) for _, b in pairs if b.dtype.kind == "f")
    difference = max(float(np.abs(a.astype(float) - b.astype(float)).max()) for a, b in unequal)
    # Zeros of unequal sign are no equal bits.
    return max(difference / unit, sys.float_info.min)


def check_repeat(case: Case) -> Found:
    """The same program on the same runs gives the same bits again."""
    return Found(largest_difference(case.subject.train(case.subject.rows), case.company))


def check_alone(case: Case) -> Found:
    """A run that fills all slots alone equals itself in company, in the same layout."""
    found = [case.subject.train([(case.subject.rows[0][column],)]) for column in range(CELLS)]
    return Found(max(largest_difference(pick(f, 0, 0), pick(case.company, 0, c)) for c, f in enumerate(found)))


def check_permuted(case: Case) -> Found:
    """Rows in reverse order, with the members of each shifted by one, give the same numbers, moved."""
    rows = case.subject.rows
    found = case.subject.train([(*row[1:], row[0]) for row in reversed(rows)])
    return Found(largest_difference(jax.tree.map(lambda leaf: np.roll(leaf[::-1], 1, axis=1), found), case.company))


def check_diverging(case: Case) -> Found:
    """Beside a member with an enormous learning rate the others keep their bits, and it alone is marked."""
    first = list(case.subject.rows[0])
    (run,) = first[1].runs
    first[1] = first[1]._replace(runs=(make_wild(run),))
    found = case.subject.train([tuple(first), *case.subject.rows[1:]])
    marked = found["state"].diverged >= 0
    wild = np.zeros_like(marked)
    wild[0, 1] = True
    if not np.array_equal(marked, wild):
        return Found(math.inf, note=f"{marked.sum()} members are marked, expected one")
    return Found(largest_difference(pick(found, *np.nonzero(~wild)), pick(case.company, *np.nonzero(~wild))))


def make_wild(run: Run) -> Run:
    """Return a run whose weights leave the range of float32 in its first updates."""
    optimizer = dataclasses.replace(run.recipe.optimizer, learning_rate=1e38)
    return run._replace(recipe=dataclasses.replace(run.recipe, optimizer=optimizer))


def check_devices(case: Case) -> Found:
    """On the first device alone, with as many slots, the members of its rows keep their bits."""
    if len(case.devices) == 1:
        return Found(0.0, note="there is one device: nothing to compare")
    found = Subject(case.study(), case.devices[:1], Layout(2, CELLS, 1)).train(case.subject.rows)
    return Found(largest_difference(found, jax.tree.map(lambda leaf: leaf[:2], case.company)))


def check_layouts(case: Case) -> Found:
    """A run in one slot on one device agrees with itself in company, up to rounding."""
    single = Subject(case.study(), case.devices[:1], Layout(1, 1, 1))
    found = [single.train([(trajectory,)]) for trajectory in case.subject.rows[0]]
    pairs = [(params_of(f, 0, 0), params_of(case.company, 0, column)) for column, f in enumerate(found)]
    return Found(max(largest_difference(*pair) for pair in pairs), case.tolerance)


def check_off(case: Case) -> Found:
    """Dropout at 0, in a program that has dropout, gives the bits of a program without it."""
    absent = Subject(case.study(dropout=False), case.devices, case.subject.program.layout)
    found = absent.train(absent.rows)
    return Found(largest_difference(pick(case.company, slice(None), slice(2)), pick(found, slice(None), slice(2))))


def check_collectives(case: Case) -> Found:
    """No operation of the compiled program talks between devices."""
    compiled = case.subject.compiled
    text = compiled.advance.as_text() + compiled.renew.as_text()
    found = [word for word in COLLECTIVES if word in text]
    return Found(len(found), note=", ".join(found) or f"{len(case.devices)} device(s)")


def check_cpu(case: Case) -> Found:
    """Parameters agree with those of the same program on the CPU, up to rounding."""
    cpu = tuple(jax.devices("cpu")[:1])
    found = Subject(case.study(), cpu, Layout(2, CELLS, 1)).train(case.subject.rows)
    places = [(row, column) for row in range(2) for column in range(CELLS)]
    pairs = [(params_of(case.company, *place), params_of(found, *place)) for place in places]
    note = "the devices are the CPU" if case.devices[0].platform == "cpu" else ""
    return Found(max(largest_difference(*pair) for pair in pairs), case.tolerance, note)


class InterruptionError(Exception):
    """Ends a study in the middle."""


class Interrupting(Progress):
    """A progress that raises InterruptionError after the second look: trained, but only the first half is saved."""

    looks = 0

    def advance(self, model_epochs: float, epoch: float) -> None:
        """Count looks."""
        self.looks += 1
        if self.looks == 2:
            raise InterruptionError


def run_study(study: dict[str, Any], interrupted: bool = False) -> tuple[list[tuple[str, str]], str]:
    """Return the digests of records and states of `regjax.run` in a new folder, and what it said."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        if interrupted:
            with contextlib.suppress(InterruptionError):
                regjax.run(study, folder, progress=Interrupting(said, live=False), report=False)
        results = regjax.run(study, folder, progress=Progress(said, live=False), report=False)
        return [(done["digest"], done["state"]) for done in store.iter_done(results.out)], said.getvalue()


def check_twice(case: Case) -> Found:
    """The same study, run in two folders, has the same digests of records and states."""
    again, _ = run_study(case.study())
    words = " ".join("/".join(pair) for pair in again)
    return Found(float(again != case.digests), note=f"digests {words}")


def check_resume(case: Case) -> Found:
    """A study that is ended in the middle and run again has the digests of one that is not."""
    found, said = run_study(case.study(), interrupted=True)
    if "going on after segment 1" not in said:
        return Found(math.inf, note="it did not go on from a checkpoint")
    return Found(float(found != case.digests))


CHECKS: dict[str, Callable[[Case], Found]] = {
    "repeat": check_repeat,
    "alone": check_alone,
    "permuted": check_permuted,
    "diverging": check_diverging,
    "devices": check_devices,
    "layouts": check_layouts,
    "off": check_off,
    "collectives": check_collectives,
    "cpu": check_cpu,
    "twice": check_twice,
    "resume": check_resume,
}
