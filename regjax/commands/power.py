"""`regjax power`: seeds that an effect needs."""

import argparse

from regjax.commands.arguments import add_out
from regjax.commands.output import add_json, print_json

HELP = "seeds that an effect needs, by the paired SD of a run directory"
KEYS = {
    "out": "the run directory",
    "metric": "the primary metric",
    "effect": "the smallest effect to find",
    "power": "the wanted probability",
    "contrasts": "a row per confirmatory contrast: contrast, n, sd, sd_upper, seeds, seeds_upper, power, smallest, "
    'seeds_unpaired (`"inf"`: more than a million)',
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser, "run directory, taken as a pilot")
    parser.add_argument(
        "--effect", type=float, required=True, help="smallest effect to find, in the metric's unit (0.001 is 0.1 pp)"
    )
    parser.add_argument("--power", type=float, default=0.9, help="probability to find it (default: 0.9)")
    add_json(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print how many seeds an effect needs."""
    from regjax.report.power import power_text
    from regjax.results import load_results

    results = load_results(chosen.out)
    if chosen.json:
        print_json({"out": chosen.out, "metric": results.plan["primary"]["metric"], "effect": chosen.effect,
                    "power": chosen.power, "contrasts": results.power(chosen.effect, chosen.power)})  # fmt: skip
    else:
        print(power_text(results.table, chosen.effect, chosen.power), end="")
    return 0
