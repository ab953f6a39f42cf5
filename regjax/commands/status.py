"""`regjax status`: how far a study is."""

import argparse

from regjax.commands.arguments import add_out

HELP = "how far a run directory is, with its effects so far"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print how many runs are done, and the effects so far."""
    from regjax.analysis.sources import count_swapped
    from regjax.results import load_results

    results = load_results(chosen.out)
    status = results.table.status
    print(f"{int(status.done.sum())} of {status.done.size} runs done, {int((status.diverged >= 0).sum())} diverged")
    done, planned = count_swapped(results.table)
    if planned:
        print(f"{done} of {planned} further runs done, for the sources of variance")
    if status.done.any():
        print(f"\n{results.summary()}")
    return 0
