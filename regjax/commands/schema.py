"""`regjax schema`: the JSON Schema of study files, or of claim files."""

import argparse

HELP = "a JSON Schema of study files, for completion and checks in editors"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--claims", action="store_true", help="of claim files, which `regjax claims` reads")


def run(chosen: argparse.Namespace) -> int:
    """Print the schema."""
    import json

    if chosen.claims:
        from regjax.claims.schema import make_claim_schema as make_schema
    else:
        from regjax.schema import make_schema

    print(json.dumps(make_schema(), indent=1, ensure_ascii=False))
    return 0
