"""What commands print for other programs: one JSON object."""

import argparse
import json
import math
from collections.abc import Mapping
from typing import Any

# The keys of rows that several commands print.
EFFECT = ("contrast", "kind", "metric", "at", "confirmatory", "n", "effect", "low", "high", "p", "sd", "seeds_positive",
          "seeds_negative", "diverged", "verdict", "low_new", "high_new", "scope", "worst_case", "better")  # fmt: skip
CELL = ("cell", "metric", "at", "n", "mean", "sd", "low", "high", "median", "min", "max", "diverged", "stopped")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def print_json(value: Mapping[str, Any]) -> None:
    """Print an object as JSON on one line per key."""
    print(json.dumps(jsonable(value), indent=1, ensure_ascii=False, allow_nan=False))


def jsonable(value: Any) -> Any:
    """Return a value as JSON has it: NaN as null, infinities as "inf" and "-inf", a table as a list of rows.

    >>> jsonable({"p": float("nan"), "seeds": float("inf"), "cells": ("a", 1)})
    {'p': None, 'seeds': 'inf', 'cells': ['a', 1]}
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if hasattr(value, "to_dict"):
        return jsonable(value.to_dict("records"))
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
