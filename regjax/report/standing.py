"""How far a run directory is, read from its files while another process may be writing them."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from regjax import store
from regjax.analysis.table import Table
from regjax.leases import FOLDER, PROCESS, find_space, is_gone, read_leases
from regjax.report.tables import Column, Grid, Row
from regjax.report.text import grid_text
from regjax.report.words import MISSING, clean

WAVES = {"main": "training", "tune": "tuning", "sources": "sources"}
COUNTS = ("runs", "done", "running", "waiting", "stopped", "diverged")


def group_states(table: Table) -> pd.DataFrame:
    """Return one row per wave and group of the plan of a loaded run directory.

    A run is done when its records are published, running when it has records and is not done, else it waits.

    Returns:
      Columns wave ("main", "tune" or "sources"), group, runs, done, running, waiting, stopped and diverged (of those
      done; what came first counts), step (the last that is stored of runs in training, None for none), steps (planned).
    """
    assert table.out is not None
    runs, done = table.planned, store.done_runs(table.out)
    others = store.load_records(table.out, runs.loc[runs["wave"] != "main", "run"])
    stopped, diverged = find_ends(table.records)
    more_stopped, more_diverged = find_ends(others)
    seen = last_steps(table.out, done)
    frame = runs.assign(
        done=runs["run"].isin(list(done)),
        stopped=runs["run"].isin(stopped | more_stopped),
        diverged=runs["run"].isin(diverged | more_diverged),
        running=runs["run"].isin(list(seen)),
        step=runs["run"].map(seen).astype(float),
    )
    rows = []
    for (wave, group), part in frame.groupby(["wave", "group"], sort=False):
        counts = {name: int(part[name].sum()) for name in ("done", "running", "stopped", "diverged")}
        steps = int(json.loads(part["settings"].iloc[0])["training"]["steps"])
        step = None if part["step"].isna().all() else int(part["step"].max())
        waiting = len(part) - counts["done"] - counts["running"]
        rows.append({"wave": wave, "group": int(str(group)), "runs": len(part), "done": counts["done"],
                     "running": counts["running"], "waiting": waiting, "stopped": counts["stopped"],
                     "diverged": counts["diverged"], "step": step, "steps": steps})  # fmt: skip
    return pd.DataFrame(rows).astype({"step": object})


def find_ends(records: pd.DataFrame) -> tuple[set[str], set[str]]:
    """Return the runs that stopped early and those that diverged; whichever came first counts."""
    if not len(records):
        return set(), set()
    final = records.drop_duplicates("run", keep="last")
    stop, bad = final["stopped"], final["diverged"]
    stopped = (stop >= 0) & ~((bad >= 0) & (bad <= stop))
    return set(final.loc[stopped, "run"]), set(final.loc[(bad >= 0) & ~stopped, "run"])


def last_steps(out: Path, done: Collection[str]) -> dict[str, int]:
    """Return {run: last stored step} of the runs that have records and are not done."""
    found: dict[str, int] = {}
    for chunk, queue in store.iter_queues(out):
        ids = {run for row in queue["rows"] for trajectory in row for run in trajectory}
        records = None if ids <= set(done) else store.read_chunk(out, chunk)
        for run, step in ({} if records is None else records.groupby("run")["step"].max()).items():
            if run not in done:
                found[str(run)] = max(int(step), found.get(str(run), 0))
    return found


def list_processes(out: Path) -> list[dict[str, Any]]:
    """Return who trains in a run directory.

    Returns:
      Of each process host, pid, since (Unix seconds), alive ("yes" or "no"; "unknown" of another machine, whose
      processes cannot be looked at), and of the queue that it trains queue (its chunk, "" for none), runs and done.
    """
    held, done = read_leases(out / FOLDER), store.done_runs(out)
    queues = dict(store.iter_queues(out))
    rows = []
    for name, holder in held.items():
        if not name.startswith(PROCESS):
            continue
        told = holder.told
        alive = "no" if is_gone(told) else "yes" if told.get("space") == find_space() else "unknown"
        mine = [
            chunk for chunk in queues if chunk in held and "moved" not in held[chunk].told
            and all(held[chunk].told.get(key) == told.get(key) for key in ("space", "pid", "mark"))
        ]  # fmt: skip
        chunk = mine[0] if mine else ""
        runs = {run for row in queues[chunk]["rows"] for t in row for run in t} if chunk else set()
        rows.append({"host": str(told.get("host")), "pid": told.get("pid"), "since": told.get("since"), "alive": alive,
                     "queue": chunk, "runs": len(runs), "done": len(runs & done.keys())})  # fmt: skip
    return rows


def processes_text(processes: Sequence[Mapping[str, Any]]) -> str:
    """Return who trains as a table for the terminal."""
    columns = (Column("Host"), Column("Process", True), Column("Since"), Column("Alive"), Column("Queue"),
               Column("Its runs done", True))  # fmt: skip
    rows = []
    for process in processes:
        since = process["since"]
        shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(since)) if isinstance(since, float) else MISSING
        of = f"{process['done']} of {process['runs']}" if process["queue"] else MISSING
        name = process["queue"] or MISSING
        rows.append(Row((clean(process["host"]), str(process["pid"]), shown, process["alive"], name, of)))
    return grid_text(Grid("Processes", columns, tuple(rows)))


def groups_text(groups: pd.DataFrame) -> str:
    """Return the groups as a table for the terminal."""
    labels = ("Runs", "Done", "Running", "Waiting", "Stopped early", "Diverged", "Last step")
    columns = (Column("Wave"), Column("Group", True), *(Column(label, True) for label in labels))
    rows = [
        Row((WAVES[row["wave"]], str(row["group"]), *(str(row[name]) for name in COUNTS),
             MISSING if row["step"] is None else f"{row['step']} of {row['steps']}"))
        for row in groups.to_dict("records")
    ]  # fmt: skip
    return grid_text(Grid("Groups (runs that share a compiled program)", columns, tuple(rows)))


def folder_bytes(out: Path) -> int:
    """Return the size of all files of a folder; those that go while it is read do not count."""
    total = 0
    for path in Path(out).rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
