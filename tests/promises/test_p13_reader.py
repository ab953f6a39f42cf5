"""P13: a reader never sees half a file, nor a count going down."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from studies import tiny

import regjax
from regjax import cli, store
from regjax.analysis.table import load_table
from regjax.analysis.weights import read_weights
from regjax.files import StoreError, digest
from regjax.progress import Progress
from regjax.train.checkpoint import tree_digest

ROOT = Path(__file__).parents[2]
COMMITS, ROWS, AT_ONCE = 200, 2, 5
WRITER = f"""
import sys
from pathlib import Path
import pandas as pd
from report_folders import make_plan, make_records
from regjax import store

out = Path(sys.argv[1])
plan = make_plan([{{"path": "dropout.hidden", "levels": [0.0, 0.5]}}], {COMMITS // 2})
runs = [(cell, seed, f"{{cell:08x}}{{seed:08x}}") for seed in plan["seeds"] for cell in (0, 1)]
frame = pd.DataFrame(runs, columns=["cell", "seed", "run"])
frame = frame.assign(wave="main", group=0, restores=False, hypers="{{}}", settings='{{"training": {{"steps": 3750}}}}')
store.save_plan(out, plan, frame)
print("planned", flush=True)
for commit, (cell, seed, run) in enumerate(runs):
    if commit % {AT_ONCE} == 0:
        sys.stdin.readline()
    chunk, segment = ("a", "b")[commit % 2], commit // 2
    records = make_records(cell, seed, run, {ROWS})
    store.write_table(store.segment_path(out, chunk, segment), records)
    done = {{"chunk": chunk, "segment": segment, "runs": [run], "digest": store.digest_records(records)}}
    store.write_json(store.Part(chunk, segment).done(out), done)
    # The same cells under other numbers, as when a study has got a level more.
    plan["cells"] = [{{**cell, "index": index}} for index, cell in enumerate(reversed(plan["cells"]))]
    frame = frame.assign(cell=1 - frame["cell"])
    store.save_plan(out, plan, frame)
"""


def test_a_reader_sees_whole_files_and_rising_counts(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """While another process commits 200 times, every look finds whole runs, more of them, each in its own cell."""
    paths = [str(ROOT), str(ROOT / "tests" / "report"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    counts, said = [], []
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "planned\n"
        while writer.poll() is None:
            # A look begins as the next commits do.
            if len(counts) < COMMITS // AT_ONCE:
                print(file=writer.stdin, flush=True)
            counts.append(look(tmp_path))
            if len(counts) % 20 == 0:
                assert cli.main(["status", str(tmp_path)]) == 0
                said.append(int(capsys.readouterr().out.split()[0]))
    counts.append(look(tmp_path))

    assert writer.returncode == 0
    assert counts == sorted(counts)
    assert said == sorted(said)
    assert counts[-1] == COMMITS
    assert len(set(counts)) >= COMMITS // AT_ONCE // 2
    assert not list(tmp_path.rglob("*.tmp"))


def look(out: Path) -> int:
    """Return how many runs are done; all of them have all their records, in the cell that their name says."""
    table = load_table(out)
    names = {f"{0:08x}": "dropout.hidden=0.0", f"{1:08x}": "dropout.hidden=0.5"}
    for run, cell in set(zip(table.records["run"], table.records["cell"], strict=True)):
        assert table.cells[cell] == names[run[:8]]
    sizes = table.records.groupby("run").size() if len(table.records) else []
    assert set(sizes) <= {ROWS}
    assert len(sizes) == table.status.done.sum()
    return len(sizes)


def test_runs_of_another_plan_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process was killed between the two files of a plan the reader says so; an older folder has no digest."""
    runs = pd.DataFrame({"run": ["a" * 16], "cell": [0]})
    store.save_plan(tmp_path, {"cells": []}, runs)
    assert store.load_planned(tmp_path)[1]["run"].tolist() == ["a" * 16]
    store.write_table(tmp_path / "runs.parquet", runs.assign(run="b" * 16))
    monkeypatch.setattr(store, "MOST_LOOKS", 2)
    with pytest.raises(StoreError, match=r"is not that of plan\.json"):
        store.load_planned(tmp_path)
    store.write_json(tmp_path / "plan.json", {"schema": store.SCHEMA, "cells": []})
    assert store.load_planned(tmp_path)[1]["run"].tolist() == ["b" * 16]


def test_loaded_results_stay_those_of_their_plan(tmp_path: Path) -> None:
    """Results that were loaded before another study was run into the folder go on to tell of the cells of the first."""
    quiet: dict[str, Any] = {"progress": Progress(io.StringIO(), live=False), "report": False}
    tables = {"measure__predictions": "test", "data__split": {"train": 96, "validation": 64, "test": 16}}
    regjax.run(tiny(**tables), tmp_path, **quiet)
    first, told = regjax.load_results(tmp_path), read_all(regjax.load_results(tmp_path))
    # The same runs, the cells the other way round: nothing is trained.
    regjax.run(tiny(**tables, factors={"dropout.hidden": [0.5, 0.0]}), tmp_path, **quiet)
    second = read_all(regjax.load_results(tmp_path))

    assert read_all(first) == told
    assert second == told[::-1] != told


def read_all(results: regjax.Results) -> list[str]:
    """Return digests of what each cell of a study has kept: predictions, histograms of weights, parameters."""
    predictions, weights = results.predictions(), read_weights(results.table)
    assert weights is not None
    frames = [frame.sort_values(list(frame.columns[:3])) for frame in (predictions, weights)]
    return [
        digest("".join([str(frame[frame["cell"] == cell].drop(columns="cell").to_numpy().tolist()) for frame in frames])
               + tree_digest(results.params(cell, 0)))
        for cell in range(2)
    ]  # fmt: skip
