"""Numbers of claims as they are shown: effects, values and amounts in the unit of their test."""

import math
from collections.abc import Mapping
from typing import Any

from regjax.report.words import MISSING, clean, effect_digits, format_effect, format_odd, format_share

Row = Mapping[str, Any]


def number(value: float | None) -> float:
    """Return a number of claims.json, NaN for null."""
    return math.nan if value is None else float(value)


def format_ratio(value: float, digits: int = 2) -> str:
    """Return a ratio with its sign of multiplication.

    >>> format_ratio(1.2), format_ratio(0.0123), format_ratio(123.4)
    ('×1.20', '×0.0123', '×123')
    """
    if not math.isfinite(value):
        return format_odd(value)
    small = abs(value) < 0.1 and value > 0
    return f"\N{MULTIPLICATION SIGN}{f'{value:.3g}' if small or value >= 100 else f'{value:.{digits}f}'}"


def ratio_digits(*ratios: float) -> int:
    """Return the decimals at which no ratio that is not 1 reads as 1.

    >>> ratio_digits(0.8, 0.9), ratio_digits(0.9, 0.9996)
    (2, 4)
    """
    shown = [ratio for ratio in ratios if math.isfinite(ratio) and ratio != 1]
    return next((d for d in range(2, 6) if all(float(f"{ratio:.{d}f}") != 1 for ratio in shown)), 6)


def effect_parts(test: Row) -> tuple[str, str]:
    """Return the effect of a test and its 95% interval, in the unit of the test.

    >>> log = {"scale": "log", "unit": "", "estimate": math.log(0.5), "low": math.log(0.4), "high": math.log(0.6)}
    >>> effect_parts(log)
    ('×0.50', '[0.40, 0.60]')
    >>> effect_parts({"scale": "linear", "unit": "pp", "estimate": 0.01, "low": 0.005, "high": None})
    ('+1.00 pp', '–')
    >>> effect_parts({"scale": "linear", "unit": "steps", "estimate": 123.456, "low": 100.0, "high": 146.9})
    ('+123 steps', '[+100, +147]')
    """
    numbers = [number(test[key]) for key in ("estimate", "low", "high")]
    known = all(map(math.isfinite, numbers[1:]))
    if test["scale"] == "log":
        ratios = [math.exp(min(value, 700.0)) for value in numbers]
        digits = ratio_digits(*ratios[1:])
        middle, *ends = (format_ratio(ratio, digits) for ratio in ratios)
        return middle, f"[{', '.join(end[1:] for end in ends)}]" if known else MISSING
    metric, unit = _metric(test), f" {clean(test['unit'])}" if test["unit"] else ""
    digits = _digits(test, numbers[1], numbers[2]) if known else effect_digits(metric, numbers[0])
    middle, *ends = (format_effect(metric, value, digits) for value in numbers)
    return f"{middle}{unit}" if math.isfinite(numbers[0]) else MISSING, f"[{', '.join(ends)}]" if known else MISSING


def effect_of(test: Row, value: float) -> str:
    """Return a number on the scale of a test's effect in the unit of the test.

    >>> effect_of({"scale": "linear", "unit": "pp"}, -0.01)
    '-1.00 pp'
    """
    return effect_parts({**test, "estimate": value, "low": None, "high": None})[0]


def _digits(test: Row, low: float, high: float) -> int:
    """Return the decimals of an interval: two digits of its half width, and no end that is not 0 reads as 0."""
    if test["unit"] == "pp" or high <= low:
        return effect_digits(_metric(test), low, high)
    start = min(max(1 - math.floor(math.log10((high - low) / 2)), 0), 8)
    return next((d for d in range(start, 8) if all(float(f"{end:.{d}f}") for end in (low, high) if end)), 8)


def _metric(test: Row) -> str:
    """Return a metric whose effects are written as those of a test."""
    return "test.accuracy" if test["unit"] == "pp" else "test.nll"


def is_beside(test: Row) -> bool:
    """Return whether a test is shown as a value beside its reference: of the reference 0 the effect is the value."""
    return bool(test["than"]) and test["estimate"] is not None


def value_parts(test: Row) -> tuple[str, str]:
    """Return what was measured and its 95% interval, in the unit of the measure, of a test beside its reference.

    >>> share = {"scale": "linear", "unit": "pp", "than": 0.6, "estimate": -0.3389, "low": -0.3502, "high": -0.3277}
    >>> value_parts(share)
    ('0.261', '[0.250, 0.272]')
    >>> value_parts({"scale": "log", "unit": "", "than": 2.0, "estimate": math.log(1.5), "low": None, "high": None})
    ('3.00', '–')
    """
    numbers = [number(test[key]) for key in ("estimate", "low", "high")]
    known = all(map(math.isfinite, numbers[1:]))
    if test["scale"] == "log":
        shown = [format_ratio(test["than"] * math.exp(min(value, 700.0)))[1:] for value in numbers]
    else:
        # Shares are shown as the reference is written; their effects alone are in percentage points.
        plain = {**test, "unit": ""}
        digits = _digits(plain, *numbers[1:]) if known else effect_digits(_metric(plain), numbers[0])
        shown = [f"{test['than'] + value:.{digits}f}" for value in numbers]
    unit = f" {clean(test['unit'])}" if test["unit"] not in ("", "pp") else ""
    return shown[0] + unit, f"[{shown[1]}, {shown[2]}]" if known else MISSING


def size_text(test: Row, size: float | None) -> str:
    """Return an amount on the scale of a test's effect, such as its margin, without sign.

    >>> size_text({"scale": "log", "unit": ""}, math.log(1.05)), size_text({"scale": "linear", "unit": "pp"}, 0.005)
    ('×1.05', '0.50 pp')
    """
    if size is None or not math.isfinite(size):
        return MISSING
    if test["scale"] == "log":
        return format_ratio(math.exp(min(size, 700.0)), ratio_digits(math.exp(min(size, 700.0))))
    unit = f" {clean(test['unit'])}" if test["unit"] else ""
    if test["unit"] == "pp":
        return f"{format_effect(_metric(test), size).lstrip('+')}{unit}"
    return f"{size:.0f}{unit}" if size >= 1000 else f"{size:.3g}{unit}"


def format_power(power: float) -> str:
    """Return a power in percent, never "100%" for less than all.

    >>> format_power(0.9999), format_power(0.34), format_power(0.001)
    ('> 99%', '34%', '< 1%')
    """
    if not math.isfinite(power):
        return MISSING
    return "> 99%" if power > 0.99 else "< 1%" if power < 0.01 else format_share(round(power, 2))
