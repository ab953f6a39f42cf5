"""Which inputs a network chooses: those that it has weights for, against those that were planted or chosen again."""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from regjax.claims.measures.base import Measure, pseudo_values
from regjax.claims.measures.inputs import load_data
from regjax.claims.measures.networks import Networks
from regjax.claims.measures.weights import first_kernel, per_run
from regjax.claims.options import Share
from regjax.config.base import choice
from regjax.results import Results

SCORES: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "precision": lambda hits, chosen, planted: hits / np.maximum(chosen, 1),
    "recall": lambda hits, chosen, planted: hits / planted,
    "f1": lambda hits, chosen, planted: 2 * hits / (chosen + planted),
}
Score = Annotated[str, choice(*SCORES)]


def chosen_features(networks: Networks, threshold: float = 0.0) -> np.ndarray:
    """Return which inputs each network has weights for, bool [networks, features].

    Args:
      networks: kept ones, whose first layer is dense.
      threshold: share of the largest norm of an input's weights that an input must exceed; 0 for exact zeros.
    """
    norms = np.linalg.norm(first_kernel(networks.params).astype(np.float64), axis=2)
    return norms > threshold * norms.max(axis=1, keepdims=True)


def selection(results: Results, score: Score = "f1", threshold: Share = 0.0) -> np.ndarray:
    """Return how well the chosen inputs of a run are the planted ones, [cell, seed], in [0, 1].

        precision = hits / chosen,   recall = hits / planted,   f1 = 2 hits / (chosen + planted)

    Args:
      results: of a study on synthetic data with a known support.
      score: "precision", which is 0 where nothing is chosen, "recall" or "f1".
      threshold: as for `chosen_features`.
    """
    data = load_data(results)
    if "support" not in data.truth:
        raise ValueError(f"got the data {data.name!r}, expected synthetic ones with a known support")
    planted = np.isin(np.arange(data.x[0].size), data.truth["support"])

    def number(networks: Networks) -> np.ndarray:
        chosen = chosen_features(networks, threshold)
        return SCORES[score]((chosen & planted).sum(axis=1), chosen.sum(axis=1), int(planted.sum()))

    return per_run(results, number)


def selection_stability(results: Results, threshold: Share = 0.0) -> np.ndarray:
    """Return jackknife pseudo-values of how alike the choices of a cell's runs are, [cell, seed].

        1 - mean_j s_j^2 / (k / d (1 - k / d)),   s_j^2 = M / (M - 1) p_j (1 - p_j)

    with p_j the share of the M runs that choose input j of d, and k the mean number of chosen ones: 1 where all choose
    the same, 0 as by chance. Below 0.4 is poor, above 0.75 excellent.

    Args:
      results: of a study whose seeds draw their training rows.
      threshold: as for `chosen_features`.

    Reference: Nogueira, Sechidis, Brown, "On the stability of feature selection algorithms" (2018). Departure: where
    all inputs are chosen, or none, which theirs leaves undefined, it is 0: nothing was selected.
    """

    def number(networks: Networks) -> np.ndarray:
        chosen = chosen_features(networks, threshold)
        if len(chosen) < 3:
            return np.full(len(chosen), np.nan)
        return pseudo_values(lambda kept: stability(chosen[kept]), len(chosen))

    return per_run(results, number)


def stability(chosen: np.ndarray) -> float:
    """Return Nogueira's stability of choices [runs, features]; 0 where all or none are chosen.

    >>> stability(np.array([[1, 0, 0], [1, 0, 0]], bool)), stability(np.array([[1, 0], [0, 1]], bool))
    (1.0, -1.0)
    """
    runs, share = len(chosen), chosen.mean(axis=0)
    density = float(share.mean())
    if density in (0.0, 1.0):
        return 0.0
    spread = runs / (runs - 1) * share * (1 - share)
    return float(1 - spread.mean() / (density * (1 - density)))


MEASURES: dict[str, Measure] = {
    "selection": Measure(selection, "precision, recall or F1 of the inputs with weights, against the planted ones"),
    "selection_stability": Measure(selection_stability, "how alike runs choose inputs: 1 the same, 0 as by chance"),
}
