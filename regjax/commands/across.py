"""`regjax across`: several studies together."""

import argparse
from pathlib import Path

HELP = "several studies: adjusted p-values; ranks of cells over data sets"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("outs", type=Path, nargs="+", metavar="OUT", help="run directories")
    parser.add_argument("--diagram", type=Path, metavar="FILE.svg", help="write a critical-difference diagram")


def run(chosen: argparse.Namespace) -> int:
    """Print what several studies say together."""
    from regjax.report.across import across_text, save_diagram
    from regjax.results import load_results

    tables = {str(out): load_results(out).table for out in dict.fromkeys(chosen.outs)}
    print(across_text(tables))
    if chosen.diagram is not None:
        print(f"diagram: {save_diagram(tables, chosen.diagram)}")
    return 0
