"""From a mapping, as TOML gives it, to a checked study; every problem is found before any is reported."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regjax.config.base import Table, check_table
from regjax.config.checks import find_cell_problems, find_cross_problems
from regjax.config.copying import copy_tables
from regjax.config.datasets import Data
from regjax.config.defaults import resolve_defaults
from regjax.config.fields import Field, check_choice, check_fields, check_integer, check_number, part_fields, words
from regjax.config.levels import is_level_contrast, parse_level_contrast
from regjax.config.overrides import apply_override
from regjax.config.paths import MODEL_FIELDS, Groups, check_paths, check_value, find_field, make_groups
from regjax.config.problems import ConfigError, Problem, UnfitError, dotted, quote, show, unknown
from regjax.config.study import Contrast, LevelContrast, Marker, Parts, Study, Tune
from regjax.config.tables import Design, Measure, Primary, Seeds, Task, Training
from regjax.models import MODELS, Model, Settings
from regjax.models.custom import as_settings
from regjax.observers import OBSERVERS
from regjax.optimizers import OPTIMIZERS
from regjax.parts import Interval, is_off
from regjax.regularizers import REGULARIZERS, Regularizer

TABLES: dict[str, type[Table]] = {
    "primary": Primary,
    "data": Data,
    "task": Task,
    "training": Training,
    "seeds": Seeds,
    "design": Design,
    "measure": Measure,
}
KEYS = ("question", "primary", "data", "task", "model", "optimizer", "training", "seeds", "fixed", "factors", "design",
        "tune", "contrasts", "measure", "report")  # fmt: skip
OPTIONAL = ("task", "fixed", "design", "tune", "contrasts", "measure", "report")
LONGEST = 300  # characters of a question


def parse_study(
    mapping: Mapping[str, Any],
    base: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    model: Model | type[Settings] | None = None,
    regularizers: Mapping[str, type[Regularizer]] | None = None,
) -> Study:
    """Return the checked study of a mapping that is structured as a study file.

    Args:
      mapping: nested dicts, lists, strings, numbers and booleans; left as it is.
      base: folder to which the paths in the study are relative; None for the current one.
      overrides: such as "training.epochs=3", as in `load_study`.
      model: network given from Python, where the study says model.name = "custom".
      regularizers: {name: class} given from Python, beside those of regjax and applied after them.

    Raises:
      ConfigError: lists every problem that was found.
    """
    plain = copy_tables(mapping)
    if overrides:
        for override in overrides:
            apply_override(plain, override)
        plain = copy_tables(plain)
    parts = Parts(
        models=dict(MODELS) if model is None else {**MODELS, "custom": as_settings(model)},
        regularizers=join_regularizers(regularizers or {}),
    )
    found, problems = _parse_tables(plain, parts)
    found = resolve_defaults(found | {"parts": parts})
    problems += find_cross_problems(found)
    if problems:
        raise ConfigError(problems)
    study = Study(**{"markers" if key == "report" else key: value for key, value in found.items()}, base=base)
    if problems := find_cell_problems(study):
        raise ConfigError(problems)
    return study


def join_regularizers(given: Mapping[str, type[Regularizer]]) -> dict[str, type[Regularizer]]:
    """Return the regularizers of regjax and then those given from Python.

    Raises:
      ConfigError: a name is taken or is no name, or a class is no `part` with an off value.
    """
    problems = []
    taken = {*REGULARIZERS, *OBSERVERS, *KEYS}
    for name, part_class in given.items():
        place = f"regularizers[{show(name)}]"
        if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name)) or name in taken:
            problems.append(Problem(place, show(name), "a name of small letters, digits and _ that is not taken"))
        if not (isinstance(part_class, type) and issubclass(part_class, Regularizer)):
            problems.append(Problem(place, show(part_class), "a subclass of regjax.Regularizer"))
        elif not dataclasses.is_dataclass(part_class) or not is_off(part_class, {}):
            problems.append(Problem(place, part_class.__name__, "a class made by @regjax.part with a hyper(off=...)"))
    if problems:
        raise ConfigError(problems)
    return {**REGULARIZERS, **given}


def _parse_tables(plain: dict[str, Any], parts: Parts) -> tuple[dict[str, Any], list[Problem]]:
    """Return the valid tables by key, and what is wrong with the others."""
    problems = [
        unknown(quote(key), f"table {quote(key)}", key, KEYS, "a study has") for key in plain if key not in KEYS
    ]
    problems += [
        Problem(key, "nothing", "a sentence" if key == "question" else f"a table [{key}]")
        for key in KEYS
        if key not in plain and key not in OPTIONAL
    ]
    found: dict[str, Any] = {}
    for key in KEYS:
        if key in plain or key in OPTIONAL:
            value, more = _parse_key(key, plain.get(key), found, parts)
            problems += more
            if not more:
                found[key] = value
    return found, problems


def _parse_key(key: str, written: Any, found: Mapping[str, Any], parts: Parts) -> tuple[Any, list[Problem]]:
    """Return the checked value of one key of the study, given those before it, and what is wrong with it."""
    if key in TABLES and key != "design":
        return check_table(TABLES[key], {} if written is None else written, key)
    classes = {"model": parts.models, "optimizer": OPTIMIZERS}
    if key in classes:
        return _parse_part(key, written, classes[key])
    if key == "question":
        return _parse_question(written)
    model, optimizer = (classes[name][found[name]["name"]] if name in found else None for name in classes)
    groups = make_groups(model, optimizer, parts.regularizers)
    if key == "design":
        return _parse_design(written, groups)
    parsers: dict[str, Callable[[Any, Groups], tuple[Any, list[Problem]]]] = {
        "fixed": lambda w, g: check_paths({} if w is None else w, "fixed", g, levels=False),
        "factors": lambda w, g: check_paths(w, "factors", g, levels=True),
        "tune": _parse_tune,
        "contrasts": _parse_contrasts,
        "report": _parse_report,
    }
    return parsers[key](written, groups)


def _parse_question(written: Any) -> tuple[str, list[Problem]]:
    if isinstance(written, str) and written.strip() and len(written) <= LONGEST:
        return " ".join(written.split()), []
    got = f"{len(written)} characters" if isinstance(written, str) and written.strip() else show(written)
    return "", [Problem("question", got, f"a sentence of 1 to {LONGEST} characters")]


def _parse_part(key: str, written: Any, classes: Mapping[str, type]) -> tuple[dict[str, Any], list[Problem]]:
    """Return {"name", values of the part} of [model] or [optimizer], and what is wrong with the table."""
    extra = MODEL_FIELDS if key == "model" else {}
    if not isinstance(written, dict):
        return {}, [Problem(key, show(written), f"a table [{key}] with name = {words(tuple(classes))}")]
    if written.get("name") == "custom" and "custom" not in classes:
        expected = "a network given from Python: regjax.run(study, out, model=...)"
        return {}, [Problem(f"{key}.name", '"custom"', expected)]
    try:
        name = check_choice(written.get("name"), tuple(classes), words(tuple(classes)))
    except UnfitError as error:
        return {}, [Problem(f"{key}.name", show(written.get("name")), error.expected, error.hint)]
    fields = {"name": Field(f'"{name}"', lambda value: value), **part_fields(classes[name]), **extra}
    return check_fields(fields, written, key)


def _parse_design(written: Any, groups: Groups) -> tuple[Design | None, list[Problem]]:
    """Return the checked [design], levels of its exclude read as those of factors are."""
    design, problems = check_table(Design, {} if written is None else written, "design")
    if design is None:
        return None, problems
    exclude = []
    for index, when in enumerate(design.exclude):
        values, more = _parse_cell("when", when, f"design.exclude[{index}]", groups)
        exclude.append(values)
        problems += more
    return (design.model_copy(update={"exclude": tuple(exclude)}) if exclude else design), problems


def _parse_tune(written: Any, groups: Groups) -> tuple[Tune | None, list[Problem]]:
    if written is None:
        return None, []
    if not isinstance(written, dict):
        return None, [Problem("tune", show(written), "a table [tune] of paths with lists of levels, and seeds")]
    expected = "an integer in [1, 10000]"
    count, problems = check_value(
        "tune.seeds", written.get("seeds", 5), Field(expected, lambda n: check_integer(n, COUNTS, expected))
    )
    paths = {key: value for key, value in written.items() if key != "seeds"}
    factors, more = check_paths(paths, "tune", groups, levels=True)
    for path in factors:
        field = find_field(path, groups, "tune")
        if isinstance(field, Field) and field.hyper is None:
            more.append(Problem(dotted("tune", path), "a setting", "a hyper; settings are compared as factors"))
    if not paths:
        more.append(Problem("tune", "no path", 'a hyper such as "optimizer.learning_rate" with a list of levels'))
    return Tune(factors, count), problems + more


COUNTS = Interval.parse("[1, 10000]")
FINITE = Interval.parse("(-inf, inf)")


def _parse_contrasts(written: Any, groups: Groups) -> tuple[tuple[Contrast | LevelContrast, ...], list[Problem]]:
    """Return the declared contrasts in their order, those of the best level among them."""
    made: list[Contrast | LevelContrast] = []
    problems: list[Problem] = []
    for index, row in enumerate(written) if isinstance(written, list) else ():
        place = f"contrasts[{index}]"
        if is_level_contrast(row):
            _, wrong = _parse_cell("name", row.get("name"), f"{place}.name", groups)
            level, more = parse_level_contrast(row, place)
            problems += wrong + more
            made += [level] if level else []
        else:
            found, more = _parse_row(row, place, ("name", "of", "against"), groups)
            problems += more
            made += [Contrast(**found)] if found else []
    if written is not None and not isinstance(written, list):
        problems.append(Problem("contrasts", show(written), "a list of tables with name, of, against"))
    return tuple(made), problems


def _parse_report(written: Any, groups: Groups) -> tuple[tuple[Marker, ...], list[Problem]]:
    if written is None:
        return (), []
    if not isinstance(written, dict):
        return (), [Problem("report", show(written), "a table [report] with markers")]
    problems = [
        unknown(dotted("report", key), f"key {show(key)}", key, ["markers"], "report has")
        for key in written
        if key != "markers"
    ]
    made, more = _parse_rows(written.get("markers"), "report.markers", ("label", "when", "value"), groups)
    return tuple(Marker(**row) for row in made), problems + more


def _parse_rows(
    written: Any, place: str, keys: tuple[str, ...], groups: Groups
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return the rows of a list of tables and what is wrong with them; a row with a problem is left out.

    Args:
      written: list of tables, or None.
      place: dotted place of the list.
      keys: of each row, all required; of, against and when hold {path: level}, name and label text, value a number.
      groups: from `make_groups`.
    """
    if written is None:
        return [], []
    if not isinstance(written, list):
        return [], [Problem(place, show(written), f"a list of tables with {', '.join(keys)}")]
    made, problems = [], []
    for index, row in enumerate(written):
        values, more = _parse_row(row, f"{place}[{index}]", keys, groups)
        problems += more
        made += [] if more else [values]
    return made, problems


def _parse_row(row: Any, place: str, keys: tuple[str, ...], groups: Groups) -> tuple[dict[str, Any], list[Problem]]:
    """Return the values of a row, none where it has a problem, and what is wrong with it."""
    if not isinstance(row, dict):
        return {}, [Problem(place, show(row), f"a table with {', '.join(keys)}")]
    problems = [unknown(f"{place}.{quote(k)}", f"key {show(k)}", k, keys, f"{place} has") for k in row if k not in keys]
    values = {}
    for key in keys:
        values[key], wrong = _parse_cell(key, row.get(key), f"{place}.{key}", groups)
        problems += wrong
    return {} if problems else values, problems


def _parse_cell(key: str, written: Any, place: str, groups: Groups) -> tuple[Any, list[Problem]]:
    if key in ("name", "label"):
        if isinstance(written, str) and written.strip() and len(written) <= LONGEST and written.isprintable():
            return written.strip(), []
        return "", [Problem(place, show(written), f"one line of 1 to {LONGEST} characters")]
    if key == "value":
        return check_value(place, written, Field("", lambda value: check_number(value, FINITE, "a number")))
    if not isinstance(written, dict) or not written:
        return {}, [Problem(place, show(written), 'a table of paths and levels such as { "dropout.hidden" = 0.5 }')]
    return check_paths(written, place, groups, levels=False)
