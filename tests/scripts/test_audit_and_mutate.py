"""The scripts that ask for vulnerabilities and try mutants: what they make of what they are told."""

from pathlib import Path

import audit
import mutate
import pytest

ROOT = Path(__file__).parent.parent.parent
SOUND = {"name": "a", "version": "1", "vulns": []}
HURT = {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found"}


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
    """The doctests come first, then the file of the module's name; other modules' tests are left out."""
    tests = mutate.find_tests("regjax/analysis/stein.py", ROOT)

    assert tests[:2] == ["regjax/analysis/stein.py", "tests/analysis/test_stein.py"]
    assert "tests/test_keys.py" not in tests
    assert "tests/analysis/test_trend.py" in mutate.find_tests("regjax/analysis/trend.py", ROOT)


def test_the_table_counts_survivors() -> None:
    """Killed, surviving and unreached mutants add up to those tried."""
    table = mutate.make_table([mutate.Tried("a.py", 40, 10, 2, 1)])

    assert table.endswith("| `a.py` | 40 | 10 | 7 | 2 | 1 |")
