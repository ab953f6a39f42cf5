"""What a part costs: ratios of times that two programs took in turns, and costs.json, which keeps them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from regjax.files import StoreError, canonical, digest
from regjax.store import read_json, write_json

SCHEMA = 1
COVERAGE = 0.95
# With fewer rounds even the smallest and the largest ratio do not make an interval of COVERAGE.
FEWEST_ROUNDS = 6
# Tables of a study that the time of an update follows from.
TABLES = ("data", "task", "model", "optimizer", "training", "fixed", "factors")


def rank_ends(n: int) -> tuple[int, int] | None:
    """Return the ranks (from 1) of those of `n` sorted values that enclose the median of their distribution.

    The k-th smallest and the k-th largest of n independent values enclose it with probability
    1 - 2 P(Binomial(n, 1/2) < k), whatever the distribution; k is the largest for which that is COVERAGE or more.

    Returns:
      (k, n + 1 - k), None where n is below FEWEST_ROUNDS.

    >>> rank_ends(5), rank_ends(6), rank_ends(15)
    (None, (1, 6), (4, 12))

    Reference: Hahn, Meeker, "Statistical Intervals", 1991, section 5.2.
    """
    tail, k = 0.0, 0
    while 2 * (tail := tail + math.comb(n, k) / 2.0**n) <= 1 - COVERAGE:
        k += 1
    return (k, n + 1 - k) if k else None


def ratio_of(with_part: np.ndarray, without: np.ndarray) -> dict[str, float | None]:
    """Return the median over rounds of the ratio of two times, with its rank interval of 95%.

    A round in which either time is not above zero (noise was larger than what was timed) does not count.

    Args:
      with_part, without: seconds [rounds], of the same round at the same place.

    Returns:
      {"ratio", "low", "high"}; None for what too few rounds cannot say.

    >>> ratio_of(np.array([2.0, 2.2, 2.4, 2.1, 2.3, 2.5]), np.full(6, 2.0))
    {'ratio': 1.125, 'low': 1.0, 'high': 1.25}
    """
    counts = (with_part > 0) & (without > 0)
    ratios = np.sort(with_part[counts] / without[counts])
    ends = rank_ends(len(ratios))
    low, high = (float(ratios[rank - 1]) for rank in ends) if ends else (None, None)
    return {"ratio": float(np.median(ratios)) if len(ratios) else None, "low": low, "high": high}


def compare_rounds(seconds: np.ndarray, updates: int, every: int) -> dict[str, Any]:
    """Return what a part costs by the times of programs with and without it.

    With e the time of a call that evaluates only and b that of one with `updates` updates before its evaluation,
    an update takes (b - e) / updates, and a run `every` of these to each evaluation.

    Args:
      seconds: [rounds, turns, programs (with, without), calls (evaluation only, with updates)].
      updates: of a timed call.
      every: updates between two evaluations of the study.

    Returns:
      {"update", "evaluation", "run"}: each as of `ratio_of`; "seconds": medians over rounds of an update and an
      evaluation, [with, without].
    """
    evaluation, call = np.moveaxis(seconds.mean(axis=1), 2, 0)
    update = (call - evaluation) / updates
    kinds = {"update": update, "evaluation": evaluation, "run": every * update + evaluation}
    medians = {name: np.median(kinds[name], axis=0).tolist() for name in ("update", "evaluation")}
    return {name: ratio_of(*times.T) for name, times in kinds.items()} | {"seconds": medians}


def study_digest(plan: Mapping[str, Any]) -> str:
    """Return a digest of what the costs of a study's parts follow from; more seeds or another question change none."""
    return digest(canonical({name: plan["study"].get(name) for name in TABLES}))


def write_costs(out: Path, costs: Mapping[str, Any]) -> dict[str, Any]:
    """Publish costs.json in a run directory, and return what `read_costs` gives."""
    costs = {"schema": SCHEMA, **costs}
    write_json(Path(out) / "costs.json", costs)
    return costs


def read_costs(out: Path) -> dict[str, Any] | None:
    """Return what costs.json of a run directory holds, None where there is none.

    Raises:
      StoreError: it is damaged, or of another schema.
    """
    path = Path(out) / "costs.json"
    if not path.exists():
        return None
    anew = f"`regjax cost {out}` measures it anew"
    try:
        costs = read_json(path)
    except StoreError as error:
        raise StoreError(f"{error}; {anew}") from error
    if costs.get("schema") != SCHEMA:
        raise StoreError(f"{path} has schema {costs.get('schema')}, expected {SCHEMA}; {anew}")
    return costs
