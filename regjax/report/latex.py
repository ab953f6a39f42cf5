"""Tables of a report as LaTeX for a paper: booktabs, numbers written as on the page."""

import re

from regjax.analysis.effects import describe_cells
from regjax.analysis.table import Table, at_label
from regjax.report import appendix
from regjax.report.tables import Grid, cells_grid, effects_grid, ranked_effects, state_words
from regjax.report.words import clean, metric_words

ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "\N{EN DASH}": "--", "\N{INFINITY}": r"$\infty$", "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{SUPERSCRIPT TWO}": r"\textsuperscript{2}", "\N{REPLACEMENT CHARACTER}": "?", "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}  # fmt: skip
# A table in print has no room for what the page shows beside.
PAGE_ONLY = ("Kind", "SD over seeds", "Median", "Min", "Max")


def escape(text: str) -> str:
    r"""Return text that LaTeX sets as it is written.

    >>> print(escape("l2_sp: 50% & {a}"), escape("\\input{x}"))
    l2\_sp: 50\% \& \{a\} \textbackslash{}input\{x\}
    """
    escaped = "".join(ESCAPES.get(character, character) for character in clean(text))
    # A sign before a number is set as one, and not as a hyphen.
    return re.sub(r"(?<![\w}])([+-])(?=\d)", r"$\1$", escaped)


def table_latex(table: Table, what: str) -> str:
    """Return the effects, the cells or the appendix at the primary state as a LaTeX table (needs booktabs).

    Args:
      table: loaded run directory.
      what: "effects" (with the states of `also_at`), "cells" or "appendix".
    """
    primary = table.plan["primary"]
    where = f"{metric_words(primary['metric'])} {state_words(at_label(primary['at']))}"
    if what == "cells":
        return grid_latex(cells_grid(describe_cells(table)), f"Cells: {where}. The interval is that of a mean.")
    if what == "appendix":
        section = appendix.make_section(table)
        grid = section.grids[0] if section else Grid("", (), ())
        return grid_latex(grid, f"{appendix.TITLE}: {where}. All rows are exploratory.")
    caption = (
        f"Effects on {where}, paired by seed. Confirmatory rows have simultaneous intervals and adjusted p-values; "
        "exploratory rows have intervals of their own and no p-value."
    )
    return grid_latex(effects_grid(ranked_effects(table)), caption)


def grid_latex(grid: Grid, caption: str) -> str:
    """Return a table of a report as a LaTeX `table` with booktabs rules; every text is escaped."""
    shown = [i for i, column in enumerate(grid.columns) if column.label not in PAGE_ONLY]
    columns = [grid.columns[i] for i in shown]
    lines = [[column.label for column in columns], *([row.cells[i] for i in shown] for row in grid.rows)]
    head, *body = [" & ".join(_cell(escape(cell)) for cell in line) + r" \\" for line in lines]
    alignment = "".join("r" if column.numeric else "l" for column in columns) or "l"
    parts = [
        r"\begin{table}", r"\centering", rf"\caption{{{escape(caption)}}}", rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ]  # fmt: skip
    return "\n".join(parts)


def _cell(text: str) -> str:
    # After the end of a row LaTeX would take a bracket for the length of a skip.
    return f"{{{text}}}" if text.startswith(("[", "*")) else text
