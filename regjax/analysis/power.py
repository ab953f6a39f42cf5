"""Power: how many seeds a paired comparison needs for an effect, and what the seeds of a pilot can find.

The effects d_s of a contrast are taken as normal over seeds with mean delta and SD sigma. The t test of n of them finds
the effect with probability

    power = P(|T| > t_{1 - a/2, n-1}),  T noncentral t with n - 1 df and noncentrality sqrt(n) delta / sigma

at the level a = alpha / m of each of the m confirmatory contrasts. That is conservative: the tests of regjax (max-T)
use the correlation of the contrasts, Bonferroni's a does not. Sign flips cannot give a p-value at alpha below a least
number of seeds (6 at 0.05): fewer seeds have power 0 here.

Reference: Colas, Sigaud, Oudeyer, "How many random seeds? Statistical power analysis in deep reinforcement learning
experiments" (2018). Departure: paired, with a family, and with the upper limit of the pilot's SD.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.effects import ALPHA, contrast_values, rounding
from regjax.analysis.inference import contrast_weights
from regjax.analysis.signflip import EXACT_SEEDS, NUM_FLIPS, smallest_p
from regjax.analysis.table import Table, state_values
from regjax.files import RegjaxError

MOST_SEEDS = 1_000_000
# The pilot's SD lies below its upper limit in this share of pilots.
CONFIDENCE = 0.8


class PowerError(RegjaxError, ValueError):
    """An effect or a power that no number of seeds belongs to."""


def t_power(effect: float, sd: float, num_seeds: int, level: float, df: float) -> float:
    """Return the power of a two-sided t test of a mean with standard error sd / sqrt(num_seeds) and `df` df."""
    from scipy.stats import nct, t

    if df <= 0:
        return 0.0
    if sd == 0 or math.isinf(effect):
        return level if effect == 0 else 1.0
    shift, edge = math.sqrt(num_seeds) * abs(effect) / sd, t.isf(level / 2, df)
    above, below = nct.sf(edge, df, shift), nct.cdf(-edge, df, shift)
    # Far from the edge scipy's series end in NaN: all of the distribution lies above the edge, none below.
    return float(min(1.0, np.nan_to_num(above, nan=1.0) + np.nan_to_num(below, nan=0.0)))


def paired_power(effect: float, sd: float, num_seeds: int, alpha: float = ALPHA, m: int = 1) -> float:
    """Return the probability that `num_seeds` seeds find an effect; 0 where sign flips cannot reach alpha.

    Args:
      effect: true mean of the paired effect, unit of the metric.
      sd: its SD over seeds, >= 0; NaN gives NaN.
      num_seeds: seeds, one effect each.
      alpha: level of the family, in (0, 1).
      m: confirmatory contrasts; each is tested at alpha / m.

    >>> round(paired_power(0.5, 1.0, 20), 4), paired_power(0.5, 1.0, 5)
    (0.5645, 0.0)
    """
    if math.isnan(sd):
        return math.nan
    if smallest_p(num_seeds) > alpha:
        return 0.0
    return t_power(effect, sd, num_seeds, alpha / m, num_seeds - 1)


def required_seeds(sd: float, effect: float, power: float = 0.9, alpha: float = ALPHA, m: int = 1) -> float:
    """Return the least number of seeds whose `paired_power` is at least `power`.

    Returns:
      A whole number; NaN where the SD is not known, infinity above MOST_SEEDS.

    >>> required_seeds(1.0, 0.5), required_seeds(1.0, 0.5, m=4), required_seeds(0.0, 0.5)
    (44.0, 61.0, 6.0)
    """
    return _least_seeds(lambda n: paired_power(effect, sd, n, alpha, m), power) if not math.isnan(sd) else math.nan


def unpaired_seeds(
    sds: np.ndarray, weights: np.ndarray, effect: float, power: float = 0.9, alpha: float = ALPHA, m: int = 1
) -> float:
    """Return the seeds per cell that a design would need whose cells draw seeds of their own.

    The contrast then has variance sum_c weights_c^2 sd_c^2 / n, with n - 1 df from each cell that it weighs.

    Args:
      sds: SD over seeds of each cell that the contrast weighs; NaN gives NaN.
      weights: their weights.
      effect, power, alpha, m: as for `required_seeds`.

    >>> unpaired_seeds(np.array([1.0, 1.0]), np.array([-1.0, 1.0]), 0.5)
    86.0
    """
    sd = float(np.sqrt(np.sum(np.square(weights * sds))))
    if math.isnan(sd):
        return math.nan
    return _least_seeds(lambda n: t_power(effect, sd, n, alpha / m, len(sds) * (n - 1)), power)


def smallest_effect(sd: float, num_seeds: int, power: float = 0.9, alpha: float = ALPHA, m: int = 1) -> float:
    """Return the effect that `num_seeds` seeds find with this power; infinity where they are too few for any.

    >>> round(smallest_effect(1.0, 44), 2), smallest_effect(1.0, 5), smallest_effect(0.0, 6)
    (0.5, inf, 0.0)
    """
    from scipy.optimize import brentq

    if math.isnan(sd):
        return math.nan
    if smallest_p(num_seeds) > alpha:
        return math.inf
    if sd == 0:
        return 0.0
    high = 1.0
    while paired_power(high, 1.0, num_seeds, alpha, m) < power:
        high *= 2.0
    return sd * float(brentq(lambda d: paired_power(d, 1.0, num_seeds, alpha, m) - power, 0.0, high, xtol=1e-10))


def upper_sd(sd: float, num_seeds: int, confidence: float = CONFIDENCE) -> float:
    """Return the upper limit of an SD known from a few seeds: sd sqrt((n - 1) / chi2_{1 - confidence, n-1}).

    >>> round(upper_sd(1.0, 10), 3), round(upper_sd(1.0, 2), 3)
    (1.293, 3.947)
    """
    from scipy.stats import chi2

    return sd * math.sqrt((num_seeds - 1) / chi2.ppf(1 - confidence, num_seeds - 1)) if num_seeds > 1 else math.nan


def least_p(num_seeds: int, num_confirmatory: int, metric: str = "") -> float:
    """Return the smallest adjusted p-value that seeds allow; arguments as for `promise_text`.

    >>> least_p(6, 3), least_p(20, 1, "test.accuracy") == 2**-19
    (0.03125, True)
    """
    counted = num_confirmatory == 1 and metric.endswith(".accuracy")
    return 2.0 ** (1 - num_seeds) if counted and num_seeds > EXACT_SEEDS else smallest_p(num_seeds)


def promise_text(num_seeds: int | None, num_confirmatory: int, metric: str = "") -> str:
    """Return the smallest adjusted p-value that seeds allow, and whether that is enough.

    A flip changes the signs of all contrasts of a seed at once, so that the number of flips, and with it the smallest
    p, hangs on the seeds alone and not on how many contrasts are tested together. Beyond `EXACT_SEEDS` seeds flips are
    drawn, except for one contrast of accuracies, whose flips can be counted.

    Args:
      num_seeds: seeds of every cell; None where a pilot decides.
      num_confirmatory: contrasts that are tested together.
      metric: the primary one.

    >>> promise_text(6, 3)
    'smallest adjusted p these seeds allow: 0.031'
    >>> promise_text(5, 3)
    'smallest adjusted p these seeds allow: 0.062 - nothing can be shown at 0.05; take at least 6 seeds'
    >>> promise_text(20, 3)
    'smallest adjusted p these seeds allow: 5e-05 (1 / 20001: 20000 of the 2^20 flips are drawn)'
    >>> promise_text(20, 1, "test.accuracy")
    'smallest adjusted p these seeds allow: 1.9e-06'
    >>> promise_text(None, 3), promise_text(6, 0)
    ('two-stage (Stein) intervals, no p-values', 'nothing is tested: no p-values')
    """
    if not num_confirmatory:
        return "nothing is tested: no p-values"
    if num_seeds is None:
        return "two-stage (Stein) intervals, no p-values"
    least = least_p(num_seeds, num_confirmatory, metric)
    exact = least == 2.0 ** (1 - num_seeds)
    drawn = "" if exact else f" (1 / {NUM_FLIPS + 1}: {NUM_FLIPS} of the 2^{num_seeds} flips are drawn)"
    few = next(n for n in range(1, 64) if smallest_p(n) <= ALPHA)
    refusal = f" - nothing can be shown at {ALPHA:g}; take at least {few} seeds" if least > ALPHA else ""
    return f"smallest adjusted p these seeds allow: {least:.2g}{drawn}{refusal}"


def make_power(table: Table, effect: float, power: float = 0.9) -> pd.DataFrame:
    """Return one row per confirmatory contrast: the seeds an effect needs, and what those of the pilot can find.

    Args:
      table: loaded run directory, the pilot; its primary metric at its primary state.
      effect: smallest effect that is to be found, unit of the metric (accuracies as shares), > 0.
      power: probability to find it, in (0, 1).

    Returns:
      Columns contrast, n (seeds of the pilot), sd (of the paired effect), sd_upper (its upper 80% limit), seeds and
      seeds_upper (needed at those), power (of the n seeds for the effect), smallest (effect that they find with
      `power`) and seeds_unpaired (needed per cell if cells did not share seeds). NaN where fewer than 2 seeds leave no
      SD, infinity where no number up to 1,000,000 is enough.

    Raises:
      PowerError: effect or power are out of range.
    """
    if not 0 < effect < math.inf:
        raise PowerError(f"got effect {effect!r}, expected a number > 0 in the unit of the metric (0.001 is 0.1 pp)")
    # Below the level even no effect is found as often.
    if not ALPHA < power < 1:
        raise PowerError(f"got power {power!r}, expected a number between {ALPHA} and 1, such as 0.9")
    primary = table.plan["primary"]
    contrasts = [contrast for contrast in table.plan["contrasts"] if contrast["confirmatory"]]
    values = state_values(table, primary["metric"], primary["at"])
    weights = contrast_weights(contrasts, len(table.cells))
    effects, least = contrast_values(weights, values), rounding(weights, values)
    rows = [
        {
            "contrast": contrast["name"],
            **_row(effects[i], least[i], values, weights[i], (effect, power, len(contrasts))),
        }
        for i, contrast in enumerate(contrasts)
    ]
    columns = ["contrast", "n", "sd", "sd_upper", "seeds", "seeds_upper", "power", "smallest", "seeds_unpaired"]
    return pd.DataFrame(rows, columns=columns)


def _row(
    effects: np.ndarray, least: float, values: np.ndarray, weights: np.ndarray, wanted: tuple[float, float, int]
) -> dict[str, Any]:
    effect, power, m = wanted
    present = ~np.isnan(effects)
    n = int(present.sum())
    sd = _sd(effects[present], least)
    high = upper_sd(sd, n)
    weighed = weights != 0
    sds = np.array([_sd(row[present], 0.0) for row in values[weighed]])
    return {
        "n": n,
        "sd": sd,
        "sd_upper": high,
        "seeds": required_seeds(sd, effect, power, m=m),
        "seeds_upper": required_seeds(high, effect, power, m=m),
        "power": paired_power(effect, sd, n, m=m),
        "smallest": smallest_effect(sd, n, power, m=m),
        "seeds_unpaired": unpaired_seeds(sds, weights[weighed], effect, power, m=m),
    }


def _sd(row: np.ndarray, least: float) -> float:
    """Return the SD, 0 where it is rounding, NaN below two numbers."""
    sd = float(row.std(ddof=1)) if len(row) > 1 else math.nan
    return 0.0 if sd <= least else sd


def _least_seeds(power_of: Callable[[int], float], power: float) -> float:
    """Return the least number whose power, which rises with it, is enough."""
    low, high = 0, 2
    while power_of(high) < power:
        low, high = high, 2 * high
        if low >= MOST_SEEDS:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return float(high)
