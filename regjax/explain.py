"""What a name in a study means, from the docstrings of what it names: `regjax explain dropout`."""

import dataclasses
import difflib
import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from regjax import metrics
from regjax.catalogue import describe_hyper, describe_kind, find_reference
from regjax.config.base import Table
from regjax.config.fields import REQUIRED, Field, part_fields, switched_fields
from regjax.config.paths import MODEL_FIELDS, OTHER_FIELDS
from regjax.config.tables import Design, Measure, Primary, Seeds, Task, Training
from regjax.data import DATASETS
from regjax.demands import LAYERS
from regjax.design import DESIGNS, cells, fractions, ranges
from regjax.files import RegjaxError
from regjax.models import MODELS
from regjax.observers import OBSERVERS
from regjax.optimizers import OPTIMIZERS
from regjax.parts import Hyper, hypers
from regjax.regularizers import REGULARIZERS

PARTS = {"regularizer": REGULARIZERS, "observer": OBSERVERS, "model": MODELS, "optimizer": OPTIMIZERS}
TABLES: dict[str, type[Table]] = {
    "primary": Primary,
    "task": Task,
    "training": Training,
    "seeds": Seeds,
    "design": Design,
    "measure": Measure,
}
STATES = ("best", "last", "epoch", "step")
# Terms of the statistics, and the module or function whose docstring explains them.
TERMS = {
    "paired effect": "regjax.analysis.inference.contrast_values",
    "p-value": "regjax.analysis.signflip",
    "sign flip": "regjax.analysis.signflip",
    "interval about new examples": "regjax.analysis.newdata",
    "lost run": "regjax.analysis.lost.lost_effects",
    "power": "regjax.analysis.power",
    "two-stage seeds": "regjax.analysis.stein",
    "dose-response": "regjax.analysis.dose.dose_response",
    "best level": "regjax.analysis.choice",
    "shapley value": "regjax.analysis.shapley.shapley_values",
    "bias and variance": "regjax.analysis.decompositions",
    "critical difference": "regjax.analysis.across.critical_difference",
}
BUILDERS = {
    "full_factorial": cells.full_rows,
    "one_at_a_time": cells.one_at_a_time_rows,
    "leave_one_out": cells.leave_one_out_rows,
    "add_one_in": cells.add_one_in_rows,
    "fractional": fractions.fraction_rows,
    "plackett_burman": fractions.screening_rows,
    "random": ranges.draw_shares,
    "latin_hypercube": ranges.draw_shares,
}
NEEDS = {"images": "images", "classes": "a task with classes"} | {need: text for need, (_, text) in LAYERS.items()}
LEVELS = (0.1, 0.5, 0.01, 2.0, 4.0, 10.0)


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is said of one name.

    Attributes:
      name: as a study writes it.
      kind: what it is: regularizer, observer, path, model, optimizer, metric, state, design, data set, key or term.
      text: its docstring.
      values: a row per value that a study may set: path, allowed, about.
      acts_on, needs, reference: of parts, else "".
      example: a line for a study file, "" where there is none.
    """

    name: str
    kind: str
    text: str
    values: tuple[dict[str, str], ...] = ()
    acts_on: str = ""
    needs: str = ""
    reference: str = ""
    example: str = ""


def explain(name: str) -> Entry:
    """Return what a name means.

    Raises:
      RegjaxError: nothing has this name; says the nearest.

    >>> explain("dropout.hidden").example
    '"dropout.hidden" = [0.0, 0.1]'
    """
    known = make_entries()
    wanted = " ".join(name.lower().split())
    for candidate in (wanted, wanted.replace(" ", "_"), wanted.replace("_", " "), wanted.replace(" ", "-")):
        if candidate in known:
            return known[candidate]
    split, _, metric = wanted.rpartition(".")
    if split in (*metrics.SPLITS, metrics.GAP) and metric in metrics.METRICS:
        entry = known[metric]
        text = f"{entry.text}\n\ngap: {metrics.ABOUT['gap']}" if split == metrics.GAP else entry.text
        return dataclasses.replace(entry, name=wanted, text=text, example=f'metric = "{wanted}"')
    near = difflib.get_close_matches(wanted[:100], known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    raise RegjaxError(f"nothing is called {name[:100]!r}; {hint}`regjax explain` lists the regularizers")


def make_entries() -> dict[str, Entry]:
    """Return every entry by its name; of two things with one name the part stands."""
    found: dict[str, Entry] = {}
    for kind, parts in PARTS.items():
        for name, part_class in parts.items():
            entry = _describe_part(name, kind, part_class)
            for path, field in _fields(kind, part_class).items():
                found.setdefault(*_describe_path(path, name, kind, field, entry))
            found[name] = entry
    for name, about in metrics.ABOUT.items():
        example = f'metric = "{name if name in metrics.OF_WEIGHTS else f"test.{name}"}"'
        found.setdefault(name, Entry(name, "metric", about, example=example))
    for name in DESIGNS:
        text = _read(BUILDERS[name])
        found.setdefault(name, Entry(name, "design", text, example=f'[design]\nkind = "{name}"'))
    for name, about in DATASETS.items():
        found.setdefault(name, Entry(name, "data set", about, example=f'[data]\nname = "{name}"'))
    return {**_table_entries(), **_term_entries(), **found}


def _fields(kind: str, part_class: type) -> dict[str, Field]:
    fields = switched_fields(part_class) if kind in ("regularizer", "observer") else part_fields(part_class)
    return fields | (MODEL_FIELDS if kind == "model" else {})


def _describe_part(name: str, kind: str, part_class: type) -> Entry:
    switched, known = kind in ("regularizer", "observer"), hypers(part_class)
    prefix = name if switched else kind
    rows = tuple(_row(f"{prefix}.{key}", field, known) for key, field in _fields(kind, part_class).items())
    example = f'[{kind}]\nname = "{name}"'
    if switched:
        key = next(key for key, hyper in known.items() if hyper.off is not None)
        example = _factor_line(f"{name}.{key}", known[key])
    needs = ", ".join(NEEDS[need] for need in getattr(part_class, "needs", ()))
    acts_on = describe_kind(part_class) if switched else ""
    text = inspect.getdoc(part_class) or ""
    return Entry(name, kind, text, rows, acts_on, needs, find_reference(part_class), example)


def _describe_path(key: str, name: str, kind: str, field: Field, owner: Entry) -> tuple[str, Entry]:
    """Return the path of one value of a part, and what is said of it."""
    switched = kind in ("regularizer", "observer")
    path = f"{name if switched else kind}.{key}"
    row = next(row for row in owner.values if row["path"] == path)
    example = _factor_line(path, field.hyper) if field.hyper and field.hyper.off is not None else ""
    return path, dataclasses.replace(owner, name=path, kind="path", values=(row,), example=example)


def _row(path: str, field: Field, known: Mapping[str, Hyper]) -> dict[str, str]:
    hyper = field.hyper
    if hyper is not None:
        return {"path": path, "allowed": describe_hyper(hyper, field.default), "about": hyper.help}
    default = "" if field.default is REQUIRED else f"default {field.default}"
    return {"path": path, "allowed": field.expected, "about": default}


def _factor_line(path: str, hyper: Hyper) -> str:
    """Return a line of [factors]: the off level and one that is on."""
    level = next(
        level
        for level in LEVELS
        if level != hyper.off and hyper.range.contains(level) and not (hyper.integer and level % 1)
    )
    shown = '"off"' if hyper.off == float("inf") else f"{float(hyper.off or 0)}"
    return f'"{path}" = [{shown}, {level:g}]'


def _table_entries() -> dict[str, Entry]:
    """Return the tables of a study file and their keys, and the states that numbers are read at."""
    found = {}
    for name, table in TABLES.items():
        about = {key: field.description or "" for key, field in table.model_fields.items()}
        rows = tuple({"path": f"{name}.{key}", "allowed": text, "about": ""} for key, text in about.items())
        found[name] = Entry(f"[{name}]", "table", inspect.getdoc(table) or "", rows)
        for row in rows:
            found[row["path"]] = dataclasses.replace(found[name], name=row["path"], kind="key", values=(row,))
    for group, fields in OTHER_FIELDS.items():
        for key, field in fields.items():
            row = {"path": f"{group}.{key}", "allowed": field.expected, "about": "may be a factor"}
            found[row["path"]] = Entry(row["path"], "path", field.expected, (row,))
    states = _docstring("regjax.analysis.table.state_steps")
    for name in STATES:
        example = f'at = "{name}"' if name in ("best", "last") else f"at = {{ {name} = 10 }}"
        found[name] = Entry(name, "state", states, example=example)
    return found


def _term_entries() -> dict[str, Entry]:
    return {term: Entry(term, "term", _docstring(place)) for term, place in TERMS.items()}


def _docstring(place: str) -> str:
    """Return the docstring of a module, or of a function in one, without the arguments."""
    try:
        target: Any = import_module(place)
    except ModuleNotFoundError:
        module, _, name = place.rpartition(".")
        target = getattr(import_module(module), name)
    return _read(target)


def _read(target: Any) -> str:
    """Return a docstring without arguments and examples."""
    return (inspect.getdoc(target) or "").split("\nArgs:")[0].split("\n>>>")[0].strip()


def entry_text(entry: Entry) -> str:
    """Return an entry as text for a terminal."""
    facts = [("acts on", entry.acts_on), ("needs", entry.needs)]
    lines = [f"{entry.name} ({entry.kind})", "", entry.text, ""]
    lines += [f"{label}: {text}" for label, text in facts if text]
    lines += [f"  {row['path']}: {'; '.join(filter(None, (row['allowed'], row['about'])))}" for row in entry.values]
    if entry.example:
        lines += ["", "In a study file:", *(f"  {line}" for line in entry.example.split("\n"))]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip()
