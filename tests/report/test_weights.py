"""Histograms of weights: counts against NumPy and against the kept parameters of real runs, the section, the figure."""

from pathlib import Path

import numpy as np
import pandas as pd
from report_folders import HOSTILE, make_plan, save_folder
from studies import tiny

import regjax
from regjax import store
from regjax.analysis.table import load_table
from regjax.analysis.weights import read_weights
from regjax.report.page import render_page
from regjax.report.weights import make_section
from regjax.train.weights import HIGHEST, LOWEST, NUM_BINS, count_weights

DROPOUT = [{"path": "dropout.hidden", "levels": [0.0, 0.5]}]


def save_weights(out: Path, plan: dict, zeros: int = 10) -> Path:
    """Write a run directory with histograms of two layers; cell 1 has exact zeros in the first."""
    save_folder(out, plan)
    rows = []
    for run in store.load_runs(out).to_dict("records"):
        generator = np.random.default_rng([run["cell"], run["seed"]])
        for place, (layer, size) in enumerate((("hidden_0", 100), ("output", 40))):
            weights = generator.normal(size=size)
            weights[: zeros * run["cell"] * (place == 0)] = 0
            num, zero, counts = count_weights(weights)
            rows.append((run["run"], layer, "best", num, zero, counts.tolist()))
    frame = pd.DataFrame(rows, columns=["run", "layer", "moment", "num", "zeros", "counts"])
    store.write_table(store.Part("chunk0", 0).weights(out), frame)
    return out


def test_counts_equal_numpy() -> None:
    """Counts are those of `numpy.histogram`; zeros, weights beyond the bins and broken ones are where they belong."""
    weights = np.random.default_rng(0).lognormal(-3, 2, size=(40, 50)) * np.random.default_rng(1).choice(
        [-1, 1], (40, 50)
    )
    num, zeros, counts = count_weights(weights)
    expected, _ = np.histogram(np.log10(np.abs(weights)), bins=NUM_BINS, range=(LOWEST, HIGHEST))
    np.testing.assert_array_equal(counts, expected)
    assert (num, zeros) == (2000, 0)
    num, zeros, counts = count_weights(np.array([0.0, -0.0, 1e-30, 1e30, np.nan, np.inf], dtype=np.float32))
    assert (num, zeros, counts[0], counts[-1], counts.sum()) == (6, 2, 1, 1, 2)


def test_histograms_are_those_of_the_primary_state(tmp_path: Path) -> None:
    """Kept parameters are of the last state, the primary one is epoch 2: there the weights are counted."""
    study = tiny(
        primary={"metric": "test.accuracy", "at": {"epoch": 2}},
        training__keep="last",
        optimizer__learning_rate=0.05,
        measure={"predictions": "test"},
        seeds__count=2,
        factors={"l1_proximal.strength": [0.0, 0.3]},
    )
    results = regjax.run(study, tmp_path, report=False)
    frame, records = read_weights(load_table(tmp_path)), load_table(tmp_path).records
    assert frame is not None
    assert set(frame["moment"]) == {"6"}
    assert set(frame["layer"]) == {"hidden_0", "output"}
    there = records[records["step"] == 6].set_index(["cell", "seed"])["zero_fraction"]
    sums = frame.groupby(["cell", "seed"])[["zeros", "num"]].sum()
    np.testing.assert_allclose(sums["zeros"] / sums["num"], there.loc[sums.index], atol=1e-6)
    assert there.loc[1].min() > 0
    for row in frame.to_dict("records"):
        kernel = results.params(row["cell"], row["seed"])[row["layer"]]["kernel"]
        assert row["num"] == kernel.size
        assert list(row["counts"]) != count_weights(kernel)[2].tolist()


def test_section_has_shares_of_zeros_and_of_sizes(tmp_path: Path) -> None:
    """The table has the share of zeros per layer, the data of the figure the mean share of weights in every bin."""
    section = make_section(load_table(save_weights(tmp_path, make_plan(DROPOUT, 3))))
    assert section is not None
    assert [row.cells[1:] for row in section.grids[0].rows] == [("0%", "0%", "0%"), ("7.1%", "10%", "0%")]
    (drawing,) = section.drawings
    assert drawing.data is not None
    weights = [np.random.default_rng([0, seed]) for seed in range(3)]
    sizes = [np.abs(np.concatenate([g.normal(size=100), g.normal(size=40)])) for g in weights]
    shares = [np.histogram(np.log10(s), bins=NUM_BINS, range=(LOWEST, HIGHEST))[0] / 140 for s in sizes]
    shown = drawing.data[drawing.data["cell"] == "dropout.hidden=0.0"]
    np.testing.assert_allclose(shown["share"], np.mean(shares, axis=0))
    assert "7.1% exactly 0" in drawing.alt
    assert "Most exact zeros, 7.1%, has dropout.hidden=0.5" in drawing.caption


def test_many_cells_have_eight_panels(tmp_path: Path) -> None:
    """Of twelve cells eight are drawn, and the caption says which; names that look like markup stay text."""
    plan = make_plan([{"path": HOSTILE, "levels": list(range(12))}], 2)
    section = make_section(load_table(save_weights(tmp_path, plan, zeros=1)))
    assert section is not None
    (drawing,) = section.drawings
    assert drawing.data is not None
    assert drawing.data["cell"].nunique() == 8
    assert "Shown are 8 of 12 cells" in drawing.caption
    assert "<script" not in drawing.svg


def test_weights_that_are_all_zero_have_no_size(tmp_path: Path) -> None:
    """Where every weight is exactly zero the figure says so and names no mean size."""
    out = save_weights(tmp_path, make_plan(DROPOUT, 2))
    path = store.Part("chunk0", 0).weights(out)
    frame = store.read_table(path).to_pandas()
    none = pd.Series([[0] * NUM_BINS] * len(frame))
    store.write_table(path, frame.assign(zeros=frame["num"], counts=none))
    section = make_section(load_table(out))
    assert section is not None
    assert [row.cells[1:] for row in section.grids[0].rows] == [("100%", "100%", "100%")] * 2
    assert "geometric mean" not in section.drawings[0].caption
    assert "Most exact zeros, 100%" in section.drawings[0].caption


def test_diverged_runs_leave_no_histogram(tmp_path: Path) -> None:
    """Where every run diverged their table of weights is empty: there is a page, and no section on weights."""
    ends = {(cell, seed): {"diverged": 375} for cell in range(2) for seed in range(2)}
    out = save_folder(tmp_path, make_plan(DROPOUT, 2), ends)
    empty = pd.DataFrame(columns=["run", "layer", "moment", "num", "zeros", "counts"])
    store.write_table(store.Part("chunk0", 0).weights(out), empty)
    table = load_table(out)

    assert make_section(table) is None
    assert "4 of 4 runs diverged." in render_page(table, [])


def test_nothing_is_said_where_nothing_was_counted(two_cell_folder: Path, tmp_path: Path) -> None:
    """Without histograms there is no section; without any zero a sentence instead of a table."""
    assert make_section(load_table(two_cell_folder)) is None
    section = make_section(load_table(save_weights(tmp_path, make_plan(DROPOUT, 2), zeros=0)))
    assert section is not None
    assert section.grids == ()
    assert section.sentences[0].endswith("No weight of any run is exactly zero.")
