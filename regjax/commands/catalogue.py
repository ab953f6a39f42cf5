"""`regjax catalogue`: every regularizer and observer."""

import argparse

HELP = "every regularizer and observer: hypers, off values, references (Markdown)"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    del parser


def run(chosen: argparse.Namespace) -> int:
    """Print the catalogue of regularizers and observers."""
    from regjax.catalogue import make_catalogue

    print(make_catalogue(), end="")
    return 0
