"""The figures of a report: effects, runs, learning curves, and what a drawing does to text."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from report_folders import make_plan, save_folder, two_cells

from regjax.analysis.effects import all_effects
from regjax.analysis.table import load_table
from regjax.report.curves import make_axis, summarize_curve
from regjax.report.drawing import PALETTE, cell_look, draw, log_ticks, nice_ticks
from regjax.report.figures import draw_effects, draw_strips, make_strips
from regjax.report.gallery import (
    held_curves,
    make_curves,
    make_effect_plot,
    make_legend,
    make_strip_plot,
    short_names,
    shown_cells,
)
from regjax.report.page import render_page

DROPOUT = [{"path": "dropout.hidden", "levels": [0.0, 0.5]}]


def test_curve_is_mean_and_middle_80_percent() -> None:
    """Mean and band agree with NumPy at the evaluations kept, in percent for accuracies."""
    values = np.random.default_rng(0).random((11, 40))
    curve = summarize_curve(np.arange(40.0), values, "test.accuracy", most_points=7)
    assert curve.x[0] == 0
    assert curve.x[-1] == 39
    kept = values[:, curve.x.astype(int)]
    np.testing.assert_allclose(curve.mean, 100 * kept.mean(axis=0))
    np.testing.assert_allclose(curve.low, 100 * np.quantile(kept, 0.1, axis=0))
    np.testing.assert_allclose(curve.high, 100 * np.quantile(kept, 0.9, axis=0))


def test_curve_ends_where_fewer_than_half_of_its_runs_go_on() -> None:
    """Runs that ended leave the mean; below half of them there is no curve; infinite values count as ended."""
    values = np.ones((4, 6))
    values[0, 2:], values[1, 3:], values[2, 4:] = np.nan, np.inf, np.nan
    curve = summarize_curve(np.arange(6.0), values, "train.nll", 10)
    np.testing.assert_array_equal(np.isfinite(curve.mean), [True, True, True, True, False, False])


def test_axis_fits_what_comes_after_the_first_steps() -> None:
    """The start of training does not flatten the rest, and only a wide range of positive losses is logarithmic."""
    x = np.arange(21.0)
    flat = summarize_curve(x, np.r_[2.3, np.linspace(0.2, 0.1, 20)][None], "validation.nll", 50)
    axis = make_axis("validation.nll", [flat], "epoch", None)
    assert not axis.log
    assert axis.y_range[1] < 0.25
    steep = summarize_curve(x, np.geomspace(2.3, 1e-4, 21)[None], "train.nll", 50)
    assert make_axis("train.nll", [steep], "epoch", None).log


def test_curves_need_no_validation_split(tmp_path: Path) -> None:
    """Where there are no validation records the test split stands in; no records give no curves."""
    table = load_table(save_folder(tmp_path / "a", make_plan(DROPOUT, 3)))
    table.records[["validation.nll", "validation.accuracy"]] = np.nan
    (group,) = make_curves(table)
    titles = [panel.caption.split(",")[0] for panel in group.panels]
    assert titles == ["training and test NLL", "training and test accuracy (%)"]
    assert make_curves(load_table(save_folder(tmp_path / "b", make_plan(DROPOUT, 2), skip=lambda *_: True))) == []


def test_sixteen_cells_get_a_panel_each(lattice_folder: Path) -> None:
    """Beyond six cells every cell has a small panel per metric, titled by what differs from the baseline."""
    table = load_table(lattice_folder)
    groups = make_curves(table)
    assert [len(group.panels) for group in groups] == [16, 16]
    titles = [panel.caption for panel in groups[0].panels]
    assert titles == short_names(table.plan)
    assert titles[0] == "baseline"
    assert titles[9] == "dropout.hidden=0.3, label_smoothing.strength=0.1"
    assert make_legend(table) == []
    assert all(group.caption for group in groups)


def test_more_than_32_cells_show_baseline_marked_and_best(tmp_path: Path) -> None:
    """Of 40 cells the figures show 32: the baseline, cells with a published number, and the best ones."""
    plan = make_plan([{"path": "l2.strength", "levels": [i / 100 for i in range(40)]}], 2)
    plan["markers"] = [{"label": "theirs", "cell": 3, "value": 0.98}]
    table = load_table(save_folder(tmp_path, plan))
    assert shown_cells(table) == [0, 3, *range(10, 40)]
    assert "32 of 40 cells" in make_curves(table)[0].caption


def test_effect_plot_fills_confirmatory_and_leaves_exploratory_hollow(two_cell_folder: Path) -> None:
    """One dot of three is filled: that of the declared contrast at the primary state."""
    effects = all_effects(load_table(two_cell_folder))
    drawing = draw_effects(effects, margin=0.001)
    dots = re.findall(r"<use [^>]*fill: var\(--(ink|paper)", drawing.svg)
    assert sorted(dots) == ["ink", "paper", "paper"]
    assert "var(--band" in drawing.svg
    assert "var(--band" not in draw_effects(effects, margin=None).svg
    assert "Hollow dots are exploratory" in drawing.caption
    assert "up to 0.10 pp either way" in drawing.caption


def test_effect_plot_scales_with_the_numbers(two_cell_folder: Path) -> None:
    """Dots lie on the axis where the effects are: equal spacing in numbers is equal spacing on paper."""
    effects = all_effects(load_table(two_cell_folder))
    drawing = draw_effects(effects, margin=0.001)
    x = np.array([float(v) for v in re.findall(r'<use [^>]*?x="([\d.]+)"[^>]*fill: var\(--(?:ink|paper)', drawing.svg)])
    slopes = np.diff(x) / np.diff(effects["effect"].to_numpy())
    assert slopes[0] > 0
    assert slopes[1] == pytest.approx(slopes[0], rel=1e-3)


def test_infinite_interval_is_drawn_and_explained(tmp_path: Path) -> None:
    """Too few seeds give a line without end, said in the caption and the table, and no warning."""
    table = load_table(save_folder(tmp_path, make_plan(DROPOUT, 3)))
    drawing = make_effect_plot(all_effects(table), table.plan)
    assert drawing is not None
    assert "interval without end" in drawing.caption
    assert "(-∞, ∞)" in drawing.alt


def test_strips_mark_pairs_that_go_against_the_mean() -> None:
    """With two cells each seed is joined by a line; those against the mean difference stand out."""
    values = np.array([[0.90, 0.91, 0.92, 0.99], [0.95, 0.96, 0.97, 0.98]])
    two = draw_strips(make_strips(["a", "b"], values, [], "test.accuracy"), "test.accuracy", "at the end")
    lines = re.findall(r"<path d=\"M [^\"]*L [^\"]*\"[^>]*stroke: var\(--(\w+)[^>]*stroke-opacity", two.svg)
    assert lines.count("c1") == 1
    assert lines.count("soft") == 3
    assert "joins" in two.caption


def test_strips_draw_every_marker(tmp_path: Path) -> None:
    """Two published numbers of one cell are both drawn and both named."""
    markers = [{"label": name, "cell": 0, "value": 0.977} for name in ("first paper", "second paper")]
    page = render_page(load_table(two_cells(tmp_path, markers=markers)), [])
    assert re.findall(r">((?:first|second) paper 97\.70%)<", page) == ["second paper 97.70%", "first paper 97.70%"]


def test_cells_are_told_apart_without_colour() -> None:
    """The first eight cells differ in colour, dashes and marker each; 32 cells differ in the pair of them."""
    looks = [cell_look(i) for i in range(32)]
    for part in ("color", "dashes", "marker"):
        assert len({getattr(look, part) for look in looks[:8]}) == 8
    assert len({(look.color, look.dashes) for look in looks}) == 32
    assert len(PALETTE) == 8


def test_drawing_keeps_user_text_as_it_is() -> None:
    """Text that looks like markup, like an id, like a colour of the theme or like mathematics is not touched."""
    odd = 'id="x" url(#y) #010101 $x^$ font-family: z; <b>'
    drawing = draw(100, 50, lambda figure: figure.text(0, 0, odd) and None, "odd", "alt")
    assert 'id="x" url(#y) #010101 $x^$ font-family: z; &lt;b&gt;' in drawing.svg


def test_a_wide_loss_has_an_axis_in_powers_of_ten(tmp_path: Path) -> None:
    """A training loss that falls by four decades is drawn on a logarithmic axis, with a tick for every decade."""
    table = load_table(save_folder(tmp_path, make_plan(DROPOUT, 3)))
    falling = np.geomspace(2.3, 1e-4, 10)[table.records["step"].to_numpy() // 375 - 1]
    records = table.records.assign(**{"train.nll": falling, "validation.nll": falling})
    panel = make_curves(dataclasses.replace(table, records=records))[0].panels[0]
    labels = re.findall(r">(0\.0*1|1)</text>", panel.svg)

    assert labels == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert log_ticks(1e-4, 0.5)[1] == labels[:4]
    heights = [float(y) for y in re.findall(r'y="([\d.]+)"[^>]*>(?:0\.0*1|1)</text>', panel.svg)]
    assert np.diff(heights) == pytest.approx(np.diff(heights)[0], rel=0.01)


def test_one_cell_has_no_range_of_means(tmp_path: Path) -> None:
    """A study without factors shows the runs of its one cell, and compares it with none."""
    drawing = make_strip_plot(load_table(save_folder(tmp_path, make_plan([], 3))))
    assert drawing is not None
    assert drawing.alt.count("3 runs, mean") == 1
    assert "The means go" not in drawing.caption


def test_ticks_lie_inside_and_are_labelled_with_what_they_are() -> None:
    """Every tick lies in the range and its label is its value, over many ranges and scales."""
    generator = np.random.default_rng(1)
    for _ in range(200):
        low = generator.normal() * 10 ** float(generator.integers(-4, 3))
        high = low + abs(generator.normal()) * 10 ** float(generator.integers(-4, 3)) + 1e-3
        ticks, labels = nice_ticks(low, high)
        slack = 1e-6 * (high - low)
        assert all(low - slack <= tick <= high + slack for tick in ticks)
        np.testing.assert_allclose([float(label) for label in labels], ticks, atol=slack)


def test_stopped_runs_keep_their_value_and_diverged_ones_count(tmp_path: Path) -> None:
    """In the curves a stopped run stays at its last value, and a cell of mostly diverged runs has no curve."""
    plan = make_plan(DROPOUT, 4)
    ends = {(1, seed): {"diverged": 1} for seed in range(3)} | {(0, 0): {"stopped": 1125}}
    table = load_table(save_folder(tmp_path, plan, ends))
    steps, values = held_curves(table, "validation.nll")
    ended = int((steps <= 1125).sum()) - 1

    assert (values[0, 0, ended:] == values[0, 0, ended]).all()
    assert np.isinf(values[1, :3]).all()
    assert not np.isfinite(summarize_curve(steps, values[1], "validation.nll", 50).mean).any()
