"""Numbers out: CSV, Parquet and LaTeX of a run directory."""

from pathlib import Path

import pandas as pd
import pytest

from regjax import cli
from regjax.analysis.appendix import make_appendix
from regjax.analysis.effects import all_effects
from regjax.analysis.export import protect
from regjax.files import RegjaxError
from regjax.mirror import digest_path
from regjax.report.latex import escape
from regjax.report.numbers import export as write_numbers
from regjax.report.tables import effects_grid, ranked_effects
from regjax.results import load_results


def export(out: Path, path: Path, what: str = "effects") -> int:
    """Return the exit code of `regjax export` to a file."""
    to = {".tex": "latex"}.get(path.suffix, path.suffix[1:])
    return cli.main(["export", str(out), "--to", to, "--path", str(path), "--what", what])


def test_files_hold_the_very_numbers(two_cell_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Effects, appendix and records read back from CSV and Parquet are those of Python."""
    results = load_results(two_cell_folder)
    for name, what in (("e.csv", "effects"), ("e.parquet", "effects"), ("r.parquet", "records"), ("a.csv", "appendix")):
        assert export(two_cell_folder, tmp_path / name, what) == 0
    assert str(tmp_path / "a.csv") in capsys.readouterr().out
    expected = all_effects(results.table)
    # An empty text comes back from a CSV as a missing number.
    texts = dict.fromkeys(("scope", "worst_case"), "")
    written = pd.read_csv(tmp_path / "e.csv").astype(dict.fromkeys(texts, object)).fillna(texts)
    pd.testing.assert_frame_equal(written, expected, check_dtype=False, rtol=1e-14)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "e.parquet"), expected, check_dtype=False)
    assert len(pd.read_parquet(tmp_path / "r.parquet")) == len(results.table.records)
    read = pd.read_csv(tmp_path / "a.csv")
    pd.testing.assert_frame_equal(read, make_appendix(results.table), check_dtype=False, rtol=1e-14)


def test_latex_writes_what_the_report_writes(two_cell_folder: Path, tmp_path: Path) -> None:
    """The row of a contrast has interval and p as the page has them, in balanced booktabs."""
    to = tmp_path / "effects.tex"
    assert export(two_cell_folder, to) == 0
    text, table = to.read_text(), load_results(two_cell_folder).table
    grid = effects_grid(ranked_effects(table))
    labels = [column.label for column in grid.columns]

    assert escape(grid.rows[0].cells[labels.index("95% interval")]) in text
    assert escape(grid.rows[0].cells[labels.index("Adjusted p")]) in text
    assert r"Effect (pp)" in text
    assert r"\toprule" in text
    assert r"\caption{Effects on test accuracy" in text
    assert text.count("{") == text.count("}")
    widths = {line.replace(r"\&", "").count("&") for line in text.splitlines() if line.endswith(r"\\")}
    assert len(widths) == 1


@pytest.mark.parametrize(
    "name", ["runs.parquet", "results.parquet", "effects.csv", "new.tex", "chunks/c/seg-1.parquet"]
)
def test_no_file_of_a_run_directory_is_written(
    two_cell_folder: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A file within OUT, by a link too, is refused before anything is written: it could be the plan's own."""
    (tmp_path / "link").symlink_to(two_cell_folder)
    before = digest_path(two_cell_folder)
    for path in (
        two_cell_folder / name,
        tmp_path / "link" / name,
        two_cell_folder / ".." / two_cell_folder.name / name,
    ):
        assert export(two_cell_folder, path) == 2
        assert f"got the file {path}, expected one outside of the run directory" in capsys.readouterr().err
    assert digest_path(two_cell_folder) == before


@pytest.mark.parametrize("what", ["effects", "cells", "appendix"])
def test_hostile_names_are_text_to_latex_and_spreadsheets(hostile_folder: Path, tmp_path: Path, what: str) -> None:
    """No command of a name survives in LaTeX, and no cell or heading of a CSV begins a formula."""
    for form in ("tex", "csv"):
        assert export(hostile_folder, tmp_path / f"x.{form}", what) == 0
    text = (tmp_path / "x.tex").read_text()

    assert text.replace(r"\{", "").replace(r"\}", "").count("{") == text.replace(r"\{", "").replace(r"\}", "").count(
        "}"
    )
    frame = pd.DataFrame({"=1+1": ["@x", "y"], "n": [-1.0, 2.0]})
    assert protect(frame).to_dict("list") == {"'=1+1": ["'@x", "y"], "n": [-1.0, 2.0]}
    assert escape(r"\input{a}_%") == r"\textbackslash{}input\{a\}\_\%"


@pytest.mark.parametrize(("to", "name", "what"), [("csv", "x.xlsx", "effects"), ("latex", "x.tex", "records")])
def test_other_files_are_refused(
    two_cell_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, to: str, name: str, what: str
) -> None:
    """An unknown ending, or records as LaTeX, are errors that say what to do."""
    assert cli.main(["export", str(two_cell_folder), "--to", to, "--path", str(tmp_path / name), "--what", what]) == 2
    assert ".csv" in capsys.readouterr().err


def test_python_is_told_what_can_be_written(two_cell_folder: Path, tmp_path: Path) -> None:
    """Other numbers and other endings are refused with those that there are, and nothing is written."""
    table = load_results(two_cell_folder).table
    with pytest.raises(RegjaxError, match="got what = 'runs', expected one of: effects, cells, appendix, records"):
        write_numbers(table, tmp_path / "x.csv", "runs")
    with pytest.raises(RegjaxError, match=r"got the file 'x.xlsx', expected a name that ends in .csv, .parquet, .tex"):
        write_numbers(table, tmp_path / "x.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_interactions_are_rows_of_the_effects(lattice_folder: Path) -> None:
    """`interactions` has the two-way rows alone; `appendix` has one row per contrast."""
    results = load_results(lattice_folder)

    assert set(results.interactions()["kind"]) <= {"two_way", "three_way", "interaction_gap"}
    assert len(results.interactions()) == results.effects()["kind"].isin(["two_way", "three_way"]).sum()
    assert len(results.appendix()) == len(results.effects())
