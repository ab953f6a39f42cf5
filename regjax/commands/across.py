"""`regjax across`: several studies together."""

import argparse
from pathlib import Path

from regjax.commands.output import add_json, print_json

HELP = "several studies: adjusted p-values; ranks of cells over data sets"
KEYS = {
    "studies": "the run directories",
    "effects": "the confirmatory rows of all studies: study, contrast, metric, n, effect, p, p_holm, p_bh",
    "ranks": "null where cells are not ranked, else `metric`, `cells` (rows of cell, rank, p, p_holm), `friedman_p`, "
    "`distance` (the critical difference)",
    "diagram": "path of the diagram, or null",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("outs", type=Path, nargs="+", metavar="OUT", help="run directories")
    parser.add_argument("--diagram", type=Path, metavar="FILE.svg", help="write a critical-difference diagram")
    add_json(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print what several studies say together."""
    from regjax.report.across import across_json, across_text, save_diagram
    from regjax.results import load_results

    tables = {str(out): load_results(out).table for out in dict.fromkeys(chosen.outs)}
    said = across_json(tables) if chosen.json else across_text(tables)
    if not chosen.json:
        print(said)
    diagram = None if chosen.diagram is None else save_diagram(tables, chosen.diagram)
    if isinstance(said, dict):
        print_json({**said, "diagram": diagram})
    elif diagram is not None:
        print(f"diagram: {diagram}")
    return 0
