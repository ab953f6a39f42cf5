"""The command line: parsing only, each sub-command calls public functions."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

EXIT_OK, EXIT_WRONG = 0, 2

EPILOG = """exit codes: 0 done; 1 a file of a run directory is missing or damaged; 2 the study, its data or the command
line is wrong, and nothing was written; 130 interrupted, run the same command again to go on"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog="regjax",
        description="Which regularizer helps my network on this data, by how much, and how sure am I?",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    plan = commands.add_parser("plan", help="check a study file; print cells, runs, groups, memory and time")
    add_study(plan)

    run = commands.add_parser("run", help="train what a study asks for and is not done yet; print effects and report")
    add_study(run)
    run.add_argument("--out", type=read_folder, required=True, help="run directory; the same again continues it")
    run.add_argument(
        "--profile", type=Path, metavar="DIR", help="also write a jax profiler trace of a few updates to DIR"
    )

    status = commands.add_parser("status", help="how far a run directory is, with its effects so far")
    status.add_argument("out", type=Path, metavar="OUT", help="run directory")

    report = commands.add_parser("report", help="make report.html and effects.csv of a run directory anew")
    report.add_argument("out", type=Path, metavar="OUT", help="run directory")

    power = commands.add_parser("power", help="seeds that an effect needs, by the paired SD of a run directory")
    power.add_argument("out", type=Path, metavar="OUT", help="run directory, taken as a pilot")
    power.add_argument(
        "--effect", type=float, required=True, help="smallest effect to find, in the metric's unit (0.001 is 0.1 pp)"
    )
    power.add_argument("--power", type=float, default=0.9, help="probability to find it (default: 0.9)")
    export = commands.add_parser("export", help="write effects, cells, appendix or records as CSV, Parquet or LaTeX")
    export.add_argument("out", type=Path, metavar="OUT", help="run directory")
    export.add_argument("--to", type=read_folder, required=True, metavar="FILE", help="ends in .csv, .parquet or .tex")
    export.add_argument("--what", choices=("effects", "records", "cells", "appendix"), default="effects")

    analyze = commands.add_parser("analyze", help="effects of numbers that other programs made: factors, seed, metric")
    analyze.add_argument("file", type=Path, metavar="FILE", help=".csv or .parquet, one row per cell and seed")
    analyze.add_argument("--metric", required=True, help="column with the numbers; accuracies as shares")
    analyze.add_argument("--factors", help="columns that make the cells, e.g. dropout,l2 (default: all that vary)")
    analyze.add_argument("--seed", default="seed", help="column of the seed (default: seed)")
    analyze.add_argument("--baseline", help='levels to compare with, e.g. "dropout=0, l2=0" (default: lowest, first)')
    analyze.add_argument("--margin", type=float, help="smallest effect that matters, in the unit of the metric")
    analyze.add_argument("--out", type=read_folder, metavar="DIR", help="also write effects.csv and report.html there")

    across = commands.add_parser("across", help="several studies: adjusted p-values; ranks of cells over data sets")
    across.add_argument("outs", type=Path, nargs="+", metavar="OUT", help="run directories")
    across.add_argument("--diagram", type=Path, metavar="FILE.svg", help="write a critical-difference diagram")

    commands.add_parser("catalogue", help="every regularizer and observer: hypers, off values, references (Markdown)")

    data = commands.add_parser("data", help="data sets: list them, or prepare one from local files")
    actions = data.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="names of data sets and where they come from")
    prepare = actions.add_parser("prepare", help="prepare an official TFDS data set from its IDX .gz files, offline")
    prepare.add_argument("name", help="mnist or fashion_mnist")
    prepare.add_argument("--from", dest="source", type=Path, required=True, help="folder with the four .gz files")
    prepare.add_argument("--to", dest="folder", type=Path, help="TFDS folder (default: TFDS_DATA_DIR or TFDS' own)")
    return parser


def read_folder(text: str) -> Path:
    """Return the path of a run directory; an empty name would mean the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("got an empty name, expected a folder such as out/mine")
    return Path(text)


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the study file and its overrides to a sub-command."""
    parser.add_argument("study", type=Path, metavar="STUDY", help="study file (TOML)")
    parser.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        help="keep the examples on the host and stream them in blocks (default: where they are large for the devices)",
    )
    parser.add_argument("overrides", nargs="*", metavar="PATH=VALUE", help="e.g. training.epochs=3 seeds.count=5")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = make_parser()
    chosen = parse(parser, arguments)
    if chosen.version:
        from regjax import __version__

        print(f"regjax {__version__}")
        return EXIT_OK
    if chosen.command is None:
        parser.print_help()
        return EXIT_WRONG
    return guard(chosen)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed line; words of the form PATH=VALUE count as overrides wherever they stand."""
    chosen, rest = parser.parse_known_args(arguments)
    overrides = [word for word in rest if "=" in word and not word.startswith("-")]
    others = [word for word in rest if word not in overrides]
    if others or (overrides and not hasattr(chosen, "overrides")):
        parser.error(f"unrecognized arguments: {' '.join(others or overrides)}")
    if overrides:
        chosen.overrides = [*chosen.overrides, *overrides]
    return chosen


def guard(chosen: argparse.Namespace) -> int:
    """Run the chosen command; say errors that a user can mend on standard error, without a traceback."""
    from regjax.files import RegjaxError

    try:
        code = COMMANDS[chosen.command](chosen)
        sys.stdout.flush()
        return code
    except RegjaxError as error:
        print(f"regjax: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of the output went away, as with `| head`; nothing is wrong with the command.
        sys.stdout = None  # type: ignore[assignment]
        return EXIT_OK
    except KeyboardInterrupt:
        print("regjax: interrupted; the same command goes on from the last segment", file=sys.stderr)
        return 130


def run_plan(chosen: argparse.Namespace) -> int:
    """Print the plan of a study."""
    from regjax.conductor import preview

    print(preview(chosen.study, chosen.overrides, chosen.stream))
    return EXIT_OK


def run_run(chosen: argparse.Namespace) -> int:
    """Run a study; print its effects and where the report is."""
    from regjax.conductor import run

    results = run(chosen.study, chosen.out, overrides=chosen.overrides, profile=chosen.profile, stream=chosen.stream)
    print(results.summary())
    print(f"\nreport: {chosen.out / 'report.html'}")
    return EXIT_OK


def run_status(chosen: argparse.Namespace) -> int:
    """Print how many runs are done, and the effects so far."""
    from regjax.results import load_results

    results = load_results(chosen.out)
    status = results.table.status
    print(f"{int(status.done.sum())} of {status.done.size} runs done, {int((status.diverged >= 0).sum())} diverged")
    if status.done.any():
        print(f"\n{results.summary()}")
    return EXIT_OK


def run_report(chosen: argparse.Namespace) -> int:
    """Make the report anew; print its path."""
    from regjax.report import make_report

    print(make_report(chosen.out))
    return EXIT_OK


def run_power(chosen: argparse.Namespace) -> int:
    """Print how many seeds an effect needs."""
    from regjax.report.power import power_text
    from regjax.results import load_results

    try:
        print(power_text(load_results(chosen.out).table, chosen.effect, chosen.power), end="")
    except ValueError as error:
        print(f"regjax power: {error}", file=sys.stderr)
        return EXIT_WRONG
    return EXIT_OK


def run_export(chosen: argparse.Namespace) -> int:
    """Write numbers of a run directory to a file; print its path."""
    from regjax.report.numbers import export
    from regjax.results import load_results

    print(export(load_results(chosen.out).table, chosen.to, chosen.what))
    return EXIT_OK


def run_analyze(chosen: argparse.Namespace) -> int:
    """Print the effects of numbers from elsewhere; write them where a folder is given."""
    from regjax.foreign import analyze

    factors = None if chosen.factors is None else [name.strip() for name in chosen.factors.split(",") if name.strip()]
    baseline = read_levels(chosen.baseline or "")
    found = analyze(
        chosen.file, chosen.metric, factors=factors, seed=chosen.seed, baseline=baseline, margin=chosen.margin
    )
    print(found.summary())
    if chosen.out is not None:
        print(f"report: {found.save(chosen.out)}")
    return EXIT_OK


def run_across(chosen: argparse.Namespace) -> int:
    """Print what several studies say together."""
    from regjax.report.across import across_text, save_diagram
    from regjax.results import load_results

    tables = {str(out): load_results(out).table for out in dict.fromkeys(chosen.outs)}
    print(across_text(tables))
    if chosen.diagram is not None:
        print(f"diagram: {save_diagram(tables, chosen.diagram)}")
    return EXIT_OK


def read_levels(text: str) -> dict[str, str]:
    """Return levels written as "dropout=0, l2=0" by factor."""
    from regjax.files import RegjaxError

    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for name, equals, level in pairs:
        if not (name.strip() and equals and level.strip()):
            raise RegjaxError(f'got the baseline {text!r}, expected FACTOR=LEVEL, e.g. "dropout=0, l2=0"')
    return {name.strip(): level.strip() for name, _, level in pairs}


def run_catalogue(chosen: argparse.Namespace) -> int:
    """Print the catalogue of regularizers and observers."""
    from regjax.catalogue import make_catalogue

    print(make_catalogue(), end="")
    return EXIT_OK


def run_data(chosen: argparse.Namespace) -> int:
    """List data sets, or prepare one."""
    from regjax.data import DATASETS, prepare

    if chosen.action == "list":
        for name, where in DATASETS.items():
            print(f"{name:15} {where}")
    else:
        print(prepare(chosen.name, chosen.source, chosen.folder))
    return EXIT_OK


COMMANDS = {
    "plan": run_plan,
    "run": run_run,
    "status": run_status,
    "report": run_report,
    "power": run_power,
    "export": run_export,
    "analyze": run_analyze,
    "across": run_across,
    "catalogue": run_catalogue,
    "data": run_data,
}
