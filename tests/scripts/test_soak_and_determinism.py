"""The scripts on what a process keeps and on which bits depend on what, at small sizes."""

from pathlib import Path

import determinism
import pandas as pd
import pytest
import soak


def test_a_process_keeps_nothing_of_sixty_runs(tmp_path: Path) -> None:
    """After three studies of twenty runs there are no more files, threads or device buffers than after the first."""
    held = list(soak.soak(3, 10, tmp_path))

    assert soak.judge(held) == []


def test_what_stays_is_seen(tmp_path: Path) -> None:
    """A file, a thread's worth of memory or a buffer that is kept after the warm-up is named."""
    import jax.numpy as jnp

    before = soak.look()
    kept, file = jnp.ones(3), (tmp_path / "open").open("w")
    after = soak.look()
    file.close()

    assert soak.judge([before, after._replace(memory=before.memory)]) == [
        f"files grew from {before.files} to {before.files + 1}",
        f"buffers grew from {before.buffers} to {before.buffers + 1}",
    ]
    assert "memory grew" in soak.judge([before, before._replace(memory=1.06 * before.memory)])[0]
    assert kept.sum() == 3


def test_runs_that_differ_are_counted() -> None:
    """One record that differs makes its run unequal; differences are those of the last update."""
    index = pd.MultiIndex.from_product([[0, 1], [0, 1], [5, 10]], names=["cell", "seed", "step"])
    reference = pd.DataFrame({"test.nll": 2.0, "test.accuracy": 0.5}, index=index)
    found = reference.copy()
    found.loc[(0, 0, 5), "test.nll"] = 3.0
    found.loc[(1, 1, 10)] = [2.5, 0.6]

    assert determinism.compare(reference, reference) == (4, 4, 0.0, 0.0, 0.0)
    assert tuple(determinism.compare(found, reference)) == pytest.approx((4, 2, 0.25, 0.1, 0.05))
