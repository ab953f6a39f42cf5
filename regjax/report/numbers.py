"""Numbers out: effects, cells, appendix or records of a study as CSV, Parquet or LaTeX."""

from pathlib import Path

from regjax.analysis.appendix import make_appendix
from regjax.analysis.effects import all_effects, describe_cells
from regjax.analysis.export import csv_text, tidy
from regjax.analysis.table import Table
from regjax.files import RegjaxError, publish_text, refuse_inside
from regjax.report.latex import table_latex
from regjax.store import write_table

WHAT = {"effects": all_effects, "cells": describe_cells, "appendix": make_appendix, "records": tidy}
FORMS = (".csv", ".parquet", ".tex")


def export(table: Table, to: Path, what: str = "effects") -> Path:
    """Write a table of numbers and return its path.

    CSV and Parquet hold plain numbers (accuracies as shares); LaTeX holds them as the report writes them. Text in a CSV
    that a spreadsheet would run as a formula gets a leading apostrophe.

    Args:
      table: loaded run directory.
      to: file that ends in .csv, .parquet or .tex.
      what: "effects", "cells", "appendix" (at the primary state) or "records" (of all steps; not as LaTeX).

    Raises:
      RegjaxError: the ending or `what` is another, records are wanted as LaTeX, or the file lies in a run directory.
      StoreError: the file cannot be written.
    """
    to = Path(to)
    if what not in WHAT:
        raise RegjaxError(f"got what = {what!r}, expected one of: {', '.join(WHAT)}")
    if to.suffix not in FORMS:
        raise RegjaxError(f"got the file {to.name!r}, expected a name that ends in {', '.join(FORMS)}")
    if table.out is not None:
        refuse_inside(table.out, to, "file")
    if to.suffix == ".tex" and what == "records":
        raise RegjaxError("records are too many for a LaTeX table; write them to a .csv or .parquet file")
    if to.suffix == ".tex":
        publish_text(to, table_latex(table, what))
        return to
    frame = WHAT[what](table)
    if to.suffix == ".parquet":
        write_table(to, frame)
    else:
        publish_text(to, csv_text(frame))
    return to
