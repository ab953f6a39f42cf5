"""The page as a file: valid, self-contained, harmless, the same every time, and true to the numbers of the analysis."""

import base64
import functools
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import HOSTILE, make_plan, save_folder, two_cells

from regjax.analysis.effects import all_effects, describe_cells
from regjax.analysis.table import load_table, state_values
from regjax.report import make_report
from regjax.store import StoreError

VOID = {"meta", "br", "hr", "img", "input", "link", "line", "path", "use", "rect"}
ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a parser sees: tags with their attributes, text, tables, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.rows: list[list[str]] = []
        self.caption = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and open it."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows, self.caption = [], ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that holds nothing."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close an element; it must be the innermost one."""
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> does not close what is open"
        if tag == "table":
            self.tables[self.caption] = self.rows

    def handle_data(self, data: str) -> None:
        """Note text and where it stands."""
        if self.open and self.open[-1] != "style":
            self.words.append(data)
        if self.open and self.open[-1] == "caption":
            self.caption += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All text that is shown."""
        return " ".join(self.words)


def read_uri(uri: str) -> pd.DataFrame:
    """Return the table that a data address holds."""
    return pd.read_csv(io.BytesIO(base64.b64decode(uri.partition("base64,")[2], validate=True)))


@functools.cache
def read_page(folder: Path) -> tuple[str, Page]:
    """Build the report of a folder, once, and return its source and what a parser sees."""
    source = make_report(folder).read_text(encoding="utf-8")
    return source, Page(source)


@pytest.fixture(params=["two_cell_folder", "lattice_folder", "hostile_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    """Return each of the synthetic studies in turn."""
    return request.getfixturevalue(request.param)


def test_page_is_whole_and_contains_nothing_active(folder: Path) -> None:
    """Every element is closed; there is no script, handler, form, frame or link to anything but the page's own data."""
    source, page = read_page(folder)
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "embed", "form", "link", "base", "foreignobject", "img", "image"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                own = tag == "a" and "download" in attributes and (value or "").startswith("data:text/csv;")
                assert own or (value or "").startswith("#"), (tag, name, value)
    assert "@import" not in source
    assert {u for u in re.findall(r"url\(([^)]{1,3})", source) if not u.startswith("#")} == set()


def test_page_has_a_strict_content_policy(folder: Path) -> None:
    """The policy forbids everything but inline styles and data images."""
    _, page = read_page(folder)
    policies = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert "script-src" not in policies[0]


def test_ids_are_unique_and_references_resolve(folder: Path) -> None:
    """No id occurs twice, though the page holds many drawings, and every internal reference has its target."""
    source, page = read_page(folder)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {v[1:] for _, a in page.tags for k, v in a.items() if k in ("href", "xlink:href") and v
             and not v.startswith("data:")}  # fmt: skip
    clips = set(re.findall(r"url\(#([^)]+)\)", source))
    labels = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert links | clips | labels <= set(ids)
    assert clips


def test_hostile_names_are_text(hostile_folder: Path) -> None:
    """Names from a study appear as they were written, as text, in the page, in attributes and inside the drawings."""
    source, page = read_page(hostile_folder)
    assert "<script" not in source
    assert page.text.count(HOSTILE) > 20
    assert f"The data are {HOSTILE} with 10 classes (digest {HOSTILE})" in page.text
    assert page.tables["Reproducibility checklist"][-4][2] == f"{HOSTILE}, digest {HOSTILE}"
    assert any(HOSTILE in (a.get("aria-label") or "") for _, a in page.tags)
    svg = source[source.index('<div class="drawing"') :]
    drawing = Page(svg[svg.index("<svg") : svg.index("</svg>") + 6])
    assert "<script>alert(1)</script>" in drawing.text
    assert "$x^$" in drawing.text


def test_every_figure_offers_its_numbers(folder: Path) -> None:
    """Each caption of a figure ends in a link to a CSV file inside the page, under names that differ."""
    source, page = read_page(folder)
    links = [a for tag, a in page.tags if tag == "a" and "download" in a]
    assert len(links) == source.count("<figure") > 1
    assert len({a["download"] for a in links}) == len(links)
    for a in links:
        frame = read_uri(a["href"] or "")
        assert len(frame) > 0
        texts = [str(value) for value in frame.select_dtypes(exclude="number").to_numpy().ravel()]
        assert not [text for text in texts if text.startswith(("=", "+", "-", "@"))]


def test_data_of_figures_are_the_numbers_of_the_analysis(two_cell_folder: Path) -> None:
    """The links of effects and runs hold what `all_effects` and `state_values` give, to nine digits."""
    _, page = read_page(two_cell_folder)
    uris = {a["download"]: a["href"] or "" for tag, a in page.tags if tag == "a" and "download" in a}
    table = load_table(two_cell_folder)
    shown, effects = read_uri(uris["effects.csv"]), all_effects(table)
    np.testing.assert_allclose(shown["effect"].sort_values(), effects["effect"].sort_values(), rtol=1e-8)
    runs = read_uri(uris["runs.csv"])
    ours = runs[runs["kind"] == "run"]
    primary = table.plan["primary"]
    expected = state_values(table, primary["metric"], primary["at"]).ravel()
    np.testing.assert_allclose(ours["test.accuracy"], expected, rtol=1e-8)
    assert runs[runs["kind"] == "published"]["test.accuracy"].tolist() == [0.9774, 0.9827]
    curves = read_uri(uris["curves.csv"])
    last = curves[(curves["metric"] == "test.accuracy") & (curves["epoch"] == 10)]
    np.testing.assert_allclose(last["mean"], expected.reshape(2, -1).mean(axis=1), rtol=1e-6)


def test_formulas_in_names_are_text_in_the_data(tmp_path: Path) -> None:
    """A cell whose name a spreadsheet would run gets an apostrophe in the CSV of every figure."""
    plan = make_plan([{"path": "dropout.hidden", "levels": [0.0, 0.5]}], 3)
    plan["cells"][1]["name"] = "=HYPERLINK(1)"
    _, page = read_page(save_folder(tmp_path, plan))
    frames = [read_uri(a["href"] or "") for tag, a in page.tags if tag == "a" and "download" in a]
    names = {name for frame in frames if "cell" in frame for name in frame["cell"]}
    assert "'=HYPERLINK(1)" in names
    assert "=HYPERLINK(1)" not in names


def test_page_stays_small(folder: Path) -> None:
    """The page has less than 3 MB, also with 16 cells."""
    source, _ = read_page(folder)
    assert len(source.encode()) < 1_000_000


def test_a_large_lattice_with_long_curves_stays_small(tmp_path: Path) -> None:
    """With 64 cells and 250 evaluations each the page is below 3 MB, and says which numbers it leaves to files."""
    factors = [{"path": f"factor{i}.strength", "levels": [0.0, 0.001]} for i in range(6)]
    plan = make_plan(factors, 4)
    plan["primary"] |= {"at": {"kind": "last"}, "also_at": []}
    page = make_report(save_folder(tmp_path, plan, num_rows=250))
    assert page.stat().st_size < 3_000_000
    assert "The numbers are too many for this page" in page.read_text(encoding="utf-8")


def test_same_folder_gives_same_bytes(two_cell_folder: Path) -> None:
    """A page built again, in another process with another hash seed, has the same bytes."""
    first = make_report(two_cell_folder).read_bytes()
    code = "import sys; from pathlib import Path; from regjax.report import make_report; make_report(Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(two_cell_folder)], check=True, env=environment)
    assert (two_cell_folder / "report.html").read_bytes() == first


def test_report_needs_no_jax(two_cell_folder: Path) -> None:
    """The report is built where jax, flax, optax and orbax cannot be imported, without a word on stderr."""
    code = (
        # None in sys.modules would say that jax was imported before, and scipy would look into it.
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name in ('jax', 'jaxlib', 'flax', 'optax', 'orbax'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from pathlib import Path; from regjax.report import effects_text, make_report;"
        "from regjax.analysis.table import load_table; out = Path(sys.argv[1]);"
        "make_report(out); print(effects_text(load_table(out)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(two_cell_folder)],
        check=True, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert "dropout.hidden" in done.stdout


def test_importing_the_report_is_quick() -> None:
    """Matplotlib, jinja2 and scipy are not imported until a report is made."""
    code = "import sys, regjax.report; print([m for m in ('matplotlib', 'jinja2', 'scipy', 'jax') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_drawing_leaves_matplotlib_as_it_was(two_cell_folder: Path) -> None:
    """The caller's matplotlib settings and log level are the same before and after, and do not reach the page."""
    import logging

    import matplotlib

    plain = make_report(two_cell_folder).read_bytes()
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert make_report(two_cell_folder).read_bytes() == plain
        assert dict(matplotlib.rcParams) == before
    assert logging.getLogger("matplotlib").level == logging.NOTSET


def test_effects_table_shows_the_numbers_of_the_analysis(folder: Path) -> None:
    """Every row of the page's table of effects carries effect, interval and p of `all_effects`, in its rounding."""
    _, page = read_page(folder)
    head, *rows = page.tables["Effects"]
    effects = all_effects(load_table(folder))
    assert len(rows) == len(effects)
    for row in effects.itertuples():
        key = " ".join(str(row.contrast).split()), row.at
        (shown,) = [dict(zip(head, r, strict=True)) for r in rows if (r[0], r[2]) == key]
        share = row.metric.endswith("accuracy")
        scale, ulp = (100, 0.00501) if share else (1, 0.0000501)
        effect = shown["Effect (pp)" if share else "Effect"]
        assert float(effect) == pytest.approx(scale * row.effect, abs=ulp)
        ends = [float(end.replace("∞", "inf")) for end in re.findall(r"[+-]?(?:∞|[\d.]+)", shown["95% interval"])]
        assert ends == pytest.approx([scale * row.low, scale * row.high], abs=ulp)
        assert shown["Status"] == ("confirmatory" if row.confirmatory else "exploratory")
        p = shown["Adjusted p"]
        if not row.confirmatory:
            assert p == "–"
        elif row.p < 0.001:
            assert p == "< 0.001"
        else:
            assert float(p) == pytest.approx(row.p, abs=0.000501)
        assert shown["Seeds > 0"] == f"{row.seeds_positive} of {row.n}"
        assert shown["Diverged"] == str(row.diverged)
        assert shown["Verdict"].startswith(row.verdict)


def test_cells_table_shows_the_numbers_of_the_analysis(two_cell_folder: Path) -> None:
    """Primary state and every further state have a table with mean, SD, interval, median and range of each cell."""
    _, page = read_page(two_cell_folder)
    table = load_table(two_cell_folder)
    for title, at in (("epoch 10", table.plan["primary"]["at"]), ("epoch 5", table.plan["primary"]["also_at"][0])):
        rows = page.tables[f"Test accuracy at {title}"][1:]
        for shown, cell in zip(rows, describe_cells(table, at).itertuples(), strict=True):
            assert shown[:2] == [cell.cell, str(cell.n)]
            assert shown[2] == f"{100 * cell.mean:.2f}%"
            assert shown[3] == f"{100 * cell.sd:.2f}"
            assert shown[4] == f"[{100 * cell.low:.2f}%, {100 * cell.high:.2f}%]"
            assert shown[5:8] == [f"{100 * x:.2f}%" for x in (cell.median, cell.min, cell.max)]


def test_derived_files_lie_beside_the_page(two_cell_folder: Path) -> None:
    """`make_report` returns the page and leaves effects.csv with all effects and results.parquet with all records."""
    assert make_report(two_cell_folder) == two_cell_folder / "report.html"
    table = load_table(two_cell_folder)
    assert len(pd.read_csv(two_cell_folder / "effects.csv")) == len(all_effects(table))
    assert len(pd.read_parquet(two_cell_folder / "results.parquet")) == len(table.records)
    assert not list(two_cell_folder.glob(".*tmp"))


def test_folder_without_plan_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Where there is no study, the error says which file is missing and nothing is written."""
    with pytest.raises(StoreError, match=rf"{tmp_path}.* does not exist"):
        make_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_changed_numbers_change_the_page(tmp_path: Path) -> None:
    """The page comes from the stored numbers: another gain gives another effect."""
    factors = [{"path": "dropout.hidden", "levels": [0.0, 0.5]}]
    _, small = read_page(save_folder(tmp_path / "a", make_plan(factors, 8), gain=0.003))
    _, large = read_page(save_folder(tmp_path / "b", make_plan(factors, 8), gain=0.03))
    low, high = (float(page.tables["Effects"][1][4]) for page in (small, large))
    assert high - low == pytest.approx(2.7, abs=0.011)


def test_two_cells_helper_writes_a_study_that_answers(tmp_path: Path) -> None:
    """The planted gain of 0.3 pp is found and said in the verdict, with what was held fixed."""
    _, page = read_page(two_cells(tmp_path))
    assert "raised test accuracy at epoch 10 by 0.3" in page.text
    assert "held fixed: the split and optimizer.learning_rate = 0.001" in page.text
    assert "on this split" in page.text
