"""The page of claims as a file: whole, harmless, a section for every claim, and true to claims.json."""

import csv
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report_page import Page
from worlds import HOSTILE, declare, every_kind, judged, make_test, seeds_with

from regjax.claims.facts import near
from regjax.report.claims import make_claims_page, make_section
from regjax.report.claims_figures import draw_levels
from regjax.report.claims_text import claims_markdown, claims_text
from regjax.report.claims_words import case_sentence, claim_effect, claim_sentence


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Return a suite with a claim of each verdict."""
    return every_kind()


@pytest.fixture(scope="module")
def path(found: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its page."""
    out = tmp_path_factory.mktemp("claims")
    (out / "studies" / "s").mkdir(parents=True)
    (out / "studies" / "s" / "report.html").write_text("a report")
    return make_claims_page(found, out)


@pytest.fixture(scope="module")
def page(path: Path) -> Page:
    """Return what a parser sees."""
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_is_whole_and_harmless(path: Path, page: Page) -> None:
    """Every element is closed, there is no script, handler or far address, and the policy forbids all but styles."""
    source = path.read_text(encoding="utf-8")
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "form", "link", "base", "img"}
    assert "<script" not in source
    assert "//" not in re.sub(
        r"http://www\.w3\.org/\S*", "", " ".join(v or "" for _, a in page.tags for v in a.values())
    )
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    (policy,) = (a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")


def test_names_are_text(page: Page) -> None:
    """A statement, a case and a line of a figure that look like markup are shown as they were written."""
    assert page.text.count(HOSTILE) >= 8
    assert any(HOSTILE in (a.get("aria-label") or "") for _, a in page.tags)


def test_every_claim_has_its_place(found: dict[str, Any], page: Page) -> None:
    """The scoreboard comes first and links a section for every claim; ids are unique and links have their target."""
    ids = [a["id"] for _, a in page.tags if "id" in a]
    links = [a["href"] or "" for tag, a in page.tags if tag == "a"]
    sections = [a["id"] for tag, a in page.tags if tag == "section"]
    assert len(ids) == len(set(ids))
    assert sections[0] == "scoreboard"
    assert {claim["id"] for claim in found["claims"]} <= set(sections)
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert {f"#{claim['id']}" for claim in found["claims"]} <= set(links)
    assert "studies/s/report.html" in links


def test_every_verdict_has_a_word_a_symbol_and_a_sentence(found: dict[str, Any], page: Page) -> None:
    """The page says each verdict in words beside its symbol, and the sentence that the code made."""
    words = {"supported": "✓", "refuted": "✗", "undecided": "?", "only when": "◐"}
    for claim in found["claims"]:
        assert claim_sentence(claim) in page.text
    shown = {claim["verdict"].replace("conditional", "only when") for claim in found["claims"]}
    assert shown == set(words)
    for word, symbol in words.items():
        assert re.search(rf"{re.escape(symbol)}\s+{word}", page.text), word


def test_the_numbers_are_those_of_the_data_files(found: dict[str, Any], path: Path, page: Page) -> None:
    """Each claim's CSV, which the page links, holds the effects of seeds, the estimates and the points of curves."""
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    for claim in found["claims"]:
        with (path.parent / "data" / f"{claim['id']}.csv").open() as file:
            rows = list(csv.DictReader(file))
        tests = [test for case in claim["cases"] for test in case["tests"] if test["exact"] is None]
        kinds = [row["kind"] for row in rows]
        assert kinds.count("estimate") == len(tests)
        assert kinds.count("seed") == sum(len(test["effects"]) for test in tests)
        assert kinds.count("level") == len((claim["figure"] or {"rows": []})["rows"])
        assert [float(row["value"]) for row in rows if row["kind"] == "estimate"] == [t["estimate"] for t in tests]
        assert not tests or f"data/{claim['id']}.csv" in links


def test_the_page_tells_the_definition_from_claims(page: Page) -> None:
    """A table made from the catalogue says which parts add a term to the loss: L2 does, dropout does not."""
    rows = {row[0]: row for row in page.tables["Where the regularizers of regjax act"]}
    assert rows["loss"][1] == "yes"
    assert "l2" in rows["loss"][3].split(", ")
    assert rows["activations"][1] == "no"
    assert "dropout" in rows["activations"][3].split(", ")


def test_a_large_suite_stays_a_small_page(found: dict[str, Any], tmp_path: Path) -> None:
    """Forty claims with 30 seeds and six cases make a page of less than 3 MB."""
    claim = found["claims"][2]
    test = {**claim["cases"][0]["tests"][0], "effects": [0.1 * i for i in range(30)]}
    cases = [
        {**claim["cases"][0], "name": f"case {i}", "tests": [{**test, "name": f"t{j}"} for j in range(3)]}
        for i in range(6)
    ]
    rule = {"supported": ["t0"], "refuted": ["t0"]}
    many = [{**claim, "id": f"C{n}", "cases": cases, "rule": rule} for n in range(1, 5)]
    size = make_claims_page({**found, "claims": many}, tmp_path).stat().st_size

    assert 10 * size < 3_000_000


def test_text_and_markdown_say_the_same_verdicts(found: dict[str, Any]) -> None:
    """Terminal and Markdown have a line per claim with its verdict; bars in names do not break the table."""
    text, table = claims_text(found), claims_markdown(found)
    assert len([line for line in table.splitlines() if line.startswith("| C")]) == len(found["claims"])
    cases = [case["name"] for claim in found["claims"] for case in claim["cases"] if len(claim["cases"]) > 1]
    assert cases
    assert len([line for line in table.splitlines() if line.startswith("|  | *")]) == len(cases)
    for claim in found["claims"]:
        word = claim["verdict"].replace("conditional", "only when")
        assert re.search(rf"^{claim['id']} +\S {word} ", text, re.M)
        assert re.search(rf"^\| {claim['id']} \|.*\*\*{word}\*\*", table, re.M)


def beside(than: float, **changes: Any) -> dict[str, Any]:
    """Return a claim whose test compares with a number, effects being 0.02 with little spread."""
    test = make_test("share", **{"than": than, "margin": 0.1, "expect": "not lower", **changes})
    return judged([(declare(tests=[test]), {"": {"share": seeds_with(0.02, 0.001)}})])["claims"][0]


def test_a_value_stands_beside_its_reference() -> None:
    """Measured value, reference and difference are told together; the axis of the figure has the measured values."""
    claim = beside(0.6, unit="pp")
    section, row = make_section(claim), claim["cases"][0]["tests"][0]
    (drawing,) = section.drawings

    assert (row["than"], row["value"]) == (0.6, pytest.approx(0.62))
    assert "0.62000, reference 0.6 (+2.00 pp [+1.94, +2.06])" in section.sentence
    assert ">measured; line: reference 0.6</text>" in drawing.svg
    assert ">0.60</text>" in drawing.svg
    assert "difference" not in drawing.svg


def test_a_ratio_stands_beside_its_reference() -> None:
    """On a log scale the value is the geometric mean, and the axis has values in place of ratios."""
    claim = beside(2.0, scale="log", margin=1.1, unit="steps")
    section, row = make_section(claim), claim["cases"][0]["tests"][0]

    assert row["value"] == pytest.approx(2 * math.exp(0.02))
    assert "2.04 steps, reference 2 (×1.02 [1.02, 1.02])" in section.sentence
    assert ">measured (steps); line: reference 2</text>" in section.drawings[0].svg
    assert "×" not in re.sub(r"<[^>]*>", "", section.drawings[0].svg)


def test_what_too_few_seeds_leave_open_is_said_and_drawn() -> None:
    """Of no seed with a number nothing is drawn and that is said; of one its effect, without interval or power."""
    declared = declare(cases=["none", "one"], tests=[make_test("ratio", scale="log", margin=1.1)])
    effects = {"none": {"ratio": np.full(12, np.nan)}, "one": {"ratio": np.array([math.log(1.35)])}}
    claim = judged([(declared, effects)])["claims"][0]
    none, one = (case_sentence(claim, case) for case in claim["cases"])
    (drawing,) = make_section(claim).drawings

    assert none == "Undecided: of ratio no seed has a number."
    assert one == "Undecided: open is whether ratio rises by 1: ×1.35 –, margin ×1.10; its power is not known."
    assert drawing.alt == "Effects of the test ratio: none: – –; one: ×1.35 –"
    assert len(re.findall(r"<use [^>]*fill: var\(--ink", drawing.svg)) == 1


def test_the_line_of_a_claim_has_the_range_of_its_first_estimate() -> None:
    """Over cases the first needed test that has effects is told; where all are facts, or lack numbers, none is."""
    tests = [{"name": "facts", "says": "so", "mechanism": "x"}, make_test("lost"), make_test("rise")]
    found = {"facts": [True], "lost": np.full(12, np.nan)}
    cases = {name: {**found, "rise": seeds_with(mean, 0.1)} for name, mean in (("small", 2.0), ("large", 3.0))}
    told = judged([(declare(tests=tests, cases=list(cases)), cases)])["claims"][0]
    bare = judged([(declare(tests=tests[:2], cases=list(cases)), dict.fromkeys(cases, found))])["claims"][0]

    assert claim_effect(told) == "2 undecided; rise +2.000 to +3.000"
    assert claim_effect(bare) == "2 undecided"


def test_an_effect_is_called_small_only_where_the_deciding_test_has_found_it() -> None:
    """A refuting test that the claim does not need, or that expects none, never says that there is a small effect."""
    gap = make_test("gap", expect="lower", margin=0.1)
    refuting = {
        "needed": (["gap", "loss"], make_test("loss", margin=0.02)),
        "not needed": (["gap"], make_test("loss", margin=0.02)),
        "none expected": (["gap"], make_test("loss", expect="not higher", margin=0.02)),
    }
    found, said = {"gap": seeds_with(-1.0, 0.1)}, {}
    for name, (supported, loss) in refuting.items():
        declared = declare(tests=[gap, loss], rule={"supported": supported, "refuted": ["loss"]})
        effect = seeds_with(0.3 if name == "none expected" else 0.005, 0.001)
        (claim,) = judged([(declared, {"": {**found, "loss": effect}})])["claims"]
        assert (claim["verdict"], claim["cases"][0]["trivial"]) == ("refuted", True)
        said[name] = claim_sentence(claim).split("; ")[1].split(" (")[0]

    assert said == {
        "needed": "there is an effect, and it is smaller than the margin of 0.02",
        "not needed": "an increase as large as the margin of 0.02 is excluded",
        "none expected": "it rises by more than the margin of 0.02",
    }


def test_one_curve_has_no_key() -> None:
    """Without lines the figure of levels has one curve and no name above it."""
    rows = [{"line": "", "level": x, "place": float(x), "mean": 1.0, "low": 0.9, "high": 1.1, "n": 9} for x in "01"]
    figure = {"measure": "test.nll", "about": "test NLL", "over": "l2.strength", "lines": "", "rows": rows}
    one, two = (draw_levels({"id": "C1", "figure": {**figure, "lines": lines}}) for lines in ("", "norm"))
    assert one is not None
    assert two is not None

    assert ">norm</text>" in two.svg
    assert ">norm</text>" not in one.svg
    assert one.svg.count("var(--c0") == two.svg.count("var(--c0") - 1
    assert one.alt == "test.nll over l2.strength: 0: 1; 1: 1"


def test_without_a_reference_an_effect_is_told_alone() -> None:
    """Of the reference 0 the effect is the value; of a trend the reference falls out of the slope."""
    (zero, trend) = (beside(0.0), beside(0.6, trend="x"))
    for claim, value in ((zero, pytest.approx(0.02)), (trend, None)):
        assert claim["cases"][0]["tests"][0]["value"] == value
        assert "reference" not in make_section(claim).sentence
        assert ">difference</text>" in make_section(claim).drawings[0].svg


def test_exact_checks_are_drawn_and_their_numbers_are_in_the_file(tmp_path: Path) -> None:
    """A panel over a number and one in rows of units, each with its checks; CSV has found, passing range and units."""
    points = [near(f"share at {rate}", 0.5, rate, 0.01).over_rate("share", rate, "update") for rate in (0.2, 0.5)]
    units = near("furthest", 2.0, 0.0, 0.1).of_units("mean of a unit", "leaves", np.array([2.0, -1.0]))
    mechanism = {"name": "facts", "says": "so", "mechanism": "x"}
    found = judged([(declare("C1", [mechanism]), {"": {"facts": [True]}})])
    test = found["claims"][0]["cases"][0]["tests"][0]
    test["checks"] = [check._asdict() for check in (*points, units)]
    path = make_claims_page(found, tmp_path)
    with (tmp_path / "data" / "C1.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] in ("check", "unit")]
    share, mean = make_section(found["claims"][0]).facts

    assert [float(row["value"]) for row in rows] == [0.5, 0.5, 2.0, 2.0, -1.0]
    assert [float(row["low"]) for row in rows[:3]] == pytest.approx([0.19, 0.49, -0.1])
    assert [row["seed"] for row in rows[3:]] == ["0", "1"]
    assert [">rate</text>" in share.svg, ">update</text>" in share.svg, ">leaves</text>" in mean.svg] == [True] * 3
    assert "furthest: 2, expected 0 +- 0.1" in mean.alt
    assert "data/C1.csv" in {a["href"] for tag, a in Page(path.read_text()).tags if tag == "a"}
