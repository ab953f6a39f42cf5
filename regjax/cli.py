"""The command line: the parser of all sub-commands, and what happens to their errors."""

import argparse
import sys
from collections.abc import Sequence

from regjax.commands import COMMANDS

EXIT_OK, EXIT_WRONG = 0, 2

EXIT_CODES = {
    0: "done",
    1: "a file of a run directory is missing or damaged, or cannot be written",
    2: "the study, its data or the command line is wrong, and nothing was written",
    3: "a tracker failed",
    75: "ended early by SIGTERM or --max-seconds, and saved; the same command goes on",
    130: "interrupted, and saved where it was training; the same command goes on",
}
EPILOG = f"exit codes: {'; '.join(f'{code} {text}' for code, text in EXIT_CODES.items())}"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog="regjax",
        description="Which regularizer helps my network on this data, by how much, and how sure am I?",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, module in COMMANDS.items():
        module.add(commands.add_parser(name, help=module.HELP, description=module.HELP))
    return parser


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
    chosen.parser = parser
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
    from regjax.files import RegjaxError, printable

    try:
        code = COMMANDS[chosen.command].run(chosen)
        sys.stdout.flush()
        return code
    except RegjaxError as error:
        print("\n".join(map(printable, f"regjax: {error}".split("\n"))), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of the output went away, as with `| head`; nothing is wrong with the command.
        sys.stdout = None  # type: ignore[assignment]
        return EXIT_OK
    except KeyboardInterrupt:
        print("regjax: interrupted; run the same command again", file=sys.stderr)
        return 130
