"""The methods of a study as paragraphs for a paper: every number comes from the plan and the stored results."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.choice import NUM_HALVINGS
from regjax.analysis.convolution import share_total
from regjax.analysis.inference import contrast_weights, seed_effects, takes_all_flips
from regjax.analysis.levels import KINDS as LEVEL_KINDS
from regjax.analysis.newdata import RESAMPLED
from regjax.analysis.sentences import listed, metric_text
from regjax.analysis.signflip import NUM_FLIPS
from regjax.analysis.table import Table, at_label, state_values
from regjax.analysis.trend import NUM_RESAMPLES
from regjax.report.extra import Extra
from regjax.report.prose import diverged_sentence
from regjax.report.seeds import seeds_sentence
from regjax.report.selection import selection_text, tuned_paths
from regjax.report.tables import seed_ranges, state_words
from regjax.report.words import (
    STREAM_WORDS,
    clean,
    count,
    count_labels,
    effect_unit,
    format_seconds,
    format_setting,
    value_scale,
)

Done = Sequence[Mapping[str, Any]]
KINDS = {"full_factorial": "full factorial", "one_at_a_time": "one-at-a-time", "leave_one_out": "leave-one-out",
         "add_one_in": "add-one-in", "fractional": "fractional factorial",
         "plackett_burman": "Plackett-Burman", "random": "random", "latin_hypercube": "Latin hypercube"}  # fmt: skip
# Settings of a network that do nothing where it has no normalization.
OF_NORMS = ("norm", "norm_place", "norm_momentum", "norm_epsilon", "ghost_size", "groups")
CONTRASTS = {"main": "main effect", "two_way": "two-way interaction", "three_way": "three-way interaction",
             "simple": "simple effect", "interaction_gap": "interaction gap", "slope": "slope",
             "best_level": "effect of a best level", "trend": "trend of a best level"}  # fmt: skip


def make_methods(table: Table, effects: pd.DataFrame, done: Done) -> Extra:
    """Return the section with the methods of a study in full sentences.

    Args:
      table: of a run directory, or of numbers from elsewhere.
      effects: from `all_effects`.
      done: what `store.iter_done` yields.
    """
    own = table.out is not None
    paragraphs = [
        design_text(table),
        *([data_text(table.plan), training_text(table.plan), selection_text(table)] if own else []),
        outcome_text(table.plan, effects),
        inference_text(table, effects),
        software_text(table.plan, done) if own else "",
    ]
    sentences = tuple(text for text in map(clean, paragraphs) if text)
    return Extra("methods", "Methods, to paste into a paper", sentences)


def design_text(table: Table) -> str:
    """Return cells, factors, seeds, what seeds vary."""
    plan = table.plan
    factors = [_factor_text(plan, factor) for factor in plan["factors"]]
    kind = (plan.get("design") or {}).get("kind", "")
    design = f" in a {KINDS.get(kind, kind.replace('_', '-'))} design" if kind else ""
    total = len(table.cells) * len(table.seeds)
    text = (
        f"We compared {count(len(table.cells), 'cell')}{design} of {count(len(factors), 'factor')}"
        f"{f': {listed(factors)}' if factors else ''}. Each cell has {count(len(table.seeds), 'seed')}"
        f" ({seed_ranges(table.seeds)}), which makes {count(total, 'run')}."
    )
    if table.out is None:
        return f"{text} The numbers were made by another program; values of one seed are paired."
    streams = [STREAM_WORDS.get(stream, stream) for stream in plan["vary"]]
    varied = f"A seed draws {listed(streams)} anew" if streams else "A seed draws nothing anew"
    text += f" {varied}; all cells of a seed share its draws, so that effects are paired by seed."
    if kept := plan.get("replicates"):
        parts = f" into {kept['parts']} parts" if kept.get("parts") else ""
        text += f" The training sets of the seeds are replicates ({kept['kind']}{parts})."
    return f"{text} {seeds_sentence(plan)}".strip()


def _factor_text(plan: Mapping[str, Any], factor: Mapping[str, Any]) -> str:
    span = (plan.get("design") or {}).get("ranges", {}).get(factor["path"])
    if span is None:
        return f"{factor['path']} ({', '.join(map(format_setting, factor['levels']))})"
    scale = " on a logarithmic scale" if span["log"] else ""
    return f"{factor['path']} (drawn from {span['low']:g} to {span['high']:g}{scale})"


def data_text(plan: Mapping[str, Any]) -> str:
    """Return the data and the sizes of its parts."""
    data, study = plan["data"], plan["study"].get("data", {})
    labels = count_labels(data["num_classes"], data.get("num_targets", 1))
    again = "; every seed draws its own split" if "split" in plan["vary"] else "; the split is the same for all seeds"
    scale = f" Inputs are scaled by the rule {format_setting(study['scale'])!r}." if study.get("scale") else ""
    return (
        f"The data are {data['name']} with {labels} (digest {data['digest']}): {data['num_train']:,} training,"
        f" {data['num_validation']:,} validation and {data['num_test']:,} test examples{again}.{scale}"
    )


def training_text(plan: Mapping[str, Any]) -> str:
    """Return model, optimizer and length of the training; what a factor sets or tuning chose is left out."""
    study = plan["study"]
    training, varied = (
        study.get("training", {}),
        {factor["path"] for factor in plan["factors"]} | set(tuned_paths(plan)),
    )
    model = _settings(study.get("model", {}), "model", varied)
    optimizer = _settings(study.get("optimizer", {}), "optimizer", varied)
    per_epoch = plan.get("steps_per_epoch")
    epochs = f" ({plan['steps'] / per_epoch:g} epochs of {per_epoch:,} updates)" if per_epoch else ""
    batch = "" if "training.batch_size" in varied else f" of {training.get('batch_size', 'unknown')} examples each"
    fixed = [f"{path} = {format_setting(value)}" for path, value in (plan.get("fixed") or {}).items()]
    return (
        f"The network is {model}, with {plan['num_params']:,} parameters in the first cell. It was trained with"
        f" {optimizer} for {plan['steps']:,} updates{epochs}{batch}, in {training.get('precision', 'float32')}."
        f"{f' Held fixed in all cells: {listed(fixed)}.' if fixed else ''}"
    )


def _settings(table: Mapping[str, Any], group: str, varied: set[str]) -> str:
    """Return a part of the study with its settings, those that are factors left out."""
    plain = table.get("norm") == "none" and "model.norm" not in varied
    skipped = {"name", *(OF_NORMS if plain else ())}
    told = {name: value for name, value in table.items() if name not in skipped and f"{group}.{name}" not in varied}
    shown = ", ".join(f"{name.replace('_', ' ')} {_setting(value)}" for name, value in told.items())
    return f"{table.get('name', 'not named')}{f' ({shown})' if shown else ''}"


def _setting(value: Any) -> str:
    """Return a setting as it is read in a sentence: of a schedule that is none, its name alone."""
    return "constant" if isinstance(value, Mapping) and value.get("name") == "constant" else format_setting(value)


def outcome_text(plan: Mapping[str, Any], effects: pd.DataFrame) -> str:
    """Return the primary metric, its state, the margin and the confirmatory family.

    Args:
      plan: of the study.
      effects: from `all_effects`; those of best levels are no contrasts of the plan.
    """
    primary = plan["primary"]
    metric, margin = primary["metric"], primary.get("margin")
    least = f"; effects below {margin_text(metric, margin)} either way are taken not to matter" if margin else ""
    declared = effects[effects["at"] == at_label(primary["at"])]
    kinds = declared.loc[declared["confirmatory"].astype(bool), "kind"].tolist()
    text = f"The primary outcome is {metric_text(metric)} {state_words(at_label(primary['at']))}{least}."
    if not kinds:
        return f"{text} No contrast is confirmatory: all comparisons are exploratory."
    told = [_kinds(kinds.count(kind), kind) for kind in dict.fromkeys(kinds)]
    are = "is" if len(kinds) == 1 else "are"
    return f"{text} {len(kinds)} of {count(len(declared), 'contrast')} {are} confirmatory: {listed(told)}."


def _kinds(number: int, kind: str) -> str:
    words = CONTRASTS.get(kind, f"{kind} contrast")
    head, of, rest = words.partition(" of ")
    return f"{count(number, head)}{of}{rest}"


def margin_text(metric: str, margin: float) -> str:
    """Return the smallest effect that matters with its unit.

    >>> margin_text("test.accuracy", 0.005), margin_text("test.nll", 0.02)
    ('0.5 pp', '0.02')
    """
    return f"{value_scale(metric) * margin:.6g} {effect_unit(metric)}".strip()


def inference_text(table: Table, effects: pd.DataFrame) -> str:
    """Return how intervals and p-values were made, and which runs are missing from them."""
    number = int(effects["confirmatory"].sum())
    text = "Effects are means over seeds of differences paired by seed."
    if table.plan.get("level_contrasts"):
        text += _level_text(effects)
    elif table.plan.get("stein"):
        text += (
            " Intervals of confirmatory contrasts are Stein's two-stage intervals, from the SD of the pilot seeds and"
            f" Student's t, at 95% together by Bonferroni over {count(number, 'contrast')}; they have no p-value."
        )
    elif number == 1:
        text += f" The confirmatory p-value and 95% interval come from sign flips of the effects ({_flips(table)})."
    elif number:
        text += (
            f" The {number} confirmatory contrasts are tested together by joint sign flips of the studentised effects"
            f" ({_flips(table)}): adjusted p-values of the maximum over contrasts (max-T), and 95% intervals that hold"
            " for all of them at once."
        )
    text += " Exploratory comparisons have 95% intervals of their own and no p-value."
    return " ".join(filter(None, [text, _new_text(effects), diverged_sentence(table), _lost_text(table)]))


def _level_text(effects: pd.DataFrame) -> str:
    """Return how declared contrasts of best levels are tested; no other contrast is confirmatory beside them."""
    tests = effects[effects["kind"].isin(LEVEL_KINDS)]
    text = ""
    if (tests["kind"] == "best_level").any():
        text += (
            " The effect of a best level is that of the level chosen on one half of the seeds, judged on the other"
            f" half ({NUM_HALVINGS} random halvings, both ways); its interval is Student's t with a bootstrap standard"
            " error over seeds that repeats the choice."
        )
    if (tests["kind"] == "trend").any():
        text += (
            " A trend is the least-squares slope of the best level, smoothed by a parabola, over the strata; its"
            f" interval is the shortest that holds a t and a percentile interval of {NUM_RESAMPLES:,} bootstrap"
            " resamples of seeds."
        )
    return text + (f" They are adjusted for {len(tests)} tests (Bonferroni)." if len(tests) > 1 else "")


def _flips(table: Table) -> str:
    primary, contrasts = table.plan["primary"], table.plan["contrasts"]
    values = state_values(table, primary["metric"], primary["at"])
    weights = contrast_weights(contrasts, len(table.cells))
    family = np.array([bool(c["confirmatory"]) for c in contrasts])
    found = seed_effects(weights, values, share_total(table.plan, primary["metric"]))
    exact = takes_all_flips(found, family)
    seeds = int((~np.isnan(found.values[family])).any(axis=0).sum())
    return f"all 2^{seeds}, exact" if exact else f"{NUM_FLIPS:,} drawn at random, and the identity"


def _new_text(effects: pd.DataFrame) -> str:
    scopes = set(effects["scope"]) - {""}
    if RESAMPLED in scopes:
        return (
            "Intervals about new examples use Nadeau and Bengio's corrected variance for overlapping splits; they are"
            " exploratory."
        )
    if scopes:
        return (
            "Intervals about new examples take seeds and test examples as crossed random factors (variance components,"
            " Satterthwaite's degrees of freedom); they are exploratory."
        )
    return ""


def _lost_text(table: Table) -> str:
    absent = int((~table.status.done).sum())
    if not absent and not (table.status.diverged >= 0).any():
        return ""
    missing = f"{count(absent, 'run')} {'has' if absent == 1 else 'have'} no result. " if absent else ""
    return f"{missing}A seed without a value in a cell enters no contrast that weighs that cell."


def software_text(plan: Mapping[str, Any], done: Done) -> str:
    """Return versions, commit, devices, programs and time."""
    versions = listed([f"{name} {version}" for name, version in plan["versions"].items()])
    devices = used_devices(plan, done)
    compiled = sum(chunk["programs"].get(kind, 0) for chunk in done for kind in ("compiled", "cached"))
    seconds = total_seconds(done)
    spent = f", {format_seconds(seconds)} in all" if seconds else ""
    commit = f" The commit is {plan['commit']}." if plan.get("commit") else ""
    return (
        f"Software: {versions}.{commit} Runs were trained as vmapped populations on {listed(devices) or 'one machine'}"
        f" ({count(compiled, 'compiled program')}{spent})."
    )


def used_devices(plan: Mapping[str, Any], done: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the devices that a study was planned for or trained on."""
    return sorted({str(chunk["devices"]) for chunk in done} | {str(device) for device in plan["devices"]})


def total_seconds(done: Iterable[Mapping[str, Any]]) -> float:
    """Return the wall time of all parts: compiling, training, evaluating and storing."""
    return float(sum(sum(chunk["seconds"].values()) for chunk in done))
