"""How well intervals over resampled splits cover, on digits: each of J seeds draws its split of one pool.

    python scripts/simulate_splits.py --pools 500

The effect is the test accuracy of least squares on one-hot labels with much ridge less that with little, per split. The
truth is its mean over splits of fresh pools. Pools are drawn from a population that is like digits (each class Gaussian
with its own mean and covariance), since the 1797 real images are one pool only. Intervals of the mean over J splits,

    +- t_{0.975, J-1} s sqrt(1 / J + ratio),

with ratio 0 (none), num_test / num_train (Nadeau and Bengio), num_test / (pool - num_test) (shared test examples, as
used), and m / (pool - m), m the larger of both parts. "rho" is the correlation of two splits' effects across pools,
from which the right ratio, rho / (1 - rho), follows; "needed" is that. The second table takes real digits: two disjoint
halves are two fresh pools, so that half of the mean square difference of their means estimates the variance of a mean
over J splits.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.stats import t
from sklearn.datasets import load_digits

RIDGES = (1.0, 300.0)
PARTS = ((500, 997), (300, 1000), (100, 300), (1000, 300), (1497, 300))
Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the images of digits in [0, 1], [example, pixel], and their labels."""
    x, y = load_digits(return_X_y=True)
    return x / 16, y


def make_population(x: np.ndarray, y: np.ndarray) -> Draw:
    """Return a source of examples like these: each class Gaussian with its own mean and covariance."""
    parts = [x[y == label] for label in range(10)]
    means = np.array([part.mean(axis=0) for part in parts])
    roots = []
    for part in parts:
        values, vectors = np.linalg.eigh(np.cov(part.T))
        roots.append(vectors * np.sqrt(np.maximum(values, 0.0)))

    def draw(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(10, size=number)
        away = np.empty((number, x.shape[1]))
        for label, root in enumerate(roots):
            of = labels == label
            away[of] = rng.normal(size=(of.sum(), x.shape[1])) @ root.T
        return means[labels] + away, labels

    return draw


def split_effect(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Return the test accuracy with much ridge less that with little."""
    mean = x[train].mean(axis=0)
    inputs, targets = x[train] - mean, np.eye(10)[y[train]] - 0.1
    gram, right = inputs.T @ inputs, inputs.T @ targets
    hits = [
        ((x[test] - mean) @ np.linalg.solve(gram + ridge * np.eye(len(gram)), right)).argmax(axis=1) == y[test]
        for ridge in RIDGES
    ]
    return float(hits[1].mean() - hits[0].mean())


def pool_effects(
    x: np.ndarray, y: np.ndarray, num_train: int, num_test: int, splits: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the effects of splits of one pool, [split]."""
    found = []
    for _ in range(splits):
        rows = rng.permutation(len(x))
        found.append(split_effect(x, y, rows[:num_train], rows[num_train : num_train + num_test]))
    return np.array(found)


def ratios(num_train: int, num_test: int, pool: int) -> tuple[float, ...]:
    """Return what the widths that are compared add to 1 / J."""
    more = max(num_train, num_test)
    return 0.0, num_test / num_train, num_test / (pool - num_test), more / (pool - more)


def compare_widths(draw: Draw, num_train: int, num_test: int, pool: int, pools: int, splits: int) -> list[float]:
    """Return rho, the needed ratio, and the coverage of each width in percent."""
    rng = np.random.default_rng([num_train, num_test, splits])
    found = np.array(
        [pool_effects(*draw(rng, pool), num_train, num_test, splits, rng) for _ in range(pools)]
    )  # [pool, split]
    truth, spread = found.mean(), found.std(axis=1, ddof=1)
    within = float((spread**2).mean())
    between = found.mean(axis=1).var(ddof=1) - within / splits
    reach = t.ppf(0.975, splits - 1) * spread
    away = np.abs(found.mean(axis=1) - truth)
    held = [100 * (away <= reach * np.sqrt(1 / splits + r)).mean() for r in ratios(num_train, num_test, pool)]
    return [between / (between + within), between / within, *map(float, held)]


def halve_digits(
    x: np.ndarray, y: np.ndarray, num_train: int, num_test: int, halvings: int, splits: int
) -> list[float]:
    """Return the needed ratio on real digits: from the differences of two disjoint pools of half of the images."""
    rng = np.random.default_rng([num_train, num_test])
    within, between = [], []
    for _ in range(halvings):
        rows = rng.permutation(len(x))
        halves = (rows[: len(x) // 2], rows[len(x) // 2 :])
        one, two = (pool_effects(x[half], y[half], num_train, num_test, splits, rng) for half in halves)
        within.append((one.var(ddof=1) + two.var(ddof=1)) / 2)
        between.append((one.mean() - two.mean()) ** 2 / 2)
    needed = np.mean(between) / np.mean(within) - 1 / splits
    return [float(needed), *ratios(num_train, num_test, len(x) // 2)[1:]]


def main(arguments: list[str] | None = None) -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", type=int, default=500)
    chosen = parser.parse_args(arguments)
    x, y = read_digits()
    draw = make_population(x, y)
    print("| train | test | pool | J | rho | needed | none | test / train | test / rest | larger / rest |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for num_train, num_test in PARTS:
        for splits in (6, 10, 30):
            rho, needed, *held = compare_widths(draw, num_train, num_test, len(x), chosen.pools, splits)
            print(
                f"| {num_train} | {num_test} | {len(x)} | {splits} | {rho:.2f} | {needed:.2f} |"
                + "".join(f" {share:.1f} |" for share in held),
                flush=True,
            )
    print("\n| train | test | pool | needed | test / train | test / rest | larger / rest |")
    print("|---|---|---|---|---|---|---|")
    for num_train, num_test in ((250, 498), (150, 500), (500, 150), (748, 150)):
        found = halve_digits(x, y, num_train, num_test, chosen.pools, 10)
        print(f"| {num_train} | {num_test} | 898 |" + "".join(f" {ratio:.2f} |" for ratio in found), flush=True)


if __name__ == "__main__":
    main()
