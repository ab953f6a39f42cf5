from collections.abc import Iterator
from pathlib import Path

import pytest
from planted_suite import Counted, write_claims

from regjax.claims.facts import Check
from regjax.claims.measures import MEASURES, Measure
from regjax.claims.mechanisms import MECHANISMS


@pytest.fixture(scope="session")
def planted() -> Iterator[Counted]:
    """Return a measure that claims of these tests may name."""
    measure = Counted()
    MEASURES["planted"] = Measure(measure, "a planted number")
    MECHANISMS["planted"] = lambda: [Check("one", "1", "1", True)]
    yield measure
    del MEASURES["planted"], MECHANISMS["planted"]


@pytest.fixture
def folder(tmp_path: Path, planted: Counted) -> Path:
    """Return a folder of claim files that a test may change."""
    return write_claims(tmp_path / "claims")


@pytest.fixture(scope="session")
def suite_folder(tmp_path_factory: pytest.TempPathFactory, planted: Counted) -> Path:
    """Return the same folder, for tests that leave it as it is."""
    return write_claims(tmp_path_factory.mktemp("suite") / "claims")
