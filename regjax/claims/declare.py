"""Claim files: what is stated, which studies test it, and the rule that its verdict will follow."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from regjax.config import ConfigError, Problem
from regjax.config.base import Table, check_table, fail
from regjax.config.load import read_toml
from regjax.files import digest

EXPECT = ("higher", "lower", "not higher", "not lower")
QUICK, FULL = "quick", "full"
# The study of tests that name none, in cases that name none.
MAIN = "main"
# A level of this name is chosen on validation, on other seeds than those it is judged on.
BEST = "best"
Levels = dict[str, Any]


class Claim(Table):
    """The table `[claim]`."""

    id: str = Field(pattern=r"^[A-Z][0-9]+$", description="a capital and a number, such as C7")
    statement: str = Field(min_length=1, description="the sentence that is tested, as the text has it")
    measured: str = Field(min_length=1, description="how it is tested, in one or two sentences")
    moderator: str = Field(default="", description="what the cases are levels of; needed with [[cases]]")
    note: str = Field(default="", description="what a reader must know whatever comes out")
    quick: str = Field(default="", description="the statement of the quick suite, where that cannot test this one")


class Studies(Table):
    """One entry of `[studies]`: a study file beside the claim, and what `--full` changes of it."""

    file: str = Field(description="path of a study file, relative to the claim file")
    overrides: list[str] = Field(default=[], description='such as ["training.epochs=3"]')


class Test(Table):
    """One entry of `[[tests]]`: a paired effect on a measure, or an exact mechanism, and what it is expected to be.

    The effect is measure(of) - measure(against), or measure(of) - `than` where that is given; with scale = "log" it is
    the logarithm of the ratio. What `of` and `against` do not name is at its first level.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="small letters, digits and _")
    says: str = Field(min_length=1, description="what is expected, as a sentence")
    study: str = Field(default="", description="an entry of [studies]; where not named the case's, or main")
    measure: str = Field(default="", description="a metric of the records, or a measure of regjax.claims.measures")
    options: Levels = Field(default={}, description="settings of the measure")
    mechanism: str = Field(default="", description="a check of regjax.claims.mechanisms, in place of a measure")
    contrast: str = Field(
        default="", description="a test of the best level that the study declares, by its name, in place of a measure"
    )
    of: Levels = Field(default={}, description="levels of the factors that differ from the first")
    against: Levels = Field(default={}, description="as `of`; by default every factor at its first level")
    of_any: list[Levels] = Field(
        default=[], description='levels added to `of`, of which the best is chosen as "best" levels are'
    )
    against_any: list[Levels] = Field(default=[], description="as `of_any`, for `against`")
    than: float | None = Field(default=None, description="a number to compare `of` with, in place of `against`")
    trend: str = Field(
        "", description="a factor: the effect is the slope of of - against over its levels, per doubling"
    )
    averaged: list[str] = Field(
        default=[], description="factors: the effect is the mean of of - against over all their levels"
    )
    at: str = Field(
        default="best", description='the state of a metric: "best", "last", or the number of a step as text'
    )
    choose_on: str = Field(default="validation.nll", description='what "best" levels are chosen by')
    expect: str | None = Field(default=None, description=f"one of {', '.join(EXPECT)}")
    margin: float = Field(
        default=0.0, ge=0, description="smallest effect that matters; with scale = log a ratio above 1"
    )
    scale: str = Field(default="linear", description='"linear" or "log"')
    unit: str = Field(default="", description='"pp" for shares shown in percentage points, or the name of a unit')
    only: str = Field(default="", description='"quick" or "full", where the other suite has no study for it')

    @model_validator(mode="after")
    def _check(self) -> "Test":
        if self.only not in ("", QUICK, FULL):
            raise fail('only = "quick" or "full"', got=f"only = {self.only!r}")
        given = [key for key in ("measure", "mechanism", "contrast") if getattr(self, key)]
        if len(given) != 1:
            raise fail("exactly one of measure, mechanism and contrast", got=" and ".join(given) or "none of them")
        if self.mechanism:
            return self
        if self.expect not in EXPECT:
            raise fail(f"expect = one of {', '.join(EXPECT)}", got=f"expect = {self.expect!r}")
        swept = [*self.averaged, self.trend]
        if len(set(swept)) < len(swept):
            raise fail("each factor once in averaged and trend", got=", ".join(swept))
        if self.scale not in ("linear", "log"):
            raise fail('scale = "linear" or "log"', got=f"scale = {self.scale!r}")
        if self.margin <= (1 if self.scale == "log" else 0):
            least = "a ratio above 1" if self.scale == "log" else "above 0"
            raise fail(f"a margin ({least}): without one nothing could be refuted", got=f"margin = {self.margin}")
        if self.scale == "log" and self.than is not None and self.than <= 0:
            raise fail("than above 0 with scale = log", got=f"than = {self.than}")
        return self

    @property
    def bound(self) -> float:
        """The margin on the scale of the effect."""
        return math.log(self.margin) if self.scale == "log" else self.margin


class Case(Table):
    """One entry of `[[cases]]`: a level of the moderator. Every test is judged in every case."""

    name: str = Field(min_length=1, description="how the case is called on the page")
    where: Levels = Field(default={}, description="levels added to `of` and `against` of every test")
    of: Levels = Field(default={}, description="levels added to `of`")
    against: Levels = Field(default={}, description="levels added to `against`")
    study: str = Field(default="", description="an entry of [studies], for the tests that name none")
    choose_on: str = Field(default="", description='what "best" levels are chosen by, in place of the tests\' own')
    options: Levels = Field(default={}, description="settings added to those of the measures")


def in_case(test: Test, case: Case) -> Test:
    """Return a test as a case has it: its study, and what "best" levels are chosen by.

    A test that names a study keeps it: it asks for something else than the case's study is there for.
    """
    return test.model_copy(
        update={"study": test.study or case.study or MAIN, "choose_on": case.choose_on or test.choose_on}
    )


class Rule(Table):
    """The table `[rule]`: the tests that must all hold, and the tests of which one that fails refutes.

    `supported`: all of these hold. `refuted`: any of these fails. Both default to all tests.
    """

    supported: list[str] | None = Field(default=None, description="names of tests")
    refuted: list[str] | None = Field(default=None, description="names of tests")


class Figure(Table):
    """The table `[figure]`: what the claim's figure shows beside the effects."""

    kind: str = Field(default="effects", description='"effects" (seeds, means and intervals of the tests) or "levels"')
    study: str = Field(default=MAIN, description="of levels: an entry of [studies]")
    measure: str = Field(default="", description="of levels: what is drawn upwards")
    options: Levels = Field(default={}, description="of levels: settings of the measure")
    over: str = Field(default="", description="of levels: the factor that is drawn to the right")
    lines: str = Field(default="", description='of levels: a factor with one line for each level, or "cases"')
    each: dict[str, list[Any]] = Field(
        default={}, description="of levels, in place of lines: one of the options, with one line for each value"
    )
    where: Levels = Field(default={}, description="of levels: levels of the other factors, the first where not named")
    at: str = Field(default="best", description="of levels: the state of a metric")

    @model_validator(mode="after")
    def _check(self) -> "Figure":
        if self.kind not in ("effects", "levels"):
            raise fail('kind = "effects" or "levels"', got=f"kind = {self.kind!r}")
        if self.kind == "levels" and not (self.measure and self.over):
            raise fail("a measure, and over = the factor that it is drawn over")
        if self.each and (self.lines or len(self.each) > 1 or not all(self.each.values())):
            raise fail("one of lines and each, and of each one option with a list of values")
        return self

    def line_options(self) -> dict[str, Levels]:
        """Return the settings of the measure by the names of the lines that `each` asks for; one line "" without it."""
        values = [(name, value) for name, values in self.each.items() for value in values]
        return {str(value): {**self.options, name: value} for name, value in values} or {"": self.options}


class Declared(Table):
    """A claim file, checked; `path` is where it was read from and `digest` what its verdict is bound to."""

    claim: Claim
    studies: dict[str, Studies] = Field(default={}, description="{name: study file}; the tests' default is main")
    full: dict[str, Studies] = Field(default={}, description="what takes the place of [studies] with --full")
    tests: list[Test] = Field(min_length=1, description="[[tests]]")
    cases: list[Case] = Field(default=[], description="[[cases]]")
    rule: Rule = Rule()
    figure: Figure = Figure()

    @model_validator(mode="after")
    def _check(self) -> "Declared":
        names = [test.name for test in self.tests]
        if len(set(names)) < len(names):
            raise fail("each name of a test once", got=", ".join(names))
        if len({case.name for case in self.cases}) < len(self.cases):
            raise fail("each name of a case once", got=", ".join(case.name for case in self.cases))
        if bool(self.cases) != bool(self.claim.moderator):
            got = f"moderator = {self.claim.moderator!r} with {len(self.cases) or 'no'} [[cases]]"
            raise fail(
                "claim.moderator and [[cases]] together: a verdict may depend only on what was declared", got=got
            )
        for key in ("supported", "refuted"):
            for name in getattr(self.rule, key) or []:
                if name not in names:
                    raise fail(f"names of tests: {', '.join(names)}", got=f"rule.{key} with {name!r}")
        used = self._used(self.tests) | {case.study for case in self.cases if case.study} | set(self.full)
        for name in sorted(used):
            if name not in self.studies:
                raise fail(f"entries of [studies]: {', '.join(self.studies) or 'none'}", got=f"study {name!r}")
        open_ = [test for test in self.tests if not test.mechanism and not test.study]
        for case in self.cases:
            if case.study and not open_:
                raise fail("a test that names no study, to be judged there", got=f"case {case.name!r} with a study")
        for suite in (QUICK, FULL):
            for key in ("supported", "refuted"):
                named = getattr(self.rule, key) or names
                if not any(test.only in ("", suite) for test in self.tests if test.name in named):
                    raise fail(f"a test of the {suite} suite among those that decide {key}")
        return self

    def of_suite(self, full: bool) -> "Declared":
        """Return the claim as one of the suites tests it: its statement there, its tests, and the studies they need."""
        tests = [test for test in self.tests if test.only in ("", FULL if full else QUICK)]
        names = {test.name for test in tests}
        kept = {key: mine and [name for name in mine if name in names] for key, mine in dict(self.rule).items()}
        used = self._used(tests) | ({self.figure.study} if self.figure.kind == "levels" else set())
        places = {key: {n: one for n, one in getattr(self, key).items() if n in used} for key in ("studies", "full")}
        stated = self.claim.statement if full else self.claim.quick or self.claim.statement
        claim = self.claim.model_copy(update={"statement": stated})
        return self.model_copy(update={"claim": claim, "tests": tests, "rule": Rule(**kept), **places})

    def _used(self, tests: Sequence[Test]) -> set[str]:
        estimated = [test for test in tests if not test.mechanism]
        return {in_case(test, case).study for test in estimated for case in self.cases or [Case(name="all")]}

    def files(self, full: bool) -> dict[str, Studies]:
        """Return the studies of the quick suite, or of the full one."""
        return {**self.studies, **self.full} if full else dict(self.studies)

    def supporting(self) -> list[str]:
        """Return the names of the tests that must all hold."""
        return self.rule.supported or [test.name for test in self.tests]

    def refuting(self) -> list[str]:
        """Return the names of the tests of which any one that fails refutes."""
        return self.rule.refuted or [test.name for test in self.tests]


def load_claim(path: Path) -> Declared:
    """Return the checked claim of a TOML file.

    Raises:
      ConfigError: lists what is wrong with it.
    """
    found, problems = check_table(Declared, read_toml(path))
    if found is None:
        raise ConfigError([Problem(f"{path.name}: {problem.path}".strip(": "), *problem[1:]) for problem in problems])
    return found


def load_claims(folder: Path, only: Sequence[str] | None = None, without: Sequence[str] = ()) -> dict[Path, Declared]:
    """Return the claims of a folder by path, in the order of their numbers.

    Args:
      folder: with one claim per `.toml`; folders in it hold their studies.
      only: ids, such as ["C7"]; None for all.
      without: ids that are left out.

    Raises:
      ConfigError: there are none, or none is left, two have one id, an id is unknown, or one of them is wrong.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise ConfigError([Problem(str(folder), "no claim files", "a folder with one .toml per claim")])
    claims = {path: load_claim(path) for path in paths}
    ids = [declared.claim.id for declared in claims.values()]
    problems = [
        Problem("claim.id", f"{one} twice", "each id once") for one in sorted({i for i in ids if ids.count(i) > 1})
    ]
    for flag, named in (("--only", only or []), ("--without", without)):
        problems += [Problem(flag, one, f"of {', '.join(ids)}") for one in named if one not in ids]
    wanted = [(p, d) for p, d in claims.items() if d.claim.id in (only or ids) and d.claim.id not in without]
    if not wanted and not problems:
        problems.append(Problem("--without", "every claim", "at least one claim that is left"))
    if problems:
        raise ConfigError(problems)
    return dict(sorted(wanted, key=lambda item: int(item[1].claim.id[1:])))


def declaration(path: Path, declared: Declared, full: bool, overrides: Sequence[str] = ()) -> str:
    """Return the digest that a verdict is bound to: of the claim, of every study file that it names, of overrides."""
    files: Mapping[str, Any] = {
        name: [read_toml(path.parent / one.file), [*one.overrides, *overrides]]
        for name, one in declared.files(full).items()
    }
    # Not `canonical`: a study may hold infinities, which are off values.
    return digest(json.dumps({"claim": read_toml(path), "studies": files}, sort_keys=True, default=str))
