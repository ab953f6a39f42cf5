"""Run directories that several tests of the commands read."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from studies import tiny

import regjax
from regjax import cli
from regjax.progress import Progress


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a finished study of two groups, in which some runs stop early."""
    folder = tmp_path_factory.mktemp("commands") / "out"
    factors = {"model.norm": ["none", "batch"], "early_stopping.patience": ["off", 1]}
    study = tiny(factors=factors, training__epochs=8, optimizer__learning_rate=0.1)
    regjax.run(study, folder, report=False, progress=Progress(io.StringIO(), live=False))
    return folder


@pytest.fixture
def part(out: Path, tmp_path: Path) -> Path:
    """Return a copy in which one group has records and is not published, as while it trains."""
    folder = tmp_path / "part"
    shutil.copytree(out, folder)
    next(folder.glob("chunks/*/done-*.json")).unlink()
    return folder


@pytest.fixture
def read(capsys: pytest.CaptureFixture) -> Callable[..., dict[str, Any]]:
    """Return a function that runs a command and gives the one JSON object that it prints."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    def run(*words: object) -> dict[str, Any]:
        assert cli.main([*map(str, words), "--json"]) == 0
        found = json.loads(capsys.readouterr().out, parse_constant=refuse)
        assert isinstance(found, dict)
        return found

    return run
