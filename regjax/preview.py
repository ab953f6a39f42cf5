"""What a study would train, without training it: `regjax plan`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from regjax import runtime
from regjax.analysis.power import least_p, promise_text
from regjax.analysis.table import at_label
from regjax.analysis.trend import smallest_p
from regjax.conductor import choose_tuned, find_dataset, read_study
from regjax.config import Study
from regjax.data import Dataset
from regjax.design import describe_design, design_lines, make_level_contrasts
from regjax.keeping import predictions_text
from regjax.labels import count_targets
from regjax.models import Model, Settings
from regjax.notices import find_notices
from regjax.pilot import is_trained, judge_pilot
from regjax.plan import Plan, make_plan, make_tuning_plan
from regjax.progress import format_seconds
from regjax.regularizers import Regularizer
from regjax.report.words import count_labels
from regjax.room import add_rooms, estimate_room, find_free
from regjax.sources import add_sources
from regjax.store import done_runs
from regjax.stored import describe_stored, stored_sentence
from regjax.telling import name_group
from regjax.train.program import Program, make_program
from regjax.train.timing import estimate_group


def preview(study: Study | Mapping[str, Any] | str | Path, overrides: Sequence[str] = (), **given: Any) -> str:
    """Return what `run` would do, as text: cells, contrasts, groups, with their memory and time.

    Arguments are those of `make_preview`.
    """
    return preview_text(make_preview(study, overrides, **given))


def make_preview(
    study: Study | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    stream: bool | None = None,
    model: Model | type[Settings] | None = None,
    data: Dataset | None = None,
    regularizers: Mapping[str, type[Regularizer]] | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Return what `run` would do, as `regjax plan --json` prints it (docs/commands.md names the keys).

    The programs are compiled (a later `run` takes them from the cache) and a few updates of each are timed. Arguments
    are those of `run`; of the run directory `out` it is told how many runs it holds already.

    Raises:
      ConfigError, DataError: as `run`.
    """
    study = read_study(study, overrides, model, regularizers)
    dataset = find_dataset(study, data)
    found = runtime.configure()
    plans = list_waves(study, dataset, None if out is None else Path(out))
    plan = plans[-1][1]
    plans[-1] = ("training", add_sources(plan))
    seeds, sources = study.seeds, study.measure.sources
    programs = [
        (what, wave, index, make_program(wave.study, dataset, group, jax.devices(), streamed=stream))
        for what, wave in plans
        for index, group in enumerate(wave.groups)
    ]
    groups = [_describe_group(*one) for one in programs]
    metric, first = study.primary.metric, plan.groups[0]
    confirmatory, levels = sum(contrast["confirmatory"] for contrast in plan.contrasts), describe_levels(study)
    room = study, len(plan.cells), first.counts["test"], first.runs[0].recipe.task
    return {
        "question": study.question,
        "primary": {"metric": metric, "at": at_label(plan.primary["at"]), "margin": study.primary.margin},
        "data": {
            "name": dataset.name,
            "examples": dict(first.counts),
            "labels": count_labels(dataset.num_classes, count_targets(dataset)),
            "input_shape": list(dataset.x.shape[1:]),
            "dtype": str(dataset.x.dtype),
            "scale": study.data.scale,
        },
        "seeds": {name: getattr(seeds, name) for name in ("count", "pilot", "max")} | {"vary": list(seeds.vary)},
        "design": describe_design(study, plan.cells),
        "cells": [cell.name for cell in plan.cells],
        "contrasts": [{key: c[key] for key in ("name", "kind", "confirmatory")} for c in plan.contrasts],
        "smallest_p": least_p(seeds.count, confirmatory, metric) if seeds.count and confirmatory else None,
        "promise": promise_text(seeds.count, confirmatory, metric),
        "best_levels": levels,
        "predictions": predictions_text(plan.predictions, *room),
        "sources": sources and {"streams": list(sources.streams), "runs": len(plans[-1][1].runs) - len(plan.runs)},
        "notices": find_notices(plan, dataset),
        "devices": found.devices,
        "groups": groups,
        "disk": _describe_disk(programs, None if out is None else Path(out)),
        "stored": out and describe_stored(Path(out), [wave for _, wave in plans], dataset),
        "runs": sum(group["runs"] for group in groups),
        "programs": len(groups),
        "seconds": sum(group["seconds"] for group in groups),
    }


def list_waves(study: Study, dataset: Dataset, out: Path | None) -> list[tuple[str, Plan]]:
    """Return the waves of a study with their names, the reported runs last: those of the values and the number of
    seeds that a run directory has already found, where it has.
    """
    tuned = None
    waves = []
    if study.tune is not None:
        tuning = make_tuning_plan(study, dataset)
        waves.append(("tuning", tuning))
        if out is not None and is_trained(tuning, out):
            tuned = choose_tuned(tuning, out)
    plan = make_plan(study, dataset, tuned)
    if study.seeds.pilot is not None and out is not None and is_trained(plan, out):
        plan = make_plan(study, dataset, tuned, judge_pilot(plan, out))
    return [*waves, ("training", plan)]


def describe_levels(study: Study) -> dict[str, Any] | None:
    """Return what a study declares of best levels, and what its seeds can show of it; None where it declares none."""
    asked = make_level_contrasts(study)
    tests = [name for one in asked for name in one["tests"]]
    if not tests:
        return None
    return {
        "tests": tests,
        "choose_on": list(dict.fromkeys(one["choose_on"] for one in asked)),
        "smallest_p": min(len(tests) * smallest_p(study.seeds.fewest), 1.0),
    }


def _describe_disk(programs: Sequence[tuple[str, Plan, int, Program]], out: Path | None) -> dict[str, int]:
    """Return the bytes that the runs to train will take (see `Room`), and how many are free, here without `out`."""
    known = set() if out is None else set(done_runs(out))
    rooms = []
    for _, plan, _, program in programs:
        left = {run.id for run in program.group.runs} - known
        known |= left
        rooms.append(estimate_room(plan, program, len(left)))
    room = add_rooms(rooms)
    return {**room._asdict(), "total": room.total, "free": find_free(out or Path())}


def _describe_group(what: str, plan: Plan, index: int, program: Program) -> dict[str, Any]:
    """Return the size and cost of a group of a plan."""
    group, cost = program.group, estimate_group(program)
    return {
        "wave": what,
        "group": index,
        "levels": name_group(plan, group),
        "runs": len(group.runs),
        "updates": group.steps.steps,
        "slots": cost.slots,
        "streamed": cost.streamed,
        "bytes_per_device": cost.bytes_per_device,
        "compile_seconds": cost.compile_seconds,
        "seconds": cost.seconds,
    }


def preview_text(found: Mapping[str, Any]) -> str:
    """Return a preview as text for a terminal."""
    primary, data, seeds = found["primary"], found["data"], found["seeds"]
    number, alone = (seeds["count"], "") if seeds["count"] else (f"{seeds['pilot']} to {seeds['max']}", True)
    margin = "no margin" if primary["margin"] is None else f"margin {primary['margin']}"
    confirmatory = [contrast["name"] for contrast in found["contrasts"] if contrast["confirmatory"]]
    return "\n".join(
        [
            found["question"],
            f"primary: {primary['metric']} at {primary['at']}, {margin}",
            f"data: {data['name']}, {', '.join(f'{count} {name}' for name, count in data['examples'].items())}, "
            f"{data['labels']}, inputs {data['input_shape']} {data['dtype']}, scale {data['scale']}",
            f"{len(found['cells'])} cells x {number} seeds; each seed varies {', '.join(seeds['vary'])}",
            *shorten(design_lines(found["design"])),
            *shorten([f"  {index:3d}  {name}" for index, name in enumerate(found["cells"])]),
            f"{len(found['contrasts'])} contrasts, {len(confirmatory)} confirmatory"
            + ("" if found["best_levels"] else f"; {found['promise']}"),
            *shorten([f"  {name}" for name in confirmatory]),
            *level_lines(found["best_levels"]),
            found["predictions"],
            *(f"note: {notice}" for notice in found["notices"]),
            *_sources_lines(found["sources"]),
            *([stored_sentence(found["stored"])] if found["stored"] else []),
            *(_group_line(group, found["devices"]) for group in found["groups"]),
            _disk_line(found["disk"]),
            f"in all {found['programs']} program{'' if found['programs'] == 1 else 's'}, "
            f"about {format_seconds(found['seconds'])}{' for the pilot seeds' if alone else ''}, "
            "if nothing stops early (some updates of each program were timed)",
        ]
    )


def level_lines(levels: Mapping[str, Any] | None) -> list[str]:
    """Return what `regjax plan` says of them, no line where a study declares none."""
    if not levels:
        return []
    tests = levels["tests"]
    adjusted = f", each at 0.05 / {len(tests)}" if len(tests) > 1 else ""
    return [
        f"{len(tests)} confirmatory test{'s' if len(tests) > 1 else ''} of best levels{adjusted}; "
        f"smallest {'adjusted ' if adjusted else ''}p these seeds allow: {levels['smallest_p']:.2g}",
        *shorten([f"  {name}" for name in tests]),
        *(f"  chosen by {metric}" for metric in levels["choose_on"]),
    ]


def _sources_lines(sources: Mapping[str, Any] | None) -> list[str]:
    if not sources:
        return []
    return [f"sources of variance: {sources['runs']} of the runs redraw one of {', '.join(sources['streams'])}"]


def _disk_line(disk: Mapping[str, int]) -> str:
    """Return what `regjax plan` says of the disk.

    >>> _disk_line({"results": 5 * 2**20, "checkpoints": 2**19, "total": 11 * 2**19, "free": 2**32})
    'on disk about 5.5 MiB: results 5.0 MiB, checkpoints 0.5 MiB at once; 4,096.0 MiB are free'
    """
    total, results, checkpoints, free = (
        f"{disk[k] / 2**20:,.1f} MiB" for k in ("total", "results", "checkpoints", "free")
    )
    few = ", too few: `regjax run` would refuse" if disk["total"] > disk["free"] else ""
    return f"on disk about {total}: results {results}, checkpoints {checkpoints} at once; {free} are free{few}"


def _group_line(group: Mapping[str, Any], devices: str) -> str:
    levels = f" ({group['levels']})" if group["levels"] else ""
    return (
        f"{group['wave']}, group {group['group']}{levels}: {group['runs']} runs of {group['updates']} updates, "
        f"{group['slots']} at once on {devices}{', data streamed from the host' if group['streamed'] else ''}; "
        f"{group['bytes_per_device'] / 2**20:.0f} MiB per device, compiled in "
        f"{format_seconds(group['compile_seconds'])}, about {format_seconds(group['seconds'])} of training"
    )


def shorten(lines: list[str], most: int = 40) -> list[str]:
    """Return the first lines, and how many more there are.

    >>> shorten(["a", "b", "c"], 2)
    ['a', 'b', '  ... and 1 more']
    """
    return lines if len(lines) <= most else [*lines[:most], f"  ... and {len(lines) - most} more"]
