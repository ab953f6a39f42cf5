"""A wave's state as a line of text and as a panel."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from regjax.progress.state import Wave

MOST_GROUPS = 12


def format_seconds(seconds: float) -> str:
    """Return a duration for people.

    >>> format_seconds(3.2), format_seconds(75), format_seconds(7300)
    ('3 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def make_line(wave: Wave, elapsed: float) -> str:
    """Return all that a line of a log says: it needs none of the lines before it."""
    counts = f"{wave.done}/{wave.num_runs} runs done, {wave.stopped} stopped early, {wave.diverged} diverged"
    best = f", best on validation so far: {wave.best}" if wave.best else ""
    return f"{wave.name}: {counts}, {_speed(wave, elapsed)}{best}"


def _speed(wave: Wave, elapsed: float) -> str:
    left = f"{format_seconds(wave.left(elapsed))} left" if wave.done_epochs else "no epoch yet"
    return f"epoch {wave.epoch:g}, {wave.rate(elapsed):.3g} model-epochs/s, {left}"


def make_panel(wave: Wave, elapsed: float) -> RenderableType:
    """Return the panel: a bar, a row per group, the best cell."""
    head = Table.grid(expand=True, padding=(0, 1))
    head.add_column(ratio=1)
    head.add_column(justify="right", no_wrap=True)
    bar = ProgressBar(total=max(wave.model_epochs, 1e-9), completed=wave.done_epochs)
    head.add_row(bar, Text(_speed(wave, elapsed)))
    rows: list[RenderableType] = [head]
    if wave.groups:
        rows.append(_groups_table(wave))
    if wave.best:
        rows.append(Text(f"best on validation so far: {wave.best}"))
    counts = f"{wave.done}/{wave.num_runs} runs done, {wave.stopped} stopped early, {wave.diverged} diverged"
    return Panel(Group(*rows), title=Text(f"{wave.name}: {counts}"), title_align="left")


def _groups_table(wave: Wave) -> Table:
    """Return a row per group; of many groups those that are not over come first."""
    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim")
    table.add_column("group", ratio=1, no_wrap=True, overflow="ellipsis")
    for name in ("program", "slots", "done", "stopped early", "diverged"):
        table.add_column(name, justify="left" if name == "program" else "right", no_wrap=True)
    order = sorted(wave.groups, key=lambda group: group.phase == "done")
    for group in order[:MOST_GROUPS]:
        done = f"{group.done}/{group.num_runs}"
        slots = str(group.slots) if group.slots else ""
        table.add_row(Text(group.name), group.phase, slots, done, str(group.stopped), str(group.diverged))
    if len(order) > MOST_GROUPS:
        table.add_row(f"... and {len(order) - MOST_GROUPS} more")
    return table
