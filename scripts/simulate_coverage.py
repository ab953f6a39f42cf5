"""How often the intervals hold the truth, by simulation: noise x seeds x size of the family, printed as a table.

    python scripts/simulate_coverage.py --repeats 1000

Contrasts share the noise of a baseline, as contrasts against one cell do (correlation 1/2). "single" is the share of
contrasts whose own interval holds the truth, "joint" that of studies in which all simultaneous ones do, "false" that of
studies without any effect in which something is found. A second table is of the BCa bootstrap of the appendix.
"""

import argparse
from collections.abc import Callable

import numpy as np

from regjax.analysis.appendix import LEAST_BOOTSTRAP, bca
from regjax.analysis.signflip import sign_flip

Noise = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "skewed": lambda rng, size: rng.lognormal(size=size) - np.exp(0.5),
    "tied": lambda rng, size: rng.integers(-2, 3, size=size).astype(float),
}
SEEDS = (5, 6, 8, 10, 16, 20, 30, 50)
FAMILIES = (1, 4, 10)


def simulate(noise: Noise, num_seeds: int, family: int, repeats: int, flips: int) -> tuple[float, float, float]:
    """Return single and joint coverage, and the share of studies with a false finding.

    The truth is 0 for half of the contrasts and one unit for the others; for "false" it is 0 for all.
    """
    rng = np.random.default_rng([num_seeds, family])
    truth = np.arange(family) % 2 * 1.0
    single, joint, false = 0.0, 0, 0
    for _ in range(repeats):
        # The difference of two skewed cells is symmetric; noise of the contrast itself keeps the skewness.
        drawn = noise(rng, (family, num_seeds)) + noise(rng, (1, num_seeds)) * (family > 1)
        for shift in (truth, 0 * truth):
            both = [sign_flip(drawn + shift[:, None], rng, joint=flag, num_flips=flips) for flag in (False, True)]
            held = [(found.low <= shift) & (shift <= found.high) for found in both]
            if shift is truth:
                single += held[0].mean()
                joint += int(held[1].all())
            else:
                false += int((both[1].p <= 0.05).any())
    return single / repeats, joint / repeats, false / repeats


def simulate_bootstrap(noise: Noise, num_seeds: int, repeats: int) -> float:
    """Return the share of BCa intervals that hold the mean, which is 0."""
    rng = np.random.default_rng(num_seeds)
    ends = [bca(noise(rng, (1, num_seeds))[0]) for _ in range(repeats)]
    return float(np.mean([low <= 0 <= high for low, high in ends]))


def main(arguments: list[str] | None = None) -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--flips", type=int, default=999, help="drawn beyond 16 seeds (default 999)")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    chosen = parser.parse_args(arguments)
    print_engine(chosen)
    print_bootstrap([n for n in chosen.seeds if n >= LEAST_BOOTSTRAP], chosen.repeats)


def print_engine(chosen: argparse.Namespace) -> None:
    """Print the coverage of the sign-flip intervals."""
    print("| noise | contrasts | |" + "".join(f" n = {n} |" for n in chosen.seeds))
    print("|---|---|---|" + "---|" * len(chosen.seeds))
    for name, noise in NOISES.items():
        for family in FAMILIES:
            found = [simulate(noise, n, family, chosen.repeats, chosen.flips) for n in chosen.seeds]
            for i, word in enumerate(("single", "joint", "false")):
                cells = "".join(f" {100 * row[i]:.1f} |" for row in found)
                print(f"| {name} | {family} | {word} |{cells}", flush=True)


def print_bootstrap(seeds: list[int], repeats: int) -> None:
    """Print the coverage of the BCa intervals."""
    print("\n| noise |" + "".join(f" n = {n} |" for n in seeds) + "\n|---|" + "---|" * len(seeds))
    for name, noise in NOISES.items():
        cells = "".join(f" {100 * simulate_bootstrap(noise, n, repeats):.1f} |" for n in seeds)
        print(f"| {name} |{cells}", flush=True)


if __name__ == "__main__":
    main()
