"""Planted worlds: claims whose every effect is known, from declaration to claims.json without any training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regjax.claims.declare import Declared, load_claim
from regjax.claims.effects import find_evidence
from regjax.claims.facts import Check
from regjax.claims.judging import Found, judge_findings, plain
from regjax.claims.verdict import Evidence

HOSTILE = '<script>alert(1)</script> & "quotes" $x^$'
SEEDS = 12


def make_test(name: str, **changes: Any) -> dict[str, Any]:
    """Return a test that expects the measure to rise by more than 0, margin 1."""
    test = {"name": name, "says": f"{name} rises by 1", "measure": "test.nll", "expect": "higher", "margin": 1.0}
    return {**test, **changes}


def declare(id_: str = "C1", tests: Sequence[Mapping[str, Any]] = (), **changes: Any) -> Declared:
    """Return a claim with these tests, cases and rule."""
    claim = {"id": id_, "statement": f"Statement {id_}.", "measured": "A planted world.", **changes.pop("claim", {})}
    if changes.get("cases"):
        claim.setdefault("moderator", "size")
        changes["cases"] = [{"name": name} for name in changes["cases"]]
    given = [dict(test) for test in tests] or [make_test("effect")]
    return Declared.model_validate({"claim": claim, "studies": {"main": {"file": "s.toml"}}, "tests": given, **changes})


def seeds_with(mean: float, sd: float, n: int = SEEDS) -> np.ndarray:
    """Return effects of seeds with exactly this mean and standard deviation."""
    x = np.linspace(-1.0, 1.0, n)
    return mean + sd * x / x.std(ddof=1)


def find(declared: Declared, name: str, planted: Any) -> Found:
    """Return what a test finds: of effects of seeds the evidence, of booleans exact checks."""
    (test,) = (one for one in declared.tests if one.name == name)
    if isinstance(planted, list):
        checks = [Check(f"fact {i}", "1" if ok else "2", "1", ok)._asdict() for i, ok in enumerate(planted)]
        return Found(Evidence(float("nan"), float("nan"), 0, "", 0.0, all(planted)), {"checks": checks})
    effects = np.asarray(planted, dtype=float)
    more = {"study": "s", "seeds": len(effects), "effects": plain(effects)}
    return Found(find_evidence(test, effects), more)


def judged(worlds: Sequence[tuple[Declared, Mapping[str, Mapping[str, Any]]]]) -> dict[str, Any]:
    """Return claims.json of planted worlds.

    Args:
      worlds: claims with {case: {test: effects of seeds, or a list of booleans of an exact test}}.
    """
    found = {
        declared.claim.id: {
            case: {name: find(declared, name, planted) for name, planted in tests.items()}
            for case, tests in cases.items()
        }
        for declared, cases in worlds
    }
    made = judge_findings([declared for declared, _ in worlds], found)
    for claim in made["claims"]:
        claim |= {"digest": "0" * 16, "file": f"{claim['id']}.toml", "studies": ["s"], "figure": None}
    claims = [declared.claim.id for declared, _ in worlds]
    study = {"name": "s", "question": "Which?", "claims": claims, "data": "planted", "cells": 2,
             "seeds": list(range(SEEDS)), "runs": 2 * SEEDS, "diverged": 0, "programs": 1, "seconds": 1.0}  # fmt: skip
    return {"schema": 1, "full": False, "overrides": [], "command": "regjax claims", "date": "2026-01-01",
            "devices": ["cpu x 2"], "versions": {"regjax": "0", "jax": "0"}, "commit": None, **made,
            "studies": [study]}  # fmt: skip


def verdict_of(tests: Mapping[str, Any], declared: Declared | None = None) -> str:
    """Return the verdict of one claim without cases."""
    return judged([(declared or declare(), {"": tests})])["claims"][0]["verdict"]


def every_kind() -> dict[str, Any]:
    """Return a suite with a claim of each verdict, names that try to get out of the page, a log scale, curves."""
    ratio = declare("C2", [make_test("ratio", scale="log", margin=1.1, says="the ratio rises by 10%")])
    mixed = declare("C3", cases=["small", "large", HOSTILE], claim={"moderator": "size of the data"})
    exact = declare("C5", [{"name": "mechanism", "says": "all facts hold", "mechanism": "x"}])
    points = declare("C6", [make_test("points", unit="pp", margin=0.005, says="the accuracy rises by half a point")])
    hostile = declare("C7", [make_test("effect", says=HOSTILE)], claim={"statement": HOSTILE, "note": HOSTILE})
    found = judged(
        [
            (declare("C1"), {"": {"effect": seeds_with(2.0, 0.5)}}),
            (ratio, {"": {"ratio": seeds_with(-0.3, 0.1)}}),
            (mixed, {"small": {"effect": seeds_with(2, 0.3)}, "large": {"effect": seeds_with(-1, 0.3)},
                     HOSTILE: {"effect": seeds_with(0.5, 3)}}),
            (declare("C4"), {"": {"effect": seeds_with(0.4, 1.5)}}),
            (exact, {"": {"mechanism": [True, False]}}),
            (points, {"": {"points": np.append(seeds_with(0.012, 0.004, SEEDS - 1), np.nan)}}),
            (hostile, {"": {"effect": seeds_with(0.5, 0.05)}}),
        ]
    )  # fmt: skip
    rows = [
        {
            "line": line,
            "level": level,
            "place": float(i),
            "mean": i + j,
            "low": i + j - 0.5,
            "high": i + j + 0.5,
            "n": 9,
        }
        for j, line in enumerate(("none", HOSTILE))
        for i, level in enumerate(("0", "0.1", "1"))
    ]
    found["claims"][3]["figure"] = {
        "measure": "test.nll", "about": "test NLL", "over": "l2.strength", "lines": "norm", "rows": rows
    }  # fmt: skip
    return found


def write_claim(folder: Path, name: str, text: str) -> Declared:
    """Write a claim file and return the claim."""
    (folder / name).write_text(text)
    return load_claim(folder / name)
