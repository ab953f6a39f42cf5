"""`regjax compare`: two studies of one question, or one before and after a change."""

import argparse
from pathlib import Path

from regjax.commands.output import add_json, print_json

HELP = "what changed between two run directories: cells, effects, settings, bits"
KEYS = {
    "first": "run directory that is compared with",
    "second": "run directory that is compared",
    "metric": "that both studies have as primary",
    "at": "state it is read at",
    "paired": "whether seeds pair the runs",
    "pairing": "why, or why not, in words",
    "bit_identical": "whether every recorded number of both is equal",
    "runs": "`compared`, `equal`, `columns`, `lone_columns`",
    "cells": "a row per cell that both have: the change with its interval",
    "effects": "a row per contrast that both have: the change with its interval",
    "only_first": "cells and contrasts of the first alone",
    "only_second": "cells and contrasts of the second alone",
    "differences": "rows of what differs between the plans",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("first", type=Path, metavar="OUT1", help="run directory, what is compared with")
    parser.add_argument("second", type=Path, metavar="OUT2", help="run directory, what is compared")
    add_json(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print what changed from the first study to the second."""
    from regjax.analysis.compare import compare
    from regjax.report.compare import compare_json, compare_text
    from regjax.results import load_results

    names = [str(chosen.first), str(chosen.second)]
    found = compare(load_results(chosen.first).table, load_results(chosen.second).table)
    if chosen.json:
        print_json(compare_json(found, names))
    else:
        print(compare_text(found, names))
    return 0
