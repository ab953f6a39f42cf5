"""Simulate how often 95% intervals of bias and variance hold the truth, and print the tables of the docs (minutes).

Networks are random logits about a fixed centre, 60 test examples, 3 classes; the other cell has 0.6 of the spread and
the same luck. The truth is the mean over 3000 draws at the same number of networks.

The second table is of disjoint replicates: ridge regression (strengths 0.1 and 3) on 100 rows of 8 inputs, cut into 10
parts, squared error on 40 test examples. "given rows": the truth is the mean over 300 permutations of the rows; "new
rows": that over 300 samples of rows. "effect" is the sign-flip interval of the change of risk, whose units are seeds.
"""

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import t

from regjax.analysis.bias_variance import Outcome, make_bias_variance
from regjax.analysis.decompositions import decompose, leave_out
from regjax.analysis.signflip import sign_flip
from regjax.analysis.table import Status, Table

EXAMPLES, CLASSES, TRIALS = 60, 3, 1000
# Of replicates: training rows, parts, inputs, samples of rows, permutations of each, studies of each sample.
ROWS, PARTS, INPUTS, SAMPLES, PERMUTATIONS, STUDIES = 100, 10, 8, 300, 300, 7
STRENGTHS = (0.1, 3.0)
WORDS = ("bias", "variance", "bias_effect", "variance_effect")


def main() -> None:
    """Print both tables as Markdown."""
    print_jackknife()
    print_replicates()


def print_jackknife() -> None:
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


def print_replicates() -> None:
    """Print one row per number of permutations and claim."""
    print("\n| permutations | truth | bias | variance | change of bias | change of variance | effect |")
    print("|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(1)
    coefficients, test = rng.normal(size=INPUTS), rng.normal(size=(40, INPUTS))
    right = test @ coefficients + rng.normal(size=40)
    samples = [_fit_sample(coefficients, test, rng) for _ in range(SAMPLES)]
    given = [_true_split(outputs, right) for outputs in samples]
    new = np.mean(given, axis=0)
    for count in (2, 3, 5, 10):
        held = np.zeros((2, 5))
        for outputs, truth in zip(samples, given, strict=True):
            for study in range(STUDIES):
                few = outputs[:, study * count : (study + 1) * count]
                low, high = _study_ends(few, right)
                held += [(low <= claim) & (claim <= high) for claim in (truth, new)]
        for claim, shares in zip(("given rows", "new rows"), held / (SAMPLES * STUDIES), strict=True):
            print(f"| {count} | {claim} |" + "".join(f" {share:.1%} |" for share in shares), flush=True)


def _fit_sample(coefficients: np.ndarray, test: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return what ridges on the parts of permutations of one sample predict, [cell, permutation, part, R]."""
    x = rng.normal(size=(ROWS, INPUTS))
    y = x @ coefficients + rng.normal(size=ROWS)
    rows = rng.permuted(np.tile(np.arange(ROWS), (PERMUTATIONS, 1)), axis=1).reshape(PERMUTATIONS, PARTS, -1)
    gram = np.einsum("pkri,pkrj->pkij", x[rows], x[rows])
    moment = np.einsum("pkri,pkr->pki", x[rows], y[rows])
    fits = [np.linalg.solve(gram + strength * np.eye(INPUTS), moment[..., None])[..., 0] for strength in STRENGTHS]
    return np.array(fits) @ test.T


def _true_split(outputs: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return bias, variance, their changes and that of the risk, means over all permutations."""
    splits = np.array([[decompose(p[..., None], right[:, None], "squared")[:3] for p in cell] for cell in outputs])
    return _arrange(splits.mean(axis=1))


def _arrange(splits: np.ndarray) -> np.ndarray:
    """Return what is judged of risk, bias and variance [cell, 3]: of the second cell, and its changes to the first."""
    return np.array([*splits[1, 1:], *(splits[1] - splits[0])[[1, 2, 0]]])


def _study_ends(outputs: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the intervals of a study whose networks predict [cell, permutation, part, R]."""
    networks = outputs.reshape(len(outputs), -1, len(right))
    none = np.zeros(networks.shape[:2], dtype=int)
    plan = {"replicates": {"kind": "disjoint", "parts": PARTS}, "vary": ["subset"], "primary": {"metric": "test.mse"}}
    status = Status(none == 0, none - 1, none - 1, none, none, none > 0)
    table = Table(plan, pd.DataFrame(), ("little", "much"), tuple(range(networks.shape[1])), status)
    row = make_bias_variance(table, outcome=Outcome(networks[..., None], right[:, None], False, 1)).iloc[1]
    risks = ((networks - right) ** 2).mean(axis=2)
    effect = sign_flip((risks[1] - risks[0])[None], np.random.default_rng(0), num_flips=999)
    low, high = ([*(row[f"{word}_{end}"] for word in WORDS)] for end in ("low", "high"))
    return np.array([*low, effect.low[0]]), np.array([*high, effect.high[0]])


if __name__ == "__main__":
    main()
