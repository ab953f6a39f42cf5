"""What a group costs, found by running its program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from populations import compiled
from studies import tiny

from regjax.train.layout import Layout
from regjax.train.timing import estimate_group

# The peak of resident memory since it was reset, against what the compiler reports; a program of some 300 MB, so that
# what the interpreter takes beside it is small.
PEAK = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 1)
from pathlib import Path
from regjax.config import parse_study
from regjax.data import load_dataset
from regjax.plan import make_plan
from regjax.train.layout import Layout, make_rows
from regjax.train.program import Compiled, make_program, place_data
from regjax.train.seats import begin, look

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

digits = load_dataset("digits")
study = parse_study(json.loads(sys.argv[1]))
(group,) = make_plan(study, digits).groups
program = make_program(study, digits, group, jax.devices(), Layout(8, 1, 1))
compiled, rows = Compiled(program), make_rows(group.runs[:8], 1)
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
data = place_data(program)
look(program, compiled, data, begin(program, compiled, data, rows))
print(json.dumps([compiled.memory(), status("VmHWM") - before]))
"""


def test_memory_is_what_the_compiler_reports() -> None:
    """The peak of resident memory over a round of training lies within a quarter of the reported bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        pytest.skip(f"the peak of resident memory cannot be reset here: {error}")
    study = tiny(model__widths=[1024, 1024], seeds__count=4, training__epochs=1)
    done = subprocess.run([sys.executable, "-c", PEAK, json.dumps(study)], capture_output=True, text=True, check=True)
    reported, measured = json.loads(done.stdout.splitlines()[-1])

    assert reported > 200e6
    assert 0.75 < measured / reported < 1.25


def test_the_estimate_is_of_all_rounds() -> None:
    """Slots, rounds and memory are those of the program; time and its compilation are positive."""
    program, functions = compiled(2, Layout(2, 2, 1))
    cost = estimate_group(program)

    assert (cost.slots, cost.rounds) == (4, 2)
    assert cost.bytes_per_device == functions.memory()
    assert cost.seconds > 0
    assert cost.compile_seconds > 0
