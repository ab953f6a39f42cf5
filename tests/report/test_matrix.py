"""The matrix of main effects and interactions: numbers against least squares, its figure, and when it is left out."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from report_folders import HOSTILE, lattice, make_plan, save_folder

from regjax.analysis.effects import make_effects
from regjax.analysis.matrix import COLUMNS, find_steps, make_matrix
from regjax.analysis.table import load_table, state_values
from regjax.report.matrix import make_section

FACTORS = [
    {"path": "dropout.hidden", "levels": [0.0, 0.5]},
    {"path": "l2.strength", "levels": [0.0, 0.1, 0.2]},
    {"path": "model.norm", "levels": ["none", "batch"]},
]


def test_matrix_equals_least_squares(tmp_path: Path) -> None:
    """Effects are the coefficients of a regression on centred indicators of levels and their products."""
    table = load_table(save_folder(tmp_path, make_plan(FACTORS, 6)))
    frame = make_matrix(table)
    values = state_values(table, "test.accuracy", table.plan["primary"]["at"]).mean(axis=1)
    columns, places = [np.ones(len(values))], []
    indicators = []
    for factor in FACTORS:
        for level in factor["levels"][1:]:
            column = np.array([float(cell["levels"][factor["path"]] == level) for cell in table.plan["cells"]])
            indicators.append((factor["path"], column - column.mean()))
    for i, (_, column) in enumerate(indicators):
        columns.append(column)
        places.append((i, i))
    for size in (2, 3):
        for chosen in itertools.combinations(range(len(indicators)), size):
            if len({indicators[i][0] for i in chosen}) == size:
                columns.append(np.prod([indicators[i][1] for i in chosen], axis=0))
                places.append((chosen[1], chosen[0]) if size == 2 else (-1, -1))
    found = dict(zip(places, np.linalg.lstsq(np.array(columns).T, values, rcond=None)[0][1:], strict=True))
    # Saturated but for pairs within a factor.
    assert len(frame) == 4 + 5
    for row in frame.to_dict("records"):
        assert row["effect"] == pytest.approx(found[row["row"], row["column"]], abs=1e-9)
        assert row["low"] <= row["effect"] <= row["high"]
        assert not row["confirmatory"]


def test_declared_effects_keep_the_intervals_of_their_family(lattice_folder: Path) -> None:
    """What the plan declares has the numbers and the intervals of the table of effects."""
    table = load_table(lattice_folder)
    frame = make_matrix(table).set_index(["row", "column"])
    declared = make_effects(table)
    declared = declared[declared["confirmatory"]].set_index("contrast")
    for i, factor in enumerate(table.plan["factors"]):
        row = frame.loc[(i, i)]
        name = f"main {factor['path']}: {factor['levels'][1]} vs {factor['levels'][0]}"
        ends = ["effect", "low", "high"]
        assert row["confirmatory"]
        assert row[ends].tolist() == pytest.approx(declared.loc[name, ends].tolist())
    # The interactions of this plan have other weights (half of a difference of differences): they are not taken.
    assert frame["confirmatory"].sum() == len(table.plan["factors"])


def test_section_says_its_numbers(lattice_folder: Path) -> None:
    """The words for those who do not see the figure name every effect; equal input gives equal bytes."""
    section = make_section(load_table(lattice_folder))
    assert section is not None
    (drawing,) = section.drawings
    assert drawing.data is not None
    assert len(drawing.data) == 10
    assert all(name in drawing.alt for name in drawing.data["contrast"])
    assert "4 of 10 are confirmatory" in drawing.caption
    again = make_section(load_table(lattice_folder))
    assert again is not None
    assert again.drawings[0].svg == drawing.svg


def test_names_are_escaped(tmp_path: Path) -> None:
    """Names of factors and levels that look like markup stay text."""
    factors = [{"path": HOSTILE, "levels": ["off", HOSTILE]}, {"path": "b", "levels": [0, 1]}]
    section = make_section(load_table(save_folder(tmp_path, make_plan(factors, 6))))
    assert section is not None
    assert "<script" not in section.drawings[0].svg
    assert "&lt;script&gt;" in section.drawings[0].svg


@pytest.mark.parametrize("case", ["one factor", "one at a time", "plackett_burman", "strata", "many levels"])
def test_no_matrix_where_factors_are_not_crossed(tmp_path: Path, case: str) -> None:
    """One factor, cells one factor apart, a design that mixes interactions up, strata, too many columns: no section."""
    plan = make_plan(FACTORS[:1] if case == "one factor" else FACTORS, 3)
    if case == "one at a time":
        on = (0.5, 0.1, 0.2, "batch")
        keep = [cell for cell in plan["cells"] if sum(level in on for level in cell["levels"].values()) < 2]
        plan["cells"] = [{**cell, "index": i} for i, cell in enumerate(keep)]
        plan["contrasts"] = []
    if case == "plackett_burman":
        plan["design"] = {"kind": "plackett_burman"}
    if case == "strata":
        plan["design"] = {"kind": "full_factorial", "strata": [FACTORS[0]["path"]]}
    if case == "many levels":
        plan = make_plan([{"path": "a", "levels": list(range(9))}, {"path": "b", "levels": [0, 1]}], 2)
    table = load_table(save_folder(tmp_path, plan))
    assert make_section(table) is None
    if case != "many levels":
        assert find_steps(table.plan) == []
        assert make_matrix(table).columns.tolist() == COLUMNS
        assert make_matrix(table).empty


def test_a_cell_that_is_lost_leaves_its_level_open(tmp_path: Path) -> None:
    """Effects of a level without all its cells are dashes without colour; those of the other levels stand."""
    plan = make_plan(FACTORS[:2], 4)
    table = load_table(save_folder(tmp_path, plan, skip=lambda cell, _: cell == 5))
    section = make_section(table)
    assert section is not None
    (drawing,) = section.drawings
    assert drawing.data is not None
    known = drawing.data.set_index("contrast")["effect"].notna().to_dict()
    assert known == {
        "dropout.hidden 0.5 vs 0": False,
        "l2.strength 0.1 vs 0": True,
        "l2.strength 0.2 vs 0": False,
        "dropout.hidden 0.5 vs 0 x l2.strength 0.1 vs 0": True,
        "dropout.hidden 0.5 vs 0 x l2.strength 0.2 vs 0": False,
    }
    assert len(re.findall(r"opacity: 0\.\d+", drawing.svg)) == 2


def test_a_fraction_says_that_its_effects_are_aliased(tmp_path: Path) -> None:
    """Each number of a fraction is a sum of effects, which the section says; a full factorial has no such sentence."""
    plan = make_plan(FACTORS, 3)
    whole = make_section(load_table(save_folder(tmp_path / "full", plan)))
    plan["contrasts"][0]["aliases"] = ["l2.strength x model.norm"]
    part = make_section(load_table(save_folder(tmp_path / "part", plan)))
    assert whole is not None
    assert part is not None
    assert len(whole.sentences) == 1
    assert part.sentences[1].startswith("This design is a fraction: each number is the sum of all effects")


def test_no_matrix_before_the_first_run(tmp_path: Path) -> None:
    """A study without finished runs has no section."""
    assert make_section(load_table(save_folder(tmp_path, make_plan(FACTORS, 2), skip=lambda *_: True))) is None
    assert make_section(load_table(lattice(tmp_path / "one", 2))) is not None
