"""`regjax plan`: what a study would train."""

import argparse

from regjax.commands.arguments import add_study

HELP = "check a study file; print cells, runs, groups, memory and time"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_study(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print the plan of a study."""
    from regjax.conductor import preview

    print(preview(chosen.study, chosen.overrides, chosen.stream))
    return 0
