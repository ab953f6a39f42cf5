"""`regjax analyze`: the statistics for numbers from elsewhere."""

import argparse
from pathlib import Path

from regjax.commands.arguments import read_folder
from regjax.commands.output import CELL, EFFECT, add_json, print_json

HELP = "effects of numbers that other programs made: factors, seed, metric"
KEYS = {
    "file": "what was read",
    "metric": "the column",
    "effects": f"the effect table: {', '.join(EFFECT)}",
    "cells": f"the cells: {', '.join(CELL)}",
    "report": "path of the report, or null",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help=".csv or .parquet, one row per cell and seed")
    parser.add_argument("--metric", required=True, help="column with the numbers; accuracies as shares")
    parser.add_argument("--factors", help="columns that make the cells, e.g. dropout,l2 (default: all that vary)")
    parser.add_argument("--seed", default="seed", help="column of the seed (default: seed)")
    parser.add_argument("--baseline", help='levels to compare with, e.g. "dropout=0, l2=0" (default: lowest, first)')
    parser.add_argument("--margin", type=float, help="smallest effect that matters, in the unit of the metric")
    parser.add_argument("--out", type=read_folder, metavar="DIR", help="also write effects.csv and report.html there")
    add_json(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print the effects of numbers from elsewhere; write them where a folder is given."""
    from regjax.foreign import analyze

    factors = None if chosen.factors is None else [name.strip() for name in chosen.factors.split(",") if name.strip()]
    baseline = read_levels(chosen.baseline or "")
    found = analyze(
        chosen.file, chosen.metric, factors=factors, seed=chosen.seed, baseline=baseline, margin=chosen.margin
    )
    report = None if chosen.out is None else found.save(chosen.out)
    if chosen.json:
        print_json({"file": chosen.file, "metric": chosen.metric, "effects": found.effects(), "cells": found.cells(),
                    "report": report})  # fmt: skip
        return 0
    print(found.summary())
    if report is not None:
        print(f"report: {report}")
    return 0


def read_levels(text: str) -> dict[str, str]:
    """Return levels written as "dropout=0, l2=0" by factor."""
    from regjax.files import RegjaxError

    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for name, equals, level in pairs:
        if not (name.strip() and equals and level.strip()):
            raise RegjaxError(f'got the baseline {text!r}, expected FACTOR=LEVEL, e.g. "dropout=0, l2=0"')
    return {name.strip(): level.strip() for name, _, level in pairs}
