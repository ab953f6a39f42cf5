"""`regjax data`: list data sets, prepare them."""

import argparse
from pathlib import Path

from regjax.commands.output import add_json, print_json

HELP = "data sets: list them, or prepare one from local files"
KEYS = {"datasets": "of `data list`: a row per data set with its name and what it is"}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_json(actions.add_parser("list", help="names of data sets and where they come from"))
    prepare = actions.add_parser("prepare", help="prepare an official TFDS data set from its IDX .gz files, offline")
    prepare.add_argument("name", help="mnist or fashion_mnist")
    prepare.add_argument("--from", dest="source", type=Path, required=True, help="folder with the four .gz files")
    prepare.add_argument("--to", dest="folder", type=Path, help="TFDS folder (default: TFDS_DATA_DIR or TFDS' own)")


def run(chosen: argparse.Namespace) -> int:
    """List data sets, or prepare one."""
    from regjax.data import DATASETS, prepare

    if chosen.action == "list" and chosen.json:
        print_json({"datasets": [{"name": name, "about": about} for name, about in DATASETS.items()]})
    elif chosen.action == "list":
        for name, where in DATASETS.items():
            print(f"{name:15} {where}")
    else:
        print(prepare(chosen.name, chosen.source, chosen.folder))
    return 0
