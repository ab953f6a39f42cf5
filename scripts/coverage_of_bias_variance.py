"""Simulate how often 95% intervals of bias and variance hold the truth, and print the table of the docs (a minute).

Networks are random logits about a fixed centre, 60 test examples, 3 classes; the other cell has 0.6 of the spread and
the same luck. The truth is the mean over 3000 draws at the same number of networks.
"""

import numpy as np
from scipy.special import softmax
from scipy.stats import t

from regjax.analysis.decompositions import decompose, leave_out

EXAMPLES, CLASSES, TRIALS = 60, 3, 1000


def main() -> None:
    """Print one row per loss and number of networks."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(EXAMPLES, CLASSES))
    right = np.eye(CLASSES)[rng.integers(CLASSES, size=EXAMPLES)]

    def draw(networks: int) -> list[np.ndarray]:
        luck = rng.normal(size=(networks, EXAMPLES, CLASSES))
        return [softmax(centre + spread * luck, axis=-1) for spread in (1.0, 0.6)]

    print("| loss | networks | bias | variance | change of bias | change of variance |\n|---|---|---|---|---|---|")
    for loss in ("squared", "kl"):
        for networks in (5, 10, 20):
            truth = _compare(
                np.mean([[decompose(p, right, loss) for p in draw(networks)] for _ in range(3000)], axis=0)
            )
            held = np.zeros(4)
            for _ in range(TRIALS):
                cells = draw(networks)
                found = _compare(np.array([decompose(p, right, loss) for p in cells]))
                left = np.array([leave_out(p, right, loss) for p in cells])
                each = np.array([_compare(split) for split in left.swapaxes(0, 1)])
                error = np.sqrt((networks - 1) ** 2 / networks * each.var(axis=0, ddof=1))
                held += np.abs(found - truth) <= t.ppf(0.975, networks - 1) * error
            print(
                f"| {loss} | {networks} | " + " | ".join(f"{share:.1%}" for share in held / TRIALS) + " |", flush=True
            )


def _compare(splits: np.ndarray) -> np.ndarray:
    """Return bias and variance of the first cell, and their change in the second, of splits [cell, field]."""
    return np.concatenate([splits[0, 1:3], splits[1, 1:3] - splits[0, 1:3]])


if __name__ == "__main__":
    main()
