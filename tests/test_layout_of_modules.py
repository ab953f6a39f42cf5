"""The direction of imports, and that reading results needs no jax."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import regjax

PACKAGE = Path(regjax.__file__).parent

# A stage imports only from its own row and the rows above it.
STAGES = [
    ["parts", "keys", "files", "leases", "runtime", "progress", "stop", "costs", "metrics", "statements", "reached"],
    ["regularizers", "models", "observers", "tasks", "optimizers", "recipe"],
    ["design"],
    ["config"],
    ["data"],
    ["codes", "identity", "grouping", "labels", "catalogue", "demands", "keeping", "schema", "draft"],
    ["plan", "sources"],
    ["train"],
    ["store", "planned"],
    ["analysis"],
    ["report"],
    ["answers", "notices"],
    ["results", "pilot", "foreign", "trackers", "explain"],
    ["harvest", "queue", "standing", "telling", "room", "segments", "repair", "sharing", "units"],
    ["mirror"],
    ["work", "saving", "execute", "stored"],
    ["waves"],
    ["conductor"],
    ["preview", "overhead"],
    ["claims"],
    ["commands"],
    ["cli"],
    ["__init__", "__main__"],
]
RANK = {name: rank for rank, names in enumerate(STAGES) for name in names}


def imports(path: Path) -> set[str]:
    """Return the regjax stages that a file imports at run time; imports for type checking alone do not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "regjax":
            parts = node.module.split(".")
            names = [alias.name for alias in node.names]
            found |= {parts[1]} if len(parts) > 1 else {n if n in RANK else "__init__" for n in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("regjax.")}
    return found


def stage(path: Path) -> str:
    """Return the stage that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    """A file imports only stages to its left in the way of the data; `__version__` is for all."""
    mine = RANK[stage(path)]

    assert {name for name in imports(path) if name != "__init__" and RANK[name] > mine} == set()


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("flax", {"models"}),
        ("orbax", {"train"}),
        ("pyarrow", {"store"}),
        ("matplotlib", {"report"}),
        ("rich", {"progress"}),
    ],
)
def test_libraries_stay_in_their_rooms(library: str, allowed: set[str]) -> None:
    """A library that is confined to one stage is imported nowhere else."""
    users = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == library for name in names):
                users.add(stage(path))

    assert users <= allowed


def test_help_needs_no_jax() -> None:
    """`regjax --help` imports none of the heavy libraries."""
    code = (
        "import sys, regjax.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'jax', 'numpy', 'pandas', 'pydantic', 'tensorflow_datasets', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_reading_and_reporting_need_no_jax(tmp_path: Path) -> None:
    """With jax, flax, optax and orbax blocked, `regjax report`, `regjax status` and `load_results` work."""
    from studies import tiny

    from regjax import cli

    regjax.run(tiny(), tmp_path / "out", report=False)
    code = (
        # None in sys.modules would say that jax was imported before, and scipy would look into it.
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name in ('jax', 'jaxlib', 'flax', 'optax', 'orbax'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import regjax\nfrom regjax import cli\n"
        f"out = {str(tmp_path / 'out')!r}\n"
        "assert cli.main(['report', out]) == 0 and cli.main(['status', out]) == 0\n"
        "assert cli.main(['status', out, '--json']) == cli.main(['across', out, '--json']) == 0\n"
        "assert cli.main(['power', out, '--effect', '0.01', '--json']) == 0\n"
        "assert cli.main(['report', out + '/nothing']) == 1\n"
        "assert len(regjax.load_results(out).effects()) == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert cli.main(["report", str(tmp_path / "out")]) == 0
