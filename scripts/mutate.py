"""Which changes of a module does no test notice? A seeded sample of changes (`mutants.py`), run on the nearest tests.

    python scripts/mutate.py regjax/keys.py
    python scripts/mutate.py regjax/analysis/stein.py regjax/analysis/shapley.py --count 30 --seed 0

Works in a clone of what is committed, so that the working tree stays as it is. The nearest tests of a module are its
own doctests, the tests of its package and the test files that import it or have its name; `--tests` names others. They
run once with coverage, which says what each test reaches; a change is then tried on the tests that reach its statement,
quick ones first, up to the first failure, in a copy of a process that has jax, pandas and so on imported. What runs at
import, or in a fixture that tests of a file may share, is tried on all tests of the files that reach it.
Of many tests only the quick ones are taken, as many as usually end within `--budget` seconds.
Tests that take longer than five times as usual (and 20 seconds) have failed. A change that no near test reaches is
counted as such.

Where tests compile much, `XLA_FLAGS=--xla_backend_optimization_level=0` halves their time.

A sample takes different places and kinds of changes (one of `a + b` -> `a - b`, `a * b`, ...). Prints each survivor as
a diff, then a table.
"""

import argparse
import ast
import difflib
import itertools
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mutants import Mutant, apply_mutant, find_mutants


class Tried(NamedTuple):
    """What became of a module's mutants: how many there are and were tried, survived, and were reached by no test."""

    module: str
    mutants: int
    tried: int
    survivors: int
    unreached: int


class Reach(NamedTuple):
    """What tests do unchanged: the seconds of each, and for each module and line what executes it.

    Lines are texts, as JSON has it; what executes them is `test|setup`, `test|run`, `test|teardown`, or "" at import.
    """

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]


class Chosen:
    """A plugin of pytest: runs the wanted tests in their order, then parameters of known tests that a change made."""

    def __init__(self, wanted: Sequence[str], known: Sequence[str]) -> None:
        self.order = {test: place for place, test in enumerate(wanted)}
        self.known = set(known)
        self.functions = {test.split("[")[0] for test in known}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Choose and sort the tests."""
        new = {i.nodeid for i in items if i.nodeid.split("[")[0] in self.functions} - self.known
        items[:] = [item for item in items if item.nodeid in self.order or item.nodeid in new]
        items.sort(key=lambda item: self.order.get(item.nodeid, len(self.order)))


class Clock:
    """A plugin of pytest: writes the seconds of each test, and whether all is well, to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add the seconds of a phase."""
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self.path.write_text(json.dumps(self.seconds), encoding="utf-8")


def find_tests(module: str, root: Path) -> list[str]:
    """Return the module, the folder of its package's tests, and test files that import it or have its name.

    >>> find_tests("regjax/keys.py", Path(__file__).parent.parent)[:2]
    ['regjax/keys.py', 'tests/test_keys.py']
    """
    package, name = module.removesuffix(".py").replace("/", ".").rsplit(".", 1)
    imported = re.compile(
        rf"^(?:from {re.escape(package)}\.{name} import|import {re.escape(package)}\.{name}\b"
        rf"|from {re.escape(package)} import (?:\w+, )*{name}\b)",
        re.M,
    )
    folder = Path("tests", *package.split(".")[1:])
    own = [str(folder)] if folder != Path("tests") and (root / folder).is_dir() else []
    files = [
        path for path in sorted((root / "tests").rglob("test_*.py")) if not own or root / folder not in path.parents
    ]
    near = [path for path in files if path.stem == f"test_{name}" or imported.search(path.read_text(encoding="utf-8"))]
    others = [str(path.relative_to(root)) for path in sorted(near, key=lambda path: name not in path.stem)]
    return [module, *own, *others]


def run_pytest(arguments: list[str], plugins: list[Any], log: Path, seconds: float | None = None) -> int | None:
    """Return pytest's exit code, from a copy of this process with what it has imported; None after so many seconds."""

    def work() -> None:
        os.setsid()
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        import pytest

        sys.exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments], plugins=plugins)))

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return None
    return process.exitcode


def measure_reach(tests: Sequence[str], modules: Sequence[str], clone: Path) -> Reach:
    """Return what the tests execute of the modules.

    Raises:
        RuntimeError: the tests fail without any change
    """
    import coverage

    folder = clone.parent
    (folder / "coveragerc").write_text("[run]\nsource = regjax\n")
    os.environ["COVERAGE_FILE"] = str(folder / "coverage")
    options = ["--cov=regjax", "--cov-context=test", "--cov-report=", f"--cov-config={folder / 'coveragerc'}"]
    if run_pytest([*options, *tests], [Clock(folder / "seconds.json")], folder / "log"):
        last = "\n".join((folder / "log").read_text(encoding="utf-8").splitlines()[-30:])
        raise RuntimeError(f"the tests fail without any change:\n{last}")
    data = coverage.CoverageData(str(folder / "coverage"))
    data.read()
    seconds = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))
    lines = {module: data.contexts_by_lineno(str(clone / module)) for module in modules}
    return Reach(seconds, {m: {str(line): sorted(by) for line, by in found.items()} for m, found in lines.items()})


def statement_lines(source: str, mutant: Mutant) -> range:
    """Return the lines of the shortest statement around a mutant, of compound statements the head.

    >>> statement_lines("if f(\\n  1):\\n    pass", Mutant(2, 2, 2, "core/NumberReplacer", 0))
    range(1, 3)
    """
    spans = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            body, decorators = getattr(node, "body", None), getattr(node, "decorator_list", [])
            first = min([node.lineno, *(d.lineno for d in decorators)])
            last = max(first, body[0].lineno - 1) if body else node.end_lineno or first
            if first <= mutant.first <= last:
                spans.append(range(first, last + 1))
    return min(spans, key=len)


def choose_tests(source: str, mutant: Mutant, module: str, reach: Reach, budget: float) -> list[str]:
    """Return the tests on which a mutant is tried, quick files first, in them quick tests first, within the budget."""
    lines = reach.lines[module]
    executed = {by for line in statement_lines(source, mutant) for by in lines.get(str(line), [])}
    if "" in executed:
        executed = {by for line in lines.values() for by in line}
        shared = {by.split("::")[0] for by in executed}
    else:
        shared = {by.split("::")[0] for by in executed if by.endswith("|setup")}
    tests = {by.rpartition("|")[0] for by in executed} & set(reach.seconds)
    tests |= {test for test in reach.seconds if test.split("::")[0] in shared}
    if "" in executed and not tests:  # a table, which tests only read
        tests = set(reach.seconds)
    totals: defaultdict[str, float] = defaultdict(float)
    for test in tests:
        totals[test.split("::")[0]] += reach.seconds[test]
    ordered = sorted(tests, key=lambda test: (totals[test.split("::")[0]], test.split("::")[0], reach.seconds[test]))
    ends = itertools.accumulate(reach.seconds[test] for test in ordered)
    return [test for test, end in zip(ordered, ends, strict=True) if end <= budget] or ordered[:1]


def draw_sample(mutants: Sequence[Mutant], count: int | None, seed: int) -> list[Mutant]:
    """Return all mutants, or `count` of different places and kinds while there are such, in the module's order."""
    if count is None:
        return list(mutants)
    shuffled = random.Random(seed).sample(mutants, len(mutants))
    seen: Counter[tuple] = Counter()
    rank = {}
    for mutant in shuffled:
        place = (mutant.first, mutant.column, mutant.operator.split("_")[0])
        rank[mutant] = seen[place]
        seen[place] += 1
    return sorted(sorted(shuffled, key=rank.__getitem__)[:count], key=mutants.index)


def try_module(module: str, reach: Reach, options: argparse.Namespace) -> Tried:
    """Return what became of a module's mutants; prints survivors; changes the module's file while it runs."""
    path = Path(module)
    source = path.read_text(encoding="utf-8")
    mutants = find_mutants(source)
    sample = draw_sample(mutants, options.count, options.seed)
    numbered = [(number, m) for number, m in enumerate(sample, 1) if not options.only or number in options.only]
    outcomes: Counter[str] = Counter()
    for number, mutant in numbered:
        began = time.monotonic()
        tests = choose_tests(source, mutant, module, reach, options.budget)
        changed = apply_mutant(source, mutant)
        outcome = try_tests(path, changed, number, tests, reach) if tests else "not reached"
        outcomes[outcome] += 1
        told = f"{module}:{mutant.first} {number}/{len(sample)} {mutant.operator}: {outcome}"
        by = find_killer(Path("../log")) if outcome == "killed" else f"{len(tests)} tests"
        print(f"{told} ({by}, {time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
        if outcome != "killed":
            diff = difflib.unified_diff(source.splitlines(), changed.splitlines(), lineterm="", n=1)
            print("\n".join([told, *list(diff)[2:]]), flush=True)
    path.write_text(source, encoding="utf-8")
    return Tried(module, len(mutants), len(numbered), outcomes["survived"], outcomes["not reached"])


def try_tests(path: Path, changed: str, number: int, tests: Sequence[str], reach: Reach) -> str:
    """Return whether tests kill a changed module: "survived", "killed" or "too long"."""
    path.write_text(changed, encoding="utf-8")
    # Python takes a compiled module from its cache by size and time of the source, which may be the last mutant's.
    os.utime(path, (number, number))
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    limit = max(20.0, 5 * sum(reach.seconds[test] for test in tests))
    code = run_pytest(["-p", "no:cov", *files], [Chosen(tests, list(reach.seconds))], Path("../log"), limit)
    return "too long" if code is None else "survived" if code in (0, 5) else "killed"


def find_killer(log: Path) -> str:
    """Return what pytest says of the first failure."""
    failed = [line for line in log.read_text(encoding="utf-8").splitlines() if re.match("FAILED|ERROR", line)]
    return failed[0][:200] if failed else "no test failed"


def make_table(tried: Sequence[Tried]) -> str:
    """Return a Markdown table with a row per module.

    >>> print(make_table([Tried("a.py", 40, 10, 1, 2)]))
    | module | mutants | tried | killed | survivors | not reached |
    |---|---|---|---|---|---|
    | `a.py` | 40 | 10 | 7 | 1 | 2 |
    """
    head = ["| module | mutants | tried | killed | survivors | not reached |", "|---|---|---|---|---|---|"]
    return "\n".join(head + [f"| `{m}` | {total} | {n} | {n - s - u} | {s} | {u} |" for m, total, n, s, u in tried])


def preload() -> None:
    """Import what is slow to import and starts no device, once for all copies of this process."""
    import flax  # noqa: F401
    import jax  # noqa: F401
    import numpy  # noqa: F401
    import optax  # noqa: F401
    import pandas  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn  # noqa: F401


def main(arguments: Sequence[str] | None = None) -> None:
    """Try mutants of the modules in a clone of the repository and print survivors and table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="path of a source file, such as regjax/keys.py")
    parser.add_argument("--count", type=int, help="mutants tried of each module; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--only", type=int, nargs="+", default=[], metavar="N", help="numbers of the sample to try")
    parser.add_argument("--tests", nargs="+", help="test files in place of the nearest ones")
    parser.add_argument("--budget", type=float, default=60, help="usual seconds of the tests of one mutant, at most")
    parser.add_argument("--reach", type=Path, help="JSON file of what tests reach: read, or written where absent")
    options = parser.parse_args(arguments)
    root, reach_file = Path(__file__).resolve().parent.parent, options.reach and options.reach.resolve()
    preload()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder).resolve() / "clone"
        subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
        os.chdir(clone)
        os.environ["PYTHONPATH"] = str(clone)
        sys.path.insert(0, str(clone))
        if reach_file and reach_file.exists():
            reach = Reach(**json.loads(reach_file.read_text(encoding="utf-8")))
        else:
            tests = options.tests or [test for module in options.modules for test in find_tests(module, clone)]
            reach = measure_reach(list(dict.fromkeys(tests)), options.modules, clone)
        if reach_file:
            reach_file.write_text(json.dumps(reach._asdict()), encoding="utf-8")
        tried = [try_module(module, reach, options) for module in options.modules]
        os.chdir(root)
    print(make_table(tried))


if __name__ == "__main__":
    main()
