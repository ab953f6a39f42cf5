"""The scripts that ask for vulnerabilities and try mutants: what they make of what they are told."""

import os
import subprocess
import sys
from pathlib import Path

import audit
import mutants
import mutate
import pytest

ROOT = Path(__file__).parent.parent.parent
SOUND = {"name": "a", "version": "1", "vulns": []}
HURT = {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found"}
SOURCE = '''"""A module."""
FACTOR: int | None = 3


def scale(x: float | None, *, by: float = 2.0) -> float | None:
    """Return x times by."""
    if x is None:
        raise ValueError(f"no number: {x}")
    return max(x * by, round(x, ndigits=2)) - FACTOR


def unused(x, *more):
    return [*more, x + 1]
'''
TESTS = """from regjax.small import scale


def test_scale():
    assert scale(2.0) == 1.0
"""
RUN = """
import argparse, pytest
from pathlib import Path
import mutants, mutate

source = Path("regjax/small.py").read_text()
reach = mutate.measure_reach(["tests"], ["regjax/small.py"], Path.cwd())
every = enumerate(mutants.find_mutants(source), 1)
only = [number for number, m in every if m.operator in ("DropKeyword", "Opposite") or m.first == 13]
options = argparse.Namespace(count=None, seed=0, only=only, budget=60.0)
print(mutate.make_table([mutate.try_module("regjax/small.py", reach, options)]))
assert Path("regjax/small.py").read_text() == source
"""


@pytest.mark.parametrize(
    ("packages", "status"),
    [
        ([SOUND], audit.CLEAN),
        ([SOUND, HURT], audit.FOUND),
        ([HURT, SKIPPED], audit.FOUND),
        ([SOUND, SKIPPED], audit.NOT_ASKED),
        ([SKIPPED], audit.NOT_ASKED),
        ([], audit.NOT_ASKED),
    ],
)
def test_silence_is_not_a_finding_of_nothing(packages: list[dict], status: int) -> None:
    """Only a report on every package is clean; a known vulnerability counts though others could not be asked about."""
    found, lines = audit.judge({"dependencies": packages})

    assert found == status
    assert any("X-1" in line for line in lines) == (HURT in packages)
    assert any("could not be asked" in line for line in lines) == (SKIPPED in packages or not packages)


def test_the_nearest_tests_import_the_module() -> None:
    """The doctests come first, then the tests of the package or of the module's name; others are left out."""
    assert mutate.find_tests("regjax/analysis/stein.py", ROOT)[:2] == ["regjax/analysis/stein.py", "tests/analysis"]
    tests = mutate.find_tests("regjax/keys.py", ROOT)
    assert tests[:2] == ["regjax/keys.py", "tests/test_keys.py"]
    assert "tests/train/test_oracle.py" in tests
    assert "tests/test_tasks.py" not in tests


def test_the_table_counts_survivors() -> None:
    """Killed, surviving and unreached mutants add up to those tried."""
    table = mutate.make_table([mutate.Tried("a.py", 40, 10, 2, 1)])

    assert table.endswith("| `a.py` | 40 | 10 | 7 | 2 | 1 |")


def test_every_mutant_is_a_program_of_its_own() -> None:
    """Each change gives a module that compiles and is another; annotations, docstrings, errors stay as they are."""
    found = [mutants.apply_mutant(SOURCE, mutant) for mutant in mutants.find_mutants(SOURCE)]

    assert len(set(found)) == len(found) > 20
    for changed in found:
        compile(changed, "small.py", "exec")
        assert changed != SOURCE
        assert changed.count("float | None") == 2
        for text in ("int | None", '"""A module."""', '"""Return x times by."""', 'f"no number: {x}"'):
            assert text in changed


def test_the_added_mutants_are_those_that_are_told() -> None:
    """A keyword is left out, arguments are swapped, a call gives way to its argument, a name to its opposite."""
    found = {mutants.apply_mutant(SOURCE, m).splitlines()[8].strip() for m in mutants.find_mutants(SOURCE)}

    assert "return max(x * by, round(x)) - FACTOR" in found
    assert "return max(round(x, ndigits=2), x * by) - FACTOR" in found
    assert "return (x * by) - FACTOR" in found
    assert "return min(x * by, round(x, ndigits=2)) - FACTOR" in found
    assert "return max(x / by, round(x, ndigits=2)) - FACTOR" in found


def test_a_sample_takes_different_places() -> None:
    """A sample has no two changes of one kind at one place, is the same for a seed, and all mutants are all."""
    every = mutants.find_mutants(SOURCE)
    sample = mutate.draw_sample(every, 12, 0)

    assert sample == mutate.draw_sample(every, 12, 0) != mutate.draw_sample(every, 12, 1)
    assert len({(m.first, m.column, m.operator.split("_")[0]) for m in sample}) == 12
    assert mutate.draw_sample(every, None, 0) == every


def test_a_mutant_meets_the_tests_that_reach_it() -> None:
    """A line's tests are those that run it; a fixture's are the file's, as an import's; the quick ones come first."""
    reach = mutate.Reach(
        {"a.py::one": 2.0, "a.py::two": 1.0, "b.py::one": 0.5, "b.py::two": 0.25, "c.py::one": 9.0},
        {"m.py": {"2": [""], "7": ["b.py::one|setup", "a.py::one|run"], "9": ["a.py::one|run", "c.py::one|run"]}},
    )
    every = {mutant.first: mutant for mutant in mutants.find_mutants(SOURCE)}

    def choose(line: int, budget: float = 60) -> list[str]:
        return mutate.choose_tests(SOURCE, every[line], "m.py", reach, budget)

    assert choose(7) == ["b.py::two", "b.py::one", "a.py::one"]
    assert choose(9) == ["a.py::one", "c.py::one"]
    assert choose(9, budget=5) == choose(9, budget=0) == ["a.py::one"]
    assert choose(13) == []
    table = mutate.Reach(reach.seconds, {"m.py": {"2": [""]}})
    assert set(mutate.choose_tests(SOURCE, every[2], "m.py", table, 60)) == set(reach.seconds)
    assert choose(2) == ["b.py::two", "b.py::one", "a.py::two", "a.py::one", "c.py::one"]


def test_mutants_of_a_small_module(tmp_path: Path) -> None:
    """Of changes of one statement the test notices one and not the other; what no test reaches is told apart."""
    clone = tmp_path / "clone"
    # Without an __init__.py an installed regjax would stand in front of it.
    files = {"regjax/__init__.py": "", "regjax/small.py": SOURCE, "tests/test_small.py": TESTS, "run.py": RUN}
    for path, text in files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(clone), str(ROOT / "scripts")])}
    done = subprocess.run([sys.executable, "run.py"], cwd=clone, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "+    return max(x * by, round(x)) - FACTOR" in done.stdout
    assert "+    return [*more, x - 1]" in done.stdout
    assert "min(" not in done.stdout
    assert " survived" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("| 10 | 1 | 1 | 8 |")
