import contextlib
import io

import pytest
from hostile_study import HostileRun, list_files, write_study

from regjax import cli


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> HostileRun:
    """Return the trained study; it was run from the folder in which a program of a name would leave its canary."""
    around = tmp_path_factory.mktemp("around")
    study = write_study(around)
    before, printed = list_files(around), io.StringIO()
    with contextlib.chdir(around), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        assert cli.main(["run", study.name, "--out", "out"]) == 0, printed.getvalue()
        assert cli.main(["status", "out"]) == 0, printed.getvalue()
    return HostileRun(around / "out", around, before, printed.getvalue())
