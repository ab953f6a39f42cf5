"""What two run directories have in common: levels of their cells, splits of their seeds, bits of their records."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from regjax.analysis.table import Table
from regjax.files import flatten_tables
from regjax.store import UNHASHED_COLUMNS, digest_records

# What decides which examples a seed trains on and is judged by, beside the data themselves.
SPLIT_KEYS = ("split", "validation", "train_size")
SPLIT_STREAMS = ("split", "subset")
# Off values of hypers that share a part: one is off while another keeps the part on. (What has a part to itself is
# absent with it.) The parts say so themselves, but need jax.
OFF: dict[str, Any] = {
    **dict.fromkeys(("augment.flip", "augment.shift"), 0.0),
    **dict.fromkeys(("dropout.hidden", "dropout.input", "gaussian_dropout.hidden", "gaussian_dropout.input"), 0.0),
    **dict.fromkeys(("early_stopping.patience", "early_stopping.gl", "early_stopping.pq", "early_stopping.up"), "off"),
}
PLAN_KEYS = ("num_params", "steps", "versions", "devices", "commit", "tuned")


class Difference(NamedTuple):
    """A key of which two plans say different things; None where a plan does not have it."""

    key: str
    first: Any
    second: Any


class Sameness(NamedTuple):
    """Runs of matched cells and equal seeds that both studies have finished, and how many agree in every bit.

    `columns` are the numbers compared, recorded by both; `lone` those that only one records.
    """

    runs: int
    equal: int
    columns: int
    lone: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether the studies recorded the same numbers, bit for bit."""
        return self.runs > 0 and self.equal == self.runs and not self.lone


def flatten(table: Table) -> dict[str, Any]:
    """Return {dotted key: value} of what a plan says: the study's own keys, then versions, devices and the like."""
    plan = table.plan
    return flatten_tables(plan.get("study", {})) | flatten_tables({key: plan.get(key) for key in PLAN_KEYS})


def find_differences(first: Table, second: Table) -> tuple[Difference, ...]:
    """Return the keys of which two plans say different things, in the order of the first plan."""
    left, right = flatten(first), flatten(second)
    keys = [key for key in dict.fromkeys([*left, *right]) if left.get(key) != right.get(key)]
    found = [Difference(key, left.get(key), right.get(key)) for key in keys]
    code = [_codes(table) for table in (first, second)]
    return (*found, *([Difference("code of the parts", *code)] if code[0] != code[1] else []))


def _codes(table: Table) -> list[str]:
    runs = _runs(table)
    return sorted({json.loads(text).get("code", "") for text in runs["settings"]}) if "settings" in runs else []


def _runs(table: Table) -> pd.DataFrame:
    return pd.DataFrame() if table.out is None else table.reported()


def cell_levels(first: Table, second: Table) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return of every cell of two studies the value of each path that either study varies; None for what is off.

    A path that a study does not vary has there the value that it is fixed at.
    """
    paths = sorted({factor["path"] for table in (first, second) for factor in table.plan["factors"]})
    left, right = ([{path: value(path) for path in paths} for value in _readers(table)] for table in (first, second))
    return left, right


def _readers(table: Table) -> list[Any]:
    """Return for every cell a function from a path to its value there."""
    said = flatten_tables(table.plan.get("study", {})) | table.plan.get("fixed", {})
    runs = _runs(table)
    texts = dict(zip(runs["cell"], runs["hypers"], strict=True)) if "hypers" in runs else {}

    def reader(cell: Mapping[str, Any]) -> Any:
        hypers = json.loads(texts.get(cell["index"], "null"))
        values = said | cell["levels"]

        def value(path: str) -> Any:
            head, _, rest = path.partition(".")
            if hypers is None or head in table.plan.get("study", {}):
                return values.get(path)
            # A part that is on in a cell stands in its hypers, with those of its own that are off; else it does not.
            found = values.get(path, hypers[head].get(rest)) if head in hypers else None
            return None if is_off(path, found) else found

        return value

    return [reader(cell) for cell in table.plan["cells"]]


def is_off(path: str, value: Any) -> bool:
    """Return whether a value, or one of every layer, is the off value of a hyper that shares its part with others.

    >>> is_off("dropout.hidden", [0.0, 0.0]), is_off("dropout.hidden", [0.0, 0.5]), is_off("early_stopping.gl", 0.0)
    (True, False, False)
    """
    levels = value if isinstance(value, list) else [value]
    return path in OFF and all(level == OFF[path] for level in levels)


def split_of(table: Table) -> dict[str, Any]:
    """Return what decides which examples a seed of a study has, by the keys of its study file."""
    data = table.plan.get("study", {}).get("data", {})
    varied = set(table.plan.get("vary", []))
    return {
        **{f"data.{key}": data.get(key) for key in SPLIT_KEYS},
        **{f"seeds.vary {stream}": stream in varied for stream in SPLIT_STREAMS},
        "seeds.replicates": table.plan.get("replicates"),
    }


def compare_records(first: Table, second: Table, matched: list[tuple[int, int]]) -> Sameness:
    """Return how many runs that both studies finished have equal records in every bit; wall time does not count.

    Args:
      first, second: loaded run directories.
      matched: (cell of the first, cell of the second).
    """
    if not len(first.records) or not len(second.records):
        return Sameness(0, 0, 0, ())
    skipped = {"run", "cell", "seed", *UNHASHED_COLUMNS}
    left, right = (set(table.records.columns) - skipped for table in (first, second))
    shared = sorted(left & right)
    digests = [_digests(table, shared) for table in (first, second)]
    both = [
        ((here, seed), (there, seed))
        for here, there in matched
        for seed in first.seeds
        if (here, seed) in digests[0] and (there, seed) in digests[1]
    ]
    equal = sum(digests[0][mine] == digests[1][other] for mine, other in both)
    return Sameness(len(both), equal, len(shared), tuple(sorted(left ^ right)))


def _digests(table: Table, columns: list[str]) -> dict[tuple[int, int], str]:
    """Return {(cell, seed): digest of its records}."""
    grouped = table.records.assign(run="").groupby(["cell", "seed"], sort=False)
    places = table.records.drop_duplicates(["cell", "seed"])[["cell", "seed"]].to_numpy(int).tolist()
    return {(cell, seed): digest_records(grouped.get_group((cell, seed))[["run", *columns]]) for cell, seed in places}
