"""`regjax explain`: what a name in a study means."""

import argparse

from regjax.commands.output import add_json, print_json

HELP = "what a regularizer, path, metric, design, model, optimizer or term is; without a name all regularizers"
KEYS = {
    "entries": "a row per thing: name, kind, text, values (rows of path, allowed, about), acts_on, needs, reference, "
    "example; without a name all that have one"
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", nargs="*", metavar="NAME", help='e.g. dropout, dropout.hidden, best, "paired effect"')
    add_json(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print an explanation, or the table of all regularizers and observers (Markdown)."""
    from dataclasses import asdict

    from regjax.catalogue import make_catalogue
    from regjax.explain import entry_text, explain, make_entries

    entries = [explain(" ".join(chosen.name))] if chosen.name else list(make_entries().values())
    if chosen.json:
        print_json({"entries": [asdict(entry) for entry in entries]})
    else:
        print(entry_text(entries[0]) if chosen.name else make_catalogue().rstrip())
    return 0
