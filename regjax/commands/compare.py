"""`regjax compare`: two studies of one question, or one before and after a change."""

import argparse
from pathlib import Path

HELP = "what changed between two run directories: cells, effects, settings, bits"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("first", type=Path, metavar="OUT1", help="run directory, what is compared with")
    parser.add_argument("second", type=Path, metavar="OUT2", help="run directory, what is compared")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(chosen: argparse.Namespace) -> int:
    """Print what changed from the first study to the second."""
    import json

    from regjax.analysis.compare import compare
    from regjax.report.compare import compare_json, compare_text
    from regjax.results import load_results

    names = [str(chosen.first), str(chosen.second)]
    found = compare(load_results(chosen.first).table, load_results(chosen.second).table)
    if chosen.json:
        print(json.dumps(compare_json(found, names), indent=1, allow_nan=False))
    else:
        print(compare_text(found, names))
    return 0
