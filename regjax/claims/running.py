"""`regjax claims`: what a suite would train, and training it, judging it and writing what was found."""

import datetime
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import regjax
from regjax import store
from regjax.claims.judging import judge
from regjax.claims.kept import Kept
from regjax.claims.suite import Source, Suite, declare
from regjax.claims.verdict import ALPHA
from regjax.planned import find_commit
from regjax.progress import Progress, format_seconds
from regjax.report.claims import make_claims_page
from regjax.report.words import count
from regjax.results import Results
from regjax.stop import Stop

FOUND = "claims.json"
SCHEMA = 1
Tell = Callable[[str], None]


def run_claims(
    suite: Suite, out: Path, progress: Callable[[], Progress] = Progress, stop: Stop | None = None
) -> dict[str, Any]:
    """Train the studies of a suite that are not stored yet, judge its claims, and return what claims.json then holds.

    Killed or interrupted, the same call goes on where it was; where all is stored it only judges.

    Args:
      suite: from `load_suite`.
      out: folder; it gets declared.json before the first record, then studies/, measures.json, claims.json, claims.html
        and data/ with the figures' numbers.
      progress: makes what a study tells its progress to.
      stop: ends the training early.

    Raises:
      StoreError: a claim was declared otherwise when the first record of its studies was made.
      Interrupted: `stop` asked for it; what was trained is saved.
    """
    declare(suite, out)
    began, tell = time.monotonic(), progress().say
    results = train(suite, out, progress, stop, tell)
    kept = Kept(out)
    try:
        judged = judge(suite, results, kept.take, tell)
    finally:
        kept.save()
    found = {
        "schema": SCHEMA,
        "full": suite.full,
        "overrides": list(suite.overrides),
        **describe_run(results),
        **judged,
        "studies": [describe_study(suite, name, one) for name, one in results.items()],
    }
    store.write_json(out / FOUND, found)
    page = make_claims_page(found, out)
    tell(f"{page} after {format_seconds(time.monotonic() - began)}")
    return found


def train(
    suite: Suite, out: Path, progress: Callable[[], Progress], stop: Stop | None, tell: Tell
) -> dict[str, Results]:
    """Return the results of every study, trained where they are not stored."""
    left = {name: time_left(source, out) for name, source in suite.studies.items()}
    asked, spent, results = 0.0, 0.0, {}
    for number, (name, source) in enumerate(suite.studies.items(), start=1):
        # Estimates know nothing of this machine; what the studies so far took corrects them.
        rest = sum(left.values()) * (spent / asked if asked else 1.0)
        stored = source.count_done(out)
        about = f", {stored} stored" if stored else ""
        tell(
            f"study {number} of {len(suite.studies)}: {name}, for {', '.join(suite.users(name))}; "
            f"{count(len(source.runs), 'run')}{about}; about {format_seconds(rest)} left to train"
        )
        began = time.monotonic()
        results[name] = regjax.run(
            source.study, out / "studies" / name, progress=progress(), report=needs_report(source, out), stop=stop
        )
        if left[name]:
            asked, spent = asked + left[name], spent + time.monotonic() - began
        left[name] = 0.0
    return results


def time_left(source: Source, out: Path) -> float:
    """Return about the seconds that a study still needs, 0 where it is stored."""
    return source.seconds * (1 - source.count_done(out) / max(1, len(source.runs)))


def needs_report(source: Source, out: Path) -> bool:
    """Return whether a study's report is to be made: it is not there, or runs are still to come."""
    folder = out / "studies" / source.name
    return not (folder / "report.html").exists() or source.count_done(out) < len(source.runs)


def describe_run(results: Mapping[str, Results]) -> dict[str, Any]:
    """Return command, date, machine and versions; of several machines all."""
    plans = [one.plan for one in results.values()]
    return {
        "command": shlex.join(["regjax", *sys.argv[1:]]) if Path(sys.argv[0]).stem in ("regjax", "__main__") else "",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "devices": list(dict.fromkeys(device for plan in plans for device in plan["devices"])),
        "versions": plans[-1]["versions"] if plans else {"regjax": regjax.__version__},
        "commit": find_commit(),
    }


def describe_study(suite: Suite, name: str, results: Results) -> dict[str, Any]:
    """Return what the page says of a study: its question, runs, losses, cost, and which claims it serves."""
    status, done = results.table.status, list(store.iter_done(results.out))
    return {
        "name": name,
        "question": results.plan["question"],
        "claims": suite.users(name),
        "data": results.plan["data"]["name"],
        "cells": len(results.plan["cells"]),
        "seeds": results.plan["seeds"],
        "runs": int(status.done.size),
        "diverged": int((status.diverged >= 0).sum()),
        "programs": sum(part["programs"].get(kind, 0) for part in done for kind in ("compiled", "cached")),
        "seconds": round(sum(sum(part["seconds"].values()) for part in done), 1),
    }


def plan_claims(suite: Suite, out: Path) -> dict[str, Any]:
    """Return what a suite would train: claims, studies, runs, about how many seconds, and what is stored already."""
    studies = [
        {"name": name, "claims": suite.users(name), "cells": len(source.plan.cells),
         "seeds": len({run.seed for run in source.plan.runs}), "runs": len(source.runs),
         "programs": len(source.plan.groups), "done": source.count_done(out), "seconds": round(time_left(source, out))}
        for name, source in suite.studies.items()
    ]  # fmt: skip
    claims = [
        {"id": d.claim.id, "statement": d.claim.statement, "cases": len(d.cases) or 1, "tests": len(d.tests),
         "studies": sorted(set(suite.names(path).values()))}
        for path, d in suite.claims.items()
    ]  # fmt: skip
    estimated = [d for d in suite.claims.values() if any(not test.mechanism for test in d.tests)]
    hypotheses = 2 * sum(len(d.cases) or 1 for d in estimated)
    return {"full": suite.full, "alpha": ALPHA, "hypotheses": hypotheses, "claims": claims, "studies": studies,
            "runs": sum(s["runs"] for s in studies), "seconds": sum(s["seconds"] for s in studies)}  # fmt: skip
