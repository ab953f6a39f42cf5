"""The generalization gap and early stopping: numbers against closed forms, figures, and when they are left out."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from report_folders import HOSTILE, make_plan, save_folder

from regjax.analysis.effects import all_effects, make_effects
from regjax.analysis.gap import gap_name, with_gap
from regjax.analysis.table import Table, load_table, state_values
from regjax.report import gap, stopping
from regjax.report.curves import TRAIN_DASHES
from regjax.report.extras import make_extras
from regjax.report.gallery import held_curves, make_curves, make_effect_plot, make_legend, make_strip_plot
from regjax.report.page import render_page

DROPOUT = [{"path": "dropout.hidden", "levels": [0.0, 0.5]}]


def levels(count: int) -> list[dict]:
    """Return a factor with so many levels."""
    return [{"path": "l2.strength", "levels": [i / 100 for i in range(count)]}]


@pytest.fixture
def table(two_cell_folder: Path) -> Table:
    """Return the study of two cells."""
    return load_table(two_cell_folder)


def test_gap_is_train_less_test(table: Table) -> None:
    """The gap of a score is training less test, that of a loss test less training; a recorded one is left alone."""
    at = table.plan["primary"]["at"]
    train, test = (state_values(table, f"{split}.accuracy", at) for split in ("train", "test"))
    assert gap_name(table) == "gap.accuracy"
    np.testing.assert_allclose(state_values(with_gap(table, "gap.accuracy"), "gap.accuracy", at), train - test)
    train, test = (state_values(table, f"{split}.nll", at) for split in ("train", "test"))
    np.testing.assert_allclose(state_values(with_gap(table, "gap.nll"), "gap.nll", at), test - train)
    known = dataclasses.replace(table, records=table.records.assign(**{"gap.nll": 1.0}))
    assert (with_gap(known, "gap.nll").records["gap.nll"] == 1.0).all()


def test_one_evaluation_is_no_course(table: Table) -> None:
    """Of runs that were evaluated once no curve is drawn; the gap keeps its means."""
    once = dataclasses.replace(table, records=table.records[table.records["step"] == table.records["step"].max()])
    section = gap.make_section(once)
    assert section is not None
    assert [drawing.name for drawing in section.drawings] == ["gap-state"]
    assert make_curves(once) == []


def test_a_table_says_what_it_leaves_out(lattice_folder: Path) -> None:
    """Of many contrasts the table of the gap has the first, and its title says of how many."""
    table = load_table(lattice_folder)
    section = gap.make_section(table)
    assert section is not None
    (grid,) = section.grids
    assert (len(grid.rows), grid.title) == (
        gap.MOST_ROWS,
        f"Exploratory effects on the gap: {gap.MOST_ROWS} of {len(table.plan['contrasts'])} contrasts",
    )


def test_gap_section_shows_means_curves_and_effects(table: Table) -> None:
    """Means at the primary state, curves over training and paired effects equal those of the metric gap.*."""
    section = gap.make_section(table)
    assert section is not None
    state, course = section.drawings
    known = with_gap(table, "gap.accuracy")
    values = state_values(known, "gap.accuracy", table.plan["primary"]["at"])
    assert state.data is not None
    assert course.data is not None
    np.testing.assert_allclose(state.data["mean"], values.mean(axis=1))
    steps, curves = held_curves(known, "gap.accuracy")
    np.testing.assert_allclose(course.data["mean"], curves.mean(axis=1).ravel())
    np.testing.assert_allclose(course.data["epoch"], np.tile(steps / 375, 2))
    effect = make_effects(known, metric="gap.accuracy").iloc[0]
    assert section.grids[0].rows[0].cells[1] == f"{100 * effect['effect']:+.2f}"
    assert all("gap in accuracy" in drawing.alt for drawing in section.drawings)


def test_lost_runs_leave_no_gap_and_few_leave_no_curve(tmp_path: Path) -> None:
    """Where all runs diverge there is no section; where half of a cell's do, its one run has a gap and no curve."""
    places = [(cell, seed) for cell in range(2) for seed in range(4)]
    late = {place: {"diverged": 1125} for place in places}
    assert gap.make_section(load_table(save_folder(tmp_path / "all", make_plan(DROPOUT, 4), late))) is None
    soon = {place: {"diverged": 375} for place in places if place[1]}
    table = load_table(save_folder(tmp_path / "most", make_plan(DROPOUT, 4), soon))
    assert "validation NLL no value" in make_curves(table)[0].panels[0].alt
    section = gap.make_section(table)
    assert section is not None
    state, course = section.drawings
    assert state.data is not None
    assert np.isfinite(state.data["mean"]).all()
    assert course.caption.endswith("The means end nowhere: no cell has a value.")


def test_without_contrasts_there_are_no_effects(tmp_path: Path) -> None:
    """A study that compares nothing has the gap of its cells, no effects on it and no plot of effects."""
    plan = make_plan(DROPOUT, 3, contrasts=[])
    table = load_table(save_folder(tmp_path, plan))
    section = gap.make_section(table)
    assert section is not None
    assert section.grids == ()
    assert make_effect_plot(all_effects(table), plan) is None
    assert "The study compares no cells: it has no contrast." in render_page(table, [])


def test_no_gap_without_training_records(table: Table) -> None:
    """Where nothing was measured on training examples there is no section."""
    bare = table.records.drop(columns=["train.accuracy", "train.nll"])
    assert gap.make_section(dataclasses.replace(table, records=bare)) is None
    assert gap.make_section(dataclasses.replace(table, out=None)) is None


def test_training_lies_beside_held_out_in_one_panel(table: Table) -> None:
    """Of few cells a panel holds both curves of every cell, training dashed, with the means over seeds."""
    (group,) = make_curves(table)
    data = group.panels[0].data
    assert data is not None
    assert set(data["metric"]) == {"validation.nll", "train.nll"}
    for metric in ("validation.nll", "train.nll"):
        shown = data[(data["metric"] == metric) & (data["cell"] == table.cells[1])]
        np.testing.assert_allclose(shown["mean"], held_curves(table, metric)[1][1].mean(axis=0))
    # Widths of 1.8 scale the dashes.
    dashes = ",".join(f"{1.8 * dash:g}" for dash in TRAIN_DASHES)
    assert group.panels[0].svg.count(f"stroke-dasharray: {dashes}") == 2
    assert [dashes for _, _, dashes in make_legend(table)] == ["", ""]


@pytest.mark.parametrize(("cells", "panels"), [(3, [3]), (5, [3, 5]), (7, [7, 7])])
def test_more_cells_have_panels_of_their_own(tmp_path: Path, cells: int, panels: list[int]) -> None:
    """Up to three cells share panels with training; up to six without it, beside a panel each; more have only these."""
    groups = make_curves(load_table(save_folder(tmp_path, make_plan(levels(cells), 2))))
    assert [len(group.panels) for group in groups] == panels
    shown = [panel.data for panel in groups[-1].panels if panel.data is not None]
    assert any(metric.startswith("train.") for data in shown for metric in data["metric"])


def test_caption_says_where_the_loss_rose_again(tmp_path: Path) -> None:
    """The sentence under the curves has the lowest and the last mean of the cell that overfits most."""
    table = load_table(save_folder(tmp_path, make_plan(DROPOUT, 6)))
    means = held_curves(table, "validation.nll")[1].mean(axis=1)
    worst = int(np.argmax(means[:, -1] - means.min(axis=1)))
    caption = make_curves(table)[0].caption
    assert f"from {means[worst].min():.4f} to {means[worst, -1]:.4f}" in caption
    kept = table.records.drop(columns=[name for name in table.records if name.endswith(".nll")])
    assert "the mean" not in make_curves(dataclasses.replace(table, records=kept))[0].caption


def test_strips_join_every_run_with_the_baseline(tmp_path: Path) -> None:
    """Of three to eight cells each dot has a level line to where the baseline's run of its seed is; of nine none."""
    drawing = make_strip_plot(load_table(save_folder(tmp_path / "3", make_plan(levels(3), 5))))
    assert drawing is not None
    assert "A line goes from where the baseline's run" in drawing.caption
    assert drawing.svg.count("stroke-opacity: 0.45") + drawing.svg.count("stroke-opacity: 0.9") == 2 * 5
    assert drawing.data is not None
    assert len(drawing.data) == 3 * 5
    many = make_strip_plot(load_table(save_folder(tmp_path / "9", make_plan(levels(9), 2))))
    assert many is not None
    assert "A line" not in many.caption
    assert "stroke-opacity: 0.45" not in many.svg


def test_stops_are_counted_against_full_runs(tmp_path: Path) -> None:
    """Of four runs one stops at 70% and one diverges: a tenth of the updates of the three others is saved."""
    ends = {(1, 0): {"stopped": 2625}, (1, 1): {"diverged": 375}}
    table = load_table(save_folder(tmp_path, make_plan(DROPOUT, 2), ends))
    frame = stopping.stop_table(table)
    assert frame["saved"].tolist() == pytest.approx([0, 0, 0.3])
    assert frame["stopped"].tolist() == [-1, -1, 2625]
    assert frame["best"].tolist() == table.status.best[table.status.diverged < 0].tolist()
    section = stopping.make_section(table)
    assert section is not None
    assert section.sentences[0].startswith("1 of 3 runs that did not diverge stopped early. All together took 90%")
    assert "1 of 1 runs stopped, median 7" in section.drawings[0].alt
    assert "In 1 other cell no run stopped" in section.drawings[0].caption


def test_cells_of_other_lengths_are_measured_by_their_own_full_runs(tmp_path: Path) -> None:
    """Where a factor changes the length, a full run is one of the cell that reached its end; without one no share."""
    plan = make_plan([{"path": "training.batch_size", "levels": [32, 64]}], 2)
    ends = {(0, 0): {"stopped": 1875}, (1, 0): {"stopped": 1875}, (1, 1): {"stopped": 1875}}
    saved = stopping.stop_table(load_table(save_folder(tmp_path, plan, ends)))["saved"].tolist()
    assert saved[:2] == pytest.approx([0.5, 0])
    assert np.isnan(saved[2:]).all()
    section = stopping.make_section(load_table(save_folder(tmp_path / "no", plan, ends | {(0, 1): {"stopped": 1875}})))
    assert section is not None
    assert section.sentences == ("4 of 4 runs that did not diverge stopped early.",)
    assert "saved" not in section.drawings[0].alt


def test_no_section_where_no_run_stopped(table: Table) -> None:
    """A study without early stops has no section on them."""
    assert stopping.make_section(table) is None


def test_names_are_escaped(tmp_path: Path) -> None:
    """Names of cells that look like markup stay text in both sections."""
    plan = make_plan([{"path": HOSTILE, "levels": ["off", HOSTILE]}], 3)
    table = load_table(save_folder(tmp_path, plan, {(1, 1): {"stopped": 2625}}))
    for make in (gap.make_section, stopping.make_section):
        section = make(table)
        assert section is not None
        assert all("<script" not in drawing.svg for drawing in section.drawings)


def test_sixty_four_cells_keep_to_some(tmp_path: Path) -> None:
    """A study of 64 cells has at most 32 rows and few drawings in each section, and says which cells are shown."""
    ends = {(cell, 0): {"stopped": 1875} for cell in range(64)}
    table = load_table(save_folder(tmp_path, make_plan(levels(64), 2), ends))
    sections = {extra.anchor: extra for extra in make_extras(table)}
    assert {"gap", "stopping"} <= set(sections)
    assert "matrix" not in sections
    state, stops = sections["gap"].drawings[0], sections["stopping"].drawings[0]
    assert state.data is not None
    assert len(state.data) == 32
    assert "Shown are 32 of 64 cells" in state.caption
    assert "Shown are 32 of 64 cells" in stops.caption
    assert len(sections["gap"].grids[0].rows) == 12
