"""Which changes of a module does no test notice? A seeded sample of cosmic-ray's mutants, run on the nearest tests.

    python scripts/mutate.py regjax/keys.py
    python scripts/mutate.py regjax/analysis/stein.py regjax/analysis/shapley.py --count 30 --seed 0

Works in a clone of what is committed, so that the working tree stays as it is. The nearest tests of a module are its
own doctests and the test files that import it or have its name; `--tests` names others. A mutant is killed where they
fail or run longer than `--timeout` seconds. Prints each survivor as a diff, then a table: mutants of the module, tried,
killed.
"""

import argparse
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Tried(NamedTuple):
    """What became of a module's mutants: how many there are and were tried, and the diffs of those that survived."""

    module: str
    mutants: int
    tried: int
    survivors: list[str]


def find_tests(module: str, root: Path) -> list[str]:
    """Return the module and the test files that import it or have its name, as paths below root.

    >>> find_tests("regjax/keys.py", Path(__file__).parent.parent)[:2]
    ['regjax/keys.py', 'tests/test_keys.py']
    """
    package, name = module.removesuffix(".py").replace("/", ".").rsplit(".", 1)
    imported = re.compile(
        rf"^(?:from {re.escape(package)}\.{name} import|import {re.escape(package)}\.{name}\b"
        rf"|from {re.escape(package)} import (?:\w+, )*{name}\b)",
        re.M,
    )
    files = sorted((root / "tests").rglob("test_*.py"))
    near = [path for path in files if path.stem == f"test_{name}" or imported.search(path.read_text(encoding="utf-8"))]
    return [module, *(str(path.relative_to(root)) for path in sorted(near, key=lambda path: name not in path.stem))]


def try_module(module: str, count: int | None, seed: int, tests: list[str], timeout: float) -> Tried:
    """Return what became of a module's mutants, all or a sample of `count`; changes the module's file while it runs.

    Raises:
        RuntimeError: the tests fail without any change
    """
    from cosmic_ray.commands import init
    from cosmic_ray.mutating import mutate_and_test
    from cosmic_ray.work_db import WorkDB
    from cosmic_ray.work_item import TestOutcome

    command = shlex.join([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests])
    if subprocess.run(shlex.split(command), stdout=subprocess.DEVNULL).returncode:
        raise RuntimeError(f"the tests of {module} fail without any change: {command}")
    database = WorkDB("mutants.sqlite", WorkDB.Mode.create)
    init([Path(module)], database, {})
    mutants = sorted((item.mutations for item in database.work_items), key=str)
    database.close()
    sample = mutants if count is None else random.Random(seed).sample(mutants, min(count, len(mutants)))
    survivors = []
    for number, mutations in enumerate(sample, 1):
        result = mutate_and_test(mutations, command, timeout)
        print(f"{module} {number}/{len(sample)}: {result.test_outcome}", file=sys.stderr, flush=True)
        if result.test_outcome == TestOutcome.SURVIVED:
            survivors.append(result.diff)
            print(result.diff, flush=True)
    return Tried(module, len(mutants), len(sample), survivors)


def make_table(tried: Sequence[Tried]) -> str:
    """Return a Markdown table with a row per module.

    >>> print(make_table([Tried("a.py", 40, 10, ["diff"])]))
    | module | mutants | tried | killed | survivors |
    |---|---|---|---|---|
    | `a.py` | 40 | 10 | 9 | 1 |
    """
    rows = [f"| `{m}` | {mutants} | {n} | {n - len(left)} | {len(left)} |" for m, mutants, n, left in tried]
    return "\n".join(["| module | mutants | tried | killed | survivors |", "|---|---|---|---|---|", *rows])


def main(arguments: Sequence[str] | None = None) -> None:
    """Try mutants of the modules in a clone of the repository and print survivors and table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="path of a source file, such as regjax/keys.py")
    parser.add_argument("--count", type=int, help="mutants tried of each module; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tests", nargs="+", help="test files in place of the nearest ones")
    parser.add_argument("--timeout", type=float, default=600, help="seconds after which tests count as failed")
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as clone:
        subprocess.run(["git", "clone", "--quiet", str(root), clone], check=True)
        os.chdir(clone)
        os.environ["PYTHONPATH"] = clone
        tests = {module: options.tests or find_tests(module, Path(clone)) for module in options.modules}
        settings = (options.count, options.seed)
        tried = [try_module(module, *settings, near, options.timeout) for module, near in tests.items()]
        os.chdir(root)
    print(make_table(tried))


if __name__ == "__main__":
    main()
