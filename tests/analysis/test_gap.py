"""Effects on numbers of runs beside the primary metric."""

from collections.abc import Callable

import numpy as np

from regjax.analysis.gap import paired_effects
from regjax.analysis.table import Table


def contrast(name: str, kind: str, weights: list[float], confirmatory: bool) -> dict[str, object]:
    """Return a contrast of a plan."""
    return {"name": name, "kind": kind, "weights": weights, "confirmatory": confirmatory}


def test_declared_contrasts_come_first_and_the_headline_among_them(table: Callable[..., Table]) -> None:
    """Of more contrasts than are shown, those of the family come before others, of them the study's headline kind."""
    known = table(
        np.full((3, 6), 0.5),
        headline="main",
        contrasts=[
            contrast("explored", "main", [0.0, -1.0, 1.0], False),
            contrast("first", "simple", [-1.0, 1.0, 0.0], True),
            contrast("second", "main", [-1.0, 0.0, 1.0], True),
        ],
    )
    values = np.array([[1.0], [2.0], [4.0]]) + np.zeros(6)

    assert paired_effects(known, values, "gap", 2)["contrast"].tolist() == ["second", "first"]
    assert paired_effects(known, values, "gap", 3)["effect"].tolist() == [3.0, 1.0, 2.0]
