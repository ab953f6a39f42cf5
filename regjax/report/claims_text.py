"""The scoreboard of claims as text for a terminal and as Markdown for documents."""

import shutil
import textwrap
from collections.abc import Mapping
from typing import Any

from regjax.report.claims_levels import DIFFER, LEGEND, count_differing, deciding_choices, differs, levels_text
from regjax.report.claims_numbers import format_power, number, size_text
from regjax.report.claims_words import (
    SYMBOLS,
    case_sentence,
    claim_effect,
    claim_sentence,
    deciding_test,
    effect_text,
    name_test,
    power_text,
    score_text,
    verdict_word,
)
from regjax.report.tables import Column, Grid, Row
from regjax.report.text import grid_text
from regjax.report.words import MISSING, clean, count, format_seconds

STATEMENT = 60


def claims_text(found: Mapping[str, Any]) -> str:
    """Return the scoreboard, a line per test with its power, and the verdicts as sentences.

    Args:
      found: what claims.json holds.
    """
    width = max(80, min(shutil.get_terminal_size((120, 24)).columns, 140))
    sentences = [
        textwrap.fill(
            f"{claim['id']} {SYMBOLS[claim['verdict']]} {claim_sentence(claim)}", width, subsequent_indent="   "
        )
        for claim in found["claims"]
    ]
    return "\n\n".join(
        [grid_text(scoreboard(found)), grid_text(tests_grid(found)), "\n".join(sentences), rule_text(found)]
    )


def rule_text(found: Mapping[str, Any]) -> str:
    """Return the size of the family and what power means."""
    return (
        f"{score_text(found)}. One family of {found['hypotheses']} hypotheses (Holm): "
        f"the chance of any wrong verdict is at most {found['alpha']:.0%} where effects of seeds are about normal "
        "(skewness about 0). Power: to find an effect of the margin at the hardest step of Holm, with the standard "
        "error and the skewness that were seen."
    )


def scoreboard(found: Mapping[str, Any]) -> Grid:
    """Return a row per claim: verdict, statement, effect, least power."""
    columns = (Column("Claim"), Column("Verdict"), Column("Statement"), Column("Found"), Column("Power", True))
    rows = [
        Row((claim["id"], f"{SYMBOLS[claim['verdict']]} {verdict_word(claim['verdict'])}",
             textwrap.shorten(clean(claim["statement"]), STATEMENT, placeholder=" …"), claim_effect(claim),
             power_text(claim)))
        for claim in found["claims"]
    ]  # fmt: skip
    return Grid("Claims", columns, tuple(rows))


def tests_grid(found: Mapping[str, Any]) -> Grid:
    """Return a row per test of every case of every claim."""
    columns = (Column("Claim"), Column("Case"), Column("Test"), Column("Effect, 95% interval"), Column("Margin", True),
               Column("Seeds", True), Column("Power", True), Column("90% power at", True))  # fmt: skip
    rows = [
        Row((claim["id"], clean(case["name"]), name_test(test), effect_text(test), *power_cells(test)))
        for claim in found["claims"]
        for case in claim["cases"]
        for test in case["tests"]
    ]
    return Grid("Tests", columns, tuple(rows))


def power_cells(test: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return margin, seeds that count of all, power at the margin, and the effect found with 90% power."""
    if test["exact"] is not None:
        return MISSING, MISSING, "exact", MISSING
    seeds = f"{test['n']} of {test['seeds']}" if test["n"] < test["seeds"] else str(test["n"])
    return (size_text(test, test["bound"]), seeds, format_power(number(test["power"])),
            size_text(test, test["smallest"]))  # fmt: skip


def skew_text(test: Mapping[str, Any]) -> str:
    """Return the skewness of a test's effects, with its sign."""
    return MISSING if test["skew"] is None else f"{test['skew']:+.1f}"


def claims_markdown(found: Mapping[str, Any]) -> str:
    """Return the scoreboard as a Markdown table, cases below their claims, with command, date and machine."""
    lines = ["| claim | statement | verdict | what decides | power |", "|---|---|---|---|---|"]
    for claim in found["claims"]:
        verdict = f"{SYMBOLS[claim['verdict']]} **{verdict_word(claim['verdict'])}**"
        told = [case_sentence(claim, case) + level_sentence(claim, case) for case in claim["cases"]]
        many = len(told) > 1
        rows = [
            (claim["id"], claim["statement"], verdict, claim_sentence(claim) if many else told[0], power_text(claim))
        ]
        if many:
            rows += [("", f"*{case['name']}*", SYMBOLS[case["verdict"]], said, "")
                     for case, said in zip(claim["cases"], told, strict=True)]  # fmt: skip
        lines += ["| " + " | ".join(clean(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    legend = f"{LEGEND} " if any(map(count_differing, found["claims"])) else ""
    return "\n".join([*lines, "", f"{rule_text(found)} {legend}{run_text(found)}"])


def level_sentence(claim: Mapping[str, Any], case: Mapping[str, Any]) -> str:
    """Return which best level the test that a case's sentence is about was given, and whether others' halves differ."""
    mine = deciding_test(claim, case)["choices"]
    said = f" Best level: {levels_text(mine)}." if mine else ""
    others = any(differs(choice) and choice not in mine for choice in deciding_choices(claim, case))
    return f"{said} Of other tests halves differ ({DIFFER})." if others else said


def run_text(found: Mapping[str, Any]) -> str:
    """Return where the numbers are from: command, date, machine, versions, runs, time."""
    seconds, runs = sum(s["seconds"] for s in found["studies"]), sum(s["runs"] for s in found["studies"])
    versions = ", ".join(
        f"{name} {clean(found['versions'][name])}" for name in ("regjax", "jax") if name in found["versions"]
    )
    command = f"`{clean(found['command'])}`, " if found["command"] else ""
    return (
        f"From {command}{found['date']}, on {clean(', '.join(found['devices']) or 'no device')}, {versions}: "
        f"{count(len(found['studies']), 'study file')}, {count(runs, 'run')}, "
        f"{format_seconds(seconds)} of compiling, training and evaluation."
    )


def plan_text(planned: Mapping[str, Any]) -> str:
    """Return what a suite would train, as text.

    Args:
      planned: what `plan_claims` returns.
    """
    heads = Column("Claim"), Column("Statement"), Column("Cases", True), Column("Tests", True), Column("Studies")
    claims = Grid(
        "Claims", heads,
        tuple(Row((c["id"], textwrap.shorten(clean(c["statement"]), STATEMENT, placeholder=" …"), str(c["cases"]),
                   str(c["tests"]), clean(", ".join(c["studies"])) or MISSING)) for c in planned["claims"]),
    )  # fmt: skip
    counted = ("Cells", "Seeds", "Runs", "Programs", "Done", "Left")
    columns = (Column("Study"), Column("Claims"), *(Column(name, True) for name in counted))
    studies = Grid("Studies", columns, tuple(
        Row((clean(s["name"]), ", ".join(s["claims"]),
             *(str(s[key]) for key in ("cells", "seeds", "runs", "programs", "done")), format_seconds(s["seconds"])))
        for s in planned["studies"]
    ))  # fmt: skip
    total = (
        f"{planned['runs']} runs, about {format_seconds(planned['seconds'])} left on two cores (by counted operations, "
        f"within a factor of 3); {planned['hypotheses']} hypotheses in the family"
    )
    return "\n\n".join([grid_text(claims), grid_text(studies), total])
