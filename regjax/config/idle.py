"""What a study names and nothing switches on: companions of regularizers, norms, ... that no cell has."""

import functools
import math
import operator
from collections.abc import Iterator, Mapping
from typing import Any

from regjax.config.fields import words
from regjax.config.problems import Problem, dotted, show
from regjax.config.study import Parts, Study, Tune
from regjax.config.tables import Design
from regjax.design import Levels, make_cells
from regjax.observers import OBSERVERS
from regjax.optimizers import OPTIMIZERS
from regjax.parts import hypers, is_off
from regjax.regularizers.schedule import TIMES

Tables = dict[str, Mapping[str, tuple]]
NORM, SCHEDULE, NORMS = ("model.norm",), ("optimizer.schedule.name",), ("batch", "ghost", "layer", "group")
# {setting: (what switches it on, the values that do; none for all but off)}; of several switches any is enough.
SWITCHES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "model.norm_place": (NORM, NORMS),
    "model.norm_epsilon": (NORM, NORMS),
    "model.norm_momentum": (NORM, ("batch", "ghost")),
    "model.ghost_size": (NORM, ("ghost",)),
    "model.groups": (NORM, ("group",)),
    "optimizer.schedule.every": (SCHEDULE, ("step",)),
    "optimizer.schedule.decay": (SCHEDULE, ("step",)),
    "optimizer.schedule.cycles": (SCHEDULE, ("cosine",)),
    "early_stopping.strip": (("early_stopping.pq", "early_stopping.up"), ()),
    "early_stopping.min_delta": (("early_stopping.patience",), ()),
}


def check_idle(
    factors: Mapping[str, tuple], fixed: Mapping[str, Any], tune: Tune | None, parts: Parts
) -> Iterator[Problem]:
    """Find paths that do nothing in any cell: hypers of what is off everywhere, times that never come."""
    tables: Tables = {"factors": factors, "tune": tune.factors if tune else {}}
    tables["fixed"] = {path: (value,) for path, value in fixed.items()}
    for name, part_class in {**parts.regularizers, **OBSERVERS}.items():
        switches = [f"{name}.{key}" for key, known in hypers(part_class).items() if known.off is not None]
        named = [(table, path) for table, paths in tables.items() for path in paths if path.split(".")[0] == name]
        companions = [(table, path) for table, path in named if path not in switches]
        if switches and companions and not _is_on(part_class, [(path, tables[table][path]) for table, path in named]):
            for table, path in companions:
                yield Problem(dotted(table, path), f"a value of {name}, which is off in every cell",
                              f"{' or '.join(switches)} beside it, not off")  # fmt: skip
        elif companions:
            yield from _find_empty_time(name, tables)


def check_left_out(design: Design, factors: Mapping[str, tuple], parts: Parts) -> Iterator[Problem]:
    """Find factors of leave_one_out and add_one_in that do not begin with off: "without" them would mean another."""
    known = {**parts.regularizers, **OBSERVERS}
    for path, levels in factors.items() if design.kind in ("leave_one_out", "add_one_in") else ():
        name, _, key = path.partition(".")
        switch = hypers(known[name]).get(key) if name in known else None
        if switch is not None and switch.off is not None and not is_off(known[name], {key: levels[0]}):
            yield Problem(dotted("factors", path), f"{show(levels[0])} first", f'"off" first, for {design.kind}')


def _is_on(part_class: type, named: list[tuple[str, tuple]]) -> bool:
    """Return whether any level of these paths switches the part on."""
    return any(not is_off(part_class, {path.partition(".")[2]: level}) for path, levels in named for level in levels)


def _find_empty_time(name: str, tables: Tables) -> Iterator[Problem]:
    """Find a regularizer that no cell gives any time: the earliest begin is not before the latest end."""
    begin, end = TIMES
    at = {key: (table, tables[table][f"{name}.{key}"]) for table in tables for key in TIMES
          if f"{name}.{key}" in tables[table]}  # fmt: skip
    first = min(at[begin][1]) if begin in at else 0.0
    last = max(at[end][1]) if end in at else 1.0
    if at and first >= last:
        key, (table, _) = next(iter(at.items()))
        got = f"{name} from {first:g} to {last:g} of the updates at most"
        yield Problem(dotted(table, f"{name}.{key}"), got, "begin before end in some cell")


def find_idle_settings(study: Study) -> Iterator[Problem]:
    """Find settings of a norm, schedule or criterion that no cell has, and factors of which cells have one level.

    A factor of a zip may have one: its levels come with those of the others.
    """
    cells = [cell.levels for cell in make_cells(study)]
    joint = {path for group in study.design.zip for path in group}
    for path, (switches, values) in SWITCHES.items():
        place = _find_place(study, path)
        # A network given from Python may call other things by these names.
        if place is None or (path.startswith("model.") and study.model["name"] == "custom"):
            continue
        found = {levels.get(path) for levels in cells if any(_has(study, levels, one, values) for one in switches)}
        wanted = f"{' or '.join(switches)} {f'= {words(values)}' if values else 'that is not off'}"
        if not found:
            yield Problem(place, "a setting that does nothing in any cell", f"{wanted} beside it")
        elif len(found) < 2 and path in study.factors and path not in joint:
            got = "levels that change nothing: in each pair of cells that differs in it alone it does nothing"
            yield Problem(place, got, f"cells that differ in it, all with {wanted}")


def _find_place(study: Study, path: str) -> str | None:
    """Return where a study gives a path; a default that stands in [model] or [optimizer] is not given."""
    tables = {"factors": study.factors, "tune": study.tune.factors if study.tune else {}, "fixed": study.fixed}
    for name, table in tables.items():
        if path in table:
            return dotted(name, path)
    value, (group, _, rest) = _table_value(study, path), path.partition(".")
    if value is None:
        return None
    classes = study.parts.models if group == "model" else OPTIMIZERS
    return None if value == operator.attrgetter(rest)(classes[getattr(study, group)["name"]]) else path


def _table_value(study: Study, path: str) -> Any:
    """Return the value of a path in [model] or [optimizer], None where they have none."""
    tables: Any = {"model": study.model, "optimizer": study.optimizer}
    return functools.reduce(lambda table, key: table and table.get(key), path.split("."), tables)


def _has(study: Study, levels: Levels, switch: str, values: tuple[str, ...]) -> bool:
    """Return whether a cell may have one of these values of a switch, of none given any but off."""
    given = {**study.fixed, **levels}
    tuned = study.tune.factors if study.tune else {}
    has = tuned.get(switch, (given.get(switch, _table_value(study, switch)),))
    return any(value in values if values else value not in (None, math.inf) for value in has)
