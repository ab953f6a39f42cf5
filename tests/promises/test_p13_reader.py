"""P13: a reader never sees half a file, nor a count going down."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from report_folders import make_plan

from regjax import cli, store
from regjax.analysis.table import load_table
from regjax.files import StoreError

ROOT = Path(__file__).parents[2]
COMMITS, ROWS = 200, 4
WRITER = f"""
import sys
from pathlib import Path
import pandas as pd
from report_folders import make_plan, make_records
from regjax import store
out, waits = Path(sys.argv[1]), sys.argv[2] == "slowly"
factors = [{{"path": "dropout.hidden", "levels": [0.0, 0.5]}}]
plan = make_plan(factors, {COMMITS // 2})
runs = [(cell, seed, f"c{{cell}}s{{seed}}") for seed in plan["seeds"] for cell in (0, 1)]
frame = pd.DataFrame(runs, columns=["cell", "seed", "run"])
frame = frame.assign(wave="main", group=0, restores=False, hypers="{{}}", settings="{{}}")
store.save_plan(out, plan, frame)
print("planned", flush=True)
sys.stdin.readline()
for commit, (cell, seed, run) in enumerate(runs):
    chunk, segment = ("a", "b")[commit % 2], commit // 2
    records = make_records(cell, seed, run, {ROWS})
    store.write_table(store.segment_path(out, chunk, segment), records)
    done = {{"chunk": chunk, "segment": segment, "runs": [run], "digest": store.digest_records(records),
            "seconds": {{"train": 1.0}}, "programs": {{"compiled": 0}}, "devices": "cpu", "slots": 1}}
    store.write_json(store.Part(chunk, segment).done(out), done)
    if commit % 20 == 0:  # the same plan again, its cells the other way round: other numbers of the same cells
        plan["cells"] = [{{**cell, "index": index}} for index, cell in enumerate(reversed(plan["cells"]))]
        frame = frame.assign(cell=1 - frame["cell"])
        store.save_plan(out, plan, frame)
"""


def start_writer(out: Path, speed: str = "fast") -> subprocess.Popen:
    """Return a process that has saved its plan and waits for a line before its commits."""
    paths = [str(ROOT), str(ROOT / "tests" / "report"), os.environ.get("PYTHONPATH", "")]
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(out), speed],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdout.readline() == "planned\n"
    return writer
