"""The sign-flip engine beside a plain loop over contrasts in NumPy: seconds, their ratio, and memory.

    python scripts/benchmark_statistics.py
    python scripts/benchmark_statistics.py --contrasts 1000 --seeds 30 --flips 20000

The engine tests all contrasts as one family. The loop takes one contrast at a time, flips its seeds and finds p and
interval of that contrast alone, which is less; it is timed on a few contrasts and its time extrapolated.
"""

import argparse
import resource
import sys
import time

import numpy as np

from regjax.analysis.signflip import sign_flip


def loop(effects: np.ndarray, rng: np.random.Generator, num_flips: int) -> np.ndarray:
    """Return p of every contrast, and compute its interval, by a loop of the textbook's formulas."""
    found = []
    for row in effects:
        signs = rng.choice([-1.0, 1.0], (num_flips, len(row)))
        flipped = signs * row
        t = flipped.mean(axis=1) / (flipped.std(axis=1, ddof=1) / np.sqrt(len(row)))
        seen = row.mean() / (row.std(ddof=1) / np.sqrt(len(row)))
        centred = signs * (row - row.mean())
        around = centred.mean(axis=1) / (centred.std(axis=1, ddof=1) / np.sqrt(len(row)))
        np.quantile(np.abs(around), 0.95)
        found.append((1 + (np.abs(t) >= abs(seen)).sum()) / (num_flips + 1))
    return np.array(found)


def main(arguments: list[str] | None = None) -> float:
    """Print the seconds of both, their ratio and the peak of memory; return the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contrasts", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--looped", type=int, default=20, help="contrasts that the loop is timed on (default 20)")
    chosen = parser.parse_args(arguments)
    effects = np.random.default_rng(0).normal(0.2, 1.0, (chosen.contrasts, chosen.seeds))
    begin = time.perf_counter()
    sign_flip(effects, np.random.default_rng(1), num_flips=chosen.flips)
    engine = time.perf_counter() - begin
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    begin = time.perf_counter()
    loop(effects[: chosen.looped], np.random.default_rng(1), chosen.flips)
    plain = (time.perf_counter() - begin) / min(chosen.looped, chosen.contrasts) * chosen.contrasts
    print(f"{chosen.contrasts:,} contrasts x {chosen.seeds} seeds x {chosen.flips:,} flips")
    print(f"engine, jointly    {engine:8.1f} s, memory of the process at most {peak:,.0f} MiB")
    print(f"loop, one by one   {plain:8.1f} s, extrapolated from {min(chosen.looped, chosen.contrasts)}")
    print(f"ratio              {plain / engine:8.1f}")
    return plain / engine


if __name__ == "__main__":
    main()
