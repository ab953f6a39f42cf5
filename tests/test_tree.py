"""What is in the repository: no secrets, no addresses of one machine, versions and CI that fit together."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
# Each begins with a class of characters, so that no pattern finds itself here.
SECRETS = {
    "private key": r"[-]----BEGIN [A-Z ]*PRIVATE KEY",
    "AWS key": r"(?<![A-Z0-9])(?:[A]KIA|[A]SIA)[A-Z0-9]{16}(?![A-Z0-9])",
    "GitHub token": r"[g]h[pousr]_[A-Za-z0-9]{36}|[g]ithub_pat_\w{22}",
    "Slack token": r"[x]ox[abeoprs]-[A-Za-z0-9-]{10}",
    "Google key": r"[A]Iza[\w-]{35}",
    "token of a model hub or service": r"\b[h]f_[A-Za-z0-9]{30}|\b[s]k-[A-Za-z0-9_-]{32}|[p]ypi-AgEI\w{16}",
    "web token": r"[e]yJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+",
    "password in an address": r"[:]//[^\s/:@\"'{}]+:[^\s/:@\"'{}]+@",
}
PLACES = {
    "folder of one machine": r"[/](?:work|root|tmp|Users)/\w|[/]home/(?!me/|someone/)\w",
    "package index": r"[/]simple\b|[-]-(?:extra-)?index-url|[p]ypi\.org|[p]ythonhosted|[f]ind-links",
}
EXAMPLES = {
    "private key": "-" * 5 + "BEGIN RSA PRIVATE KEY",
    "AWS key": "AKIA" + "A1" * 8,
    "GitHub token": "ghp" + "_" + "a1" * 18,
    "Slack token": "xoxb" + "-1234567890",
    "Google key": "AIza" + "b" * 35,
    "token of a model hub or service": "hf" + "_" + "c" * 34,
    "web token": "eyJhbGciOiJIUzI1." + "eyJzdWIiOiIxMjM0.abc",
    "password in an address": "https:" + "//me:word@host",
    "folder of one machine": "/tm" + "p/run",
    "package index": "https://host/" + "simple/",
}


def find_marks(text: str, patterns: dict[str, str]) -> list[str]:
    """Return the names of the patterns that occur in a text."""
    return [name for name, pattern in patterns.items() if re.search(pattern, text)]


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Return the files that git keeps."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_pattern_finds_its_like(name: str) -> None:
    """A made-up secret, folder or address is found by its pattern and by no other."""
    assert find_marks(f'x = "{EXAMPLES[name]}"', SECRETS | PLACES) == [name]


def test_no_file_has_a_secret_or_an_address_of_one_machine(tracked: list[Path]) -> None:
    """No tracked file, text or not, has a key, a token, a password, a folder of a machine or a package index."""
    found = {path: find_marks(path.read_bytes().decode("latin-1"), SECRETS | PLACES) for path in tracked}

    assert len(found) > 300
    assert {str(path): marks for path, marks in found.items() if marks} == {}


def read_requirements(*extras: str) -> list[Requirement]:
    """Return the requirements of the package and of some extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in lines]


def read_pins(path: str) -> dict[str, Version]:
    """Return {name: version} of a file of constraints, and check that it has nothing but exact versions."""
    lines = [line for line in (ROOT / path).read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+(\[[\w,]+\])?==[\w.]+", line)] == []
    pins = [Requirement(line) for line in lines]
    return {canonicalize_name(pin.name): Version(next(iter(pin.specifier)).version) for pin in pins}


def find_bound(requirement: Requirement, operator: str) -> Version | None:
    """Return the version that a requirement names with this operator, or None."""
    return next((Version(part.version) for part in requirement.specifier if part.operator == operator), None)


def test_lower_bounds_are_the_oldest_versions_tested() -> None:
    """Each requirement's lower bound is its version in constraints-oldest.txt."""
    pins = read_pins("constraints-oldest.txt")
    for requirement in read_requirements("trackers", "dev", "docs"):
        assert find_bound(requirement, ">=") == pins[canonicalize_name(requirement.name)], str(requirement)


def test_every_requirement_has_an_upper_bound_above_the_versions_tested() -> None:
    """The package's requirements end somewhere, and what constraints.txt pins lies within all bounds."""
    pins = read_pins("constraints.txt")
    assert all(find_bound(requirement, "<") for requirement in read_requirements("trackers"))
    for requirement in read_requirements("trackers", "dev", "docs"):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, str(requirement)


def test_the_hosted_workflow_reads_only_and_runs_what_is_there() -> None:
    """ci.yml may read, asks for no secret, names actions by major version, and its commands and files exist."""
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    workflow = yaml.safe_load(text)
    (job,) = workflow["jobs"].values()
    rows = job["strategy"]["matrix"]["include"]
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    commands = [
        shlex.split(step["run"].replace("${{ matrix.suite }}", "SUITE")) for step in job["steps"] if "run" in step
    ]

    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets" not in text
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", name) for name in used)
    slurm = [name for name in (ROOT / ".ci" / "run").read_text().split() if name.startswith(("slurm", "munge"))]
    assert commands[0][-4:] == ["slurmctld", "slurmd", "slurm-client", "munge"]
    assert set(commands[0][-4:]) <= {name.rstrip(";") for name in slurm}
    assert commands[1:] == [[".ci/run", "SUITE"]]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert {row["python"] for row in rows} == {"3.11", "3.12", "3.13"}
    assert all((ROOT / row["constraints"]).exists() for row in rows)


def test_what_ci_runs_exists() -> None:
    """`.ci/run` knows the suites of ci.yml and no other, and calls targets of the Makefile."""
    script = (ROOT / ".ci" / "run").read_text()
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    suites = {row["suite"] for row in workflow["jobs"]["test"]["strategy"]["matrix"]["include"]}
    refused = subprocess.run([ROOT / ".ci" / "run", "nothing"], capture_output=True, text=True)

    assert suites == {"full", "core"}
    assert all(re.search(rf"\b{suite}\b", script) for suite in suites)
    assert set(re.findall(r"^\s*make ([\w-]+)", script, re.M)) <= targets
    assert (refused.returncode, "[full|core]" in refused.stderr) == (2, True)


def test_the_core_tests_exist() -> None:
    """Each path that `make test-core` names is there."""
    (names,) = re.findall(r"^CORE = ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.M)
    paths = names.replace("\\\n", " ").split()

    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
