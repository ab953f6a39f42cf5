"""Several panels on one scale in one drawing, two beside each other, with a legend above them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from regjax.report.drawing import FONT_SIZE, Drawing, Look, draw, nice_ticks, set_ticks, wrap_label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LINE = 360.0, 13.0
# Characters that fit beside a sample of a line, and above a panel of half the width.
LEGEND_CHARACTERS, TITLE_CHARACTERS = 56, 30


class Panel(NamedTuple):
    """One panel: its title, "" for none, and what paints it."""

    title: str
    paint: "Callable[[Axes], None]"


class Frame(NamedTuple):
    """What the panels of a drawing share: ranges and labels of the axes, the height of a panel in points."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    height: float = 130.0


def draw_panels(
    panels: Sequence[Panel],
    frame: Frame,
    legend: Sequence[tuple[str, Look]],
    name: str,
    words: tuple[str, str],
    data: "pd.DataFrame",
) -> Drawing:
    """Return panels on one scale: one over the whole width, or two beside each other.

    Args:
      panels: in reading order.
      frame: what they share.
      legend: names with their looks, above the panels; where looks differ in their markers these are shown, too.
      name: unique on the page.
      words: what the figure shows for readers who do not see it, and the caption.
      data: the numbers behind it.
    """
    across = min(len(panels), 2)
    rows = -(-len(panels) // across)
    titles = [wrap_label(panel.title, TITLE_CHARACTERS if across > 1 else LEGEND_CHARACTERS, 3) for panel in panels]
    head = LINE * max(len(lines) for lines in titles) + 4 if any(panel.title for panel in panels) else 6.0
    top, foot = LINE * len(legend) + 8, 34.0
    total = top + rows * (head + frame.height + 20) + foot - 16
    left, gap, right = 46.0, 34.0, 10.0
    wide = (WIDTH - left - right - gap * (across - 1)) / across

    def paint(figure: "Figure") -> None:
        _paint_legend(figure, legend, total)
        for i, (panel, lines) in enumerate(zip(panels, titles, strict=True)):
            row, column = divmod(i, across)
            edge = left + column * (wide + gap)
            lower = total - top - (row + 1) * (head + frame.height) - row * 20
            axes = figure.add_axes((edge / WIDTH, lower / total, wide / WIDTH, frame.height / total))
            axes.set(xlim=frame.x_range, ylim=frame.y_range)
            axes.grid(axis="y")
            panel.paint(axes)
            axes.set(xlim=frame.x_range, ylim=frame.y_range)
            most = 3 if across > 1 else 5
            set_ticks(axes, "x", *nice_ticks(*frame.x_range, most))
            set_ticks(axes, "y", *nice_ticks(*frame.y_range, 4))
            for j, line in enumerate(reversed(lines)):
                height = (lower + frame.height + 5 + LINE * j) / total
                figure.text((edge - 30) / WIDTH, height, line, fontsize=FONT_SIZE - 1)
        figure.text((left + WIDTH - right) / 2 / WIDTH, 5 / total, frame.x_label, ha="center")
        middle = (foot + total - top) / 2
        figure.text(9 / WIDTH, middle / total, frame.y_label, ha="center", va="center", rotation=90)

    return draw(WIDTH, total, paint, name, *words, data)


def _paint_legend(figure: "Figure", legend: Sequence[tuple[str, Look]], total: float) -> None:
    """Paint a line of each look with its name, one under the other."""
    height = LINE * len(legend)
    axes = figure.add_axes((0, (total - height) / total, 1, height / total))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    for i, (text, look) in enumerate(legend):
        y = LINE * (i + 0.5)
        style = (0, look.dashes) if look.dashes else "solid"
        axes.plot([6, 36], [y, y], color=look.color, linestyle=style, linewidth=1.8)
        axes.plot([21], [y], color=look.color, marker=look.marker, markersize=4.5, linestyle="none")
        label = wrap_label(text, LEGEND_CHARACTERS, 1)[0]
        axes.text(43, y, label, va="center_baseline", fontsize=FONT_SIZE - 1)
