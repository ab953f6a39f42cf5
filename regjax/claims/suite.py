"""The suite: claims and the studies that test them, checked before any training, and bound to their declaration."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from regjax import runtime, store
from regjax.claims.checks import find_problems
from regjax.claims.declare import Declared, declaration, load_claims
from regjax.claims.idle import find_idle
from regjax.conductor import find_dataset
from regjax.config import ConfigError, Problem, Study, load_study, resolve_cell, study_json
from regjax.costs import SECONDS_PER_PROGRAM
from regjax.data import DataError, Dataset
from regjax.files import StoreError, canonical, digest, publish_text
from regjax.grouping import Setting, measure
from regjax.labels import resolve_task
from regjax.plan import Plan, make_plan
from regjax.planned import plan_json
from regjax.sources import add_sources
from regjax.tasks import default_task
from regjax.train.layout import make_trajectories

DECLARED = "declared.json"
# Of one core, for dense networks in many slots: measured at 9 thousand and at 670 thousand weights. The planner's
# constants weigh draws against programs and are three times as large.
SECONDS_PER_FLOP, SECONDS_PER_WEIGHT, SECONDS_PER_UPDATE = 8e-12, 2e-9, 4e-5
CORES = 2
SECONDS_PER_STUDY = 6.0  # data and report


class Source(NamedTuple):
    """A study of the suite.

    Attributes:
      name: of its folder.
      path: of its file.
      overrides: what is changed of it.
      study: checked.
      plan: as it would be trained.
      described: the plan as plain JSON, as the results will hold it, with `task` and `evaluate_steps`.
      runs: ids of its runs.
      seconds: about how long it takes, see `estimate_seconds`.
    """

    name: str
    path: Path
    overrides: tuple[str, ...]
    study: Study
    plan: Plan
    described: dict[str, Any]
    runs: frozenset[str]
    seconds: float

    def count_done(self, out: Path) -> int:
        """Return how many of its runs the suite's folder holds."""
        return len(self.runs & store.done_runs(out / "studies" / self.name).keys())


@dataclasses.dataclass(frozen=True)
class Suite:
    """Claims by path, and the studies that they name by (path of the claim, name in it)."""

    claims: Mapping[Path, Declared]
    sources: Mapping[tuple[Path, str], Source]
    full: bool
    overrides: tuple[str, ...] = ()

    @property
    def studies(self) -> dict[str, Source]:
        """Each study once, by the name of its folder."""
        return {source.name: source for source in self.sources.values()}

    def users(self, name: str) -> list[str]:
        """Return the ids of the claims that a study serves."""
        return [d.claim.id for path, d in self.claims.items() if name in self.names(path).values()]

    def names(self, path: Path) -> dict[str, str]:
        """Return {name in a claim file: the study's folder}."""
        return {name: source.name for (place, name), source in self.sources.items() if place == path}

    def digests(self) -> dict[str, str]:
        """Return the declaration of every claim, by its id; the larger studies are another declaration."""
        return {
            d.claim.id: declaration(path, d, self.full, self.overrides) for path, d in self.claims.items()
        }  # fmt: skip


def load_suite(
    folder: Path,
    only: Sequence[str] | None = None,
    full: bool = False,
    overrides: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Suite:
    """Return the checked claims of a folder with their checked studies; all problems are found before any training.

    Args:
      folder: of claim files.
      only: ids; None for all.
      full: whether the studies of `[full]` take the place of those of `[studies]`.
      overrides: of every study, such as "training.epochs=3".
      without: ids that are left out.

    Raises:
      ConfigError: lists what is wrong, with the claim file.
      DataError: the data of a study are absent or unusable.
    """
    return make_suite(load_claims(folder, only, without), full, overrides)


def make_suite(claims: Mapping[Path, Declared], full: bool = False, overrides: Sequence[str] = ()) -> Suite:
    """Return the suite of these claims, {path: claim}; see `load_suite`."""
    whole, claims = claims, {path: declared.of_suite(full) for path, declared in claims.items()}
    runtime.configure()
    read: dict[tuple[Path, tuple[str, ...]], Source] = {}
    sources: dict[tuple[Path, str], Source] = {}
    problems: list[Problem] = []
    absent: dict[str, list[str]] = {}
    for path, declared in claims.items():
        for name, asked in declared.files(full).items():
            file, given = (path.parent / asked.file).resolve(), (*asked.overrides, *overrides)
            try:
                if (file, given) not in read:
                    own = name_folder(file, asked.overrides)
                    read[file, given] = read_source(own, path.parent / asked.file, given)
                sources[path, name] = read[file, given]
            except ConfigError as error:
                problems += [Problem(f"{path.name}: studies.{name}: {p.path}", *p[1:]) for p in error.problems]
            except DataError as error:
                absent.setdefault(str(error), []).append(declared.claim.id)
    names = [source.name for source in read.values()]
    problems += [
        Problem("studies", f"two files named {one!r}", "a name of its own for each, their results share a folder")
        for one in sorted({name for name in names if names.count(name) > 1})
    ]
    for path, declared in claims.items():
        known = {name: source for (place, name), source in sources.items() if place == path}
        found = find_problems(declared, {name: one.described for name, one in known.items()})
        found += find_idle(whole[path])
        problems += [Problem(f"{path.name}: {p.path}", *p[1:]) for p in found]
    if problems:
        raise ConfigError(problems)
    if absent:
        told = [f"{', '.join(dict.fromkeys(ids))}: {error}" for error, ids in absent.items()]
        raise DataError("\n".join([*told, "--without leaves claims out, such as those of these data"]))
    return Suite(claims, sources, full, tuple(overrides))


def name_folder(file: Path, overrides: Sequence[str]) -> str:
    """Return the name of the folder of a study's results: that of its file, and what is changed of it.

    Raises:
      ConfigError: the file is called `..toml` or `...toml`: its results would lie in another study's folder.
    """
    name = file.stem if not overrides else f"{file.stem}-{digest(canonical(overrides))[:6]}"
    if name in (".", ".."):
        expected = "a name that a folder may have before .toml: the results lie in one of that name"
        raise ConfigError([Problem("file", repr(file.name), expected)])
    return name


def read_source(name: str, path: Path, overrides: tuple[str, ...]) -> Source:
    """Return a checked study with its plan."""
    study = load_study(path, overrides)
    dataset = find_dataset(study, None)
    plan = make_plan(study, dataset)
    described = {
        **plan_json(plan, dataset, study_json(plan.study)),
        "task": study.task.name or default_task(dataset.num_classes),
        "evaluate_steps": plan.groups[0].steps.evaluate_steps,
    }
    runs = frozenset(run.id for run in add_sources(plan).runs)
    return Source(name, path, overrides, study, plan, described, runs, estimate_seconds(plan, dataset))


def estimate_seconds(plan: Plan, dataset: Dataset) -> float:
    """Return about how long a study takes on two cores, from the operations that it needs; within a factor of 3."""
    study, task = resolve_task(plan.study, dataset)
    setting = Setting(study.parts.regularizers, task, dataset.x.shape[1:])
    flops = [measure(resolve_cell(study, cell.levels), setting).flops for cell in plan.cells]
    seconds = SECONDS_PER_STUDY + SECONDS_PER_PROGRAM * len(plan.groups)
    for group in plan.groups:
        evaluations = group.steps.steps // group.steps.evaluate_steps * sum(group.counts.values())
        for run in (trajectory.runs[0] for trajectory in make_trajectories(group.runs)):
            # Forward alone is a third; a weight is six operations of an update.
            examples = group.steps.steps * run.recipe.batch_size + evaluations / 3
            update = SECONDS_PER_UPDATE + SECONDS_PER_WEIGHT * flops[run.cell] / 6
            seconds += (group.steps.steps * update + examples * flops[run.cell] * SECONDS_PER_FLOP) / CORES
    return seconds


def declare(suite: Suite, out: Path) -> None:
    """Write down the digest of every claim, before any record of it.

    Raises:
      StoreError: another digest of a claim stands there.
    """
    path = out / DECLARED
    known: dict[str, str] = store.read_json(path) if path.exists() else {}
    kind = " (full)" if suite.full else ""
    now = {f"{one}{kind}": mine for one, mine in suite.digests().items()}
    changed = [one for one, mine in now.items() if known.get(one, mine) != mine]
    if changed:
        raise StoreError(
            f"{out} holds {', '.join(changed)} as declared before the first record, and the declaration (claim file, "
            "studies, overrides) is another now; a changed claim is a new one: give another folder with --out"
        )
    publish_text(path, canonical(known | now))
