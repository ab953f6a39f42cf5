"""What a study selected, and on which examples: the state of a run, its end, nuisance hypers."""

from collections.abc import Mapping
from typing import Any

from regjax.analysis.sentences import listed
from regjax.analysis.table import Table, at_label
from regjax.metrics import tuning_metric
from regjax.report.words import count, metric_words


def selection_text(table: Table) -> str:
    """Return which state of a run is judged, and what was selected on what, in sentences."""
    plan = table.plan
    metric, monitor = str(plan["primary"]["metric"]), metric_words(str(plan["monitor"]))
    text, tuned = _state_text(table, monitor), tuned_paths(plan)
    if metric.startswith("validation.") and (tuned or plan["primary"]["at"]["kind"] == "best" or _restores(table)):
        text += " The examples that select also give the primary outcome, which selection makes look too good."
    if tuned:
        seeds = ((plan["study"].get("tune") or {}).get("seeds")) or "other"
        seeds = f"{seeds} seeds that are not reported" if isinstance(seeds, int) else "seeds that are not reported"
        by = metric_words(tuning_metric(metric, str(plan["monitor"])))
        text += f" {listed(tuned)} {'was' if len(tuned) == 1 else 'were'} tuned per cell by {by}, on {seeds}."
    stopped = int((table.status.stopped >= 0).sum())
    return f"{text} {count(stopped, 'run')} stopped early by {monitor}." if stopped else text


def _state_text(table: Table, monitor: str) -> str:
    at = table.plan["primary"]["at"]
    if at["kind"] == "best":
        return f"Each run is judged at its evaluation with the best {monitor}; test examples select nothing."
    place = "its end" if at["kind"] == "last" else at_label(at)
    if _restores(table):
        ended = "runs that may stop early" if at["kind"] == "last" else "runs that may stop early and end by then"
        return f"Each run is judged at {place}; {ended} end in their best state by {monitor}."
    same = "" if at["kind"] == "last" else ", the same for all"
    return f"Each run is judged at {place}{same}; no state is selected."


def _restores(table: Table) -> bool:
    return bool(table.status.restores.any())


def tuned_paths(plan: Mapping[str, Any]) -> list[str]:
    """Return what was tuned per cell."""
    return sorted({path for values in (plan.get("tuned") or {}).values() for path in values})
