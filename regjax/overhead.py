"""What each part of a study costs: programs with it alone and with none, compiled apart and timed in turns."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from regjax import __version__, runtime, store
from regjax.analysis.overhead import FEWEST_ROUNDS, compare_rounds, study_digest, write_costs
from regjax.conductor import find_dataset, read_study
from regjax.config import ConfigError, Design, Measure, Study, plain
from regjax.config.fields import switched_fields
from regjax.data import Dataset
from regjax.files import RegjaxError
from regjax.observers import OBSERVERS
from regjax.parts import is_off
from regjax.plan import Group, make_plan
from regjax.planned import find_commit
from regjax.progress import Progress
from regjax.train.layout import Layout, count_bytes, data_shapes, make_rows
from regjax.train.program import Program, Trainer, make_program, place_data
from regjax.train.seats import Live, begin
from regjax.train.state import Data
from regjax.train.stream import compile_program
from regjax.train.timing import run_interval

ROUNDS = 30
# A call makes as many updates as take this long, or as long as its evaluation, which is taken off.
CALL_SECONDS = 0.05
MOST_UPDATES = 4096
# A pair of programs is timed no longer, but for the FEWEST_ROUNDS.
PAIR_SECONDS = 30.0

Timer = Callable[[int], float]  # updates before the evaluation -> seconds


class Variant(NamedTuple):
    """A program of its own: the factor ("" for all on), its level and that without it, the study of that one cell."""

    factor: str
    level: Any
    against: Any
    study: Study
    group: Group


def measure_costs(
    out: str | Path,
    rounds: int = ROUNDS,
    *,
    progress: Progress | None = None,
    model: Any = None,
    data: Dataset | None = None,
    regularizers: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what the factors of a run directory's study cost, and keep it there as costs.json.

    Runs need not be finished; no other file is touched. For every factor that is a regularizer, an observer or a
    setting of the network, a program with it alone and one with none are compiled and timed in turns: as one member
    on one device, and as the population that the study trains.

    Args:
      out: run directory.
      rounds: of each pair of programs, each with-without-without-with; fewer where they take over 30 s.
      progress: where progress is told; standard error by default.
      model, data, regularizers: those given from Python to `regjax.run`.

    Raises:
      RegjaxError: too few rounds, no factor that can be timed, other data than the study's, or no plan.
    """
    if rounds < FEWEST_ROUNDS:
        raise RegjaxError(f"got {rounds} rounds, expected at least {FEWEST_ROUNDS}: fewer give no 95% interval")
    out, progress, began = Path(out), progress or Progress(), time.perf_counter()
    plan = store.load_plan(out)
    study = read_study(plan["study"], (), model, regularizers)
    dataset = find_dataset(study, data)
    if dataset.digest != plan["data"]["digest"]:
        raise RegjaxError(f"the data {dataset.name!r} are other than those of {out}; give it the data it was run with")
    found = runtime.configure()
    none, variants, same = find_variants(study, dataset)
    if not variants:
        said = "; ".join(f"{path}: {why}" for path, why in same.items())
        raise RegjaxError(f"no factor of {out} has a program of its own to time ({said})")
    layout = find_layout(study, dataset)
    with compiled_anew():
        forms = {
            "member": measure_form(none, variants, dataset, jax.devices()[:1], Layout(1, 1, 1), rounds, progress),
            "population": measure_form(none, variants, dataset, jax.devices(), layout, rounds, progress),
        }
    parts = [
        {"factor": variant.factor, "level": plain(variant.level), "against": plain(variant.against)}
        | {form: measured[index] for form, measured in forms.items()}
        for index, variant in enumerate(variants)
    ]
    costs = {
        "study": study_digest(plan),
        "devices": found.devices,
        "versions": {"regjax": __version__, **{name: version(name) for name in ("jax", "jaxlib")}},
        "commit": find_commit(),
        "clock": clock_name(),
        "rounds": rounds,
        "seconds": time.perf_counter() - began,
        "parts": parts,
        "same": same,
    }
    return write_costs(out, costs)


def find_variants(study: Study, dataset: Dataset) -> tuple[Variant, list[Variant], dict[str, str]]:
    """Return the cell with no factor on, those with one alone and with all, and {factor: why it is not timed}.

    A regularizer or observer is compared with its off value, a setting of the network with its first level. Levels
    whose recipes have one tree structure share a program: the last of them stands for it.
    """
    none = {path: off_level(study, path) for path in study.factors}
    base = make_variant(study, dataset, "", None, None, none)
    variants: list[Variant] = []
    same: dict[str, str] = {}
    for path, levels in study.factors.items():
        if path.partition(".")[0] not in {"model", *study.parts.regularizers, *OBSERVERS}:
            same[path] = "neither a regularizer nor an observer nor a setting of the network"
            continue
        found = {}
        for level in levels:
            one = make_variant(study, dataset, path, level, none[path], {**none, path: level})
            found[structure(one)] = one
        found.pop(structure(base), None)
        variants += found.values()
        if not found:
            same[path] = "no other program than without it"
    if len({variant.factor for variant in variants}) > 1:
        together = {**none, **{variant.factor: variant.level for variant in variants}}
        try:
            variants.append(make_variant(study, dataset, "", None, None, together))
        except ConfigError as error:
            same["all on"] = str(error)
    return base, variants, same


def off_level(study: Study, path: str) -> Any:
    """Return the value of a factor without what it switches: its off value, or its first level where it has none."""
    name, _, key = path.partition(".")
    part_class = {**study.parts.regularizers, **OBSERVERS}.get(name)
    field = switched_fields(part_class).get(key) if part_class else None
    if part_class is None or field is None or field.hyper is None or field.hyper.off is None:
        return study.factors[path][0]
    off = [level for level in study.factors[path] if is_off(part_class, {key: level})]
    return off[0] if off else field.hyper.off


def make_variant(
    study: Study, dataset: Dataset, factor: str, level: Any, against: Any, levels: dict[str, Any]
) -> Variant:
    """Return the one cell of a study with these levels, in a study of its own: its program holds nothing else."""
    alone = dataclasses.replace(
        study, fixed={**study.fixed, **levels}, factors={}, tune=None, contrasts=(), markers=(), design=Design(),
        measure=Measure(predictions=study.measure.predictions),
    )  # fmt: skip
    return Variant(factor, level, against, alone, make_plan(alone, dataset).groups[0])


def structure(variant: Variant) -> Any:
    """Return what the program of a cell follows from: cells where it is equal share one."""
    return jax.tree.structure(variant.group.runs[0].recipe)


def find_layout(study: Study, dataset: Dataset) -> Layout:
    """Return the slots in which the study trains its first cell, one observer in each."""
    group = next(group for group in make_plan(study, dataset).groups if any(run.cell == 0 for run in group.runs))
    return make_program(study, dataset, group, jax.devices()).layout._replace(observers=1)


@contextlib.contextmanager
def compiled_anew() -> Iterator[None]:
    """Keep jax from its compilation cache, whose hits would pass for quick compilers."""
    before = bool(jax.config.values["jax_enable_compilation_cache"])
    try:
        jax.config.update("jax_enable_compilation_cache", val=False)
        reset_cache()  # jax asks only once whether there is a cache
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        reset_cache()


def clock_name() -> str:
    """Return what seconds are counted by: the "processor" where that is the device, else the "wall"."""
    # On a busy machine the wall time was several times that of the processor, another multiple in each round.
    return "processor" if jax.default_backend() == "cpu" else "wall"


class Ready(NamedTuple):
    """A compiled program, what is in its slots, and the processor's seconds that compiling it took."""

    program: Program
    trainer: Trainer
    data: Data
    live: Live
    compiling: float

    def seconds(self, updates: int, intervals: int = 1) -> float:
        """Return the seconds of a call that makes so many updates and evaluates, by the clock of `clock_name`.

        Of several intervals, at most the program's room, each does so.
        """
        clock = time.process_time if clock_name() == "processor" else time.perf_counter
        began = clock()
        run_interval(self.program, self.trainer, self.data, self.live, updates, intervals)
        return clock() - began

    def bytes_per_member(self) -> int:
        """Return the bytes of a slot as the compiler counts them: arguments, results, temporaries; without data."""
        shared = 0 if self.program.streamed else count_bytes(data_shapes(self.program.dataset))
        return (self.trainer.memory() - shared) * self.program.mesh.size // self.program.layout.slots


def make_ready(variant: Variant, dataset: Dataset, devices: Sequence[jax.Device], layout: Layout) -> Ready:
    """Return the program of a cell in these slots, compiled, at its initial weights, and called once."""
    program = make_program(variant.study, dataset, variant.group, devices, layout)
    began = time.process_time()  # of this process alone: the wall time of one compilation says little on a busy machine
    trainer = compile_program(program)
    compiling, data = time.process_time() - began, place_data(program)
    live = begin(program, trainer, data, make_rows(variant.group.runs, layout.columns))
    ready = Ready(program, trainer, data, live, compiling)
    ready.seconds(1)  # the first call pays for memory that is touched for the first time
    return ready


def measure_form(
    none: Variant,
    variants: Sequence[Variant],
    dataset: Dataset,
    devices: Sequence[jax.Device],
    layout: Layout,
    rounds: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Return the costs of each variant against none, in these slots on these devices."""
    without = make_ready(none, dataset, devices, layout)
    updates = choose_updates(without.seconds)
    progress.say(
        f"{layout.slots} at once: {len(variants)} programs with a part against one with none, "
        f"up to {rounds} rounds and {PAIR_SECONDS:.0f} s for each beside the compiling"
    )
    found = []
    for variant in variants:
        ready = make_ready(variant, dataset, devices, layout)
        seconds = take_rounds(ready.seconds, without.seconds, updates, rounds)
        found.append(
            {"slots": layout.slots, "updates": updates, "rounds": len(seconds)}
            | compare_rounds(seconds, updates, none.group.steps.evaluate_steps)
            | {"bytes": [ready.bytes_per_member(), without.bytes_per_member()],
               "compile": [ready.compiling, without.compiling]}
        )  # fmt: skip
    return found


def choose_updates(timer: Timer) -> int:
    """Return how many updates a timed call makes: doubled until they take CALL_SECONDS and as long as the evaluation.

    >>> choose_updates(lambda updates: 0.5 + 0.25 * updates)
    2
    """
    evaluation = min(timer(0) for _ in range(3))
    updates = 1
    while updates < MOST_UPDATES:
        if min(timer(updates) for _ in range(2)) >= evaluation + max(CALL_SECONDS, evaluation):
            break
        updates *= 2
    return updates


def take_rounds(
    with_part: Timer, without: Timer, updates: int, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> np.ndarray:
    """Return the seconds of two programs in turns: with, without, without, with, so that a steady drift cancels.

    Args:
      with_part, without: of the two programs.
      updates: of a timed call.
      rounds: at most so many; after PAIR_SECONDS none is begun beyond FEWEST_ROUNDS.
      clock: seconds now.

    Returns:
      [rounds, turns, programs (with, without), calls (evaluation only, with updates)].
    """

    def call(timer: Timer) -> list[float]:
        return [timer(0), timer(updates)]

    found, end = list[Any](), clock() + PAIR_SECONDS
    while len(found) < rounds and (len(found) < FEWEST_ROUNDS or clock() < end):
        first = call(with_part)
        second, third = call(without), call(without)
        found.append([[first, second], [call(with_part), third]])
    return np.array(found)
