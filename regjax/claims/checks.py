"""What is wrong with a claim beside its study: every name that its tests use, looked up before anything is trained."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from regjax.claims.declare import BEST, Case, Declared, Figure, Levels, Test, in_case
from regjax.claims.effects import candidate_cells, combine_levels
from regjax.claims.measures import MEASURES
from regjax.claims.mechanisms import MECHANISMS
from regjax.claims.options import find_options
from regjax.config import ConfigError, Problem
from regjax.config.problems import unknown
from regjax.metrics import TASK_METRICS, larger_is_better, metric_names

Plan = Mapping[str, Any]
CASES = "cases"


def find_problems(declared: Declared, plans: Mapping[str, Plan]) -> list[Problem]:
    """Return what is wrong with the tests, cases and figure of a claim.

    Args:
      declared: the claim.
      plans: of its studies, by their names in the claim; those that are wrong themselves are absent.
    """
    found: list[Problem] = []
    for asked in declared.tests:
        for case in declared.cases or [Case.model_construct(name="")]:
            test = in_case(asked, case)
            place = f"tests.{test.name}" + (f" in case {case.name!r}" if case.name else "")
            plan = plans.get(test.study)
            if test.mechanism:
                found += _find_mechanism(place, test, case)
            elif plan is not None:
                found += _find_contrast(place, test, plan) if test.contrast else _find_test(place, test, case, plan)
    if declared.figure.kind == "levels" and declared.figure.study in plans:
        found += _find_figure(declared.figure, declared.cases, plans[declared.figure.study])
    return list(dict.fromkeys(found))


def _find_name(place: str, name: str, known: Sequence[str], owner: str) -> Iterator[Problem]:
    if name not in known:
        yield unknown(place, f"name {name!r}", name, known, owner)


def _find_mechanism(place: str, test: Test, case: Case) -> Iterator[Problem]:
    yield from _find_name(f"{place}.mechanism", test.mechanism, list(MECHANISMS), "mechanisms are")
    if test.mechanism in MECHANISMS:
        yield from _at(place, find_options(MECHANISMS[test.mechanism], {**test.options, **case.options}, None))


def _at(place: str, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield problems with the place of what they are found in before their own."""
    yield from (problem._replace(path=f"{place}.{problem.path}") for problem in problems)


def _find_contrast(place: str, test: Test, plan: Plan) -> Iterator[Problem]:
    known = [name for one in plan.get("level_contrasts", []) for name in one["tests"]]
    if not known:
        yield Problem(f"{place}.contrast", repr(test.contrast), "a study with [[contrasts]] of best levels")
        return
    yield from _find_name(f"{place}.contrast", test.contrast, known, "the study declares")
    if test.scale != "linear":
        yield Problem(f"{place}.scale", repr(test.scale), '"linear" with a contrast of the study')


def _find_test(place: str, test: Test, case: Case, plan: Plan) -> Iterator[Problem]:
    yield from _find_measure(place, test.measure, {**test.options, **case.options}, plan)
    yield from _find_state(place, test.at, plan)
    known = {factor["path"]: factor["levels"] for factor in plan["factors"]}
    yield from _find_swept(place, test, case, known)
    swept = [path for path in (test.trend, *test.averaged) if path in known]
    over = combine_levels(plan, swept)
    sides = [("of", {**test.of, **case.of}, test.of_any)]
    if test.than is None:
        sides.append(("against", {**test.against, **case.against}, test.against_any))
    for side, own, options in sides:
        for level in over:
            for one in options or [{}]:
                levels = {**case.where, **level, **own, **one}
                yield from _find_levels(f"{place}.{side}", levels, test, len(options) > 1, plan)


def _find_swept(place: str, test: Test, case: Case, known: Mapping[str, Sequence[Any]]) -> Iterator[Problem]:
    """Find factors of `trend` and `averaged` that the study does not have, or that the test itself holds at a level."""
    sides = [case.where, test.of, case.of, test.against, case.against, *test.of_any, *test.against_any]
    for key, path in [("trend", test.trend)] * bool(test.trend) + [("averaged", path) for path in test.averaged]:
        if path not in known:
            yield unknown(f"{place}.{key}", f"factor {path!r}", path, list(known), "the study has")
        elif any(path in levels for levels in sides):
            yield Problem(f"{place}.{key}", f"factor {path!r}", "one that neither the test nor the case has a level of")
    levels = known.get(test.trend, (1, 2))
    if not all(isinstance(level, (int, float)) and level > 0 for level in levels) or len(levels) < 2:
        yield Problem(f"{place}.trend", str(levels), "two or more levels above 0, for a slope per doubling")


def _find_levels(place: str, levels: Levels, test: Test, chosen: bool, plan: Plan) -> Iterator[Problem]:
    """Find levels that no cell has, and what cells are chosen by that is no validation metric."""
    if chosen or BEST in levels.values():
        known, metric = metric_names(TASK_METRICS[plan["task"]]), test.choose_on
        yield from _find_name(f"{place}: choose_on", metric, known, "metrics are")
        if metric in known and (larger_is_better(metric) is None or not metric.startswith("validation.")):
            yield Problem(f"{place}: choose_on", repr(metric), "a metric of the validation examples")
    try:
        candidate_cells(plan, levels, place)
    except ConfigError as error:
        yield from error.problems


def _find_measure(place: str, name: str, options: Levels, plan: Plan) -> Iterator[Problem]:
    metrics = metric_names(TASK_METRICS[plan["task"]])
    if name not in MEASURES:
        yield from _find_name(f"{place}.measure", name, [*MEASURES, *metrics], "there are")
        if name in metrics and options:
            yield Problem(f"{place}.options", str(options), "none with a metric of the records")
        return
    yield from _at(place, find_options(MEASURES[name].make, options, plan))


def _find_state(place: str, at: str, plan: Plan) -> Iterator[Problem]:
    """Find states that are none; one beyond the end is the end, as in a study that is shortened by an override."""
    if at not in ("best", "last") and not (at.isascii() and at.isdigit()):
        yield Problem(f"{place}.at", repr(at), '"best", "last" or the number of a step as text')
    elif at.isdigit() and int(at) < plan["steps"] and (not int(at) or int(at) % plan["evaluate_steps"]):
        expected = f"an evaluation; they lie every {plan['evaluate_steps']} steps"
        yield Problem(f"{place}.at", f"step {at}", expected)


def _find_figure(figure: Figure, cases: Sequence[Case], plan: Plan) -> Iterator[Problem]:
    for options in figure.line_options().values():
        yield from _find_measure("figure", figure.measure, options, plan)
    yield from _find_state("figure", figure.at, plan)
    known = {factor["path"]: factor["levels"] for factor in plan["factors"]}
    factors = [("over", figure.over)] + ([("lines", figure.lines)] if figure.lines not in ("", CASES) else [])
    for key, path in factors:
        if path not in known:
            yield unknown(f"figure.{key}", f"factor {path!r}", path, list(known), "the study has")
            return
    if figure.lines == CASES and not cases:
        yield Problem("figure.lines", '"cases"', "a claim with [[cases]]")
    for path in figure.where:
        if path not in known:
            yield unknown("figure.where", f"factor {path!r}", path, list(known), "the study has")
