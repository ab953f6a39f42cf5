"""Figures as files for a paper: SVG and PDF in light colours, and the numbers they show as CSV."""

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regjax.analysis.export import csv_text
from regjax.files import publish_text
from regjax.report.drawing import PAPER, VARIABLES, Drawing, painted
from regjax.store import publish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Records are float32, which nine digits tell apart.
DIGITS = 9
SPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
COLORED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def save_figures(drawings: Iterable[Drawing], folder: Path) -> list[Path]:
    """Write every figure as NAME.svg, NAME.pdf and, where it holds numbers, NAME.csv; return the paths.

    Equal figures give equal bytes. A file appears when it is whole.

    Args:
      drawings: of one report; their names are the files' names.
      folder: made where missing.

    Raises:
      StoreError: the folder cannot be written.
    """
    paths = []
    for drawing in drawings:
        svg, pdf, csv = (Path(folder) / f"{drawing.name}.{form}" for form in ("svg", "pdf", "csv"))
        publish_text(svg, svg_file(drawing))
        content = pdf_file(drawing)
        publish(pdf, lambda temporary, content=content: _write(temporary, content))  # type: ignore[misc]
        paths += [svg, pdf]
        if drawing.data is not None:
            publish_text(csv, csv_text(drawing.data, DIGITS))
            paths.append(csv)
    return paths


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def svg_file(drawing: Drawing) -> str:
    """Return a figure as an SVG file of its own: every colour is the one of a light page; text stays text."""
    svg = re.sub(r"var\(--[\w-]+, (#[0-9a-f]+)\)", r"\1", drawing.svg)
    opening = f'<svg {SPACES} font-family="DejaVu Sans, Verdana, sans-serif"'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg.replace("<svg", opening, 1)}\n'


def pdf_file(drawing: Drawing) -> bytes:
    """Return a figure as a PDF page of its natural size, light colours on no background, fonts embedded (type 42)."""
    buffer = io.BytesIO()
    with painted(drawing.sheet) as figure:
        figure.draw_without_rendering()  # makes the ticks, whose colours must be changed too
        _lighten(figure)
        none = dict.fromkeys(("CreationDate", "Creator", "Producer"))
        figure.savefig(buffer, format="pdf", metadata=none, transparent=True)
    return buffer.getvalue()


def _lighten(figure: "Figure") -> None:
    """Replace the colours that stand for those of the page by what they are on a light one; set texts off lines."""
    for axes in figure.axes:
        for text in axes.texts:
            text.set_bbox({"facecolor": VARIABLES[PAPER][1], "edgecolor": "none", "alpha": 0.75, "pad": 0.3})
    for artist in figure.findobj():
        for name in COLORED:
            get, change = (getattr(artist, f"{verb}_{name}", None) for verb in ("get", "set"))
            if get and change:
                _replace(get(), change)


def _replace(color: Any, change: Any) -> None:
    from matplotlib.colors import to_hex, to_rgba, to_rgba_array

    several = isinstance(color, np.ndarray) and color.ndim == 2
    found = to_rgba_array(color) if several else np.array([to_rgba(color)])
    light = [to_rgba(VARIABLES.get(to_hex(one[:3]), ("", to_hex(one[:3])))[1], one[3]) for one in found]
    if light and not np.array_equal(light, found):
        change(light if several else light[0])
