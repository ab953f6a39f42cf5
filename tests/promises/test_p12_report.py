"""P12: the report and every table that regjax writes are inert."""

import ast
import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hostile_study import NAMES, HostileRun
from hypothesis import given, settings
from hypothesis import strategies as st

import regjax
from regjax import cli
from regjax.analysis.export import FORMULA_STARTS, csv_text, protect
from regjax.report.latex import escape

PACKAGE = Path(regjax.__file__).parent
ACTIVE = {"script", "iframe", "object", "embed", "form", "link", "base", "foreignobject", "img", "image", "animate"}
PIECES = (*NAMES, ",", '"', ";", "\t", "\r\n", "\n", "=1", "'", "|", "\0", "\u2028")
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=4)


TABLE = "data:text/csv;charset=utf-8;base64,"


class Tags(HTMLParser):
    """The elements and attributes that a browser would see, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def test_every_name_is_text_of_the_page(hostile_run: HostileRun) -> None:
    """A trained study's page holds each hostile name as text, and no element, handler or link that a name brought."""
    page = Tags((hostile_run.out / "report.html").read_text())

    assert not {tag for tag, _ in page.found} & ACTIVE
    for tag, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        links = [value or "" for name, value in attributes.items() if name in ("href", "xlink:href", "src", "data")]
        assert not [link for link in links if not link.startswith(("#", TABLE))], tag
    assert [name for name in NAMES if name.strip() not in page.text] == []


def test_the_numbers_of_the_figures_are_no_formulas(hostile_run: HostileRun) -> None:
    """The tables that the page offers for its figures hold the names, and none of them as a formula."""
    page = Tags((hostile_run.out / "report.html").read_text())
    links = [attributes.get("href") or "" for tag, attributes in page.found if tag == "a"]
    tables = [base64.b64decode(link.removeprefix(TABLE)).decode() for link in links if link.startswith(TABLE)]

    assert any("=cmd" in table for table in tables)
    assert [find_formulas(table) for table in tables] == [[]] * len(tables)


@pytest.mark.parametrize("what", ["effects", "cells", "appendix", "records"])
def test_no_cell_of_an_export_is_a_formula(hostile_run: HostileRun, tmp_path: Path, what: str) -> None:
    """However a spreadsheet divides the lines of a CSV (comma, semicolon, tab), no cell begins a formula."""
    assert (
        cli.main(["export", str(hostile_run.out), "--to", "csv", "--path", str(tmp_path / "x.csv"), "--what", what])
        == 0
    )
    assert find_formulas((tmp_path / "x.csv").read_text()) == []
    assert find_formulas((hostile_run.out / "effects.csv").read_text()) == []


def test_no_cell_of_an_analysis_is_a_formula(tmp_path: Path) -> None:
    """Names of columns and levels that came from elsewhere are no formulas in the CSV that `analyze` writes."""
    rows = [{"=a": level, "seed": seed, "@m": seed + len(level)} for level in ("=1+1", "+2", "-x") for seed in range(6)]
    regjax.analyze(pd.DataFrame(rows), "@m").save(tmp_path)
    text = (tmp_path / "effects.csv").read_text()

    assert "=1+1" in text
    assert find_formulas(text) == []


def find_formulas(text: str) -> list[str]:
    """Return the cells, divided in any of three ways, that a spreadsheet would compute; plain numbers are none."""
    cells = [cell for mark in ",;\t" for line in csv.reader(io.StringIO(text), delimiter=mark) for cell in line]
    starts = [cell for cell in cells if cell.lstrip().startswith(FORMULA_STARTS)]
    # A line taken as one cell, or cut elsewhere, may begin with a number: what follows it cannot be computed.
    return [cell for cell in starts if not re.match(r"\s*[+-](\d|inf|nan)[\d.e+-]*($|,)", cell)]


@settings(max_examples=200, deadline=None)
@given(cells=st.lists(HOSTILE.map("".join), min_size=2, max_size=4), number=st.floats(-9, 9))
def test_any_text_stays_one_cell_and_no_formula(cells: list[str], number: float) -> None:
    """Texts of commas, quotes, breaks and formulas come back as one cell each, none a formula, numbers as they were."""
    frame = pd.DataFrame({"=n": cells, "x": [number] * len(cells)})
    text = csv_text(frame)
    read = list(csv.reader(io.StringIO(text)))

    assert find_formulas(text) == []
    assert not set(text) & set("\t\r\0\u2028")
    assert len(text.splitlines()) == len(cells) + 1
    assert read[0] == ["'=n", "x"]
    assert [line[0] for line in read[1:]] == protect(frame)["'=n"].tolist()
    assert [float(line[1]) for line in read[1:]] == [number] * len(cells)


def test_one_function_writes_csv() -> None:
    """No other place of the package turns a table into CSV, so that none is forgotten."""
    users = set()
    for path in PACKAGE.rglob("*.py"):
        called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        users |= {path.relative_to(PACKAGE).as_posix()} if called & {"to_csv", "to_excel", "writerow"} else set()
    assert users == {"analysis/export.py"}


@settings(max_examples=300, deadline=None)
@given(st.one_of(HOSTILE.map("".join), st.text(max_size=30)))
def test_latex_sets_any_text_as_it_is_written(text: str) -> None:
    """No escaped text holds an active character of LaTeX, an open brace or a command that is not one of ours."""
    rest = escape(text)
    signs = ("backslash{}", "asciitilde{}", "asciicircum{}", "less{}", "greater{}", "bar{}", "quotedbl{}")
    for ours in (*(rf"\text{sign}" for sign in signs), r"\textsuperscript{2}", r"$\infty$", r"$\times$", "$+$", "$-$"):
        rest = rest.replace(ours, "")
    rest = re.sub(r"\\[{}$&#%_]", "", rest)

    assert not set(rest) & set("\\{}$&#%_~^\n\r\0")


@pytest.mark.parametrize("what", ["effects", "cells", "appendix"])
def test_no_command_of_a_name_is_left_in_latex(hostile_run: HostileRun, tmp_path: Path, what: str) -> None:
    """A table of a hostile study holds none of the commands that its names would bring."""
    assert (
        cli.main(["export", str(hostile_run.out), "--to", "latex", "--path", str(tmp_path / "x.tex"), "--what", what])
        == 0
    )
    text = (tmp_path / "x.tex").read_text()
    assert not re.search(r"\\(input|write18)", text)
