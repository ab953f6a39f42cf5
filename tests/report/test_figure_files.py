"""Figures as files: whole, harmless, in light colours, the same every time."""

import re
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path

import pandas as pd
import pytest
from report_folders import HOSTILE

from regjax import cli
from regjax.analysis.table import load_table
from regjax.report.drawing import VARIABLES, draw
from regjax.report.page import data_uri, make_figures
from regjax.report.paper import pdf_file, save_figures, svg_file


def read_colors(pdf: bytes) -> set[str]:
    """Return the colours that a PDF paints with, from its unpacked streams; equal parts are written as one."""
    packed = re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    streams = b"\n".join(zlib.decompress(stream) for stream in packed)
    found = re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) (?:rg|RG)", streams)
    found += [(gray,) * 3 for gray in re.findall(rb"([\d.]+) (?:g|G)\s", streams)]
    return {"#" + "".join(f"{round(255 * float(part)):02x}" for part in parts) for parts in found}


def test_the_command_writes_every_figure_as_svg_pdf_and_csv(
    two_cell_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`regjax report OUT --figures DIR` leaves three whole files per figure, named by what it shows; their bytes do
    not hang on the run.
    """
    assert cli.main(["report", str(two_cell_folder), "--figures", str(tmp_path)]) == 0
    page, *paths = map(Path, capsys.readouterr().out.split())
    assert page == two_cell_folder / "report.html"
    names = {path.stem for path in paths}
    curves = {f"curve-{name}" for name in ("validation-nll", "validation-accuracy", "test-accuracy")}
    assert names >= {"effects", "runs", *curves}
    forms = ("csv", "pdf", "svg")
    assert sorted(tmp_path.iterdir()) == sorted(tmp_path / f"{name}.{form}" for name in names for form in forms)
    for path in paths:
        check_file(path)
    drawing = make_figures(load_table(two_cell_folder))[0]
    assert (tmp_path / "effects.pdf").read_bytes() == pdf_file(drawing)
    assert (tmp_path / "effects.svg").read_text(encoding="utf-8") == svg_file(drawing)


def check_file(path: Path) -> None:
    """Check that a file of a figure is whole and of its kind."""
    content = path.read_bytes()
    if path.suffix == ".csv":
        assert len(pd.read_csv(path)) > 0
    elif path.suffix == ".svg":
        assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
    else:
        assert content.startswith(b"%PDF-")
        assert content.rstrip().endswith(b"%%EOF")
        assert b"/FontFile2" in content
        assert b"/Type3" not in content


def test_no_colour_of_the_page_is_left_in_a_file(two_cell_folder: Path) -> None:
    """Neither the colours that stand for others nor variables of the page occur; the light ones do."""
    for drawing in make_figures(load_table(two_cell_folder))[:3]:
        svg = svg_file(drawing)
        assert "var(" not in svg
        used = read_colors(pdf_file(drawing)) | set(re.findall(r"#[0-9a-f]{6}", svg))
        stands = {color for color, (_, light) in VARIABLES.items() if color != light}
        assert not used & stands
        assert VARIABLES["#010101"][1] in used


def test_every_kind_of_artist_is_recoloured() -> None:
    """Lines, texts, areas, markers, ticks, spines and grids of a figure all come out in light colours."""

    def paint(figure) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color="#010101", marker="o", markerfacecolor="#040404", markeredgecolor="#050505")
        axes.fill_between([0, 1], [0, 0], [1, 1], color="#060606", alpha=0.5)
        axes.vlines([0.5], 0, 1, color=["#020202"])
        axes.axvspan(0, 0.2, color="#030303")
        axes.plot([0], [0], marker="s", color="#010101", markerfacecolor="none")
        axes.scatter([0, 1], [0, 1], color=["#010101", "#0072b2"])
        axes.legend(["#x"], edgecolor="#050505")
        axes.grid()

    found = read_colors(pdf_file(draw(200, 100, paint, "all", "alt")))
    assert not found & set(VARIABLES).difference(light for _, light in VARIABLES.values())
    assert {"#1d2129", "#0072b2", "#e9ecf0"} <= found


def test_a_figure_without_numbers_has_no_csv(tmp_path: Path) -> None:
    """Of a drawing that holds no numbers there are two files, and the page links none."""
    drawing = draw(200, 100, lambda figure: figure.text(0, 0, "a") and None, "bare", "alt")

    assert save_figures([drawing], tmp_path) == [tmp_path / "bare.svg", tmp_path / "bare.pdf"]
    assert data_uri(drawing) is None


def test_hostile_names_stay_inside_the_folder_and_inside_the_text(hostile_folder: Path, tmp_path: Path) -> None:
    """Names of files are plain words whatever the study is called, and in an SVG a name is text."""
    paths = save_figures(make_figures(load_table(hostile_folder))[:3], tmp_path / "figures")
    assert {path.parent for path in paths} == {tmp_path / "figures"}
    assert all(re.fullmatch(r"[a-z0-9-]+\.(svg|pdf|csv)", path.name) for path in paths)
    trees = [ElementTree.fromstring(path.read_bytes()) for path in paths if path.suffix == ".svg"]
    assert not [node for tree in trees for node in tree.iter() if node.tag.endswith("script")]
    assert any("<script>" in text for tree in trees for text in tree.itertext())
    cells = pd.read_csv(tmp_path / "figures" / "runs.csv")["cell"]
    assert f"zero {HOSTILE}" in set(cells)
