"""A run directory written by hand: every number of it is the test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regjax import store
from regjax.analysis.table import Table, load_table

STEPS = (0, 10, 20, 30)
PILOT = "f" * 16
PLAN: dict[str, Any] = {
    "question": "Does dropout help?",
    "study": {},
    "primary": {"metric": "test.accuracy", "at": {"kind": "step", "step": 20, "label": "epoch 2"}, "margin": 0.001},
    "factors": [{"path": "dropout.hidden", "levels": [0.0, 0.5]}],
    "fixed": {"optimizer.learning_rate": 0.001, "max_norm.bound": "off"},
    "vary": ["init", "order", "dropout"],
    "contrasts": [
        {"name": "dropout.hidden: 0.5 vs 0", "kind": "simple", "weights": [-1.0, 1.0], "confirmatory": True},
    ],
    "markers": [{"label": "source notebook", "cell": 0, "value": 0.9774}],
    "monitor": "validation.nll",
    "tuned": {},
}


def write_folder(
    out: Path,
    accuracy: np.ndarray,
    *,
    nll: np.ndarray | None = None,
    stopped: dict[tuple[int, int], int] | None = None,
    diverged: dict[tuple[int, int], int] | None = None,
    absent: set[tuple[int, int]] | None = None,
    restores: bool = False,
    steps: tuple[int, ...] = STEPS,
    **plan: Any,
) -> Path:
    """Write a run directory with these test accuracies, [cell, seed, step] or [cell, seed] (then equal at all steps).

    `nll` is the monitored validation.nll of the same shape (falling where None); the three sets are by (cell, seed).
    """
    accuracy = np.asarray(accuracy, dtype=float)
    if accuracy.ndim == 2:
        accuracy = np.repeat(accuracy[..., None], len(steps), axis=2)
    num_cells, num_seeds = accuracy.shape[:2]
    nll = np.broadcast_to(-np.arange(float(len(steps))), accuracy.shape) if nll is None else nll
    runs, tables = [], {0: [], 1: []}
    for cell in range(num_cells):
        for seed in range(num_seeds):
            run = f"{cell:08x}{seed:08x}"
            runs.append({"run": run, "wave": "main", "cell": cell, "seed": seed, "group": 0, "restores": restores})
            if (cell, seed) in (absent or {}):
                continue
            stop, bad = (stopped or {}).get((cell, seed), -1), (diverged or {}).get((cell, seed), -1)
            rows = _rows(run, steps, accuracy[cell, seed], nll[cell, seed], stop, bad)
            tables[seed % 2].append(rows)
    runs.append({"run": PILOT, "wave": "tune", "cell": 0, "seed": 0, "group": 0, "restores": restores})
    tables[0].append(_rows(PILOT, steps, np.zeros(len(steps)), np.zeros(len(steps)), -1, -1))
    levels = [{"dropout.hidden": level} for level in range(num_cells)]
    cells = [{"index": i, "name": f"cell {i}", "levels": level} for i, level in enumerate(levels)]
    seeds = list(range(num_seeds))
    store.save_plan(out, {**PLAN, "cells": cells, "seeds": seeds, **plan}, pd.DataFrame(runs))
    for chunk, parts in tables.items():
        _write_chunk(out, f"chunk{chunk}", parts)
    return out


def _rows(run: str, steps: tuple[int, ...], accuracy: np.ndarray, nll: np.ndarray, stop: int, bad: int) -> pd.DataFrame:
    at = np.array(steps)
    best = [at[np.argmin(nll[: i + 1])] for i in range(len(at))]
    void = (bad >= 0) & (at >= bad)
    over = void | ((stop >= 0) & (at >= stop))
    rows = pd.DataFrame(
        {
            "run": run,
            "step": at,
            "test.accuracy": np.where(void, np.nan, accuracy),
            "validation.nll": np.where(void, np.nan, nll),
            "best_step": best,
            "stopped": np.where((stop >= 0) & (at >= stop), stop, -1),
            "diverged": np.where(void, bad, -1),
        }
    )
    return rows[np.cumsum(over) <= over]


def _write_chunk(out: Path, chunk: str, parts: list[pd.DataFrame]) -> None:
    for segment in (0, 1) if parts else ():
        mine = [rows[(rows["step"] > 10) == segment] for rows in parts]
        store.write_table(store.segment_path(out, chunk, segment), pd.concat(mine, ignore_index=True))
        ended = [rows for rows in parts if (rows["step"].iloc[-1] > 10) == segment]
        if ended:
            digest = store.digest_records(pd.concat(ended, ignore_index=True))
            runs = [rows["run"].iloc[0] for rows in ended]
            done = {"chunk": chunk, "segment": segment, "runs": runs, "digest": digest}
            store.write_json(store.Part(chunk, segment).done(out), done)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a run directory and returns its path."""
    return lambda *args, **kwargs: write_folder(tmp_path / "out", *args, **kwargs)


@pytest.fixture
def table(folder: Callable[..., Path]) -> Callable[..., Table]:
    """Return a function that writes a run directory and loads it."""
    return lambda *args, **kwargs: load_table(folder(*args, **kwargs))
