"""The page of claims: the scoreboard, then every claim with its tests, verdict and figure; one file, no script."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from regjax.analysis.export import csv_text
from regjax.files import publish_text
from regjax.report.claims_checks import draw_checks
from regjax.report.claims_figures import draw_levels, draw_tests
from regjax.report.claims_levels import (
    DIFFER,
    LEGEND,
    count_differing,
    deciding_choices,
    differs,
    levels_grid,
    levels_text,
)
from regjax.report.claims_numbers import number
from regjax.report.claims_text import power_cells, rule_text, run_text, skew_text
from regjax.report.claims_words import (
    SYMBOLS,
    TONES,
    case_sentence,
    claim_effect,
    claim_sentence,
    effect_text,
    name_test,
    power_text,
    score_text,
    verdict_word,
)
from regjax.report.drawing import Drawing
from regjax.report.page import MOST_ROWS, render
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import MISSING, clean, count, format_p

DATA, PAGE = "data", "claims.html"
DATA_COLUMNS = ("kind", "claim", "case", "test", "study", "seed", "value", "low", "high", "n")
# Parts that act otherwise than by a term of the loss and are no row of the catalogue.
SETTINGS = {"layers of the network": ("model.norm (batch, ghost, layer, group)",)}


class Section(NamedTuple):
    """A claim as the page shows it."""

    claim: Mapping[str, Any]
    word: str
    symbol: str
    tone: str
    sentence: str
    effect: str
    power: str
    chips: list[tuple[str, str, str]]
    case_sentences: list[tuple[str, str]]
    tests: Grid
    best: Grid | None
    checks: Grid | None
    drawings: list[Drawing]
    facts: list[Drawing]
    levels: Drawing | None
    data: str


def make_claims_page(found: Mapping[str, Any], out: Path) -> Path:
    """Write `claims.html` and a CSV file per claim below `data/`, and return the page's path.

    Args:
      found: what claims.json holds.
      out: folder of the suite, where the reports of its studies stand.

    Raises:
      StoreError: the folder cannot be written.
    """
    for claim in found["claims"]:
        publish_text(out / data_path(claim), claim_csv(claim, found))
    path = out / PAGE
    publish_text(path, render_claims(found, out))
    return path


def render_claims(found: Mapping[str, Any], out: Path | None = None) -> str:
    """Return the page as HTML; every text of claims and studies is escaped.

    Args:
      found: what claims.json holds.
      out: folder in which reports are looked for; without one none is linked.
    """
    reports = {s["name"]: f"studies/{s['name']}/report.html" for s in found["studies"]}
    linked = {name: link for name, link in reports.items() if out is not None and (out / link).exists()}
    context = {
        "sections": [make_section(claim) for claim in found["claims"]],
        "score": score_text(found),
        "rule": rule_text(found),
        "legend": LEGEND if any(map(count_differing, found["claims"])) else "",
        "run": run_text(found).replace("`", ""),
        "facts": headline_facts(found),
        "studies": studies_grid(found),
        "links": linked,
        "definition": definition_grid(),
        "definition_sentence": definition_sentence(),
        "most_rows": MOST_ROWS,
        "version": clean(found["versions"].get("regjax", "")),
        "differ": DIFFER,
        "alpha": f"{found['alpha']:.0%}",
    }
    return render("claims.html.j2", context)


def make_section(claim: Mapping[str, Any]) -> Section:
    """Return a claim as the page shows it."""
    verdict, cases = claim["verdict"], claim["cases"]
    chips = [
        (clean(case["name"]) + mark_case(claim, case), SYMBOLS[case["verdict"]], TONES[case["verdict"]])
        for case in cases
        if case["name"]
    ]
    return Section(
        claim=claim,
        word=verdict_word(verdict),
        symbol=SYMBOLS[verdict],
        tone=TONES[verdict],
        sentence=claim_sentence(claim),
        effect=claim_effect(claim) + mark_claim(claim),
        power=power_text(claim),
        chips=chips,
        case_sentences=[(clean(case["name"]), case_sentence(claim, case)) for case in cases] if len(cases) > 1 else [],
        tests=tests_grid(claim),
        best=levels_grid(claim),
        checks=checks_grid(claim),
        drawings=draw_tests(claim),
        facts=draw_checks(claim),
        levels=draw_levels(claim),
        data=data_path(claim),
    )


def mark_case(claim: Mapping[str, Any], case: Mapping[str, Any]) -> str:
    """Return the mark of a case whose halves of the seeds were given different best levels, or nothing."""
    return f" {DIFFER}" if any(map(differs, deciding_choices(claim, case))) else ""


def mark_claim(claim: Mapping[str, Any]) -> str:
    """Return the mark of a claim with such cases and, of several, how many they are; or nothing."""
    differing, cases = count_differing(claim), len(claim["cases"])
    return f"; {DIFFER}{f' in {differing} of {cases}' if cases > 1 else ''}" if differing else ""


def headline_facts(found: Mapping[str, Any]) -> list[str]:
    """Return the facts under the title."""
    runs = sum(study["runs"] for study in found["studies"])
    diverged = sum(study["diverged"] for study in found["studies"])
    return [
        count(len(found["claims"]), "claim"),
        "the full studies" if found["full"] else "the quick studies",
        count(runs, "run"),
        f"{diverged} diverged",
        found["date"],
        *([f"overridden: {clean(' '.join(found['overrides']))}"] if found["overrides"] else []),
    ]


def tests_grid(claim: Mapping[str, Any]) -> Grid:
    """Return the tests of a claim in every case: effect, interval, best level, margin, seeds, p, power, skewness."""
    many = len(claim["cases"]) > 1
    chosen = any(test["choices"] for case in claim["cases"] for test in case["tests"])
    columns = (Column("Test"), *([Column("Case")] if many else []), Column("Expected"), Column("Effect, 95% interval"),
               *([Column("Best level")] if chosen else []), Column("Margin", True), Column("Seeds", True),
               Column("p: holds", True), Column("p: fails", True), Column("Power", True), Column("90% power at", True),
               Column("Skewness", True))  # fmt: skip
    rows = []
    for case in claim["cases"]:
        for test in case["tests"]:
            margin, seeds, power, smallest = power_cells(test)
            rows.append(
                Row((name_test(test), *([clean(case["name"])] if many else []), clean(test["says"]), effect_text(test),
                     *([levels_text(test["choices"]) or MISSING] if chosen else []), margin, seeds,
                     format_p(number(test["p_holds"])), format_p(number(test["p_fails"])), power, smallest,
                     skew_text(test)))
            )  # fmt: skip
    return Grid("Tests", columns, tuple(rows))


def checks_grid(claim: Mapping[str, Any]) -> Grid | None:
    """Return the exact checks of a claim; None where it has none."""
    columns = (Column("Exact check"), Column("Found"), Column("Expected"), Column("Passed"))
    rows = [
        Row((clean(check["says"]), clean(check["got"]), clean(check["expected"]), "yes" if check["passed"] else "no"))
        for case in claim["cases"]
        for test in case["tests"]
        for check in test["checks"]
    ]
    return Grid("Exact checks", columns, tuple(dict.fromkeys(rows))) if rows else None


def studies_grid(found: Mapping[str, Any]) -> Grid:
    """Return the studies of the suite."""
    columns = (Column("Study"), Column("Claims"), Column("Question"), Column("Data"), Column("Cells", True),
               *(Column(name, True) for name in ("Seeds", "Runs", "Diverged", "Seconds")))  # fmt: skip
    rows = [
        Row((clean(s["name"]), ", ".join(s["claims"]), clean(s["question"]), clean(s["data"]), str(s["cells"]),
             str(len(s["seeds"])), str(s["runs"]), str(s["diverged"]), f"{s['seconds']:.0f}"))
        for s in found["studies"]
    ]  # fmt: skip
    return Grid("Studies", columns, tuple(rows))


def definition_grid() -> Grid:
    """Return which regularizers of regjax act where, those that add a term to the loss first."""
    from regjax.catalogue import describe_kind
    from regjax.observers import OBSERVERS
    from regjax.regularizers import REGULARIZERS

    places: dict[str, list[str]] = {"loss": []}
    for name, part in {**REGULARIZERS, **OBSERVERS}.items():
        places.setdefault(describe_kind(part), []).append(name)
    for place, names in SETTINGS.items():
        places.setdefault(place, []).extend(names)
    rows = [
        Row((place, "yes" if place == "loss" else "no", str(len(names)), ", ".join(names)))
        for place, names in places.items()
    ]
    columns = (Column("Acts on"), Column("Adds a term to the loss"), Column("Parts", True), Column("Which"))
    return Grid("Where the regularizers of regjax act", columns, tuple(rows))


def definition_sentence() -> str:
    """Return how many regularizers add a term to the loss, counted from the catalogue."""
    rows = definition_grid().rows
    adding = sum(int(row.cells[2]) for row in rows if row.cells[1] == "yes")
    return (
        f"\N{LEFT DOUBLE QUOTATION MARK}Regularization adds a penalty to the loss\N{RIGHT DOUBLE QUOTATION MARK} is a "
        f"definition, not a claim: nothing could refute it, and it does not fit what is called regularization. Of the "
        f"{sum(int(row.cells[2]) for row in rows)} parts of regjax {adding} add a term to the loss."
    )


def data_path(claim: Mapping[str, Any]) -> str:
    """Return where the numbers of a claim's figures stand; ids are checked to be a capital and a number."""
    return f"{DATA}/{claim['id']}.csv"


def claim_csv(claim: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return the numbers of a claim's figures as CSV: effects of seeds, estimates, points of curves."""
    seeds = {study["name"]: study["seeds"] for study in found["studies"]}
    return csv_text(pd.DataFrame(_csv_rows(claim, seeds), columns=DATA_COLUMNS, dtype=object))


def _csv_rows(claim: Mapping[str, Any], seeds: Mapping[str, list[int]]) -> Iterator[tuple[Any, ...]]:
    one = claim["id"]
    for case in claim["cases"]:
        for test in case["tests"]:
            place = one, clean(case["name"]), test["name"], test["study"]
            if test["exact"] is None:
                yield "estimate", *place, "", test["estimate"], test["low"], test["high"], test["n"]
            for seed, effect in zip(seeds.get(test["study"], []), test["effects"], strict=False):
                yield "seed", *place, seed, effect, "", "", ""
            for check in test["checks"]:
                yield from _check_rows(place, check)
    figure = claim["figure"]
    for row in figure["rows"] if figure else []:
        name = f"{figure['measure']} at {figure['over']} = {row['level']}"
        yield "level", one, clean(row["line"]), clean(name), "", "", row["mean"], row["low"], row["high"], row["n"]


def _check_rows(place: tuple[str, ...], check: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Return a row for the number of an exact check, low and high being the ends of what passes, and for its units."""
    one, case, test, study = place
    if check["found"] is None:
        return
    wanted, tolerance = number(check["wanted"]), number(check["tolerance"])
    ends = ("", "") if check["wanted"] is None else (wanted - tolerance, wanted + tolerance)
    yield "check", one, case, f"{test}: {clean(check['says'])}", study, "", check["found"], *ends, ""
    for unit, value in enumerate(check["values"]):
        yield "unit", one, case, f"{test}: {clean(check['says'])}", study, unit, value, "", "", ""
