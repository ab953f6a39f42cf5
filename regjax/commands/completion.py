"""`regjax completion`: what a shell completes."""

import argparse
from collections.abc import Mapping

HELP = "print the completion script of a shell"
SHELLS = ("bash", "zsh", "fish")
# Arguments that are folders, and those that are files (`export --path` is either).
FOLDERS = ("out", "outs", "first", "second", "figures", "profile", "mirror", "source", "folder")
FILES = ("study", "file", "data", "diagram", "path")
EPILOG = """bash: regjax completion bash > ~/.local/share/bash-completion/completions/regjax
zsh:  regjax completion zsh > a file _regjax in a folder of $fpath
fish: regjax completion fish > ~/.config/fish/completions/regjax.fish"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=SHELLS, help="whose script")
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter


def run(chosen: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    parser = chosen.parser
    complete_files(parser, shtab.FILE, shtab.DIRECTORY)
    print(shtab.complete(parser, chosen.shell))
    return 0


def complete_files(parser: argparse.ArgumentParser, files: Mapping[str, object], folders: Mapping[str, object]) -> None:
    """Mark the arguments of a parser and its commands that are files or folders."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                complete_files(command, files, folders)
        elif action.dest in FOLDERS:
            action.complete = folders  # type: ignore[attr-defined]
        elif action.dest in FILES:
            action.complete = files  # type: ignore[attr-defined]
