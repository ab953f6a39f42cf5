"""Measures that were taken once: kept beside the suite, so that a second judging takes them from there."""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import regjax
from regjax import store
from regjax.claims.measures import MEASURES, take_measure
from regjax.files import StoreError, canonical, digest
from regjax.results import Results

FILE = "measures.json"


class Kept:
    """Takes measures of results, each once per state of the results and of the code.

    Args:
      out: folder of the suite; what is kept there and cannot be read is taken anew.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / FILE
        try:
            known = store.read_json(self._path)
        except StoreError:
            known = {}
        self._values: dict[str, Any] = known["values"] if known.get("code") == code_digest() else {}

    def take(self, results: Results, name: str, options: Mapping[str, Any], at: Any) -> np.ndarray:
        """Return a measure or a metric of the records, [cell, seed]; NaN where there is no finite number."""
        if name not in MEASURES:
            return take_measure(results, name, dict(options), at)
        key = digest(canonical([results_digest(results), name, dict(options)]))
        if key not in self._values:
            taken = take_measure(results, name, dict(options), at)
            self._values[key] = [[float(v) if math.isfinite(v) else None for v in row] for row in taken]
        return np.array([[math.nan if v is None else v for v in row] for row in self._values[key]])

    def save(self) -> None:
        """Write what was taken, now and before by the same code."""
        store.write_json(self._path, {"code": code_digest(), "values": self._values})


def results_digest(results: Results) -> str:
    """Return a digest of what a run directory answers from: its cells, seeds, data and the records of its runs."""
    plan = {key: results.plan[key] for key in ("cells", "seeds", "data", "primary")}
    done = sorted([part["runs"], part["digest"], part["state"]] for part in store.iter_done(results.out))
    return digest(canonical([plan, done]))


@cache
def code_digest() -> str:
    """Return a digest of every file of regjax: measures reach far, and a measure that is taken anew costs seconds."""
    folder = Path(regjax.__file__).parent
    return digest(b"".join(path.read_bytes() for path in sorted(folder.rglob("*.py"))))
