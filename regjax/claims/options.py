"""The options of measures and mechanisms: what each may be, said where its function is, checked before any training."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_origin

from pydantic import Field, create_model
from pydantic.fields import FieldInfo

from regjax.config import Problem
from regjax.config.base import Table, check_table, choice
from regjax.config.problems import quote, show, unknown
from regjax.metrics import TASK_METRICS, metric_names

Plan = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Names:
    """What an option names: a metric of the study's task, factors of the study, or levels of them by factor."""

    what: Literal["metric", "factors", "levels"]


Metric = Annotated[str, Names("metric"), Field(description='a metric of the records, such as "test.nll"')]
Factor = Annotated[str, Names("factors"), Field(description="a factor of the study")]
Factors = Annotated[str | list[str], Names("factors"), Field(description="a factor of the study, or a list of them")]
Where = Annotated[
    dict[str, Any] | None, Names("levels"), Field(description="levels by factor of the study, or lists of them")
]
Part = Annotated[
    dict[str, Any], Field(min_length=1, description='levels that switch it on, such as { "dropout.hidden" = 0.5 }')
]
Count = Annotated[int, Field(ge=1, description="an integer >= 1")]
Number = Annotated[float, Field(description="a number")]
Positive = Annotated[float, Field(gt=0, description="a number > 0")]
NotNegative = Annotated[float, Field(ge=0, description="a number >= 0")]
Share = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]
Switch = Annotated[bool, Field(description="true or false")]
State = Annotated[str, choice("best", "last")]


@functools.cache
def options_table(function: Callable[..., Any]) -> type[Table]:
    """Return the options of a measure or mechanism as a table: its annotated parameters, which a claim file may give.

    >>> def share_above(results: object, level: Number, draws: Count = 20) -> float: ...
    >>> list(options_table(share_above).model_fields)
    ['level', 'draws']
    """
    fields: dict[str, Any] = {
        parameter.name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if get_origin(parameter.annotation) is Annotated
    }
    return create_model("Options", __base__=Table, **fields)


def find_options(function: Callable[..., Any], options: Mapping[str, Any], plan: Plan | None) -> Iterator[Problem]:
    """Yield what is wrong with the options of a measure or mechanism.

    Args:
      function: whose parameters they are.
      options: as a claim file gives them.
      plan: of the study that a measure is taken of, whose metrics and factors they may name; None where there is none,
        or they were looked up before.
    """
    table = options_table(function)
    if options and not table.model_fields:
        yield Problem("options", show(dict(options)), "none")
        return
    checked, problems = check_table(table, dict(options), "options")
    yield from problems
    if checked is None or plan is None:
        return
    for name, value in options.items():
        yield from _find_names(f"options.{name}", table.model_fields[name], value, plan)


def _find_names(place: str, field: FieldInfo, value: Any, plan: Plan) -> Iterator[Problem]:
    """Yield the names in an option that the plan does not have."""
    what = next((mark.what for mark in field.metadata if isinstance(mark, Names)), None)
    factors = {factor["path"]: factor["levels"] for factor in plan["factors"]}
    if what == "metric":
        yield from _find_name(place, "metric", [value], metric_names(TASK_METRICS[plan["task"]]), "metrics are")
    elif what == "factors":
        yield from _find_name(place, "factor", [value] if isinstance(value, str) else value, factors, "the study has")
    elif what == "levels":
        yield from _find_name(place, "factor", value, factors, "the study has")
        for path, level in value.items():
            if path in factors and level not in factors[path]:
                several = level if isinstance(level, list) else [level]
                if not all(one in factors[path] for one in several):
                    yield Problem(f"{place}.{quote(path)}", show(level), f"of {show(factors[path])}")


def _find_name(place: str, kind: str, names: Iterable[str], known: Collection[str], owner: str) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield unknown(place, f"{kind} {show(name)}", name, list(known), owner)
