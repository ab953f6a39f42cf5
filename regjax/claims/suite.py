"""The suite: declare, train, measure, judge, and write what was found."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import regjax
from regjax import store
from regjax.claims.declare import Case, Declared, declaration, load_claims
from regjax.claims.effects import find_evidence, test_values
from regjax.claims.measures import take_measure
from regjax.claims.mechanisms import MECHANISMS
from regjax.claims.verdict import ALPHA, Evidence, Rules, find_power, judge_claim, judge_suite
from regjax.config import ConfigError, Problem, Study, load_study
from regjax.files import StoreError, canonical, digest, publish_text
from regjax.results import Results

DECLARED, FOUND = "declared.json", "claims.json"
Tell = Callable[[str], None]


class Source(NamedTuple):
    """A study of the suite: its folder's name, its file, what is changed of it, and the checked study."""

    name: str
    path: Path
    overrides: tuple[str, ...]
    study: Study


@dataclasses.dataclass(frozen=True)
class Suite:
    """Claims by path, and the studies that they name by (path of the claim, name in it)."""

    claims: Mapping[Path, Declared]
    sources: Mapping[tuple[Path, str], Source]
    full: bool

    @property
    def studies(self) -> dict[str, Source]:
        """Each study once, by the name of its folder."""
        return {source.name: source for source in self.sources.values()}


def load_suite(folder: Path, only: list[str] | None = None, full: bool = False, overrides: Sequence[str] = ()) -> Suite:
    """Return the checked claims of a folder with their checked studies; all problems are found before any training.

    Args:
      folder: of claim files.
      only: ids; None for all.
      full: whether the studies of `[full]` take the place of those of `[studies]`.
      overrides: of every study, such as "training.epochs=3".

    Raises:
      ConfigError: lists what is wrong, with the claim file.
    """
    claims = load_claims(folder, only)
    sources: dict[tuple[Path, str], Source] = {}
    problems: list[Problem] = []
    for path, declared in claims.items():
        for name, asked in declared.files(full).items():
            given = (*asked.overrides, *overrides)
            file = path.parent / asked.file
            try:
                study = load_study(file, given)
            except ConfigError as error:
                problems += [Problem(f"{path.name}: studies.{name}: {p.path}", *p[1:]) for p in error.problems]
                continue
            folder_name = file.stem if not asked.overrides else f"{file.stem}-{digest(canonical(asked.overrides))[:6]}"
            sources[path, name] = Source(folder_name, file, given, study)
    if problems:
        raise ConfigError(problems)
    return Suite(claims, sources, full)


def run_claims(suite: Suite, out: Path, tell: Tell = print) -> dict[str, Any]:
    """Train the studies of a suite that are not stored yet, judge its claims, and return what claims.json then holds.

    Raises:
      StoreError: a claim was declared otherwise when the first record of its studies was made.
    """
    declare(suite, out)
    results = {}
    for number, (name, source) in enumerate(suite.studies.items(), start=1):
        tell(f"study {number} of {len(suite.studies)}: {name}")
        results[name] = regjax.run(source.study, out / "studies" / name)
    tell("judging")
    found = judge(suite, results)
    publish_text(out / FOUND, canonical(found))
    return found


def declare(suite: Suite, out: Path) -> None:
    """Write down the digest of every claim, before any record of it.

    Raises:
      StoreError: another digest of a claim stands there.
    """
    path = out / DECLARED
    known: dict[str, str] = store.read_json(path) if path.exists() else {}
    now = {d.claim.id: declaration(place, d, suite.full) for place, d in suite.claims.items()}
    for name, mine in now.items():
        if known.get(name, mine) != mine:
            raise StoreError(
                f"{out} holds {name} as it was declared before its first record ({known[name]}), now it is another "
                f"({mine}); a changed claim is a new one: give another folder with --out"
            )
    publish_text(path, canonical(known | now))


def judge(suite: Suite, results: Mapping[str, Results]) -> dict[str, Any]:
    """Return claims.json: every claim with its tests, cases, evidence and verdict.

    Args:
      suite: the claims.
      results: by the names of the suite's studies.
    """
    taken: dict[str, np.ndarray] = {}

    def take(result: Results, name: str, options: Mapping[str, Any], at: Any) -> np.ndarray:
        key = canonical([str(result.out), name, dict(options), at])
        if key not in taken:
            taken[key] = take_measure(result, name, dict(options), at)
        return taken[key]

    evidence: dict[str, dict[str, dict[str, Evidence]]] = {}
    details: dict[tuple[str, str, str], dict[str, Any]] = {}
    for path, declared in suite.claims.items():
        one = declared.claim.id
        for case in declared.cases or [Case.model_construct(name="")]:
            for test in declared.tests:
                if test.mechanism:
                    checks = MECHANISMS[test.mechanism]()
                    found = Evidence(math.nan, math.nan, 0, "", 0.0, all(check.passed for check in checks))
                    more: dict[str, Any] = {"checks": [check._asdict() for check in checks]}
                else:
                    source = suite.sources[path, case.study or test.study]
                    effects = test_values(results[source.name], test, case, take)
                    found, more = find_evidence(test, effects), {"effects": _plain(effects), "study": source.name}
                evidence.setdefault(one, {}).setdefault(case.name, {})[test.name] = found
                details[one, case.name, test.name] = more
    rules = {d.claim.id: Rules(d.supporting(), d.refuting()) for d in suite.claims.values()}
    verdicts = judge_suite(evidence, rules)
    hypotheses = 2 * sum(
        any(e.exact is None for e in tests.values()) for cases in evidence.values() for tests in cases.values()
    )
    made = []
    for path, declared in suite.claims.items():
        one = declared.claim.id
        cases = []
        for place, tests in evidence[one].items():
            rows = [
                _describe(tests[test.name], ALPHA / max(1, hypotheses))
                | test.model_dump(include={"name", "says", "expect", "margin", "scale", "unit", "measure"})
                | details[one, place, test.name]
                for test in declared.tests
            ]
            cases.append({"name": place, **dataclasses.asdict(verdicts[one][place]), "tests": rows})
        made.append(
            {
                **declared.claim.model_dump(),
                "verdict": judge_claim(verdicts[one]),
                "digest": declaration(path, declared, suite.full),
                "file": path.name,
                "studies": {name: source.name for (p, name), source in suite.sources.items() if p == path},
                "cases": cases,
            }
        )
    return {"schema": 1, "full": suite.full, "hypotheses": hypotheses, "claims": made}


def _describe(found: Evidence, alpha: float) -> dict[str, Any]:
    """Return evidence as plain JSON; what is not known is null."""
    low, high = found.interval()
    power, smallest = find_power(found, alpha)
    numbers = {
        "estimate": found.estimate, "se": found.se, "low": low, "high": high, "p_holds": found.p_holds,
        "p_fails": found.p_fails, "power": power, "smallest": smallest,
    }  # fmt: skip
    plain = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
    return {**plain, "n": found.n, "exact": found.exact}


def _plain(values: np.ndarray) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]
