"""Further runs that redraw one stream each: what the shares of the seed-to-seed variance are measured with."""

from typing import Any

from regjax.config import Study
from regjax.files import canonical, digest
from regjax.plan import Plan, Run


def seed_pairs(study: Study) -> list[tuple[int, int]]:
    """Return the seeds that swap their draws, two by two; of an odd number the last has no partner.

    A pair is fixed by its seeds alone, so that a study that grows keeps the pairs it has.
    """
    asked = study.measure.sources
    if asked is None:
        return []
    numbers = study.seeds.numbers[: asked.seeds]
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def add_sources(plan: Plan) -> Plan:
    """Return the plan with the runs that `[measure] sources` asks for behind the reported ones of each group.

    For every pair of seeds (a, b), cell and stream there are two: all streams of a but this one of b, and the other way
    round. They stay in the group of their cell, whose program trains them: what tells a run from its partner is then
    the draws alone, and no rounding.
    """
    asked, pairs = plan.study.measure.sources, seed_pairs(plan.study)
    if asked is None:
        return plan
    partners = dict(pairs) | {b: a for a, b in pairs}
    groups = []
    for group in plan.groups:
        runs = [run for run in group.runs if run.seed in partners and (asked.cells == "all" or run.cell == 0)]
        swapped = [swap_stream(run, stream, partners[run.seed]) for run in runs for stream in asked.streams]
        groups.append(group._replace(runs=(*group.runs, *swapped)))
    return plan._replace(groups=tuple(groups))


def swap_stream(run: Run, stream: str, seed: int) -> Run:
    """Return a reported run with one stream of another seed; the same run where nothing is drawn from the stream."""
    known = run.settings["streams"]
    settings = {**run.settings, "streams": {**known, **({stream: seed} if stream in known else {})}}
    return run._replace(
        id=digest(canonical(settings)),
        wave="sources",
        streams={**run.streams, stream: seed},
        settings=settings,
        stream=stream,
    )


def sources_json(study: Study) -> dict[str, Any]:
    """Return what plan.json says of these runs, as the analysis reads it; {} for a study without."""
    asked = study.measure.sources
    if asked is None:
        return {}
    return {"sources": {"streams": list(asked.streams), "cells": asked.cells, "pairs": seed_pairs(study)}}
