"""`regjax report`: the page anew."""

import argparse

from regjax.commands.arguments import add_out

HELP = "make report.html and effects.csv of a run directory anew"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser)


def run(chosen: argparse.Namespace) -> int:
    """Make the report anew; print its path."""
    from regjax.report import make_report

    print(make_report(chosen.out))
    return 0
