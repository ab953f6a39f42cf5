"""Coverage of two-stage (Stein) intervals, and of adding seeds until an interval is narrow enough, by simulation.

python scripts/simulate_stein.py --studies 20000
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from regjax.analysis.stein import needed_seeds, stein_intervals

ALPHA = 0.05
# Mean 0 and SD 1 each.
NOISES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails (t, 5 df)": lambda rng, shape: rng.standard_t(5, size=shape) * np.sqrt(3 / 5),
    "skewed (exponential)": lambda rng, shape: rng.exponential(size=shape) - 1,
}


def cover_stein(
    effects: np.ndarray, pilot: int, most: int, halfwidth: float, alpha: float = ALPHA
) -> tuple[bool, int, bool]:
    """Return of one study whether all intervals hold their true effect 0, the seeds taken, and if all are narrow.

    Args:
      effects: [contrast, most].
      pilot, most, halfwidth, alpha: as for `needed_seeds`.
    """
    names = [str(index) for index in range(len(effects))]
    found = needed_seeds(names, effects[:, :pilot], pilot=pilot, most=most, halfwidth=halfwidth, alpha=alpha)
    level = np.full(len(effects), alpha / len(effects))
    low, high = stein_intervals(effects[:, : found["seeds"]], pilot, level)
    narrow = bool((high - low <= 2 * halfwidth * (1 + 1e-9)).all())
    return bool(((low <= 0) & (high >= 0)).all()), found["seeds"], narrow


def cover_naive(effects: np.ndarray, pilot: int, most: int, halfwidth: float) -> tuple[bool, int]:
    """Return whether the t interval holds 0, and the seeds, when one seed is added until it is narrow enough.

    Args:
      effects: [most], of one contrast.
      pilot, most, halfwidth: seeds at least and at most; half the width at which it stops.
    """
    n = np.arange(pilot, most + 1)
    mean = np.cumsum(effects)[n - 1] / n
    sd = np.sqrt(np.maximum(np.cumsum(effects**2)[n - 1] - n * mean**2, 0) / (n - 1))
    half = stats.t.isf(ALPHA / 2, n - 1) * sd / np.sqrt(n)
    stop = int(np.argmax(half <= halfwidth)) if (half <= halfwidth).any() else len(n) - 1
    return bool(abs(mean[stop]) <= half[stop]), int(n[stop])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per kind of noise, pilot and wanted width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20_000, help="simulated studies per line (default: 20000)")
    parser.add_argument("--most", type=int, default=200, help="cap on the seeds (default: 200)")
    chosen = parser.parse_args(arguments)
    print("| noise | pilot | half-width / SD | Stein covers | seeds | 3 contrasts at once | naive covers | seeds |")
    print("|---|---|---|---|---|---|---|---|")
    for name, draw in NOISES.items():
        for pilot in (3, 5, 10):
            for halfwidth in (0.5, 1.0):
                rng = np.random.default_rng(20_260_101)
                effects = draw(rng, (chosen.studies, 3, chosen.most))
                # Contrasts against one baseline share its noise.
                shared = (effects + draw(rng, (chosen.studies, 1, chosen.most))) / np.sqrt(2)
                one = np.array([cover_stein(e[:1], pilot, chosen.most, halfwidth) for e in effects])
                three = np.array([cover_stein(e, pilot, chosen.most, halfwidth) for e in shared])
                naive = np.array([cover_naive(e[0], pilot, chosen.most, halfwidth) for e in effects])
                print(
                    f"| {name} | {pilot} | {halfwidth:g} | {one[:, 0].mean():.1%} | {one[:, 1].mean():.1f} | "
                    f"{three[:, 0].mean():.1%} | {naive[:, 0].mean():.1%} | {naive[:, 1].mean():.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
