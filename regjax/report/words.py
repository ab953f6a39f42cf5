"""Numbers and names as people read them: accuracy in percent, its effects in percentage points, p to three digits."""

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from regjax.analysis.sentences import metric_text, p_text
from regjax.metrics import GAP

MISSING = "\N{EN DASH}"

STREAM_WORDS = {
    "init": "initial weights",
    "order": "example order",
    "dropout": "dropout draws",
    "noise": "noise on inputs, weights and gradients",
    "augment": "augmentation of examples",
    "labels": "which labels are wrong",
    "split": "split into training, validation and test",
    "subset": "training subset",
}


def clean(text: object) -> str:
    """Return `text` as one line without what breaks SVG, terminals and UTF-8 files or hides what is written.

    White space becomes a space; control characters, lone surrogates and direction overrides become a replacement mark.

    >>> clean("dropout\\x1b[2J\\n0.5")
    'dropout�[2J 0.5'
    """
    return "".join(" " if c.isspace() else "\N{REPLACEMENT CHARACTER}" if _is_bad(c) else c for c in str(text))


def _is_bad(character: str) -> bool:
    overrides = "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    return overrides or unicodedata.category(character) in ("Cc", "Cs")


def is_share(metric: str) -> bool:
    """Return whether a metric is a share between 0 and 1 that is shown in percent.

    >>> is_share("test.accuracy"), is_share("test.nll")
    (True, False)
    """
    return metric.endswith("accuracy")


def metric_words(metric: str) -> str:
    """Return a metric as prose.

    >>> metric_words("test.accuracy"), metric_words("train.nll")
    ('test accuracy', 'training NLL')
    """
    return clean(metric_text(metric)).removesuffix(" (lower is better)")


def value_scale(metric: str) -> float:
    """Return the factor from stored to shown numbers: 100 for shares, else 1."""
    return 100.0 if is_share(metric) else 1.0


def value_unit(metric: str) -> str:
    """Return the unit of a value: "%" for shares, "pp" for a gap between two, else nothing.

    >>> value_unit("test.accuracy"), value_unit("gap.accuracy"), value_unit("test.mse")
    ('%', 'pp', '')
    """
    return "" if not is_share(metric) else "pp" if metric.startswith(f"{GAP}.") else "%"


def effect_unit(metric: str) -> str:
    """Return the unit of a difference of two values: "pp" for shares, else nothing."""
    return "pp" if is_share(metric) else ""


def format_value(metric: str, value: float) -> str:
    """Return a value as shown: shares in percent with two decimals, all else with four decimals or six digits.

    >>> format_value("test.accuracy", 0.9774), format_value("test.nll", 0.07312)
    ('97.74%', '0.0731')
    >>> format_value("gap.accuracy", 0.0123), format_value("test.mse", 2859.6963)
    ('1.23 pp', '2859.70')
    >>> format_value("test.nll", float("nan"))
    '–'
    """
    if not math.isfinite(value):
        return format_odd(value)
    if is_share(metric):
        return f"{100 * value:.2f}{' pp' if value_unit(metric) == 'pp' else '%'}"
    return f"{value:.{value_digits(value)}f}"


def value_digits(value: float) -> int:
    """Return the decimals for a value that is no share: 4, fewer where it is large, so that 6 digits are enough.

    >>> value_digits(0.07), value_digits(2859.7), value_digits(123456.0)
    (4, 2, 0)
    """
    return 4 if abs(value) < 100 else max(0, 5 - math.floor(math.log10(abs(value))))


def format_spread(metric: str, value: float) -> str:
    """Return a standard deviation or width: percentage points with two decimals for shares, else as values."""
    if not math.isfinite(value):
        return format_odd(value)
    return f"{value_scale(metric) * value:.{2 if is_share(metric) else value_digits(value)}f}"


def effect_digits(metric: str, *ends: float) -> int:
    """Return the decimals for an interval of effects: 2 (shares) or as of values, more where an end would read as zero.

    The reader checks whether an interval holds 0, so an end that is not 0 must not look like it.

    >>> effect_digits("test.accuracy", 0.0032, 0.00004), effect_digits("test.accuracy", 0.0032, 0.00006)
    (3, 2)
    """
    shown = [value_scale(metric) * end for end in ends if math.isfinite(end) and end != 0]
    start = 2 if is_share(metric) else min(map(value_digits, shown), default=4)
    return next((d for d in range(start, 8) if all(float(f"{end:.{d}f}") for end in shown)), 8)


def format_effect(metric: str, value: float, digits: int | None = None) -> str:
    """Return a difference with its sign and no unit: percentage points for shares, else as is.

    >>> format_effect("test.accuracy", 0.0032), format_effect("test.nll", -0.0101)
    ('+0.32', '-0.0101')
    """
    if not math.isfinite(value):
        return format_odd(value)
    digits = effect_digits(metric, value) if digits is None else digits
    text = f"{value_scale(metric) * value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def format_odd(value: float) -> str:
    """Return how a number that is not finite is shown: an infinite end by its sign, a missing one as a dash."""
    if math.isnan(value):
        return MISSING
    return "\N{INFINITY}" if value > 0 else "-\N{INFINITY}"


def format_effects(metric: str, low: float, high: float, digits: int | None = None) -> str:
    """Return an interval of differences.

    >>> format_effects("test.accuracy", 0.0028, float("inf"))
    '[+0.28, ∞)'
    """
    if math.isnan(low) or math.isnan(high):
        return MISSING
    digits = effect_digits(metric, low, high) if digits is None else digits
    left, right = "(" if math.isinf(low) else "[", ")" if math.isinf(high) else "]"
    return f"{left}{format_effect(metric, low, digits)}, {format_effect(metric, high, digits)}{right}"


def format_values(metric: str, low: float, high: float) -> str:
    """Return an interval of values."""
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return f"[{format_value(metric, low)}, {format_value(metric, high)}]"


def format_p(p: float) -> str:
    """Return a p-value with three decimals, never "0.000".

    >>> format_p(0.0162), format_p(1e-5), format_p(float("nan"))
    ('0.016', '< 0.001', '–')
    """
    return MISSING if math.isnan(p) else p_text(p).removeprefix("p ").removeprefix("= ")


def format_share(share: float) -> str:
    """Return a share of counts in percent, with a decimal where it is not whole.

    >>> format_share(0.1), format_share(0.0311)
    ('10%', '3.1%')
    """
    if math.isnan(share):
        return MISSING
    percent = 100 * share
    return f"{percent:.0f}%" if math.isclose(percent, round(percent), abs_tol=1e-9) else f"{percent:.1f}%"


def format_seconds(seconds: float) -> str:
    """Return a time span in the unit that suits it.

    >>> format_seconds(3.21), format_seconds(252), format_seconds(7260)
    ('3.2 s', '4 min 12 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_setting(value: Any) -> str:
    """Return a value of a study as its file writes it.

    >>> format_setting([0.0, 0.5]), format_setting(True), format_setting("none"), format_setting(None)
    ('[0, 0.5]', 'true', 'none', 'not set')
    """
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(format_setting(v) for v in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{clean(k)} = {format_setting(v)}' for k, v in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) and f"{value:g}" == f"{value:.12g}" else clean(value)


def count(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> count(1, "run"), count(3, "run")
    ('1 run', '3 runs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def count_labels(num_classes: int, num_targets: int) -> str:
    """Return how many classes or targets data has.

    >>> count_labels(10, 1), count_labels(0, 1)
    ('10 classes', '1 target')
    """
    return f"{num_classes} classes" if num_classes else count(num_targets, "target")
