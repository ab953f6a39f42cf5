"""What a run directory holds of a plan already, and in what its study, code and machine differ from now."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regjax import store
from regjax.codes import code_digest
from regjax.config import study_json
from regjax.data import Dataset
from regjax.files import canonical, flatten_tables
from regjax.plan import Plan, Run
from regjax.report.words import count

# What may change without a study becoming another one: how many seeds there are, what is measured beside them, and
# whether checkpoints stay.
GROWS = ("seeds.count", "seeds.max", "measure.sources", "training.keep_checkpoints")
# What the numbers of a plan were made on.
MACHINE = ("versions", "devices", "commit", "flags")
CODE = "the code of regjax or of a part"
MODEL = "the network given from Python"
DATA = "the data itself"
FLAGS = "settings of jax"


def find_changes(out: Path, plan: Plan, dataset: Dataset) -> list[str]:
    """Return what the stored study and what its runs depend on differ in from this one, for people.

    Keys of the study but those of GROWS come first, then what no study says: data, code, a network given from Python,
    settings of jax. Nothing where nothing is stored.

    Raises:
      StoreError: the stored plan cannot be read.
    """
    if not (out / "plan.json").exists():
        return []
    old = store.load_plan(out)
    before, after = (flatten_tables(tables) for tables in (old["study"], study_json(plan.study)))
    keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key) and not key.startswith(GROWS))
    unsaid = find_unsaid(_stored_settings(out), plan.runs)
    if old["data"]["digest"] != dataset.digest:
        unsaid.add(DATA)
    if old.get("code", code_digest(())) != code_digest(()):
        unsaid.add(CODE)
    return [*keys, *sorted(unsaid)]


def _stored_settings(out: Path) -> list[str]:
    """Return the settings of the stored runs as JSON; none where their table is damaged: the next run replaces it."""
    try:
        return list(store.load_runs(out)["settings"])
    except store.StoreError:
        return []


def find_unsaid(stored: Iterable[str], runs: Sequence[Run]) -> set[str]:
    """Return what differs between stored runs and new ones of which a study says the same.

    Args:
      stored: settings of the stored runs, as JSON.
      runs: the new ones.
    """
    known = {canonical(_said(settings)): settings for settings in map(json.loads, stored)}
    found = set()
    for run in runs:
        old, new = known.get(canonical(_said(run.settings))), run.settings
        if old is not None:
            pairs = {CODE: "code", FLAGS: "jax"}
            found |= {name for name, key in pairs.items() if old.get(key) != new.get(key)}
            found |= {MODEL} if old["model"].get("given") != new["model"].get("given") else set()
    return found


def _said(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a study says of a run's settings."""
    kept = {key: value for key, value in settings.items() if key not in ("code", "jax")}
    for table, keys in (("model", ("given",)), ("data", ("digest", "peak"))):
        kept[table] = {key: value for key, value in settings.get(table, {}).items() if key not in keys}
    return kept


def compare_plans(out: Path, plan: Plan, dataset: Dataset) -> list[str]:
    """Return as a sentence in what the study that a run directory holds differs from this one; none where it does not.

    Raises:
      StoreError: the stored plan cannot be read.
    """
    if not (keys := find_changes(out, plan, dataset)):
        return []
    return [
        f"{out} holds a study that differs in {', '.join(keys)}; plan and report become those of this study, runs that "
        "both have are reused, and the others stay stored (another --out keeps both, for `regjax compare`)"
    ]


def compare_machines(out: Path, now: Mapping[str, Any]) -> list[str]:
    """Return as a sentence on what else stored runs were trained than `now`; none where nothing differs or is trained.

    Args:
      out: run directory.
      now: what plan.json would say, with the keys of MACHINE.
    """
    last = _last_machine(out)
    # A plan of an earlier day may say less.
    before, after = flatten_tables(last), flatten_tables({key: now[key] for key in last})
    keys = sorted({*before, *after} - {"commit", "versions.regjax"})
    told = [
        f"{key.removeprefix('versions.')} ({_words(before.get(key))}, now {_words(after.get(key))})"
        for key in keys
        if before.get(key) != after.get(key)
    ]
    return [f"runs in {out} were trained with other {', '.join(told)}; they are reused as they are"] if told else []


def list_earlier(out: Path, now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what earlier runs of a directory were trained on, the first first; without what plan.json says of now."""
    last = _last_machine(out)
    if not last:
        return []
    earlier = list(store.load_plan(out).get("earlier", []))
    return earlier if last == _machine(now) or last in earlier else [*earlier, last]


def _last_machine(out: Path) -> dict[str, Any]:
    """Return what the stored plan says it was trained on, {} where nothing is trained yet."""
    trained = (out / "plan.json").exists() and next(store.iter_done(out), None) is not None
    return _machine(store.load_plan(out)) if trained else {}


def _machine(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plan[key] for key in MACHINE if key in plan}


def _words(value: Any) -> str:
    return "none" if value in (None, "") else ", ".join(value) if isinstance(value, list) else str(value)


def describe_stored(out: Path, plans: Sequence[Plan], dataset: Dataset) -> dict[str, Any]:
    """Return how much of some plans a run directory holds: out, runs, done, and what differs (see `find_changes`).

    Args:
      out: run directory; it may be absent.
      plans: the waves, that of the reported runs last.
      dataset: their data.

    Raises:
      StoreError: a stored file is damaged or from a newer regjax.
    """
    differs = find_changes(out, plans[-1], dataset)
    ids, done = {run.id for plan in plans for run in plan.runs}, store.done_runs(out)
    return {"out": out, "runs": len(ids), "done": len(ids & done.keys()), "differs": differs}


def stored_sentence(found: Mapping[str, Any]) -> str:
    """Return what `describe_stored` found as a sentence.

    >>> stored_sentence({"out": "out/mine", "runs": 8, "done": 1, "differs": ["model.widths"]})
    'out/mine: 1 of 8 runs is done already; the stored study differs in model.widths'
    """
    told = f"{found['out']}: {found['done']} of {count(found['runs'], 'run')} {'is' if found['done'] == 1 else 'are'}"
    differs = f"; the stored study differs in {', '.join(found['differs'])}" if found["differs"] else ""
    return f"{told} done already{differs}"
