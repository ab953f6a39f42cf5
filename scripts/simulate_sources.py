"""Simulate shares of variance by stream and how often their 95% intervals hold the truth; print the tables of the docs.

Worlds of four streams with standard normal draws: "additive" (0.8, 0.5, 0.3 and 0.14 times a draw), "skewed" (the
same of standardized lognormal draws) and "interacting" (0.7 x1 x2 + 0.2 x1 + 0.6 x3 + 0.2 x4). A minute.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from regjax.analysis.sources import estimate

WEIGHTS = np.array([0.8, 0.5, 0.3, 0.14])
SIGMA = 0.8


class World(NamedTuple):
    """What the metric is of the draws [..., stream], and the true total and first-order shares."""

    metric: Callable[[np.ndarray], np.ndarray]
    total: np.ndarray
    first: np.ndarray


def skew(x: np.ndarray) -> np.ndarray:
    """Return lognormal draws with mean 0 and variance 1 from normal ones."""
    spread = np.exp(SIGMA**2)
    return (np.exp(SIGMA * x) - np.sqrt(spread)) / np.sqrt((spread - 1) * spread)


ADDITIVE = WEIGHTS**2 / (WEIGHTS**2).sum()
WORLDS = {
    "additive": World(lambda x: x @ WEIGHTS, ADDITIVE, ADDITIVE),
    "skewed": World(lambda x: skew(x) @ WEIGHTS, ADDITIVE, ADDITIVE),
    "interacting": World(
        lambda x: 0.7 * x[..., 0] * x[..., 1] + 0.2 * x[..., 0] + 0.6 * x[..., 2] + 0.2 * x[..., 3],
        np.array([0.53, 0.49, 0.36, 0.04]) / 0.93,
        np.array([0.04, 0.0, 0.36, 0.04]) / 0.93,
    ),
}


def draw(world: World, num_pairs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the metric of pairs of seeds [pair, 2], and with each stream swapped [stream, pair, 2]."""
    x = rng.normal(size=(num_pairs, 2, 4))
    swapped = np.repeat(x[None], 4, axis=0)
    for k in range(4):
        swapped[k, ..., k] = x[:, ::-1, k]
    return world.metric(x), world.metric(swapped)


def simulate(world: World, num_seeds: int, trials: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return per stream: coverage of both shares, mean and root mean squared error of the total, median width."""
    rng = np.random.default_rng(seed)
    found = [estimate(*draw(world, num_seeds // 2, rng)) for _ in range(trials)]
    total, low, high = (np.array(part) for part in zip(*(one.total for one in found), strict=True))
    _, first_low, first_high = (np.array(part) for part in zip(*(one.first for one in found), strict=True))
    return {
        "total": ((low <= world.total) & (world.total <= high)).mean(axis=0),
        "first": ((first_low <= world.first) & (world.first <= first_high)).mean(axis=0),
        "mean": total.mean(axis=0),
        "error": np.sqrt(((total - world.total) ** 2).mean(axis=0)),
        "width": np.median(high - low, axis=0),
    }


def compare_partners(world: World, num_seeds: int, trials: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return the relative standard error of the total variance of a stream for three partners of a seed, equal cost.

    "pairs" swap with each other; in a "ring" the next seed gives the draws; "fresh" ones come from nowhere else.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(trials, num_seeds, 4))
    others = {
        "pairs": x.reshape(trials, -1, 2, 4)[:, :, ::-1].reshape(x.shape),
        "ring": np.roll(x, -1, axis=1),
        "fresh": rng.normal(size=x.shape),
    }
    found = {}
    for name, other in others.items():
        totals = []
        for k in range(4):
            swapped = x.copy()
            swapped[..., k] = other[..., k]
            totals.append(((world.metric(swapped) - world.metric(x)) ** 2).mean(axis=1) / 2)
        found[name] = np.std(totals, axis=1) / np.mean(totals, axis=1)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row per world and number of seeds, then the standard errors by partner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[6, 10, 20, 40])
    chosen = parser.parse_args(arguments)

    def row(*parts: object) -> str:
        return f"| {' | '.join(map(str, parts))} |"

    def percent(shares: np.ndarray) -> str:
        return " ".join(f"{100 * share:.0f}" for share in shares)

    print(row("world", "seeds", "true total %", "mean", "RMSE", "width", "coverage %", "true first %", "coverage %"))
    print("|---|---|---|---|---|---|---|---|---|")
    for name, world in WORLDS.items():
        for seeds in chosen.seeds:
            got = simulate(world, seeds, chosen.trials)
            columns = (world.total, got["mean"], got["error"], got["width"], got["total"], world.first, got["first"])
            print(row(name, seeds, *map(percent, columns)), flush=True)
    print(f"\n{row('world', 'pairs', 'ring', 'fresh')}\n|---|---|---|---|")
    for name, world in WORLDS.items():
        print(row(name, *map(percent, compare_partners(world, 20, chosen.trials).values())), flush=True)


if __name__ == "__main__":
    main()
