"""`regjax export`: numbers to a file."""

import argparse

from regjax.commands.arguments import add_out, read_folder

HELP = "write effects, cells, appendix or records as CSV, Parquet or LaTeX"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser)
    parser.add_argument("--to", type=read_folder, required=True, metavar="FILE", help="ends in .csv, .parquet or .tex")
    parser.add_argument("--what", choices=("effects", "records", "cells", "appendix"), default="effects")


def run(chosen: argparse.Namespace) -> int:
    """Write numbers of a run directory to a file; print its path."""
    from regjax.report.numbers import export
    from regjax.results import load_results

    print(export(load_results(chosen.out).table, chosen.to, chosen.what))
    return 0
