"""`regjax repair`: what is damaged, set aside."""

import argparse

from regjax.commands.arguments import add_out

HELP = "check every file of a run directory and set aside what is damaged, for `run` to train again"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what is damaged; exit with 1 where anything is"
    )


def run(chosen: argparse.Namespace) -> int:
    """Print a line per fault; return 1 where there are faults and nothing was done about them."""
    from regjax.repair import repair

    faults = repair(chosen.out, chosen.dry_run)
    for fault in faults:
        again = f" ({fault.runs} runs to train again)" if fault.runs else ""
        print(f"{fault.path}: {fault.text.replace(str(fault.path), 'it')}{again}")
    if not faults:
        print(f"{chosen.out}: every file agrees with its digest")
    elif chosen.dry_run:
        print("nothing was changed; without --dry-run these are set aside")
    else:
        print(f"set aside in {chosen.out / 'quarantine'}; `regjax run` trains again what is missing")
    return int(bool(faults) and chosen.dry_run)
