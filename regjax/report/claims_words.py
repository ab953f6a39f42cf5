"""Claims in words: effects in the unit of their test, and the sentence of every verdict, from claims.json alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from regjax.report.words import MISSING, clean, count, effect_digits, format_effect, format_odd, format_p, format_share

Row = Mapping[str, Any]
SYMBOLS = {"supported": "\N{CHECK MARK}", "refuted": "\N{BALLOT X}", "undecided": "?",
           "conditional": "\N{CIRCLE WITH LEFT HALF BLACK}"}  # fmt: skip
WORDS = {"conditional": "only when"}
TONES = {"supported": "good", "refuted": "bad", "undecided": "open", "conditional": "mixed"}
# What is excluded where a test fails.
EXCLUDED = {
    "higher": "an increase as large as the margin of {} is excluded",
    "lower": "a decrease as large as the margin of {} is excluded",
    "not higher": "it rises by more than the margin of {}",
    "not lower": "it falls by more than the margin of {}",
}


def verdict_word(verdict: str) -> str:
    """Return a verdict as it is shown.

    >>> verdict_word("conditional"), verdict_word("refuted")
    ('only when', 'refuted')
    """
    return WORDS.get(verdict, verdict)


def name_test(test: Row) -> str:
    """Return the name of a test as words."""
    return clean(test["name"].replace("_", " "))


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


def _digits(test: Row, low: float, high: float) -> int:
    """Return the decimals of an interval: two digits of its half width, and no end that is not 0 reads as 0."""
    if test["unit"] == "pp" or high <= low:
        return effect_digits(_metric(test), low, high)
    start = min(max(1 - math.floor(math.log10((high - low) / 2)), 0), 8)
    return next((d for d in range(start, 8) if all(float(f"{end:.{d}f}") for end in (low, high) if end)), 8)


def _metric(test: Row) -> str:
    """Return a metric whose effects are written as those of a test."""
    return "test.accuracy" if test["unit"] == "pp" else "test.nll"


def effect_text(test: Row) -> str:
    """Return effect and interval on one line; of an exact check how many facts were found as expected."""
    if test["exact"] is not None:
        passed = sum(check["passed"] for check in test["checks"])
        return f"{passed} of {count(len(test['checks']), 'exact check')}"
    return " ".join(effect_parts(test))


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


def case_sentence(claim: Row, case: Row) -> str:
    """Return the verdict in a case as a sentence: what decided it, with its numbers."""
    word, found = case["verdict"].capitalize(), deciding_test(claim, case)
    if found["exact"] is not None and not found["exact"]:
        failed = [check for check in found["checks"] if not check["passed"]]
        told = "; ".join(
            f"{clean(c['says'])}: {clean(c['got'])} in place of {clean(c['expected'])}" for c in failed[:3]
        )
        return f"{word}: of {count(len(found['checks']), 'exact check')} {len(failed)} fail: {told}."
    says, effect = clean(found["says"]).rstrip("."), effect_text(found)
    if case["verdict"] == "supported":
        needed = claim["rule"]["supported"]
        tests = "the test that it needs holds" if len(needed) == 1 else f"all {len(needed)} tests that it needs hold"
        exact = all(test["exact"] is not None for test in case["tests"])
        sure = "exact" if exact else p_words(case["p_supported"])
        small = (
            f", below the margin of {size_text(found, found['bound'])} by its own interval" if is_small(found) else ""
        )
        return f"{word}: {name_test(found)} {effect_text(found)}{small}; {tests} ({sure})."
    if case["verdict"] == "refuted":
        why = EXCLUDED[found["expect"]].format(size_text(found, found["bound"]))
        if case["trivial"]:
            why = f"there is an effect, and it is smaller than the margin of {size_text(found, found['bound'])}"
        return f"{word}: not so that {says}: {effect}; {why} ({p_words(case['p_refuted'])})."
    if not found["n"]:
        return f"{word}: of {name_test(found)} no seed has a number."
    return f"{word}: open is whether {says}: {effect}, margin {size_text(found, found['bound'])}; {power_words(found)}."


def is_small(test: Row) -> bool:
    """Return whether the interval of an effect that was to be higher or lower ends short of the margin.

    >>> is_small({"expect": "higher", "exact": None, "low": 0.1, "high": 0.4, "bound": 0.5})
    True
    >>> is_small({"expect": "lower", "exact": None, "low": -0.6, "high": -0.1, "bound": 0.5})
    False
    """
    if test["exact"] is not None or test["expect"] not in ("higher", "lower") or test["low"] is None:
        return False
    return bool(max(abs(test["low"]), abs(test["high"])) < test["bound"])


def p_words(p: float) -> str:
    """Return an adjusted p as words.

    >>> p_words(0.0123), p_words(1e-9)
    ('adjusted p 0.012', 'adjusted p < 0.001')
    """
    return f"adjusted p {format_p(p)}"


def power_words(test: Row) -> str:
    """Return what the seeds of a test can find."""
    power = number(test["power"])
    if not math.isfinite(power):
        return "its power is not known"
    return (
        f"an effect of the margin is found with a chance of {format_power(power)}, "
        f"one of {size_text(test, test['smallest'])} with 90%"
    )


def format_power(power: float) -> str:
    """Return a power in percent, never "100%" for less than all.

    >>> format_power(0.9999), format_power(0.34), format_power(0.001)
    ('> 99%', '34%', '< 1%')
    """
    if not math.isfinite(power):
        return MISSING
    return "> 99%" if power > 0.99 else "< 1%" if power < 0.01 else format_share(round(power, 2))


def deciding_test(claim: Row, case: Row) -> Row:
    """Return the test that a case's verdict hangs on: the surest failure, the most open one, or the first needed."""
    tests = {test["name"]: test for test in case["tests"]}
    if case["verdict"] == "refuted":
        return min((tests[name] for name in claim["rule"]["refuted"]), key=lambda test: number(test["p_fails"]))
    needed = [tests[name] for name in claim["rule"]["supported"]]
    return needed[0] if case["verdict"] == "supported" else max(needed, key=lambda test: number(test["p_holds"]))


def claim_sentence(claim: Row) -> str:
    """Return the verdict of a claim as a sentence; of several cases which ones have which."""
    cases = claim["cases"]
    if len(cases) == 1:
        return case_sentence(claim, cases[0])
    moderator = clean(claim["moderator"])
    if claim["verdict"] in ("supported", "refuted"):
        return f"{claim['verdict'].capitalize()} in all {len(cases)} cases ({moderator})."
    between = " / " if any("," in case["name"] for case in cases) else ", "
    told = "; ".join(f"{word} for {between.join(names)}" for word, names in by_verdict(cases).items())
    head = "Only when" if claim["verdict"] == "conditional" else "Undecided"
    return f"{head} ({moderator}): {told}."


def by_verdict(cases: Sequence[Row]) -> dict[str, list[str]]:
    """Return {verdict: names of its cases}, in the order of `SYMBOLS`."""
    found = {word: [clean(case["name"]) for case in cases if case["verdict"] == word] for word in SYMBOLS}
    return {word: names for word, names in found.items() if names}


def claim_effect(claim: Row) -> str:
    """Return the one line of the scoreboard: the effect that decided, or how many cases have which verdict."""
    cases = claim["cases"]
    if len(cases) > 1:
        counts = ", ".join(f"{len(names)} {word}" for word, names in by_verdict(cases).items())
        return f"{counts}{effect_range(claim)}"
    found = deciding_test(claim, cases[0])
    return f"{name_test(found)} {effect_text(found)}"


def effect_range(claim: Row) -> str:
    """Return the smallest and largest effect of the first estimate that a claim needs, over its cases; or nothing."""
    for name in claim["rule"]["supported"]:
        tests = [test for case in claim["cases"] for test in case["tests"] if test["name"] == name]
        known = sorted((t for t in tests if t["estimate"] is not None), key=lambda test: number(test["estimate"]))
        if known:
            return f"; {name_test(known[0])} {effect_parts(known[0])[0]} to {effect_parts(known[-1])[0]}"
    return ""


def least_power(claim: Row) -> float:
    """Return the least power of the tests that a claim needs, over all cases; NaN of an exact claim."""
    powers = [
        number(test["power"])
        for case in claim["cases"]
        for test in case["tests"]
        if test["exact"] is None and test["name"] in claim["rule"]["supported"]
    ]
    known = [power for power in powers if math.isfinite(power)]
    return min(known) if known else math.nan


def power_text(claim: Row) -> str:
    """Return the least power of a claim as shown, "exact" where its tests are facts."""
    exact = all(test["exact"] is not None for case in claim["cases"] for test in case["tests"])
    return "exact" if exact else format_power(least_power(claim))


def score_text(found: Row) -> str:
    """Return how many claims have which verdict.

    >>> score_text({"claims": [{"verdict": "refuted"}, {"verdict": "supported"}, {"verdict": "refuted"}]})
    '1 supported, 2 refuted'
    """
    verdicts = [claim["verdict"] for claim in found["claims"]]
    return ", ".join(f"{verdicts.count(word)} {verdict_word(word)}" for word in SYMBOLS if word in verdicts)
