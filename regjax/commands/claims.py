"""`regjax claims`: statements about regularization, tested and judged by declared rules."""

import argparse
from pathlib import Path

from regjax.commands.arguments import read_folder, read_seconds
from regjax.commands.output import print_json

HELP = "test statements about regularization: run their studies, judge by the rules declared in their files"
FOLDER = "configs/claims"
KEYS = {
    "schema": "version of these keys",
    "full": "whether the larger studies were run",
    "overrides": "of every study",
    "command": "that made it, empty from Python",
    "date": "of the judging, UTC",
    "devices": "trained on",
    "versions": "{library: version}",
    "commit": "of the source tree, null outside of git",
    "alpha": "chance of any wrong verdict of the suite",
    "hypotheses": "size of the family: two of every case of a claim that is not exact",
    "claims": "rows: id, statement, quick (the statement of the quick suite where it is another), measured, moderator, "
    "note, verdict (`supported`, `refuted`, `undecided`, `conditional`), digest (of the declaration), file, rule, "
    "studies, cases, figure (null or curves)",
    "cases": "of a claim: name (empty without cases), verdict, p_supported and p_refuted (adjusted over the suite), "
    "trivial (there, and smaller than what matters), tests",
    "tests": "of a case: name, says, expect, margin, scale, unit, measure, mechanism, contrast, about, bound (the "
    "margin on the scale of the effect), estimate, se, low, high (95%, of this test alone), p_holds, p_fails (not "
    "adjusted), power (to find an effect of the margin), smallest (effect found with 90% power), skew (of the "
    "effects), than (the number it is compared with, or null), value (what was measured beside it, or null; of a log "
    "scale the geometric mean), n (seeds that count), seeds (of the study), exact (null, or whether all checks "
    "passed), effects (of every seed), choices, halves (where a level was chosen, mean effect of the 1st, 3rd, ... and "
    "of the 2nd, 4th, ... seeds), checks, study",
    "choices": "of a test, a row per side of which the best level was chosen: side (`of`, `against`), at (level of a "
    "trend's factor), levels (what the 1st, 3rd, ... and what the 2nd, 4th, ... seeds were given), ends (whether each "
    "is the first or last number that could be chosen)",
    "checks": "of an exact test: says, got, expected, passed, found, wanted, tolerance (numbers, null where a check "
    "has none), panel, over, place, line, values (where its numbers stand in the figure)",
    "studies": "rows: name, question, claims, data, cells, seeds, runs, diverged, programs, seconds",
}
NESTED = ("cases", "tests", "choices", "checks")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", nargs="?", default=FOLDER, metavar="FOLDER",
                        help=f"of claim files (default: {FOLDER})")  # fmt: skip
    parser.add_argument("overrides", nargs="*", metavar="PATH=VALUE", help="of every study, e.g. seeds.count=6")
    parser.add_argument("--out", type=read_folder,
                        help="folder for studies and verdicts (default: out/claims, with --full out/claims_full); "
                        "the same again continues it")  # fmt: skip
    parser.add_argument("--only", nargs="+", metavar="ID", help="claims, such as C7 C19; they alone are the family")
    parser.add_argument("--without", nargs="+", metavar="ID", help="claims that are left out, such as C6")
    parser.add_argument("--full", action="store_true", help="the larger studies, on MNIST and Fashion-MNIST")
    parser.add_argument("--log", choices=("auto", "plain"), default="auto", help="as for `regjax run`")
    parser.add_argument("--max-seconds", type=read_seconds, metavar="S", help="save and exit with 75 after S seconds")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--plan", action="store_true", help="check all files, print studies, runs and about the time")
    shown.add_argument("--json", action="store_true", help="print one JSON object instead of text: claims.json")
    shown.add_argument("--markdown", action="store_true", help="print the scoreboard as a Markdown table")


def run(chosen: argparse.Namespace) -> int:
    """Run the suite, print the scoreboard."""
    from regjax.stop import Stop, watch_signals

    move_overrides(chosen)
    out = chosen.out or Path("out/claims_full" if chosen.full else "out/claims")
    stop = Stop(chosen.max_seconds)
    with watch_signals(stop):
        from regjax.claims.running import plan_claims, run_claims
        from regjax.claims.suite import load_suite
        from regjax.progress import Progress
        from regjax.report.claims_text import claims_markdown, claims_text, plan_text

        named = chosen.only, chosen.full, chosen.overrides, chosen.without or []
        suite = load_suite(Path(chosen.folder), *named)
        if chosen.plan:
            print(plan_text(plan_claims(suite, out)))
            return 0
        live = False if chosen.log == "plain" else None
        found = run_claims(suite, out, lambda: Progress(live=live), stop)
    if chosen.json:
        print_json(found)
    else:
        print(claims_markdown(found) if chosen.markdown else claims_text(found))
    return 0


def move_overrides(chosen: argparse.Namespace) -> None:
    """Take PATH=VALUE for an override wherever it stands: no folder and no claim has such a name."""
    words = [chosen.folder, *(chosen.only or []), *(chosen.without or [])]
    chosen.overrides = [*chosen.overrides, *(word for word in words if "=" in word)]
    chosen.folder = FOLDER if "=" in chosen.folder else chosen.folder
    for key in ("only", "without"):
        setattr(chosen, key, [word for word in getattr(chosen, key) or [] if "=" not in word] or None)
