"""Tests that were tried against skewed effects, beside the one that is used; printed as a table.

    python scripts/simulate_skew.py --repeats 1000

Coverage in percent of the 95% interval that inverts each test, at the truth (the share of studies whose test does not
reject it), for one contrast:

- flips: sign flips of Student's t, as used;
- Johnson, Hall: sign flips of a t corrected for skewness (Johnson 1978; Hall 1992, which is monotone in the mean);
- bootstrap-t: equal tails, centred resamples;
- both: the larger p of flips and bootstrap-t.

"false" is the share of studies of four contrasts without effect in which the largest statistic is significant, for
flips and Hall.
"""

import argparse
from collections.abc import Callable

import numpy as np

from regjax.analysis.signflip import make_signs

Statistic = Callable[[np.ndarray], np.ndarray]
NOISES: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "tied": lambda rng, size: rng.integers(-2, 3, size=size).astype(float),
    "exponential": lambda rng, size: rng.exponential(size=size) - 1,
    "lognormal": lambda rng, size: rng.lognormal(size=size) - np.exp(0.5),
}
FLIPS, FAMILY, LEVEL = 399, 4, 0.05


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, standard deviation and skewness over the last axis."""
    mean = x.mean(axis=-1)
    away = x - mean[..., None]
    sd = np.sqrt((away**2).mean(axis=-1))
    return mean, sd, (away**3).mean(axis=-1) / sd**3


def student(x: np.ndarray) -> np.ndarray:
    """Return Student's t up to a factor that all flips share."""
    mean, sd, _ = moments(x)
    return mean / sd


def johnson(x: np.ndarray) -> np.ndarray:
    """Return Johnson's t: (mean + m3 / (6 n s^2) + m3 mean^2 / (3 s^4)) / s."""
    mean, sd, skew = moments(x)
    ratio = mean / sd
    return ratio + skew / (6 * x.shape[-1]) + skew * ratio**2 / 3


def hall(x: np.ndarray) -> np.ndarray:
    """Return Hall's transform: S + g S^2 / 3 + g^2 S^3 / 27 + g / (6 n), S = mean / s, g the skewness."""
    mean, sd, skew = moments(x)
    ratio = mean / sd
    return ratio + skew * ratio**2 / 3 + skew**2 * ratio**3 / 27 + skew / (6 * x.shape[-1])


def flip_p(x: np.ndarray, signs: np.ndarray, statistic: Statistic) -> float:
    """Return the share of flips whose largest statistic reaches that of the rows of x, [contrast, seed]."""
    seen = np.abs(statistic(x)).max()
    drawn = np.nan_to_num(np.abs(statistic(signs[:, None] * x)), nan=np.inf).max(axis=1)
    return float((drawn >= seen * (1 - 1e-9)).mean())


def bootstrap_p(x: np.ndarray, rng: np.random.Generator) -> float:
    """Return the equal-tailed p of the bootstrap-t of one contrast."""
    drawn = student((x - x.mean())[rng.integers(len(x), size=(FLIPS, len(x)))])
    drawn, seen = drawn[np.isfinite(drawn)], student(x)
    return 2 * float(min((drawn >= seen).mean(), (drawn <= seen).mean()))


def simulate(name: str, num_seeds: int, repeats: int) -> list[float]:
    """Return the columns of a row, in percent."""
    rng = np.random.default_rng(num_seeds)
    counts = np.zeros(7)
    for _ in range(repeats):
        x = NOISES[name](rng, (FAMILY, num_seeds))
        signs = make_signs(num_seeds, rng, FLIPS)
        if len(signs) > FLIPS + 1:  # all flips are too many here; the identity stays first
            signs = np.concatenate([signs[:1], signs[rng.integers(len(signs), size=FLIPS)]])
        single = [flip_p(x[:1], signs, statistic) for statistic in (student, johnson, hall)]
        boot = bootstrap_p(x[0], rng)
        family = [flip_p(x, signs, statistic) for statistic in (student, hall)]
        counts += np.array([*single, boot, max(single[0], boot), *family]) <= LEVEL
    shares = 100 * counts / repeats
    return [*(100 - shares[:5]), *shares[5:]]


def main(arguments: list[str] | None = None) -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    chosen = parser.parse_args(arguments)
    print("| noise | n | flips | Johnson | Hall | bootstrap-t | both | false, flips | false, Hall |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in NOISES:
        for num_seeds in (6, 8, 10, 16, 20, 30, 50):
            with np.errstate(all="ignore"):  # tied effects may be equal in all seeds
                found = simulate(name, num_seeds, chosen.repeats)
            print(f"| {name} | {num_seeds} |" + "".join(f" {share:.1f} |" for share in found), flush=True)


if __name__ == "__main__":
    main()
