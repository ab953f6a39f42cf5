"""Drawn cells: the fit behind the slopes, the best cells, and that no cell is taken for a baseline."""

import dataclasses
import re

import numpy as np
import pytest
import statsmodels.api as sm
from test_config import make

from regjax.analysis.across import rank_cells
from regjax.analysis.dose import dose_factors
from regjax.analysis.effects import make_effects
from regjax.analysis.questions import verdict_sentence
from regjax.analysis.ranges import choose_cell, fit_slopes, rank_drawn
from regjax.analysis.table import reference_cell
from regjax.config import parse_study, plain
from regjax.design import describe_design, make_cells, make_contrasts
from regjax.report.curves import MOST_TOGETHER
from regjax.report.gallery import make_curves, short_names
from regjax.report.ranges import make_section
from regjax.report.tables import cells_grid, design_grid

FACTORS = {"l2.strength": {"log_range": [1e-6, 1e-1]}, "dropout.hidden": {"range": [0.0, 0.8]},
           "model.norm": ["none", "batch", "layer"]}  # fmt: skip
NUM_CELLS, NUM_SEEDS = 12, 8
PRIMARY = {"metric": "test.accuracy", "at": {"kind": "last"}, "margin": None, "also_at": []}


def plan_of(factors=FACTORS, **design):
    """Return what a plan says of its cells."""
    study = parse_study(make(factors=factors, design=design))
    cells = make_cells(study)
    return {
        "cells": plain([{"index": c.index, "name": c.name, "levels": c.levels} for c in cells]),
        "factors": [{"path": path, "levels": plain(levels)} for path, levels in study.factors.items()],
        "contrasts": make_contrasts(study, cells),
        "design": describe_design(study, cells),
        "primary": PRIMARY,
        "headline": study.design.headline,
        "markers": [],
    }


@pytest.fixture
def cube(table):
    """Return a function that gives the table of a Latin hypercube whose runs have these accuracies."""
    design = {"kind": "latin_hypercube", "points": NUM_CELLS}
    return lambda accuracy, **changes: table(accuracy, **{**plan_of(**design), **changes})


def draw_accuracy(spread=0.01):
    """Return accuracies [cell, seed] without structure."""
    return 0.8 + spread * np.random.default_rng(1).normal(size=(NUM_CELLS, NUM_SEEDS))


def test_the_fit_is_ordinary_least_squares(cube):
    """Shares explained, fitted values and rises are those of statsmodels on the cell means."""
    made = cube(draw_accuracy())
    fit = fit_slopes(made)
    slopes = [c for c in made.plan["contrasts"] if c["kind"] == "slope"]
    means = make_means(made)
    peer = sm.OLS(means, sm.add_constant(np.array([c["codes"] for c in slopes]).T)).fit()
    assert (fit.r2, fit.adjusted) == pytest.approx((peer.rsquared, peer.rsquared_adj), abs=1e-10)
    assert fit.fitted == pytest.approx(peer.fittedvalues, abs=1e-10)
    rises = [fit.lines[c["name"]][1] - fit.lines[c["name"]][0] for c in slopes]
    assert rises == pytest.approx(peer.params[1:], abs=1e-10)
    assert make_effects(made)["effect"].to_numpy() == pytest.approx(peer.params[1:], abs=1e-7)
    middle = np.column_stack([np.ones(1), [[1.0, *np.mean([c["codes"] for c in slopes], axis=1)[1:]]]])[0]
    middle[1] = 0.0
    assert fit.lines[slopes[0]["name"]][0] == pytest.approx(peer.params @ middle, abs=1e-10)


def make_means(made):
    """Return the cell means from the records."""
    last = made.records[made.records["step"] == made.records["step"].max()]
    return last.groupby("cell")["test.accuracy"].mean().to_numpy()


def test_a_constant_changes_nothing(cube, tmp_path):
    """What a seed adds to all its cells leaves the slopes and the share explained."""
    accuracy = draw_accuracy()
    first = cube(accuracy)
    effects, fit = make_effects(first), fit_slopes(first)
    second = cube(accuracy + np.linspace(-0.1, 0.1, NUM_SEEDS))
    assert make_effects(second)["effect"].to_numpy() == pytest.approx(effects["effect"].to_numpy(), abs=1e-7)
    assert fit_slopes(second).r2 == pytest.approx(fit.r2, abs=1e-6)


def test_a_seed_without_a_cell_leaves_the_fit(cube):
    """Seeds that lack a drawn cell do not count; where each lacks one there is no fit, and the page says so."""
    accuracy = draw_accuracy()
    some = fit_slopes(cube(accuracy, diverged={(3, 2): 10}))
    assert some.seeds == NUM_SEEDS - 1
    assert some.means == pytest.approx(np.delete(accuracy, 2, axis=1).mean(axis=1), abs=1e-6)


def test_no_seed_has_all_cells(cube):
    """Where a cell diverges at every seed there are no slopes, and the section says why."""
    made = cube(draw_accuracy(), diverged={(3, seed): 10 for seed in range(NUM_SEEDS)})
    assert fit_slopes(made) is None
    assert "no slopes" in make_section(made).sentences[0]
    assert rank_drawn(made)["index"].iloc[-1] == 3


def test_no_cell_has_a_value(cube):
    """Where every run diverged no cell is the best, and there is no section."""
    every = {(cell, seed): 10 for cell in range(NUM_CELLS) for seed in range(NUM_SEEDS)}
    assert make_section(cube(draw_accuracy(), diverged=every)) is None


def test_a_narrow_range_has_its_ends_as_ticks(table):
    """A logarithmic range without two powers of ten has its two ends on the axis."""
    factors = {"l2.strength": {"log_range": [2e-3, 5e-3]}, "dropout.hidden": {"range": [0.0, 0.8]}}
    made = table(draw_accuracy()[:4], **plan_of(factors, kind="latin_hypercube", points=4))
    panel = make_section(made).drawings[0]
    places = re.findall(r'x="([\d.]+)"[^>]*>(0\.00\d)</text>', panel.svg)

    assert [name for _, name in places] == ["0.002", "0.005"]
    low, high = (float(x) for x, _ in places)
    # The range takes all of the axis but 6% of it on both sides; the axis is 0.77 of the figure.
    assert high - low == pytest.approx(260 * 0.77 / 1.12, rel=0.01)


def test_the_best_cells_come_first(cube):
    """Cells are ranked by their mean in the good direction of the metric."""
    accuracy = draw_accuracy()
    ranked = rank_drawn(cube(accuracy))
    assert ranked["index"].tolist() == np.argsort(-accuracy.mean(axis=1)).tolist()


def test_what_choosing_is_worth(cube):
    """A cell that is better by 0.1 is chosen, and gains that less the mean; of noise the naive gain is larger."""
    accuracy = draw_accuracy(0.001)
    accuracy[4] += 0.1
    made = cube(accuracy)
    assert choose_cell(made) is None
    found = choose_cell(with_validation(made))
    assert found.level == found.naive_level == 4
    assert found.shares[4] == 1
    assert found.effect == pytest.approx(0.1 * 11 / 12, abs=0.002)
    assert found.low < found.effect < found.high


def test_choosing_among_noise(table):
    """Where no cell is better, choosing gains about nothing on other seeds, and looks as if it did on the same."""
    made = table(draw_accuracy(), **plan_of(kind="latin_hypercube", points=NUM_CELLS))
    found = choose_cell(with_validation(made))
    assert found.low < 0 < found.high
    assert found.naive > 0.002 > found.effect


def with_validation(made):
    """Return the table with test accuracies recorded as those of validation too."""
    return dataclasses.replace(
        made, records=made.records.assign(**{"validation.accuracy": made.records["test.accuracy"]})
    )


def test_the_section_of_the_report(cube):
    """There is a panel per factor with the numbers drawn, and the ten best cells; lists have a step per level."""
    accuracy = draw_accuracy()
    made = with_validation(cube(accuracy))
    section = make_section(made)
    assert [drawing.name for drawing in section.drawings] == ["range0", "range1", "range2"]
    for drawing, path in zip(section.drawings, FACTORS, strict=True):
        assert path in drawing.svg
        assert drawing.data[path].tolist() == [cell["levels"][path] for cell in made.plan["cells"]]
        assert drawing.data["mean"].to_numpy() == pytest.approx(accuracy.mean(axis=1), abs=1e-6)
    assert all(f">{name}<" in section.drawings[2].svg for name in FACTORS["model.norm"])
    assert len(section.grids[0].rows) == 10
    assert "judged on the other half" in section.sentences[1]


def test_other_designs_have_no_such_section(table):
    """A study of levels has no section on drawn cells."""
    assert make_section(table(np.full((2, 3), 0.5))) is None


def test_no_cell_is_a_baseline(cube):
    """Without a reference no table, name, curve or rank speaks of one, and no dose is read off the drawn levels."""
    made = cube(draw_accuracy())
    assert reference_cell(made.plan) is None
    assert dose_factors(made.plan) == []
    assert short_names(made.plan) == [cell["name"] for cell in made.plan["cells"]]
    assert {row.kind for row in design_grid(made.plan).rows} == {""}
    assert {row.kind for row in cells_grid(rank_drawn(made), None).rows} == {""}
    assert len(made.cells) > MOST_TOGETHER
    assert "baseline" not in "".join(group.caption for group in make_curves(with_validation(made)))
    other = dataclasses.replace(made, plan={**made.plan, "data": {"digest": "b"}})
    assert np.isnan(rank_cells({"a": made, "b": other}).p).all()


def test_a_fraction_without_the_baseline(table):
    """The principal fraction of D = AB has no baseline: its cells have their full names and no table marks one."""
    factors = {"dropout.hidden": [0, 0.5], "l2.strength": [0, 1], "l1.strength": [0, 1]}
    plan = plan_of(factors, kind="fractional", generators=["C=AB"])
    made = table(np.full((4, 3), 0.5), **plan)
    assert reference_cell(made.plan) is None
    assert short_names(made.plan) == [cell["name"] for cell in made.plan["cells"]]
    assert "baseline" not in short_names(made.plan)
    other = plan_of(factors, kind="fractional", generators=["C=-AB"])
    assert reference_cell(other) == 0
    assert short_names(other)[0] == "baseline"


def test_slopes_in_words(cube):
    """A sentence says from where to where, on which scale, and over how many cells; lists are compared."""
    made = cube(draw_accuracy())
    rows = make_effects(made).to_dict("records")
    texts = [verdict_sentence(made, row) for row in rows]
    over = ", averaged over the drawn levels of the other factors"
    assert texts[0].startswith(f"l2.strength from 1e-06 to 0.1{over}")
    assert "a straight line in the logarithm of the level that is fitted to the 12 drawn cells" in texts[0]
    assert "a straight line in the level that" in texts[1]
    assert texts[2].startswith(f"model.norm batch vs none{over}")
    assert "straight line" not in texts[2]
