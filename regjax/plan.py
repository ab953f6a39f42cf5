"""The plan: study -> cells -> runs -> groups that share a compiled program."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from regjax.config import (
    CellSettings,
    ConfigError,
    Problem,
    Steps,
    Study,
    plain,
    resolve_at,
    resolve_cell,
    resolve_steps,
)
from regjax.data import DataError, Dataset, Rows, split_rows
from regjax.demands import check_inputs, check_needs, check_patterns, check_snapshots, check_warmup, check_weights
from regjax.design import Cell, full_factorial, make_cells, make_contrasts
from regjax.files import canonical, digest
from regjax.grouping import Setting, make_recipes
from regjax.identity import describe_run
from regjax.keeping import keeps_predictions
from regjax.keys import STREAMS
from regjax.labels import resolve_task
from regjax.observers import OBSERVERS
from regjax.parts import is_off
from regjax.recipe import Recipe
from regjax.tasks import Task


class Run(NamedTuple):
    """The unit that is trained and stored: a cell at a seed.

    Attributes:
      id: digest of all that its numbers depend on (`settings`).
      wave: "main" for reported runs, "tune" for those that choose nuisance hypers, "sources" for those that redraw one
        stream of a reported run.
      cell: index of the cell, or in the tuning wave of the cell and candidate.
      seed: number of the replicate.
      recipe: hypers as Python numbers.
      streams: {stream: seed}; a stream that the study does not vary has seed 0.
      train_size: training examples taken, None for all.
      settings: what `id` is the digest of.
      stream: the one that is redrawn, "" for none.
    """

    id: str
    wave: str
    cell: int
    seed: int
    recipe: Recipe
    streams: dict[str, int]
    train_size: int | None
    settings: dict[str, Any]
    stream: str = ""


class Group(NamedTuple):
    """Runs that share a compiled program: their recipes have one tree structure, their data one shape.

    Attributes:
      runs: all cells of a seed before the next seed, so that an unfinished study has whole seeds; reported runs first.
      counts: {split: examples}.
      steps: the course of its runs in updates.
    """

    runs: tuple[Run, ...]
    counts: dict[str, int]
    steps: Steps


class Plan(NamedTuple):
    """What is trained, in order, and what is asked of it.

    Attributes:
      study, cells, contrasts: the question.
      groups: the runs.
      primary: {"metric", "at", "margin", "also_at"}, states resolved to steps.
      tuned: {cell index: {path: value}} where nuisance hypers were chosen.
      predictions: whether the runs keep what they predict for every test example.
      stein: what the pilot says about the number of seeds, where they are taken in two stages and it is done.
    """

    study: Study
    cells: tuple[Cell, ...]
    contrasts: list[dict[str, Any]]
    groups: tuple[Group, ...]
    primary: dict[str, Any]
    predictions: bool
    tuned: dict[int, dict[str, Any]]
    stein: dict[str, Any] | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, group after group."""
        return tuple(run for group in self.groups for run in group.runs)


def make_plan(
    study: Study,
    dataset: Dataset,
    tuned: Mapping[int, Mapping[str, Any]] | None = None,
    stein: Mapping[str, Any] | None = None,
) -> Plan:
    """Return the plan of the reported runs.

    Args:
      study: from `load_study`.
      dataset: its data.
      tuned: {cell index: {path: value}}, where the study has a `[tune]` table and the tuning wave has chosen.
      stein: what `analysis.stein.needed_seeds` made of the pilot, where seeds are taken in two stages; without it the
        plan holds the pilot seeds.

    Raises:
      ConfigError: the study asks of this data what it cannot give.
    """
    study, task = resolve_task(study, dataset)
    cells = make_cells(study)
    chosen = {cell.index: dict((tuned or {}).get(cell.index, {})) for cell in cells}
    levels = [{**cell.levels, **chosen[cell.index]} for cell in cells]
    num_seeds = stein["seeds"] if stein else study.seeds.fewest
    keeps = keeps_predictions(study, dataset, len(cells), count_rows(study, dataset, None)["test"], task)
    runs, steps = _make_runs(study, dataset, task, "main", levels, study.seeds.numbers[:num_seeds], keeps)
    return Plan(
        study=study,
        cells=cells,
        contrasts=make_contrasts(study, cells),
        groups=_make_groups(runs, steps, study, dataset),
        primary=resolve_primary(study, steps),
        predictions=keeps,
        tuned={index: values for index, values in chosen.items() if values},
        stein=dict(stein) if stein else None,
    )


def make_tuning_plan(study: Study, dataset: Dataset) -> Plan:
    """Return the plan of the tuning wave: every cell x every candidate, on seeds that are never reported.

    The candidates of a cell are consecutive: run.cell = cell index * number of candidates + candidate index.
    """
    study, task = resolve_task(study, dataset)
    plan = make_plan(study, dataset)
    assert study.tune is not None
    levels = [{**cell.levels, **candidate} for cell in plan.cells for candidate in candidates(study)]
    keeps = study.measure.predictions == "test"
    runs, steps = _make_runs(study, dataset, task, "tune", levels, study.tune.seeds, keeps)
    return plan._replace(groups=_make_groups(runs, steps, study, dataset), predictions=keeps)


def candidates(study: Study) -> list[dict[str, Any]]:
    """Return every combination of the levels that `[tune]` chooses from."""
    return full_factorial(study.tune.factors) if study.tune else []


def resolve_primary(study: Study, steps: Sequence[Steps]) -> dict[str, Any]:
    """Return the primary question with its states resolved to steps, which must be the same in all cells.

    Raises:
      ConfigError: a state is no evaluation, or cells with epochs of different length are asked for one epoch.
    """
    places = [("primary.at", study.primary.at)]
    places += [(f"primary.also_at[{i}]", at) for i, at in enumerate(study.primary.also_at)]
    found, problems = [], []
    for path, at in places:
        try:
            states = [resolve_at(at, s.steps_per_epoch, s.steps, s.evaluate_steps) for s in steps]
        except ConfigError as error:
            problems += [Problem(path, p.got, p.expected, p.hint) for p in error.problems]
            continue
        if any(state != states[0] for state in states):
            hint = "cells with other numbers of training examples have other epochs"
            problems.append(Problem(path, str(at), '"best", "last" or { step = n }', hint))
        found.append(states[0])
    if problems:
        raise ConfigError(problems)
    return {
        "metric": study.primary.metric,
        "at": found[0],
        "margin": study.primary.margin,
        "also_at": found[1:],
    }


def _make_runs(
    study: Study,
    dataset: Dataset,
    task: Task,
    wave: str,
    levels: Sequence[dict[str, Any]],
    seeds: Iterable[int],
    keeps: bool,
) -> tuple[list[Run], list[Steps]]:
    cells = [resolve_cell(study, level) for level in levels]
    check_inputs(cells, dataset)
    sizes = {cell.data["train_size"]: count_rows(study, dataset, cell.data["train_size"]) for cell in cells}
    steps = [resolve_steps(c.training, sizes[c.data["train_size"]]["train"] // c.training.batch_size) for c in cells]
    moments = choose_moments(cells, resolve_primary(study, steps)["at"] if keeps else None, steps)
    check_warmup(cells, steps)
    setting = Setting(study.parts.regularizers, task, dataset.x.shape[1:])
    check_weights(cells, setting)
    check_needs(cells, setting)
    check_snapshots(cells, steps)
    recipes = make_recipes(cells, steps, setting, moments, study.seeds.most)
    for recipe in {recipe.decay_on: recipe for recipe in recipes}.values():
        check_patterns(recipe, dataset)
    runs = []
    for seed in seeds:
        streams = {name: seed if name in study.seeds.vary else 0 for name in STREAMS}
        for index, (cell, course, recipe) in enumerate(zip(cells, steps, recipes, strict=True)):
            settings = describe_run(study, dataset, cell, course, streams)
            run_id = digest(canonical(settings))
            runs.append(Run(run_id, wave, index, seed, recipe, streams, cell.data["train_size"], settings))
    return runs, steps


def find_rows(study: Study, dataset: Dataset, run: Run) -> Rows:
    """Return the rows of a run's splits; the same for all cells of a seed with one training size."""
    return _split(study, dataset, run.train_size, run.streams["split"], run.streams["subset"])


def count_rows(study: Study, dataset: Dataset, train_size: int | None) -> dict[str, int]:
    """Return {split: examples}, which no seed changes."""
    rows = _split(study, dataset, train_size, 0, 0)
    return {name: len(part) for name, part in rows._asdict().items()}


def _split(study: Study, dataset: Dataset, train_size: int | None, split_seed: int, subset_seed: int) -> Rows:
    settings = study.data.model_dump(exclude_none=True)
    try:
        return split_rows(
            dataset,
            validation=settings.get("validation"),
            split=settings.get("split"),
            train_size=train_size,
            replicates=plain(study.seeds.replicates),
            split_seed=split_seed,
            subset_seed=subset_seed,
        )
    except DataError as error:
        # What the study asks of this data cannot be had: a mistake in the study, found once the data is known.
        place, _, rest = str(error).partition(": got ")
        problem = Problem(place, rest) if rest else Problem("data", str(error), f"parts that {dataset.name} can give")
        raise ConfigError([problem]) from error


def choose_moments(
    cells: Sequence[CellSettings], predictions_at: dict[str, Any] | None, steps: Sequence[Steps]
) -> tuple[str | int, ...]:
    """Return which states every member keeps beside the live one: for `keep`, predictions and restoring the best."""
    named: dict[str, str | int] = {"best": "best", "last": max(s.steps for s in steps)}
    moments = [named[cell.training.keep] for cell in cells[:1] if cell.training.keep != "none"]
    if predictions_at is not None:
        moments.append(predictions_at["step"] if predictions_at["kind"] == "step" else named[predictions_at["kind"]])
    if any(isinstance(moment, int) for moment in moments) and any(restores_best(cell) for cell in cells):
        moments.append("best")
    return tuple(dict.fromkeys(moments))


def restores_best(cell: CellSettings) -> bool:
    """Return whether runs of a cell end in their best state: early stopping is on and restores."""
    stopping = cell.observers.get("early_stopping", {})
    return not is_off(OBSERVERS["early_stopping"], stopping) and stopping["restore"] > 0


def _make_groups(runs: Sequence[Run], steps: Sequence[Steps], study: Study, dataset: Dataset) -> tuple[Group, ...]:
    members: dict[Any, list[Run]] = {}
    for run in runs:
        members.setdefault((jax.tree.structure(run.recipe), run.train_size), []).append(run)
    return tuple(
        Group(tuple(group), count_rows(study, dataset, size), steps[group[0].cell])
        for (_, size), group in members.items()
    )


def find_twins(plan: Plan) -> list[tuple[str, str]]:
    """Return pairs of cells whose runs are the same: what tells them apart does nothing there."""
    first: dict[str, int] = {}
    pairs: dict[tuple[int, int], None] = {}
    for run in plan.runs:
        known = first.setdefault(run.id, run.cell)
        if known != run.cell:
            pairs[(known, run.cell)] = None
    return [(plan.cells[a].name, plan.cells[b].name) for a, b in pairs]


def restores(run: Run) -> bool:
    """Return whether a run ends in its best state instead of the one it stopped at."""
    observer = run.recipe.observer
    return bool(observer.can_stop and observer.stop.restore > 0)
