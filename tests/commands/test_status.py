"""How far a run directory is."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regjax import cli, store
from regjax.leases import Leases
from regjax.report.standing import find_ends
from regjax.results import load_results


def test_a_finished_study_is_all_done(out: Path, read: Callable[..., dict[str, Any]]) -> None:
    """All runs count as done; those that stopped early are those whose records say so."""
    found, status = read("status", out), load_results(out).table.status

    assert found["complete"]
    assert found["runs"]["planned"] == found["runs"]["done"] == status.done.size == 12
    assert found["runs"]["stopped"] == int((status.stopped >= 0).sum()) > 0
    assert [group["step"] for group in found["groups"]] == [None, None]
    assert found["bytes"] == sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def test_an_unfinished_group_is_running_or_waiting(part: Path, read: Callable[..., dict[str, Any]]) -> None:
    """Runs with records that are not published are running, with the last step that is stored."""
    found = read("status", part)
    left = [group for group in found["groups"] if group["done"] < group["runs"]]

    assert not found["complete"]
    assert all(g["done"] + g["running"] + g["waiting"] == g["runs"] for g in found["groups"])
    assert len(left) == 1
    assert left[0]["running"] > 0
    assert 0 < left[0]["step"] <= left[0]["steps"]


def test_a_group_without_records_waits(part: Path, read: Callable[..., dict[str, Any]]) -> None:
    """Before the first segment is stored the runs of a queue wait."""
    done = {row["chunk"] for row in store.iter_done(part)}
    for path in part.glob("chunks/*/seg-*.parquet"):
        if path.parent.name not in done:
            path.unlink()
    found = read("status", part)["runs"]

    assert found["running"] == 0
    assert found["waiting"] == found["planned"] - found["done"] > 0


def test_before_the_first_run_is_done_there_are_no_effects(part: Path, capsys: pytest.CaptureFixture) -> None:
    """Of a folder without a finished run the groups are shown, and neither effects nor that they were provisional."""
    for path in part.glob("chunks/*/done-*.json"):
        path.unlink()
    assert cli.main(["status", str(part)]) == 0
    printed = capsys.readouterr().out

    assert printed.startswith("0 of 12 runs done, 0 stopped early, 0 diverged; ")
    assert "Waiting" in printed
    assert "Provisional" not in printed


def test_an_early_look_is_called_provisional(out: Path, part: Path, capsys: pytest.CaptureFixture) -> None:
    """The effect table of an unfinished study carries the note; that of a finished one does not."""
    assert cli.main(["status", str(part)]) == 0
    early = capsys.readouterr().out
    assert cli.main(["status", str(out)]) == 0

    assert "Provisional" in early
    assert "Waiting" in early
    assert "Provisional" not in capsys.readouterr().out


def test_what_came_first_counts_as_the_end() -> None:
    """A run that stopped and then diverged stopped; one that diverged and then stopped diverged."""
    ends = {"a": (5, -1), "b": (-1, 5), "c": (5, 9), "d": (9, 5), "e": (5, 5), "f": (-1, -1)}
    rows = [{"run": run, "step": 10, "stopped": stop, "diverged": bad} for run, (stop, bad) in ends.items()]

    assert find_ends(pd.DataFrame(rows)) == ({"a", "c"}, {"b", "d", "e"})
    assert find_ends(pd.DataFrame(rows[:0])) == (set(), set())


def test_the_best_cell_is_judged_on_validation(out: Path) -> None:
    """The best cell so far has the best mean of the validation metric at the primary state, by hand."""
    from regjax.conductor import find_dataset
    from regjax.config import parse_study
    from regjax.plan import make_plan
    from regjax.standing import Standing

    results = load_results(out)
    study = parse_study(results.plan["study"])
    standing = Standing(make_plan(study, find_dataset(study, None)))
    records = store.load_records(out)
    runs = list(records["run"].unique())
    assert standing.best() == ""
    for half in (runs[::2], runs[1::2]):  # parts come as they end
        words = standing.add(records[records["run"].isin(half)].drop(columns="test.accuracy"))

    table = results.table.records
    picked = table[table["step"] == table.groupby(["cell", "seed"])["best_step"].transform("last")]
    means = picked.groupby("cell")["validation.accuracy"].mean()
    best = int(means.idxmax())

    np.testing.assert_allclose(np.nanmean(standing.values, axis=1), means)
    shown = f"{results.table.cells[best]} (validation accuracy {100 * means[best]:.2f}%, "
    assert words.startswith(shown)


def test_processes_that_train_are_named(part: Path, read: Callable[..., dict[str, Any]], capsys: Any) -> None:
    """While a process trains, its number, its queue and how many of that queue's runs are done are told."""
    name, queue = next((name, queue) for name, queue in store.iter_queues(part))
    runs = {run for row in queue["rows"] for trajectory in row for run in trajectory}
    with Leases(part) as leases:
        leases.join("a study")
        assert leases.acquire(name) is not None
        (found,) = read("status", part)["processes"]
        assert cli.main(["status", str(part)]) == 0

    assert f"{os.getpid()}" in capsys.readouterr().out.partition("Processes")[2]
    assert (found["pid"], found["alive"], found["queue"]) == (os.getpid(), "yes", name)
    assert (found["runs"], found["done"]) == (len(runs), len(runs & store.done_runs(part).keys()))
    assert read("status", part)["processes"] == []
