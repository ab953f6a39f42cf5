"""From a matplotlib figure to an inline SVG that follows the page: its colours, its font, light or dark."""

import io
import logging
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from regjax.report.words import clean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that the page replaces by its own, so that one drawing serves a light and a dark page.
INK, GRID, BAND, PAPER, SOFT = "#010101", "#020202", "#030303", "#040404", "#050505"
# Okabe & Ito's colour-blind-safe set, ordered by contrast on paper; grey stands in for their yellow, unseen on white.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#060606", "#999999")
Dashes = tuple[float, ...]
DASHES: tuple[Dashes, ...] = ((), (6, 2), (2, 1.5), (8, 2, 2, 2), (4, 1.5), (8, 2, 2, 2, 2, 2), (10, 3), (1, 1))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
VARIABLES = {
    INK: ("ink", "#1d2129"),
    GRID: ("grid", "#dfe3e8"),
    BAND: ("band", "#e9ecf0"),
    PAPER: ("paper", "#ffffff"),
    SOFT: ("soft", "#5b6472"),
    **{color: (f"c{i}", "#1d2129" if color == "#060606" else color) for i, color in enumerate(PALETTE)},
}
FONT_SIZE = 10.0
THEME = {
    "svg.fonttype": "none",
    "svg.hashsalt": "regjax",
    "pdf.fonttype": 42,
    "path.simplify": False,
    "font.size": FONT_SIZE,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
}


class Sheet(NamedTuple):
    """What a figure is made from: width and height in points, and what paints it."""

    width: float
    height: float
    paint: "Callable[[Figure], None]"


class Drawing(NamedTuple):
    """A figure of the page: its SVG (safe markup), what it shows in words, the caption, its name, the numbers drawn,
    and the sheet to paint it again for a file.
    """

    svg: str
    alt: str
    caption: str
    name: str
    data: "pd.DataFrame | None"
    sheet: Sheet


class Look(NamedTuple):
    """How one cell is drawn wherever it appears: colour, dash pattern and marker."""

    color: str
    dashes: Dashes
    marker: str
    variable: str


def cell_look(index: int) -> Look:
    """Return the look of the cell at `index`; colours repeat after eight cells, with another dash pattern."""
    turn, place = divmod(index, len(PALETTE))
    dashes = DASHES[(place + 3 * turn) % len(DASHES)]
    name, fallback = VARIABLES[PALETTE[place]]
    return Look(PALETTE[place], dashes, MARKERS[(place + 3 * turn) % len(MARKERS)], f"var(--{name}, {fallback})")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what matplotlib says of its font cache and of glyphs that the reader's browser will draw itself."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
            warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
            yield
    finally:
        log.setLevel(level)


def draw(
    width: float,
    height: float,
    paint: "Callable[[Figure], None]",
    name: str,
    alt: str,
    caption: str = "",
    data: "pd.DataFrame | None" = None,
) -> Drawing:
    """Return the drawing that `paint` makes on an empty figure; equal input gives equal bytes.

    Args:
      width: natural width in points; text of `FONT_SIZE` is that many pixels high when shown at this width.
      height: natural height in points.
      paint: called with the figure.
      name: unique on the page; sets the ids inside the SVG apart.
      alt: what the figure shows, for readers who do not see it.
      caption: sentence under the figure.
      data: the numbers that are drawn, one row each, columns named in words of the field.
    """
    sheet = Sheet(width, height, paint)
    buffer = io.StringIO()
    with painted(sheet) as figure:
        none = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=none, transparent=True)
    return Drawing(_inline(buffer.getvalue(), name, width), clean(alt), clean(caption), name, data, sheet)


@contextmanager
def painted(sheet: Sheet) -> "Iterator[Figure]":
    """Give the figure of a sheet, in the theme and whatever the caller's settings of matplotlib are."""
    with _quiet():
        import matplotlib.style
        from matplotlib.figure import Figure

        with matplotlib.style.context(["default", THEME]):
            figure = Figure(figsize=(sheet.width / 72, sheet.height / 72))
            sheet.paint(figure)
            yield figure


def slug(text: str) -> str:
    """Return text as part of a file name or an id: lower-case letters, digits and hyphens.

    >>> slug("validation.nll"), slug("../l2 strength")
    ('validation-nll', 'l2-strength')
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _inline(svg: str, name: str, width: float) -> str:
    """Return an SVG file as an element of a page: no prologue, own ids, colours by variable, font of the page."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    used = set(re.findall(r"(?:url\(#|href=\"#)([\w.-]+)", body))

    def mend(found: re.Match[str]) -> str:
        tag = found[0]
        tag = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", tag)
        tag = re.sub(r"url\(#|href=\"#", lambda m: f"{m[0]}{name}-", tag)
        tag = re.sub(r" font-family: [^;\"]*;?", "", tag)
        tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
        for color, (variable, fallback) in VARIABLES.items():
            tag = tag.replace(color, f"var(--{variable}, {fallback})")
        return re.sub(r"\s*\n\s*", " ", tag)

    # Only tags are touched: text between them belongs to the user. matplotlib escapes < and > inside attributes.
    body = re.sub(r"<[^>]*>", mend, body)
    body = re.sub(r">\s*\n\s*<", "><", body)
    body = re.sub(r"<g>\s*</g>|<defs>\s*</defs>", "", body)
    box = re.search(r'viewBox="([^"]*)"', body)
    assert box is not None
    opening = f'<svg aria-hidden="true" viewBox="{box[1]}" width="{width:g}">'
    return re.sub(r"^<svg[^>]*>", opening, body).strip()


def wrap_label(text: str, width: int, lines: int = 4) -> list[str]:
    """Return a name as lines of at most `width` characters; what is longer than `lines` lines ends in an ellipsis.

    >>> wrap_label("dropout.hidden: 0.5 vs 0", 14)
    ['dropout.hidden', ': 0.5 vs 0']
    """
    words = " ".join(clean(text).split())
    return textwrap.wrap(words, width, max_lines=lines, placeholder=" …", break_on_hyphens=False) or [""]


def nice_ticks(low: float, high: float, most: int = 5) -> tuple[list[float], list[str]]:
    """Return round tick positions inside [low, high] and their labels, all with the same number of decimals.

    >>> nice_ticks(97.4, 98.6)
    ([97.5, 97.75, 98.0, 98.25, 98.5], ['97.50', '97.75', '98.00', '98.25', '98.50'])
    """
    with _quiet():
        from matplotlib.ticker import MaxNLocator

        found = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    slack = 1e-9 * (high - low)
    ticks = [0.0 if abs(t) < slack else float(t) for t in found if low - slack <= t <= high + slack]
    step = min(np.diff(found)) if len(found) > 1 else 1.0
    decimals = next((d for d in range(8) if np.isclose(step, round(step, d), rtol=1e-6, atol=0)), 8)
    return ticks, [f"{t:.{decimals}f}" for t in ticks]


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Return the 1-2-5 ticks of a logarithmic axis, thinned to powers of ten where there are many.

    >>> log_ticks(0.04, 0.6)
    ([0.05, 0.1, 0.2, 0.5], ['0.05', '0.1', '0.2', '0.5'])
    """
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    all_ticks = [float(f"{m}e{p}") for p in powers for m in (1, 2, 5)]
    ticks = [t for t in all_ticks if low <= t <= high]
    if len(ticks) > 6:
        ticks = [t for t in ticks if f"{t:e}"[0] == "1"]
    return ticks, [f"{t:g}" for t in ticks]


def set_ticks(axis_of: "Axes", which: str, ticks: Sequence[float], labels: Sequence[str]) -> None:
    """Put exactly these ticks on the "x" or "y" axis, without minor ones."""
    axis = axis_of.xaxis if which == "x" else axis_of.yaxis
    with _quiet():
        from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FixedFormatter(list(labels)))
    axis.set_minor_locator(NullLocator())
    axis.set_tick_params(length=3, width=0.7)


def padded(values: Sequence[float] | np.ndarray, share: float = 0.06) -> tuple[float, float]:
    """Return the range of the finite values, widened by a share of itself on both sides; never empty."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = share * (high - low) or max(abs(low) * 0.01, 1e-6)
    return low - room, high + room
