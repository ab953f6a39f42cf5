"""Results as a small piece of HTML for notebooks: question, verdicts, table of effects."""

from html import escape

from regjax.analysis.table import Table
from regjax.report.brief import brief_verdicts
from regjax.report.prose import diverged_sentence, missing_sentence
from regjax.report.tables import Grid, effects_grid, ranked_effects
from regjax.report.words import clean, count

# A notebook shows this many rows; the rest is in the report.
MOST_ROWS = 12
PAGE_ONLY = ("Kind", "State", "SD over seeds", "For new examples")


def results_html(table: Table) -> str:
    """Return question, verdicts and the first rows of the table of effects as HTML; every text is escaped, no script.

    Args:
      table: of a run directory, or of numbers from elsewhere.
    """
    plan = table.plan
    if not table.status.done.any():
        return f"<p><strong>{escape(clean(plan['question']))}</strong></p><p>{escape(missing_sentence(table))}</p>"
    effects = ranked_effects(table)
    verdicts = brief_verdicts(effects, plan["primary"].get("margin"))
    items = "".join(f"<li>{escape(verdict.sentence)}</li>" for verdict in verdicts)
    left = len(effects) - MOST_ROWS
    notes = [missing_sentence(table), diverged_sentence(table), f"{count(left, 'row')} more." if left > 0 else ""]
    return (
        f"<p><strong>{escape(clean(plan['question']))}</strong></p>"
        f"{f'<ul>{items}</ul>' if items else ''}{grid_html(effects_grid(effects.head(MOST_ROWS)))}"
        f"<p>{escape(' '.join(filter(None, notes)))}</p>"
    )


def grid_html(grid: Grid) -> str:
    """Return a table of a report as HTML, without the columns that only the page has room for."""
    shown = [i for i, column in enumerate(grid.columns) if column.label not in PAGE_ONLY]
    head = "".join(f"<th>{escape(grid.columns[i].label)}</th>" for i in shown)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(row.cells[i])}</td>' for i in shown)}</tr>" for row in grid.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
