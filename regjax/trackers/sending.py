"""Sending a study to a tracker: what it has already is skipped, what changed replaces what it has."""

import json
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from regjax.analysis.table import Table, load_table
from regjax.files import RegjaxError, refuse_inside
from regjax.store import write_json
from regjax.trackers.runs import Tracked, list_tracked

# Name: (module of this folder, library it needs).
TRACKERS = {
    "tensorboard": ("tensorboard_files", "tensorboardX"),
    "wandb": ("wandb_offline", "wandb"),
    "mlflow": ("mlflow_sqlite", "mlflow"),
}
LEDGER = "regjax.json"
EVERY = 5.0


class TrackerError(RegjaxError):
    """A tracker failed; the study that was read is untouched."""

    exit_code = 3


class Tracker(Protocol):
    """Where runs are written to."""

    def write(self, run: Tracked) -> None:
        """Write a run whole; one of its id that is there is replaced."""


def send(out: Path, to: str, folder: Path, follow: bool = False, say: Callable[[str], None] = print) -> int:
    """Write the finished runs of a study and its summary to a tracker; return how many were new or had changed.

    The run directory is read only, and without a lock: a study that trains goes on whatever happens here.

    Args:
      out: run directory.
      to: "tensorboard", "wandb" (offline) or "mlflow" (SQLite).
      folder: where the tracker keeps its files.
      follow: whether to go on until every run of the study is done.
      say: takes one line of text for people.

    Raises:
      RegjaxError: there is no such tracker, its library is not installed, or the folder lies within `out`.
      TrackerError: the tracker failed.
      StoreError: the run directory is missing or damaged.
    """
    out, folder = Path(out), Path(folder)
    refuse_inside(out, folder, "folder")
    table, tracker = load_table(out), open_tracker(to, folder)
    sent = 0
    while True:
        new = send_table(table, tracker, folder / f"{to}-{LEDGER}")
        sent += new
        if new:
            done = table.status.done
            say(f"{to}: {new} runs written to {folder}; {int(done.sum())} of {done.size} runs done")
        if not follow or is_over(table):
            return sent
        time.sleep(EVERY)
        table = load_table(out)


def is_over(table: Table) -> bool:
    """Return whether every run of a study is done, those included that its pilot asks for."""
    stein = table.plan.get("stein")
    return bool(table.status.done.all()) and (not stein or "seeds" in stein)


def open_tracker(to: str, folder: Path) -> Tracker:
    """Return a tracker that writes to a folder."""
    if to not in TRACKERS:
        raise RegjaxError(f"got the tracker {to!r}, expected one of: {', '.join(TRACKERS)}")
    name, library = TRACKERS[to]
    try:
        import_module(library)
    except ImportError:
        raise RegjaxError(f"{to} needs {library}: pip install 'regjax[trackers]'") from None
    made: Any = guard(to, lambda: import_module(f"regjax.trackers.{name}").open_folder(folder))
    return made


def send_table(table: Table, tracker: Tracker, ledger: Path) -> int:
    """Write the runs that the ledger does not have as they are now; return how many."""
    told: dict[str, str] = guard(ledger.name, lambda: json.loads(ledger.read_text()) if ledger.exists() else {})
    new = 0
    for run in list_tracked(table):
        if told.get(run.id) == run.digest:
            continue
        guard(run.name, partial(tracker.write, run))
        told[run.id] = run.digest
        # After every run: what is interrupted goes on from here.
        write_json(ledger, told)
        new += 1
    return new


def guard(what: str, act: Callable[[], Any]) -> Any:
    """Return what `act` returns; any error of a tracker's library becomes a TrackerError."""
    try:
        return act()
    except Exception as error:  # each library has its own kinds; all mean that it is not written
        raise TrackerError(f"{what} cannot be written: {type(error).__name__}: {str(error)[:300]}") from error
