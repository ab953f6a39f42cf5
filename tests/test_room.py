"""P3: what a study will take on the disk, as it is told and as it is checked before the start."""

import shutil
from pathlib import Path

import pytest
from studies import tiny

import regjax
from regjax.files import StoreError
from regjax.preview import make_preview, preview_text
from regjax.progress import Progress

CELLS_X_SEEDS, TEST, OUTPUTS = 2 * 3, 128, 10


def test_room_is_told_by_kind(tmp_path: Path) -> None:
    """Kept predictions take 8 bytes of 12 columns; what is stored takes no room again; free is what the disk says."""
    plain, kept = (make_preview(tiny(measure__predictions=asked))["disk"] for asked in ("none", "test"))
    regjax.run(tiny(measure__predictions="test"), tmp_path, progress=Progress(live=False), report=False)
    grown = make_preview(tiny(measure__predictions="test", seeds__count=4), out=tmp_path)
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    assert kept["results"] - plain["results"] == CELLS_X_SEEDS * TEST * (OUTPUTS + 2) * 8
    assert kept["total"] == kept["results"] + kept["checkpoints"]
    assert 0.5 * kept["results"] < written < 2 * kept["total"]
    assert 3 * grown["disk"]["results"] == kept["results"]  # two runs more, of six
    assert grown["disk"]["free"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)
    assert f"; {grown['disk']['free'] / 2**20:,.1f} MiB are free\n" in preview_text(grown)


def test_what_is_refused_is_told_as_too_much(tmp_path: Path) -> None:
    """A study that `regjax run` refuses for lack of room is told so by its plan, with the same figure."""
    large = tiny(training__epochs=10**8)
    found = make_preview(large)
    with pytest.raises(StoreError, match=f"will take about {found['disk']['total'] / 2**20:,.0f} MiB"):
        regjax.run(large, tmp_path, progress=Progress(live=False), report=False)

    assert "are free, too few: `regjax run` would refuse\n" in preview_text(found)
