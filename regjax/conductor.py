"""The conductor: study -> data -> plan -> train -> store -> report."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regjax import runtime, store
from regjax.analysis.table import make_table, state_values
from regjax.config import ConfigError, Problem, Study, load_study, parse_study, plain, study_json
from regjax.data import Dataset, load_dataset
from regjax.files import RegjaxError, StoreError, canonical, digest, refuse_links
from regjax.leases import FOLDER, PLAN, Leases
from regjax.metrics import larger_is_better, tuning_metric
from regjax.mirror import Mirror
from regjax.models import Model, Settings
from regjax.notices import find_notices, find_repeated
from regjax.pilot import is_trained, judge_pilot
from regjax.plan import Plan, candidates, make_plan, make_tuning_plan
from regjax.planned import describe_machine, describe_plan, make_runs_table
from regjax.progress import Progress
from regjax.regularizers import REGULARIZERS, Regularizer
from regjax.report.seeds import seeds_sentence
from regjax.results import Results
from regjax.sharing import Sharing
from regjax.sources import add_sources
from regjax.stop import Stop
from regjax.stored import CODE, FLAGS, compare_machines, compare_plans, find_changes, list_earlier
from regjax.waves import train_plan


def run(
    study: Study | Mapping[str, Any] | str | Path,
    out: str | Path,
    *,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    report: bool = True,
    profile: str | Path | None = None,
    stream: bool | None = None,
    mirror: str | Path | None = None,
    stop: Stop | None = None,
    model: Model | type[Settings] | None = None,
    data: Dataset | None = None,
    regularizers: Mapping[str, type[Regularizer]] | None = None,
) -> Results:
    """Train what a study asks for and is not stored yet; return its results.

    Running the same study again trains nothing; after an interruption it goes on from the last segment; a study that
    has grown (seeds, levels, cells) trains what is new. Several processes that run one study into one directory, on
    one machine or on several with a common drive, share its runs, and each returns all results.

    Args:
      study: a checked study, its tables as a mapping, or the path of a study file.
      out: run directory, made where missing.
      overrides: "training.epochs=3" and the like, for a path or a mapping.
      progress: where progress is told; standard error by default.
      report: whether report.html is made.
      profile: folder for a trace of a few updates, as `jax.profiler` writes it (for TensorBoard or Perfetto).
      stream: whether the examples stay on the host and reach the devices in blocks; by default where they are large.
      mirror: folder, such as one of a mounted drive or bucket, that every saved segment is copied to; where it holds
        more of this study than `out` does, `out` is restored from there first.
      stop: ends the training early, for instance `regjax.Stop(max_seconds=3600)`.
      model: your own network, where the study says model.name = "custom": a `regjax.Model`, or a class made by
        `regjax.part` from `regjax.ModelSettings`, whose fields are then keys of the study's [model] and may be varied.
      data: your own examples, from `regjax.make_dataset`, where the study says data.name = "custom".
      regularizers: {name: class} of your own regularizers, made by `regjax.part` from `regjax.Regularizer`; the study
        names their hypers as it does those of regjax.

    Raises:
      ConfigError: the study is wrong; nothing is written.
      DataError: its data is absent or unusable; nothing is written.
      StoreError: the run directory cannot be written, has too little room, is damaged, or another process trains
        another study into it.
      Interrupted: `stop` asked for it; what was trained is saved, and the same call goes on.
    """
    study = read_study(study, overrides, model, regularizers)
    out, progress = Path(out), progress or Progress()
    trace = Path(profile) if profile is not None else None
    dataset = find_dataset(study, data)
    found = runtime.configure()
    plan = make_plan(study, dataset)
    repeated = find_repeated(plan, dataset)
    for notice in (found.notice, *find_notices(plan, dataset, repeated)):
        if notice:
            progress.say(f"note: {notice}")
    stop = stop or Stop()
    with Leases(out) as leases:
        copy = enter(out, plan, dataset, leases, mirror, progress, stop, describe_machine(found))
        for what, wave, plans in iter_waves(study, plan, dataset, out, progress):
            # Past a wave there is a later plan, which another process may have stored already.
            if what == "training" or not is_trained(wave, out):
                with leases.alone(PLAN, stop.check):
                    save_waves(out, plans[-1], plans[:-1], dataset, found, repeated)
            train_plan(wave, dataset, out, progress, what, leases, trace, stream, copy, stop)
            trace = None
        results = Results(out, model, regularizers)
        if report:
            results.report()
        Sharing(out, leases).clear()
        if copy is not None:
            copy.close()
    return results


def iter_waves(
    study: Study, plan: Plan, dataset: Dataset, out: Path, progress: Progress
) -> Iterator[tuple[str, Plan, list[Plan]]]:
    """Yield what is trained one after the other; what was yielded must be trained before the next is asked for.

    Yields:
      The name of a wave, its plan, and the plans as known by then: of tuning, if any, and of the reported runs.
    """
    before, tuned = list[Plan](), None
    if study.tune is not None:
        before.append(make_tuning_plan(study, dataset))
        yield "tuning", before[0], [*before, plan]
        tuned = choose_tuned(before[0], out)
        plan = make_plan(study, dataset, tuned)
        for cell in plan.cells:
            progress.say(f"tuned: {cell.name}: {plain(plan.tuned[cell.index])}")
    if study.seeds.pilot is not None:
        if not is_trained(plan, out):
            yield "pilot", plan, [*before, plan]
        plan = make_plan(study, dataset, tuned, judge_pilot(plan, out))
        progress.say(f"seeds: {seeds_sentence({'primary': plan.primary, 'stein': plan.stein})}")
    yield "training", add_sources(plan), [*before, plan]


def enter(
    out: Path,
    plan: Plan,
    dataset: Dataset,
    leases: Leases,
    mirror: str | Path | None,
    progress: Progress,
    stop: Stop,
    machine: Mapping[str, Any],
) -> Mirror | None:
    """Join the processes that train a study into a directory, say what is there, and return the mirror.

    Raises:
      StoreError: another study is being trained there, a file is damaged, or a folder is a link.
      RegjaxError: the mirror is of another study.
    """
    for below in (store.chunk_folder(out, ""), out / FOLDER):
        refuse_links(below)
    study = digest(canonical([study_json(plan.study), sorted(run.id for run in plan.runs)]))
    # Together: of processes that start at one time the first to join finds itself alone, and restores for all.
    with leases.alone(PLAN, stop.check):
        leases.join(study, stop.check)
        copy = None if mirror is None else open_mirror(Path(mirror), out, plan, dataset, progress, leases)
        for notice in (*compare_plans(out, plan, dataset), *compare_machines(out, machine)):
            progress.say(f"note: {notice}")
    for holder in leases.processes():
        progress.say(f"note: {holder.process} trains this study, too; runs are shared with it")
    return copy


def open_mirror(folder: Path, out: Path, plan: Plan, dataset: Dataset, progress: Progress, leases: Leases) -> Mirror:
    """Return the mirror of a run directory, which is restored from it where the mirror holds more.

    Not while another process trains into the directory, for which the files of its queues change.

    Raises:
      RegjaxError: the mirror holds another study than this one and than the run directory.
      NewerError: one of them was written by a newer regjax.
    """
    mirror = Mirror(folder, out, progress.say, leases)
    try:
        # Trained by other code or settings of jax it is the same study still; its runs are not those of now.
        changed = [key for key in find_changes(folder, plan, dataset) if key not in (CODE, FLAGS)]
        strange = bool(changed) and not (
            (out / "plan.json").exists() and store.load_plan(out)["study"] == store.load_plan(folder)["study"]
        )
    except store.NewerError:
        raise
    except StoreError as error:
        # Half a plan says nothing; the runs themselves tell whether they are of this study.
        progress.say(f"note: {error}")
        strange = False
    if strange:
        raise RegjaxError(
            f"{folder} mirrors a study that differs in {', '.join(changed)}; choose another --mirror, or an empty one"
        )
    if not leases.processes():
        mirror.restore()
    return mirror


def save_waves(
    out: Path,
    plan: Plan,
    before: Sequence[Plan],
    dataset: Dataset,
    found: runtime.Runtime,
    repeated: int | None = None,
) -> None:
    """Store the plan of the reported runs, and the runs of all waves; `repeated` as for `find_notices`."""
    runs = pd.concat([make_runs_table(wave) for wave in (*before, add_sources(plan))], ignore_index=True)
    repeated = find_repeated(plan, dataset) if repeated is None else repeated
    described = describe_plan(plan, dataset, found, repeated)
    store.save_plan(out, {**described, "earlier": list_earlier(out, described)}, runs)


def read_study(
    study: Study | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    model: Model | type[Settings] | None = None,
    regularizers: Mapping[str, type[Regularizer]] | None = None,
) -> Study:
    """Return the checked study of a path, a mapping or a study; `model` and `regularizers` are given from Python."""
    if isinstance(study, Study):
        if not overrides and model is None and regularizers is None:
            return study
        known = study.parts
        own = {name: part for name, part in known.regularizers.items() if name not in REGULARIZERS}
        given: dict[str, Any] = {"model": model or known.models.get("custom"), "regularizers": regularizers or own}
        return parse_study(study_json(study), study.base, overrides, **given)
    given = {"model": model, "regularizers": regularizers}
    if isinstance(study, Mapping):
        return parse_study(study, overrides=overrides, **given)
    return load_study(study, overrides, **given)


def find_dataset(study: Study, data: Dataset | None) -> Dataset:
    """Return the data that a study names, or those given from Python.

    Raises:
      ConfigError: data were given and the study names others, or the study says "custom" and none were given.
      DataError: the named data are absent or unusable.
    """
    custom = study.data.name == "custom"
    if custom and data is None:
        raise ConfigError([Problem("data.name", '"custom"', "examples given from Python: regjax.run(..., data=...)")])
    if data is not None and not custom:
        raise ConfigError([Problem("data.name", f'"{study.data.name}" beside data from Python', '"custom"')])
    return load_dataset(**study.dataset_arguments()) if data is None else data


def choose_tuned(tuning: Plan, out: Path) -> dict[int, dict[str, Any]]:
    """Return {cell: {path: value}}: the candidate of each cell with the best validation metric, mean over tuning seeds.

    The metric is the primary one (of a gap that whose gap it is, of the weights the monitored one), taken from the
    validation set, at the primary state. A candidate with a diverged run
    is never chosen unless all have one; of equal candidates the first stands.
    """
    options = candidates(tuning.study)
    names = [{"name": f"{cell.name} {option}"} for cell in tuning.cells for option in options]
    plan = {"cells": names, "seeds": sorted({run.seed for run in tuning.runs})}
    table = make_table(out, plan, make_runs_table(tuning))
    metric = tuning_metric(tuning.primary["metric"], str(tuning.study.training.monitor))
    values = state_values(table, metric, tuning.primary["at"])
    scores = values.mean(axis=1).reshape(len(tuning.cells), len(options))
    scores = np.where(np.isnan(scores), np.inf, -scores if larger_is_better(metric) else scores)
    return {cell.index: options[int(row.argmin())] for cell, row in zip(tuning.cells, scores, strict=True)}
