"""Claims in words: effects in the unit of their test, and the sentence of every verdict, from claims.json alone."""

import math
from collections.abc import Sequence

from regjax.report.claims_numbers import (
    Row,
    effect_parts,
    format_power,
    is_beside,
    number,
    size_text,
    value_parts,
)
from regjax.report.words import clean, count, format_p

SYMBOLS = {"supported": "\N{CHECK MARK}", "refuted": "\N{BALLOT X}", "undecided": "?",
           "conditional": "\N{CIRCLE WITH LEFT HALF BLACK}"}  # fmt: skip
WORDS = {"conditional": "only when"}
TONES = {"supported": "good", "refuted": "bad", "undecided": "open", "conditional": "mixed"}
# From here on an adjusted p is told of the test that has it.
NAMED_P = 0.001
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


def effect_text(test: Row) -> str:
    """Return effect and interval on one line; of an exact check how many facts were found as expected.

    Beside a number that is compared with stands what was measured, in the unit of the measure.
    """
    if test["exact"] is not None:
        passed = sum(check["passed"] for check in test["checks"])
        return f"{passed} of {count(len(test['checks']), 'exact check')}"
    effect = " ".join(effect_parts(test))
    return f"{value_parts(test)[0]}, reference {test['than']:g} ({effect})" if is_beside(test) else effect


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
        sure = "exact" if exact else p_words(case["p_supported"]) + least_sure(found, case, needed)
        small = (
            f", below the margin of {size_text(found, found['bound'])} by its own interval" if is_small(found) else ""
        )
        return f"{word}: {name_test(found)} {effect_text(found)}{small}; {tests} ({sure})."
    if case["verdict"] == "refuted":
        why = EXCLUDED[found["expect"]].format(size_text(found, found["bound"]))
        # The case has its effect by the tests that it needs; another test may be the one that fails.
        by_itself = found["name"] in claim["rule"]["supported"] and found["expect"] in ("higher", "lower")
        if case["trivial"] and by_itself:
            why = f"there is an effect, and it is smaller than the margin of {size_text(found, found['bound'])}"
        return f"{word}: not so that {says}: {effect}; {why} ({p_words(case['p_refuted'])})."
    if not found["n"]:
        return f"{word}: of {name_test(found)} no seed has a number."
    return f"{word}: open is whether {says}: {effect}, margin {size_text(found, found['bound'])}; {power_words(found)}."


def least_sure(found: Row, case: Row, needed: Sequence[str]) -> str:
    """Return whose p a supported case has, where that is neither tiny nor of the test that is shown; else nothing."""
    tests = [test for test in case["tests"] if test["name"] in needed and test["exact"] is None]
    weakest = max(tests, key=lambda test: number(test["p_holds"]))
    if weakest["name"] == found["name"] or case["p_supported"] < NAMED_P:
        return ""
    return f", of {name_test(weakest)}: {effect_text(weakest)}"


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
