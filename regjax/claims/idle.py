"""Keys of a claim file that do nothing where they stand: who gave them meant something that would not be done."""

from collections.abc import Iterator

from regjax.claims.declare import BEST, Case, Declared, Figure, Test
from regjax.config import Problem
from regjax.config.base import Table
from regjax.config.problems import dotted, show

ALWAYS = {"name", "says", "only"}
# What tests read that have no measure.
READ = {"mechanism": {"options"}, "contrast": {"study", "expect", "margin", "scale", "unit"}}


def find_idle(declared: Declared) -> Iterator[Problem]:
    """Find keys that were given and have no effect.

    Args:
      declared: the claim with the tests of both suites, which share its cases.
    """
    cases = declared.cases or [Case.model_construct(name="")]
    for test in declared.tests:
        for kind, read in READ.items():
            if getattr(test, kind):
                idle = test.model_fields_set - read - ALWAYS - {kind}
                yield from _tell(test, idle, f"beside {kind}", "tests", test.name)
        if test.measure and test.than is not None:
            yield from _tell(test, {"against", "against_any"}, "beside than", "tests", test.name)
        if test.measure and not any(_chooses(test, case) for case in cases):
            yield from _tell(test, {"choose_on"}, 'where no level is "best" and of_any has no two', "tests", test.name)
    for case in declared.cases:
        yield from _find_in_case(case, declared)
    if declared.figure.kind == "effects":
        idle = set(Figure.model_fields) - {"kind"}
        yield from _tell(declared.figure, idle, 'beside kind = "effects"', "figure")


def _find_in_case(case: Case, declared: Declared) -> Iterator[Problem]:
    """Find keys of a case that neither a test nor the figure reads."""
    measured = [test for test in declared.tests if test.measure]
    if not measured and declared.figure.lines != "cases":
        yield from _tell(case, {"where", "of"}, "where no test has a measure", "cases", case.name)
    if all(test.contrast for test in declared.tests):
        yield from _tell(case, {"options"}, "where every test has a contrast", "cases", case.name)
    if all(test.than is not None for test in measured):
        yield from _tell(case, {"against"}, "where no test has two sides", "cases", case.name)
    if not any(_chooses(test, case) for test in measured):
        yield from _tell(case, {"choose_on"}, 'where no level is "best" and of_any has no two', "cases", case.name)


def _chooses(test: Test, case: Case) -> bool:
    """Return whether a level is chosen of one side of a test in a case."""
    sides = [({**case.where, **test.of, **case.of}, test.of_any)]
    if test.than is None:
        sides.append(({**case.where, **test.against, **case.against}, test.against_any))
    return any(len(options) > 1 or BEST in {**own, **one}.values() for own, options in sides for one in options or [{}])


def _tell(table: Table, idle: set[str], where: str, *place: str) -> Iterator[Problem]:
    """Yield a problem for each of the idle keys that the table was given."""
    for key in sorted(idle & table.model_fields_set):
        yield Problem(dotted(*place, key), show(getattr(table, key)), f"no {key} {where}: it does nothing there")
