"""`regjax schema`: the JSON Schema of study files."""

import argparse

HELP = "a JSON Schema of study files, for completion and checks in editors"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    del parser


def run(chosen: argparse.Namespace) -> int:
    """Print the schema."""
    import json

    from regjax.schema import make_schema

    print(json.dumps(make_schema(), indent=1, ensure_ascii=False))
    return 0
