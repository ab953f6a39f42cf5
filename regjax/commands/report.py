"""`regjax report`: the page anew, and its figures as files."""

import argparse

from regjax.commands.arguments import add_out, read_folder

HELP = "make report.html and effects.csv of a run directory anew; with --figures also its figures as files"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser)
    parser.add_argument(
        "--figures", type=read_folder, metavar="DIR", help="write every figure to DIR as .svg, .pdf and .csv"
    )


def run(chosen: argparse.Namespace) -> int:
    """Make the report anew; print its path, and those of the figures' files."""
    from regjax.report.page import save_report

    for path in save_report(chosen.out, chosen.figures):
        print(path)
    return 0
