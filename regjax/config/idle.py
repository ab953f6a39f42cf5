"""What a study names and nothing switches on: companions of regularizers that are off in every cell."""

from collections.abc import Iterator, Mapping
from typing import Any

from regjax.config.problems import Problem, dotted, show
from regjax.config.study import Parts, Tune
from regjax.config.tables import Design
from regjax.observers import OBSERVERS
from regjax.parts import hypers, is_off
from regjax.regularizers.schedule import TIMES

Tables = dict[str, Mapping[str, tuple]]


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
