"""Verdicts as sentences: what was compared, by how much, how sure, and what was held fixed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from regjax.analysis.effects import ALPHA, NO_DIFFERENCE, good_sign
from regjax.analysis.sides import held_text, sides_text
from regjax.analysis.signflip import smallest_p
from regjax.analysis.table import Table
from regjax.design import name_level
from regjax.metrics import GAP, WORDS

STREAMS = {
    "init": "initial weights",
    "order": "example order",
    "dropout": "dropout draws",
    "noise": "noise draws",
    "augment": "augmentation draws",
    "labels": "label-noise draws",
    "split": "the split",
    "subset": "the training subset",
}
SPLITS = {"train": "training", "batch": "training-batch", GAP: "generalization gap in"}
PLURAL = ("init", "dropout", "noise", "augment", "labels")
INTERACTIONS = ("two_way", "three_way", "interaction_gap")
SCALES = {"log10": "the logarithm of the level", "linear": "the level"}  # of slopes
ALL_ON, ALL_OFF = "all on vs without ", " vs all off"
SHOWN = 6  # aliases of a contrast that its sentence names
NOT_ALWAYS = ("noise", "augment", "labels", "subset")  # drawn where the study asks for it


def verdict_sentence(table: Table, row: Mapping[str, Any]) -> str:
    """Return what a row of effects says, as one sentence.

    It names the contrast, metric and state, the effect with its interval and unit, the p-value, the seeds that agree,
    the margin, diverged runs, what varied by seed and what was held fixed. Accuracies are in percentage points (pp).

    Args:
      table: loaded run directory that the row was made from.
      row: row of `all_effects` or `make_effects`.
    """
    name = _subject(table, row)
    where = f"{metric_text(row['metric'])} {state_text(table, row)}"
    if math.isnan(row["effect"]):
        yet = "" if table.status.done.all() else " yet"
        return f"{name.rstrip(',')}: no seed has a result for {where}{yet}{_seeds(table, row)}."
    margin = table.plan["primary"].get("margin") if row["metric"] == table.plan["primary"]["metric"] else None
    split = "" if "split" in table.plan["vary"] or table.out is None else ", on this split"
    stages = bool(table.plan.get("stein"))
    claim = f"{_claim(row, name, where)} {_statistics(row, stages)}{split}{_meaning(row)}"
    claim += f"{margin_text(row, margin, stages)}{_design_text(table, row)}"
    return f"{claim}{_new_examples(row)}{_seeds(table, row)}{_worst_case(row)}{circumstances(table)}."


def metric_text(metric: str) -> str:
    """Return how a metric is called in a sentence.

    >>> metric_text("test.accuracy"), metric_text("train.nll")
    ('test accuracy', 'training NLL (lower is better)')
    >>> metric_text("gap.r2"), metric_text("weight_norm")
    ('generalization gap in R² (lower is better)', 'weight norm')
    """
    split, _, name = metric.rpartition(".")
    text = f"{SPLITS.get(split, split)} {WORDS.get(name, name.replace('_', ' '))}".strip()
    return f"{text} (lower is better)" if good_sign(metric) < 0 else text


def p_text(p: float) -> str:
    """Return a p-value in words, with enough digits to show on which side of 0.05 it lies.

    >>> p_text(0.0004), p_text(0.016), p_text(0.0496), p_text(1.0)
    ('p < 0.001', 'p = 0.016', 'p = 0.0496', 'p = 1.000')
    """
    if p < 0.001:
        return "p < 0.001"
    shown = (f"{p:.{digits}f}" for digits in range(3, 17))
    return f"p = {next((text for text in shown if float(text) != ALPHA), '0.050')}"


def effect_text(row: Mapping[str, Any], sign: float = 1.0) -> str:
    """Return effect, unit and interval of a row, times `sign`, with as many digits as the interval is precise.

    >>> effect_text({"metric": "test.accuracy", "effect": 0.0032, "low": 0.0028, "high": 0.0036})
    '0.32 pp [0.28, 0.36]'
    >>> effect_text({"metric": "test.nll", "effect": -0.5, "low": -math.inf, "high": math.inf}, sign=-1.0)
    '0.500 nats, with no finite interval'
    """
    scale, unit, least = _unit(row["metric"])
    effect, low, high = (sign * scale * row[name] for name in ("effect", "low", "high"))
    low, high = min(low, high), max(low, high)
    finite = math.isfinite(low) and math.isfinite(high)
    half = (high - low) / 2 if finite else 0.0
    digits = min(max(least, math.ceil(-math.log10(half))), 8) if half > 0 else least
    # An end that is not 0 must not be printed as 0: the reader checks whether the interval holds it.
    while finite and digits < 8 and any(end != 0 and float(f"{end:.{digits}f}") == 0 for end in (low, high)):
        digits += 1
    number, below, above = (_number(value, digits) for value in (effect, low, high))
    return f"{number}{unit}" + (f" [{below}, {above}]" if finite else ", with no finite interval")


def _unit(metric: str) -> tuple[float, str, int]:
    """Return the factor to the unit that is shown, the unit with a leading space, and the least number of decimals."""
    if metric.endswith("accuracy"):
        return 100.0, " pp", 2
    return 1.0, " nats" if metric.endswith("nll") else "", 3


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def _subject(table: Table, row: Mapping[str, Any]) -> str:
    name = str(row["contrast"])
    if row["kind"] == "slope":
        over = ", averaged over the drawn levels of the other factors,"
        return f"{name.replace(': ', ' ' if ' vs ' in name else ' from ', 1)}{over}"
    if row["kind"] == "main":
        whole = not table.plan["study"].get("design", {}).get("exclude")
        others = "levels of the other factors" if whole else "combinations of the other factors that have both sides"
        return f"{name.replace(': ', ' ', 1)}, averaged over the {others},"
    if row["kind"] == "interaction_gap":
        return f"dependence on the other parts, {name.replace(': ', ', ', 1)}"
    if row["kind"] in INTERACTIONS:
        return f"{'three-way ' if row['kind'] == 'three_way' else ''}interaction: {name.removeprefix('interaction: ')}"
    return name.replace(": ", " ", 1) if row["kind"] == "simple" else name


def state_text(table: Table, row: Mapping[str, Any]) -> str:
    """Return the state of a row in words."""
    if row["at"] == "best":
        return f"at the best step by {metric_text(str(table.plan['monitor'])).removesuffix(' (lower is better)')}"
    return "at the end of training" if row["at"] == "last" else f"at {row['at']}"


def _claim(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return the sentence up to the statistics."""
    verdict = row["verdict"]
    if verdict == "undecided":
        return f"{name.rstrip(',')}: undecided for {where}, effect {effect_text(row)}"
    if row["kind"] in INTERACTIONS and verdict != NO_DIFFERENCE:
        side = "positive" if verdict == "raises" else "negative"
        return f"{name} is {side} for {where}: {effect_text(row)}"
    if verdict == NO_DIFFERENCE:
        return f"{name} makes no difference to {where} beyond the margin: effect {effect_text(row)}"
    verb, sign = ("raised", 1.0) if verdict == "raises" else ("lowered", -1.0)
    return f"{name} {verb} {where} by {effect_text(row, sign)}"


def _meaning(row: Mapping[str, Any]) -> str:
    """Return what a shown interaction means."""
    side = {"raises": "above", "lowers": "below"}.get(row["verdict"])
    if row["kind"] == "interaction_gap" and side:
        return f"; the effect beside all other parts lies {side} the effect alone"
    if row["kind"] == "three_way" and side:
        return f"; the interaction of two of them lies {side} what it is at the third one's baseline"
    if row["kind"] != "two_way" or side is None:
        return ""
    return f"; the effect of both together lies {side} the sum of their separate effects"


def _design_text(table: Table, row: Mapping[str, Any]) -> str:
    """Return what the design makes of a contrast: its reference and sign, its stratum, what it is aliased with."""
    found: dict[str, Any] = next((c for c in table.plan["contrasts"] if c["name"] == row["contrast"]), {})
    text = ""
    if row["kind"] == "simple" and str(row["contrast"]).startswith(ALL_ON):
        part, sign = str(row["contrast"]).removeprefix(ALL_ON), good_sign(row["metric"])
        helps = f"; a {'positive' if sign > 0 else 'negative'} difference means that {part} helps the others"
        text += f"; the reference has every part on{helps if sign else ''}"
    weighed = sum(weight != 0 for weight in found.get("weights", ()))
    if weighed > {"two_way": 4, "three_way": 8}.get(row["kind"], math.inf):
        text += "; averaged over the other factors"
    if row["kind"] == "declared" and (sides := sides_text(table.plan, found)):
        text += f"; compared are {sides}"
    if row["kind"] == "simple" and not any(word in str(row["contrast"]) for word in (ALL_ON, ALL_OFF)):
        text += f"; {held}" if (held := held_text(table.plan, found)) else ""
    if scale := SCALES.get(found.get("scale", "")):
        text += f"; the change along a straight line in {scale} that is fitted to the {_count_drawn(table)} drawn cells"
    if stratum := found.get("stratum"):
        text += (
            f"; only cells with {listed([f'{path} = {name_level(level)}' for path, level in stratum.items()])} enter"
        )
    if aliases := found.get("aliases"):
        rest = f" and {len(aliases) - SHOWN} more" if len(aliases) > SHOWN else ""
        text += f"; aliased with {', '.join(aliases[:SHOWN])}{rest}, from which this design cannot tell it apart"
    return text


def _count_drawn(table: Table) -> int:
    return int(table.plan["design"]["points"])


def _statistics(row: Mapping[str, Any], stages: bool) -> str:
    """Return interval kind, p-value and agreeing seeds in parentheses; `stages` for two-stage intervals."""
    upward = row["effect"] >= 0
    word = ("positive" if upward else "negative") if row["kind"] in INTERACTIONS else "higher" if upward else "lower"
    agree = f"{word} in {row['seeds_positive'] if upward else row['seeds_negative']} of {row['n']} seeds"
    finite = math.isfinite(row["low"]) and math.isfinite(row["high"])
    if stages:
        level = ("simultaneous 95% " if row["confirmatory"] else "95% ") if finite else ""
        kind = f"{level}two-stage (Stein) interval"
        return (
            f"({kind if row['confirmatory'] else f'exploratory: {kind} of this contrast alone'}; no p-value; {agree})"
        )
    if row["confirmatory"]:
        return f"({'simultaneous 95% interval, ' if finite else ''}adjusted {p_text(row['p'])}, {agree})"
    return f"(exploratory: {'95% interval of this contrast alone, ' if finite else ''}no p-value; {agree})"


def margin_text(row: Mapping[str, Any], margin: float | None, stages: bool = False) -> str:
    """Return what the interval says about the smallest difference that matters."""
    if not (math.isfinite(row["low"]) and math.isfinite(row["high"])):
        if stages:
            return "; no effect can be excluded, as the pilot seeds leave no SD"
        least = smallest_p(int(row["n"]))
        seeds = "1 seed" if row["n"] == 1 else f"{row['n']} seeds"
        reason = f", as {seeds} cannot give a p-value below {least:g}" if least > ALPHA else ""
        return f"; no effect can be excluded{reason}"
    amount = "" if margin is None else _margin_amount(row["metric"], margin)
    if row["verdict"] == NO_DIFFERENCE:
        side = "rise" if row["low"] > 0 else "fall" if row["high"] < 0 else ""
        inside = f"; the whole interval lies within the margin of {amount}"
        return inside + (f", though it shows a {side}" if side else "")
    if row["verdict"] == "undecided":
        unshown = "neither a rise nor a fall" if margin is None else "neither a difference nor its absence"
        return f"; {unshown} {'is' if margin is None else f'beyond the margin of {amount} is'} shown"
    if margin is None:
        return ""
    least = min(abs(row["low"]), abs(row["high"]))
    return f"; that {'is more' if least > margin else 'may be less'} than the margin of {amount}"


def _margin_amount(metric: str, margin: float) -> str:
    scale, unit, _ = _unit(metric)
    return f"{scale * margin:.6g}{unit}"


def _seeds(table: Table, row: Mapping[str, Any]) -> str:
    """Return which runs diverged and how many seeds have no effect, where there are any."""
    diverged, total = int(row["diverged"]), len(table.seeds)
    runs = f"; {diverged} {'run' if diverged == 1 else 'runs'} diverged" if diverged else ""
    return runs + (f"; {row['n']} of {total} seeds enter the comparison" if row["n"] < total else "")


def _new_examples(row: Mapping[str, Any]) -> str:
    """Return the interval about new examples, where there is one."""
    if not row.get("scope"):
        return ""
    # As the effect beside it: what is lowered by an amount has that amount's sign.
    sign = -1.0 if row["verdict"] == "lowers" and row["kind"] not in INTERACTIONS else 1.0
    interval = effect_text({**row, "low": row["low_new"], "high": row["high_new"]}, sign).partition("[")[2]
    scale = _unit(row["metric"])[1]
    alone = "(exploratory, of this contrast alone)"
    return f"; for new examples of the same source the 95% interval is [{interval}{scale} {alone}"


def _worst_case(row: Mapping[str, Any]) -> str:
    """Return what the decision would be if lost runs stood against it, where that is another one."""
    worst = row.get("worst_case")
    if not worst or worst == row["verdict"]:
        return ""
    return f"; in the worst case for the lost runs the decision changes to: {worst}"


def circumstances(table: Table) -> str:
    """Return what varied by seed, what was tuned and what was held fixed; of numbers from elsewhere it is not known."""
    if table.out is None:
        return ""
    vary = [stream for stream in table.plan["vary"] if stream in STREAMS]
    verb = "varies" if len(vary) == 1 and vary[0] not in PLURAL else "vary"
    varied = f"; {listed([STREAMS[stream] for stream in vary])} {verb} by seed" if vary else "; nothing varies by seed"
    tuned = list(dict.fromkeys(path for chosen in (table.plan.get("tuned") or {}).values() for path in chosen))
    fixed = {path: value for path, value in table.plan["fixed"].items() if value != "off" and path not in tuned}
    drawn = [stream for stream in STREAMS if stream not in NOT_ALWAYS or stream in table.plan.get("drawn", ())]
    held = [STREAMS[stream] for stream in drawn if stream not in vary]
    held += [f"{path} = {name_level(value)}" for path, value in fixed.items()]
    return (
        varied
        + (f"; tuned per cell: {listed(tuned)}" if tuned else "")
        + (f"; held fixed: {listed(held)}" if held else "")
    )


def listed(words: Sequence[str]) -> str:
    """Return words as an enumeration.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
