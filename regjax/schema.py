"""A JSON Schema of study files, for completion and checks in editors; made from the models and the parts.

It holds every key, type, range and name. What hangs on several tables at once only `regjax plan` checks, and parts
given from Python are not known to it.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from regjax.catalogue import describe_hyper, describe_kind, first_line
from regjax.config.fields import EVERYTHING, LARGEST_INT, REQUIRED
from regjax.config.parse import KEYS, LONGEST, OPTIONAL, TABLES
from regjax.config.paths import DECAY_ON
from regjax.config.tables import METRIC_NAMES
from regjax.design import LEVEL_KINDS
from regjax.design.ranges import MOST_POINTS
from regjax.models import MODELS
from regjax.observers import OBSERVERS
from regjax.optimizers import OPTIMIZERS
from regjax.parts import Hyper, Interval, hypers
from regjax.regularizers import REGULARIZERS, Regularizer, Scheduled

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": r"\S"}
COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_INT}
DECAY: Schema = {
    "description": "which leaves penalties, decays and constraints touch",
    "anyOf": [{"enum": list(DECAY_ON)}, {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}],
    "default": "matrices",
}


def make_schema() -> Schema:
    """Return the JSON Schema (draft 7, which editors know) of a study file."""
    paths = make_paths()
    values = {path: _ref(f"value {path}") for path in paths}
    lists = {path: _ref(f"levels {path}") for path in paths}
    tables = {name: clean_schema(table.model_json_schema(mode="validation")) for name, table in TABLES.items()}
    defs = {f"value {path}": schema for path, schema in paths.items()}
    defs |= {f"levels {path}": _levels(value, paths[path]) for path, value in values.items()}
    defs["range"] = _range()
    for name, table in tables.items():
        defs |= {f"{name} {key}": _move(inner, name) for key, inner in table.pop("$defs", {}).items()}
        tables[name] = _move(table, name)
    defs["cell"] = _path_table(values, "paths and one value of each")
    tables["design"]["properties"]["exclude"]["items"] = _ref("cell")
    tuned = _path_table({path: lists[path] for path in paths if "x-hyper" in paths[path]}, "hypers chosen per cell")
    tuned["properties"]["seeds"] = {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 5}
    contrast = {"name": TEXT, "of": _ref("cell"), "against": _ref("cell")}
    levels = {
        "name": TEXT,
        "of": {"type": "string", "pattern": r"^best_level\(.+\)$", "description": "the best level of a factor"},
        "by": {"type": "string", "description": "a factor of design.strata"},
        "choose_on": {"enum": ["validation", *METRIC_NAMES], "description": "what the level is chosen by"},
        "test": {"enum": list(LEVEL_KINDS), "description": "of its effect, or of its trend over the strata"},
    }
    contrasts = {"anyOf": [_closed(contrast, list(contrast)), _closed(levels, ["name", "of", "test"])]}
    marker = {"label": TEXT, "when": _ref("cell"), "value": {"type": "number"}}
    for schema in paths.values():
        schema.pop("x-hyper", None)
    properties = {
        **tables,
        "question": {**TEXT, "description": "one sentence, the report's title"},
        "model": _choice("model", MODELS, {"decay_on": DECAY}),
        "optimizer": _choice("optimizer", OPTIMIZERS, {}),
        "fixed": _ref("cell"),
        "factors": _path_table(lists, "path = levels, the baseline first"),
        "tune": tuned,
        "contrasts": {"type": "array", "items": contrasts},
        "report": _closed({"markers": {"type": "array", "items": _closed(marker, list(marker))}}, []),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "regjax study",
        **_closed({key: properties[key] for key in KEYS}, [key for key in KEYS if key not in OPTIONAL]),
        "$defs": defs,
    }


def _closed(properties: Mapping[str, Any], required: list[str]) -> Schema:
    """Return the schema of a table with these keys and no others."""
    needs = {"required": required} if required else {}
    return {"type": "object", "properties": dict(properties), **needs, "additionalProperties": False}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name.replace(' ', '%20')}"}


def _move(schema: Any, table: str) -> Any:
    """Return a schema whose references lead to the definitions of the whole."""
    if isinstance(schema, dict):
        prefix = "#/$defs/"
        return {
            key: _ref(f"{table} {value.removeprefix(prefix)}")["$ref"] if key == "$ref" else _move(value, table)
            for key, value in schema.items()
        }
    return [_move(item, table) for item in schema] if isinstance(schema, list) else schema


def clean_schema(schema: Any) -> Any:
    """Return a schema of pydantic without titles and without null, which TOML has not."""
    if isinstance(schema, list):
        return [clean_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: clean_schema(value) for key, value in schema.items() if not _is_title(key, value)}
    if made.get("default", "") is None:
        del made["default"]
    if "anyOf" in made:
        options = [option for option in made.pop("anyOf") if option != {"type": "null"}]
        made |= {"anyOf": options} if len(options) > 1 else options[0]
    return made


def _is_title(key: str, value: Any) -> bool:
    return key == "title" and isinstance(value, str)


def make_paths() -> dict[str, Schema]:
    """Return {path: schema of one value} of all that a study may hold fixed, vary or tune."""
    made: dict[str, Schema] = {}
    for name, part_class in {**REGULARIZERS, **OBSERVERS}.items():
        about = f"{first_line(part_class)} ({describe_kind(part_class)})"
        times = _fields(Scheduled) if issubclass(part_class, Regularizer) else {}
        for key, schema in {**_fields(part_class), **times}.items():
            made[f"{name}.{key}"] = {**schema, "description": f"{about}: {schema.get('description', key)}"}
    for group, parts in (("model", MODELS), ("optimizer", OPTIMIZERS)):
        for part_class in parts.values():
            for key, schema in _leaves(part_class).items():
                made[f"{group}.{key}"] = _either(made.get(f"{group}.{key}"), schema)
    made["model.decay_on"] = DECAY
    made["data.train_size"] = {**COUNT, "description": "the number of training examples"}
    made["training.batch_size"] = {**COUNT, "description": "the number of examples per update"}
    return made


def _either(known: Schema | None, schema: Schema) -> Schema:
    """Return what one of two schemas admits; defaults differ between parts and are left out."""
    schema = {key: value for key, value in schema.items() if key != "default"}
    if known is None:
        return schema
    if _same(known, schema):
        about = known.get("description", "").split(";")[0]
        return {**known, "description": about} if about else known
    options = known["anyOf"] if set(known) <= {"anyOf", "x-hyper"} else [known]
    marked = {"x-hyper": True} if "x-hyper" in {*known, *schema} else {}
    return {"anyOf": options if any(_same(option, schema) for option in options) else [*options, schema], **marked}


def _same(left: Schema, right: Schema) -> bool:
    return {**left, "description": ""} == {**right, "description": ""}


def _path_table(schemas: Mapping[str, Any], about: str) -> Schema:
    """Return the schema of a table of paths, written as quoted keys or as nested tables."""
    nested: dict[str, Any] = {}
    for path, schema in schemas.items():
        *groups, key = path.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[key] = schema
    return {**_nest(nested, dict(schemas)), "description": about}


def _nest(tree: Mapping[str, Any], flat: Mapping[str, Any]) -> Schema:
    """Return the closed table of a tree of schemas; a key below may also be written with dots."""
    inner = {key: item if _is_schema(item) else _nest(item, _flatten(item)) for key, item in tree.items()}
    return _closed({**flat, **inner}, [])


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in tree.items():
        flat |= {prefix + key: item} if _is_schema(item) else _flatten(item, f"{prefix}{key}.")
    return flat


def _is_schema(item: Mapping[str, Any]) -> bool:
    return "$ref" in item or "anyOf" in item


def _levels(value: Schema, schema: Schema) -> Schema:
    """Return the schema of a factor's levels: a list, or a range on the logarithmic scale."""
    about = {"description": schema["description"]} if "description" in schema else {}
    return {"anyOf": [{"type": "array", "minItems": 2, "items": value}, _ref("range")], **about}


def _range() -> Schema:
    """Return the schema of levels from a range: at equal distances, or, without points, drawn."""
    ends: Schema = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}
    positive = {**ends, "items": {"type": "number", "exclusiveMinimum": 0}}
    points = {"type": "integer", "minimum": 2, "maximum": MOST_POINTS}
    kinds = [_closed({"off": {}, key: pair, "points": points}, [key]) for key, pair in
             (("log_range", positive), ("range", ends))]  # fmt: skip
    return {"anyOf": kinds}


def _choice(key: str, parts: Mapping[str, type], extra: Mapping[str, Schema]) -> Schema:
    """Return the schema of [model] or [optimizer]: the keys of the part that `name` names."""
    options = []
    for name, part_class in parts.items():
        fields = {**_fields(part_class), **extra}
        required = [field.name for field in _written(part_class) if _default(field) is REQUIRED]
        option = _closed({"name": {"const": name}, **fields}, ["name", *required])
        options.append({**option, "title": name, "description": first_line(part_class)})
    if key == "model":
        options.append({"type": "object", "title": "custom", "properties": {"name": {"const": "custom"}},
                        "required": ["name"], "description": "a network given from Python"})  # fmt: skip
    return {"type": "object", "anyOf": _drop_marks(options)}


def _drop_marks(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_drop_marks(item) for item in schema]
    if isinstance(schema, dict):
        return {key: _drop_marks(item) for key, item in schema.items() if key != "x-hyper"}
    return schema


def _written(part_class: type) -> list[dataclasses.Field]:
    """Return the fields of a part that a study may set."""
    return [field for field in dataclasses.fields(part_class) if not {"child", "derived"} & set(field.metadata)]


def _default(field: dataclasses.Field) -> Any:
    return REQUIRED if field.default is dataclasses.MISSING else field.default


def _fields(part_class: type) -> dict[str, Schema]:
    """Return {name: schema} of what a study may set of a part."""
    kinds, traced = get_type_hints(part_class), hypers(part_class)
    return {
        field.name: _hyper_schema(traced[field.name], _default(field))
        if field.name in traced
        else _setting_schema(kinds[field.name], field.metadata.get("range", EVERYTHING), _default(field))
        for field in _written(part_class)
    }


def _leaves(part_class: type) -> dict[str, Schema]:
    """Return {rest of the path: schema}, nested tables opened."""
    made: dict[str, Schema] = {}
    kinds = get_type_hints(part_class)
    for name, schema in _fields(part_class).items():
        inner = kinds[name]
        if dataclasses.is_dataclass(inner) and name not in hypers(part_class):
            made |= {f"{name}.{key}": leaf for key, leaf in _leaves(inner).items()}  # type: ignore[arg-type]
        else:
            made[name] = schema
    return made


def _bounds(interval: Interval) -> Schema:
    """Return the bounds of a range; an infinite end that is admitted is none.

    >>> _bounds(Interval.parse("(-inf, 1]")), _bounds(Interval.parse("(0, inf]"))
    ({'maximum': 1.0}, {'exclusiveMinimum': 0.0})
    """
    made: Schema = {}
    if not math.isinf(interval.low):
        made["minimum" if interval.low_closed else "exclusiveMinimum"] = interval.low
    if not math.isinf(interval.high):
        made["maximum" if interval.high_closed else "exclusiveMaximum"] = interval.high
    return made


def _hyper_schema(hyper: Hyper, default: Any) -> Schema:
    """Return the schema of a traced scalar: a number, one per hidden layer, "off"."""
    about: Schema = {"description": f"{hyper.help}; {describe_hyper(hyper, default)}", "x-hyper": True}
    if hyper.flag:
        return {"type": "boolean", **about, "default": bool(default)}
    number: Schema = {"type": "integer" if hyper.integer else "number", **_bounds(hyper.range)}
    options = [number]
    if hyper.per_layer:
        options.append({"type": "array", "minItems": 1, "items": number})
    if hyper.off is not None:
        options.append({"const": "off"})
    return {**(number if len(options) == 1 else {"anyOf": options}), **about}


def _setting_schema(kind: Any, interval: Interval, default: Any) -> Schema:
    """Return the schema of a static setting."""
    shown = {} if default is REQUIRED or dataclasses.is_dataclass(kind) else {"default": _plain(default)}
    if dataclasses.is_dataclass(kind):
        return _closed(_fields(kind), [])  # type: ignore[arg-type]
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind)), **shown}
    if kind is bool:
        return {"type": "boolean", **shown}
    if kind in (int, float):
        return {"type": "integer" if kind is int else "number", **_bounds(interval), **shown}
    item = _setting_schema(get_args(kind)[0], interval, REQUIRED)
    least = {} if default == () else {"minItems": 1}
    return {"type": "array", "items": item, **least, **shown}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
