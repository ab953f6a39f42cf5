"""What every table of a study file shares: strictness, and pydantic's errors turned into problems."""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from regjax.config.fields import words
from regjax.config.problems import Problem, dotted, nearest, show, unknown


class Table(BaseModel):
    """A table of the study file: no unknown keys, no conversions, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


T = TypeVar("T", bound=Table)


def fail(expected: str, hint: str = "", got: str = "") -> PydanticCustomError:
    """Return an error for a validator to raise; it becomes a `Problem` with these words."""
    return PydanticCustomError("study", "unfit", {"expected": expected, "hint": hint, "got": got})


def choice(*names: str) -> BeforeValidator:
    """Return a validator that admits these names and points to the nearest otherwise."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in names:
            raise fail(words(names), nearest(value, names) if isinstance(value, str) else "")
        return value

    return BeforeValidator(check, json_schema_input_type=Literal[names])


def one_of(table: Any, *names: str) -> None:
    """Raise unless exactly one of these optional fields of the table is given."""
    given = [name for name in names if getattr(table, name) is not None]
    if len(given) != 1:
        raise fail(f"exactly one of {' and '.join(names)}", got=" and ".join(given) or "neither")


def check_table(table: type[T], written: Any, *place: str) -> tuple[T | None, list[Problem]]:
    """Return the checked table, or None and all that is wrong with it."""
    try:
        return table.model_validate(written), []
    except ValidationError as error:
        return None, [_translate(table, dict(found), place) for found in error.errors(include_url=False)]


def _translate(table: type[Table], error: dict[str, Any], place: tuple[str, ...]) -> Problem:
    """Return the problem that a pydantic error stands for."""
    keys = error["loc"]
    owner, expected = _find_description(table, keys)
    path = dotted(*place, *keys)
    if error["type"] == "extra_forbidden":
        return unknown(
            path, f"key {show(keys[-1])}", str(keys[-1]), list(owner.model_fields), f"{dotted(*place, *keys[:-1])} has"
        )
    if error["type"] == "missing":
        return Problem(path, "nothing", expected)
    context = error.get("ctx", {})
    value = error["input"]
    if error["type"] == "study":
        return Problem(path, context["got"] or show(value), context["expected"], context["hint"])
    if error["type"] == "literal_error" and isinstance(value, str):
        names = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return Problem(path, show(value), expected, nearest(value, names))
    return Problem(path, show(value), expected)


def _find_description(table: type[Table], keys: tuple[str | int, ...]) -> tuple[type[Table], str]:
    """Return the innermost table that a pydantic location passes through, and what is expected there."""
    owner: type[Table] = table
    expected = "a table"
    for index, key in enumerate(keys):
        field = owner.model_fields.get(key) if isinstance(key, str) else None
        if field is None:
            continue
        expected = field.description or "another value"
        inner = next((a for a in (field.annotation, *getattr(field.annotation, "__args__", ())) if _is_table(a)), None)
        if inner is not None and index + 1 < len(keys):
            owner = inner
    return owner, expected


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)
