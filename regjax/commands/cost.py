"""`regjax cost`: what each regularizer costs in time and memory."""

import argparse

from regjax.commands.arguments import add_out
from regjax.commands.output import add_json, print_json

HELP = "time what each regularizer costs: programs with and without it, in turns"
KEYS = {
    "schema": "version of these keys",
    "study": "digest of the tables of the study that the costs follow from",
    "devices": "what it was measured on",
    "versions": "{library: version}",
    "commit": "of the source tree, null outside of git",
    "clock": "what seconds are counted by: `processor` (time of all threads, where that is the device) or `wall`",
    "rounds": "asked for",
    "seconds": "the whole measurement took",
    "parts": "rows: factor (empty for all on), level, against (the level without), population, member (both: slots, "
    "updates of a timed call, rounds; update, evaluation and run as ratio, low, high; seconds, bytes per run and "
    "compile (the processor's seconds) as [with, without])",
    "same": "{factor: why it was not timed}",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser, "run directory, finished or not; its costs.json is written")
    parser.add_argument("--rounds", type=int, default=30, help="of each pair of programs, at least 6 (default: 30)")
    add_json(parser)


def run(chosen: argparse.Namespace) -> int:
    """Measure the costs, print them."""
    from regjax.overhead import measure_costs
    from regjax.report.cost import costs_text

    costs = measure_costs(chosen.out, chosen.rounds)
    if chosen.json:
        print_json(costs)
    else:
        print(costs_text(costs))
    return 0
