"""Arguments that several commands take."""

import argparse
from pathlib import Path


def add_out(parser: argparse.ArgumentParser, text: str = "run directory") -> None:
    """Add the run directory that a command reads."""
    parser.add_argument("out", type=Path, metavar="OUT", help=text)


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the study file and its overrides."""
    parser.add_argument("study", type=Path, metavar="STUDY", help="study file (TOML)")
    parser.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        help="keep the examples on the host and stream them in blocks (default: where they are large for the devices)",
    )
    parser.add_argument("overrides", nargs="*", metavar="PATH=VALUE", help="e.g. training.epochs=3 seeds.count=5")


def read_folder(text: str) -> Path:
    """Return a path to write to; an empty name would mean the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("got an empty name, expected a folder such as out/mine")
    return Path(text)
