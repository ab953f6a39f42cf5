"""Run directories of every released schema stay readable, and can be gone on with."""

import io
import shutil
from pathlib import Path

import make_golden
import numpy as np
import pandas as pd
import pytest

import regjax
from regjax import cli, store
from regjax.progress import Progress

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = sorted(path.name for path in GOLDEN.iterdir())


@pytest.fixture(params=FOLDERS)
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of a stored folder."""
    return Path(shutil.copytree(GOLDEN / request.param, tmp_path / "out"))


def test_there_is_a_folder_of_each_schema() -> None:
    """Each schema from the first to the present one has a folder, which is small."""
    assert [str(schema) for schema in range(1, store.SCHEMA + 1)] == FOLDERS
    for name in FOLDERS:
        assert sum(path.stat().st_size for path in (GOLDEN / name).rglob("*") if path.is_file()) < 100_000


def test_it_is_read_and_reported(out: Path, capsys: pytest.CaptureFixture) -> None:
    """Records, effects, kept parameters and predictions are there; `status` and `report` find the diverged cell."""
    results = regjax.load_results(out)
    frame, kept = results.to_pandas(), results.predictions()

    assert results.table.status.done.all()
    assert results.cells()["diverged"].tolist() == [0, 2]
    assert len(results.effects()) == 1
    assert frame[frame["cell"] == 0].groupby("seed")["step"].max().tolist() == [12, 12]
    assert sorted(results.params(0, 1)) == ["hidden_0", "output"]
    assert kept.loc[kept["cell"] == 0, ["p0", "p1", "p2"]].sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert len(kept) == 2 * 2 * 20
    assert cli.main(["status", str(out)]) == cli.main(["report", str(out)]) == 0
    assert "4 of 4 runs done" in capsys.readouterr().out
    assert "wine" in (out / "report.html").read_text(encoding="utf-8")


def test_it_is_gone_on_with(out: Path) -> None:
    """A further seed is trained into it; what was stored stays as it is, whether its runs are those of today or not.

    Once the engine's code has changed, they are not: then all runs of the grown study are trained beside them.
    """
    old = store.load_records(out)
    files = {path: path.read_bytes() for path in (out / "chunks").rglob("*") if path.is_file()}
    study = {**make_golden.STUDY, "seeds": {"count": 3}}
    grown = regjax.run(study, out, progress=Progress(io.StringIO(), live=False), report=False)
    again = store.load_records(out, set(old["run"]))

    assert grown.table.status.done.all()
    assert grown.plan["seeds"] == [0, 1, 2]
    assert np.isfinite(grown.effects()["effect"]).sum() <= 1
    assert {path: path.read_bytes() for path in files} == files
    order = ["run", "step"]
    pd.testing.assert_frame_equal(
        again.sort_values(order, ignore_index=True), old.sort_values(order, ignore_index=True)
    )
