"""`regjax claims`: statements about regularization, tested and judged by declared rules."""

import argparse
from pathlib import Path

HELP = "test statements about regularization: run their studies, judge by the rules declared in their files"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", nargs="?", default="configs/claims", help="of claim files (default: configs/claims)")
    parser.add_argument("--out", default="out/claims", help="folder for studies and verdicts (default: out/claims)")
    parser.add_argument("--only", nargs="+", metavar="ID", help="claims, such as C7 C19")
    parser.add_argument("--full", action="store_true", help="the larger studies, on MNIST and Fashion-MNIST")


def run(chosen: argparse.Namespace) -> int:
    """Run the suite, print the scoreboard."""
    from regjax.claims.suite import load_suite, run_claims

    suite = load_suite(Path(chosen.folder), chosen.only, chosen.full)
    found = run_claims(suite, Path(chosen.out))
    for claim in found["claims"]:
        print(f"{claim['id']:>4} {claim['verdict']:<12} {claim['statement']}")
        for case in claim["cases"]:
            for test in case["tests"]:
                numbers = f"{test['estimate']} [{test['low']}, {test['high']}] n={test['n']}"
                shown = numbers if test["exact"] is None else f"exact: {test['exact']}"
                print(f"     {case['verdict']:<11} {case['name']:<20} {test['name']:<20} {shown}")
    return 0
