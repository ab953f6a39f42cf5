"""The generated part of docs/commands.md: each command, its flags, its JSON keys, the exit codes."""

import argparse
from collections.abc import Mapping

from regjax.commands import COMMANDS


def make_reference(parser: argparse.ArgumentParser, exit_codes: Mapping[int, str]) -> str:
    """Return the reference of all commands as Markdown.

    Args:
      parser: of all commands.
      exit_codes: {code: what it means}.
    """
    parts = ["### Exit codes", "", "| code | meaning |", "|---|---|"]
    parts += [f"| {code} | {text} |" for code, text in exit_codes.items()]
    for name, command in _commands(parser).items():
        parts += ["", f"### regjax {name}", "", f"{_sentence(command.description or '')}", ""]
        parts += _arguments(command)
        parts += [line for action, inner in _commands(command).items() for line in _nested(name, action, inner)]
        keys = getattr(COMMANDS[name], "KEYS", {})
        if keys:
            parts += ["", "| JSON key | what it holds |", "|---|---|"]
            parts += [f"| `{key}` | {text} |" for key, text in keys.items()]
    return "\n".join(parts) + "\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _nested(name: str, action: str, parser: argparse.ArgumentParser) -> list[str]:
    return ["", f"`regjax {name} {action}`:", "", *_arguments(parser)]


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    """Return a table of a command's arguments, empty where it has none."""
    rows = []
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        named = action.metavar if isinstance(action.metavar, str) else ""
        choices = " or ".join(map(str, action.choices or ()))
        value = "" if action.nargs == 0 else named or choices or action.dest.upper()
        head = f"{', '.join(action.option_strings)} {value}".strip()
        about = (action.help or "") + (" (required)" if action.required and action.option_strings else "")
        rows.append(f"| `{head}` | {about} |")
    return ["| argument | meaning |", "|---|---|", *rows] if rows else []
