"""Checks of `[measure] sources`: streams that vary, seeds to pair, and how many runs that makes."""

from collections.abc import Iterator, Mapping
from typing import Any

from regjax.config.defaults import drawn_streams
from regjax.config.designs import find_design_problems
from regjax.config.fields import words
from regjax.config.problems import Problem, show
from regjax.config.study import Tune
from regjax.config.tables import Design, Measure, Seeds
from regjax.design import count_cells

MOST_RUNS = 100_000


def check_drawn_sources(
    seeds: Seeds, measure: Measure, factors: Mapping[str, Any], fixed: Mapping[str, Any], tune: Tune | None, parts: Any
) -> Iterator[Problem]:
    """Find dropout's stream among the sources where nothing draws from it: all seeds have it, drawn from or not."""
    asked = measure.sources
    drawn = drawn_streams({"factors": factors, "fixed": fixed, "tune": tune, "parts": parts})
    if asked is None or "dropout" in drawn:
        return
    if "dropout" in asked.streams:
        yield Problem("measure.sources.streams", show("dropout"), "only streams that are drawn",
                      "no regularizer here draws from it")  # fmt: skip
    elif set(seeds.vary) == {"dropout"}:
        yield Problem("measure.sources", "seeds that draw dropout alone", "a study that drops, or further streams",
                      "no regularizer here draws from it")  # fmt: skip


def check_sources(seeds: Seeds, measure: Measure) -> Iterator[Problem]:
    """Find streams that no seed draws anew, and seeds from which no pair can be made."""
    asked, place = measure.sources, "measure.sources"
    if asked is None:
        return
    # Where other tables are wrong, what varies by default is not known yet.
    if seeds.vary and (idle := [stream for stream in asked.streams if stream not in seeds.vary]):
        yield Problem(f"{place}.streams", show(idle), f"streams of seeds.vary: {words(seeds.vary)}",
                      "a stream that all seeds share makes none of their variance")  # fmt: skip
    if seeds.count is None:
        yield Problem(place, "sources beside seeds.pilot", "sources beside seeds.count",
                      "runs are compared within one program, and that of the pilot is another")  # fmt: skip
    elif (asked.seeds or 2) > seeds.count:
        yield Problem(f"{place}.seeds" if asked.seeds else place, f"{asked.seeds or 2} seeds to pair",
                      f"at most seeds.count = {seeds.count}")  # fmt: skip
    if seeds.replicates is not None and seeds.replicates.kind == "disjoint":
        yield Problem(place, "sources beside disjoint replicates", "seeds that are independent",
                      "parts of one permutation are not")  # fmt: skip


def check_source_runs(design: Design, factors: Mapping[str, Any], seeds: Seeds, measure: Measure) -> Iterator[Problem]:
    """Find more runs than can be meant."""
    asked = measure.sources
    if asked is None or find_design_problems(design, factors):
        return
    cells = count_cells(design, factors) if asked.cells == "all" else 1
    runs = cells * (asked.seeds or seeds.most) * len(asked.streams)
    if runs > MOST_RUNS:
        yield Problem("measure.sources", f"{runs} further runs", f"at most {MOST_RUNS}",
                      'fewer streams or seeds, or cells = "baseline"')  # fmt: skip
