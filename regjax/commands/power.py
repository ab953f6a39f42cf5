"""`regjax power`: seeds that an effect needs."""

import argparse
import sys

from regjax.commands.arguments import add_out

HELP = "seeds that an effect needs, by the paired SD of a run directory"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser, "run directory, taken as a pilot")
    parser.add_argument(
        "--effect", type=float, required=True, help="smallest effect to find, in the metric's unit (0.001 is 0.1 pp)"
    )
    parser.add_argument("--power", type=float, default=0.9, help="probability to find it (default: 0.9)")


def run(chosen: argparse.Namespace) -> int:
    """Print how many seeds an effect needs."""
    from regjax.report.power import power_text
    from regjax.results import load_results

    try:
        print(power_text(load_results(chosen.out).table, chosen.effect, chosen.power), end="")
    except ValueError as error:
        print(f"regjax power: {error}", file=sys.stderr)
        return 2
    return 0
