"""Synthetic run directories: what a finished, a failing and a half-done study leave behind, without any training."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regjax import store

HOSTILE = "\"><script>alert(1)</script> & 'q' $x^$ \\frac{漢}"
SPLITS = ("batch", "train", "validation", "test")


def make_plan(factors: list[dict], num_seeds: int, **changes: Any) -> dict[str, Any]:
    """Return a plan over the full factorial of `factors`, with a simple contrast of every cell and the baseline."""
    paths = [factor["path"] for factor in factors]
    grid = list(itertools.product(*(factor["levels"] for factor in factors)))
    cells = [
        {"index": i, "name": ", ".join(f"{p}={v}" for p, v in zip(paths, levels, strict=True)) or "baseline",
         "levels": dict(zip(paths, levels, strict=True))}
        for i, levels in enumerate(grid)
    ]  # fmt: skip
    contrasts = []
    for i, cell in enumerate(cells[1:], 1):
        weights = [0.0] * len(cells)
        weights[0], weights[i] = -1.0, 1.0
        one = [p for p in paths if cell["levels"][p] != cells[0]["levels"][p]]
        name = f"{one[0]}: {cell['levels'][one[0]]} vs {cells[0]['levels'][one[0]]}" if len(one) == 1 else cell["name"]
        contrasts.append({"name": name, "kind": "simple", "weights": weights, "confirmatory": True})
    plan = {
        "question": "Does dropout 0.5 raise the test accuracy of this MLP on MNIST?",
        "study": {
            "question": "Does dropout 0.5 raise the test accuracy of this MLP on MNIST?",
            "data": {"name": "mnist", "validation": {"fraction": 0.2, "take": "last"}},
            "model": {"name": "mlp", "widths": [512, 512], "activation": "relu"},
            "optimizer": {"name": "adam", "learning_rate": 1e-3, "epsilon": 1e-7},
            "training": {"epochs": 10, "batch_size": 128, "evaluate_every": {"epochs": 1}},
            "early_stopping": {"patience": "off"},
            "seeds": {"count": num_seeds, "vary": ["init", "order", "dropout"]},
            "factors": {factor["path"]: factor["levels"] for factor in factors},
        },
        "primary": {
            "metric": "test.accuracy", "at": {"kind": "step", "step": 3750, "label": "epoch 10"}, "margin": 0.001,
            "also_at": [{"kind": "step", "step": 1875, "label": "epoch 5"}, {"kind": "best"}],
        },
        "factors": factors, "fixed": {"optimizer.learning_rate": 0.001}, "cells": cells,
        "seeds": list(range(num_seeds)), "vary": ["init", "order", "dropout"], "contrasts": contrasts, "markers": [],
        "monitor": "validation.nll", "steps": 3750, "steps_per_epoch": 375,
        "data": {"name": "mnist", "digest": "0123456789abcdef", "num_train": 48000, "num_validation": 12000,
                 "num_test": 10000, "num_classes": 10},
        "num_params": 669706, "tuned": {}, "versions": {"regjax": "0.1.0", "jax": "0.10.2", "python": "3.11.9"},
        "devices": ["cpu x 2"], "commit": None, "command": "regjax run configs/dropout_mnist.toml --out out/dropout",
    }  # fmt: skip
    return {**plan, **changes}


def make_records(cell: int, seed: int, run: str, num_rows: int = 10, gain: float = 0.003, **ends: int) -> pd.DataFrame:
    """Return plausible records of a run: rising accuracy, falling train nll, validation nll that turns up again.

    Args:
      cell: index; every cell gains `gain` on the one before.
      seed: replicate; shared by the cells, so that they are paired.
      run: identity.
      num_rows: evaluations.
      gain: accuracy per cell.
      ends: stopped or diverged, the steps where that happened.
    """
    shared = np.random.default_rng(seed)
    mine = np.random.default_rng([seed, cell])
    step = np.arange(1, num_rows + 1) * (3750 // num_rows)
    t = np.linspace(1, 10, num_rows)
    level = 0.977 + gain * cell + 0.0008 * shared.normal() + 0.0007 * mine.normal()
    accuracy = level - 0.03 * np.exp(-t / 1.5) + 0.0006 * mine.normal(size=num_rows)
    train_nll = 0.25 * np.exp(-t / (2 + 0.4 * cell)) + 0.002 * cell + 0.002
    nll = 0.11 * np.exp(-t / 1.5) + 0.075 + 0.006 * (t - 3) ** 2 / (10 + 10 * cell) + 0.002 * mine.normal(size=num_rows)
    numbers = {
        "train.nll": train_nll, "batch.nll": train_nll + 0.01, "validation.nll": nll, "test.nll": nll - 0.003,
        "train.accuracy": 1 - 0.3 * train_nll, "batch.accuracy": 1 - 0.35 * train_nll, "validation.accuracy": accuracy,
        "test.accuracy": accuracy + 0.001, "batch.loss": train_nll + 0.011,
    }  # fmt: skip
    best = np.array([int(step[np.argmin(nll[: i + 1])]) for i in range(num_rows)])
    frame = pd.DataFrame(
        {"run": run, "step": step, "epoch": step / 375, "examples": step * 128, "seconds": 0.1 * t, **numbers}
    )
    frame = frame.assign(weight_norm=20 + t, zero_fraction=0.0, best_step=best, stopped=-1, diverged=-1)
    for name, at in ends.items():
        frame.loc[frame["step"] >= at, name] = at
    if "diverged" in ends:
        frame.loc[frame["step"] >= ends["diverged"], [*numbers, "weight_norm"]] = np.nan
    over = (frame["stopped"] >= 0) | (frame["diverged"] >= 0)
    return frame[over.cumsum() <= over]


def save_folder(
    out: Path, plan: dict[str, Any], ends: dict[tuple[int, int], dict[str, int]] | None = None,
    skip: Callable[[int, int], bool] = lambda cell, seed: False, num_rows: int = 10, gain: float = 0.003,
) -> Path:  # fmt: skip
    """Write a run directory with one chunk, the runs for which `skip` holds left out, and return it."""
    ends = ends or {}
    runs = [(cell["index"], seed, f"{cell['index']:08x}{seed:08x}") for cell in plan["cells"] for seed in plan["seeds"]]
    frame = pd.DataFrame(runs, columns=["cell", "seed", "run"])
    frame = frame.assign(wave="main", group=0, restores=False, hypers="{}", settings="{}")
    store.save_plan(out, plan, frame[["run", "wave", "cell", "seed", "group", "restores", "hypers", "settings"]])
    done = [(c, s, run) for c, s, run in runs if not skip(c, s)]
    if not done:
        return out
    records = [make_records(c, s, run, num_rows, gain, **ends.get((c, s), {})) for c, s, run in done]
    store.write_table(store.segment_path(out, "chunk0", 0), pd.concat(records, ignore_index=True))
    digest = store.digest_records(pd.concat(records, ignore_index=True))
    finished = {
        "chunk": "chunk0", "segment": 0, "runs": [run for _, _, run in done], "digest": digest,
        "seconds": {"compile": 8.1, "train": 231.4, "evaluate": 20.2, "store": 0.9},
        "programs": {"compiled": 1, "cached": 0},
        "devices": "cpu x 2", "slots": 8,
    }  # fmt: skip
    store.write_json(store.Part("chunk0", 0).done(out), finished)
    return out


def two_cells(out: Path, **changes: Any) -> Path:
    """Write a study of two cells and 30 seeds with a published number for each cell."""
    markers = [
        {"label": "source notebook", "cell": 0, "value": 0.9774},
        {"label": "source notebook", "cell": 1, "value": 0.9827},
    ]
    factors = [{"path": "dropout.hidden", "levels": [0.0, 0.5]}]
    return save_folder(out, make_plan(factors, 30, **{"markers": markers, **changes}))


def lattice(out: Path, num_factors: int = 4) -> Path:
    """Write a full factorial with main effects and interactions, one run diverged and one stopped early."""
    paths = ["dropout.hidden", "l2.strength", "model.norm", "label_smoothing.strength", "l1.strength"]
    levels = [[0.0, 0.3], [0.0, 0.001], ["none", "batch"], [0.0, 0.1], [0.0, 1e-5]]
    factors = [{"path": p, "levels": v} for p, v in zip(paths[:num_factors], levels, strict=False)]
    plan = make_plan(factors, 8, tuned={str(i): {"optimizer.learning_rate": 1e-3} for i in range(2**num_factors)})
    plan["primary"] = {"metric": "test.nll", "at": {"kind": "best"}, "margin": 0.001, "also_at": []}
    for contrast in plan["contrasts"]:
        contrast["confirmatory"] = False
    signs = np.array(
        [[1 if cell["levels"][f["path"]] == f["levels"][1] else -1 for f in factors] for cell in plan["cells"]]
    )
    half = len(plan["cells"]) / 2
    pairs = list(itertools.combinations(range(num_factors), 2))
    for a in range(num_factors):
        name = f"{paths[a]}: {levels[a][1]} vs {levels[a][0]}"
        weights = (signs[:, a] / half).tolist()
        plan["contrasts"].append({"name": f"main {name}", "kind": "main", "weights": weights, "confirmatory": True})
    for a, b in pairs:
        weights = (signs[:, a] * signs[:, b] / half).tolist()
        name = f"{paths[a]} x {paths[b]}"
        plan["contrasts"].append({"name": name, "kind": "two_way", "weights": weights, "confirmatory": True})
    return save_folder(out, plan, {(3, 2): {"diverged": 1125}, (5, 1): {"stopped": 2625}}, gain=0.0005)


def hostile(out: Path) -> Path:
    """Write a study whose every name tries to break the page."""
    factors = [{"path": HOSTILE, "levels": ["off", HOSTILE]}]
    plan = make_plan(factors, 6, question=HOSTILE, markers=[{"label": HOSTILE, "cell": 0, "value": 0.977}])
    plan["cells"][0]["name"] = f"zero {HOSTILE}"
    plan["contrasts"][0]["name"] = HOSTILE
    plan["primary"]["at"]["label"] = HOSTILE
    plan |= {"command": f"regjax run {HOSTILE}", "commit": HOSTILE, "fixed": {HOSTILE: HOSTILE}}
    plan |= {"versions": {"regjax": HOSTILE, HOSTILE: "1"}, "devices": [HOSTILE], "tuned": {"0": {HOSTILE: 1.0}}}
    plan["vary"] = [HOSTILE, "init"]
    plan["study"] = {"question": HOSTILE, HOSTILE: {HOSTILE: [HOSTILE, {"a": HOSTILE}]}}
    plan["data"] = {**plan["data"], "name": HOSTILE, "digest": HOSTILE}
    plan = json.loads(json.dumps(plan))
    return save_folder(out, plan, {(1, 1): {"diverged": 375}}, skip=lambda cell, seed: cell == 1 and seed == 5)
