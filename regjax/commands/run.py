"""`regjax run`: train, then say what was found."""

import argparse
from pathlib import Path

from regjax.commands.arguments import add_study, read_folder

HELP = "train what a study asks for and is not done yet; print effects and report"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_study(parser)
    parser.add_argument("--out", type=read_folder, required=True, help="run directory; the same again continues it")
    parser.add_argument(
        "--mirror",
        type=read_folder,
        metavar="DIR",
        help="also copy every saved segment to DIR (a mounted drive or bucket), and restore OUT from there first",
    )
    parser.add_argument(
        "--profile", type=Path, metavar="DIR", help="also write a jax profiler trace of a few updates to DIR"
    )
    parser.add_argument(
        "--log",
        choices=("auto", "plain"),
        default="auto",
        help="plain: lines, one in ten seconds; auto: a panel on a terminal (TERM is not dumb), else lines",
    )


def run(chosen: argparse.Namespace) -> int:
    """Run a study; print its effects and where the report is."""
    from regjax.conductor import run
    from regjax.progress import Progress

    progress = Progress(live=False if chosen.log == "plain" else None)
    results = run(
        chosen.study,
        chosen.out,
        overrides=chosen.overrides,
        progress=progress,
        profile=chosen.profile,
        stream=chosen.stream,
        mirror=chosen.mirror,
    )
    print(results.summary())
    print(f"\nreport: {chosen.out / 'report.html'}")
    return 0
