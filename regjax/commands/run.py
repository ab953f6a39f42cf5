"""`regjax run`: train, then say what was found."""

import argparse
from pathlib import Path

from regjax.commands.arguments import add_study, read_folder, read_seconds

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
    parser.add_argument(
        "--max-seconds", type=read_seconds, metavar="S", help="save and exit with 75 after S seconds, counted from here"
    )
    parser.add_argument(
        "--grace", type=read_seconds, default=20.0, metavar="S",
        help="seconds that SIGTERM, Ctrl-C or --max-seconds leave for saving (default: 20)",
    )  # fmt: skip


def run(chosen: argparse.Namespace) -> int:
    """Run a study; print its effects and where the report is."""
    from regjax.stop import Stop, watch_signals

    stop = Stop(chosen.max_seconds, chosen.grace)
    with watch_signals(stop):
        from regjax.analysis.levels import KINDS as LEVEL_TESTS
        from regjax.conductor import run
        from regjax.progress import Progress

        results = run(
            chosen.study,
            chosen.out,
            overrides=chosen.overrides,
            progress=Progress(live=False if chosen.log == "plain" else None),
            profile=chosen.profile,
            stream=chosen.stream,
            stop=stop,
            mirror=chosen.mirror,
        )
    print(results.summary())
    effects, margin = results.effects(), results.plan["primary"].get("margin")
    undecided = effects["confirmatory"] & (effects["verdict"] == "undecided") & ~effects["kind"].isin(LEVEL_TESTS)
    if undecided.any():
        effect = "EFFECT" if margin is None else f"{margin:g}"
        needed = f"regjax power {chosen.out} --effect {effect}"
        print(f"\nundecided: {needed} says how many seeds an effect of that size needs")
    print(f"\nreport: {chosen.out / 'report.html'}")
    return 0
