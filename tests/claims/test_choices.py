"""Which level "best" was: told for each half of the seeds, for both sides, at every level of a trend, in words."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import declare, judged, make_test, seeds_with

from regjax.analysis.table import arrange_table
from regjax.claims import declare as declaring
from regjax.claims.choices import find_choices
from regjax.claims.declare import Case
from regjax.claims.judging import find_test
from regjax.report.claims import make_section
from regjax.report.claims_levels import choice_note, count_differing, levels_text
from regjax.report.claims_text import claims_markdown

FACTORS: dict[str, list[Any]] = {"l1.strength": [0.0, 0.1], "l2.strength": [0.0, 0.1, 0.3, 1.0], "size": [50, 100]}
CELLS = [dict(zip(FACTORS, levels, strict=True)) for levels in itertools.product(*FACTORS.values())]
SEEDS = 6
ANY_CASE = Case.model_construct(name="")
# A measure with another number for every cell.
DIFFERENT = np.arange(len(CELLS))[:, None] + np.zeros(SEEDS)


def planted(best: dict[tuple[int, int], dict[str, Any]]) -> Any:
    """Return results whose validation loss is lowest, at a size and for the seeds of a parity, in one cell.

    Args:
      best: {(size, 0 for the 1st, 3rd, ... seeds and 1 for the others): levels of the lowest loss}.
    """
    runs = [
        {"run": f"{c}-{s}", "cell": c, "seed": s, "restores": False} for c in range(len(CELLS)) for s in range(SEEDS)
    ]
    rows = [
        {"run": f"{c}-{s}", "step": 10, "best_step": 10, "stopped": -1, "diverged": -1,
         "validation.nll": float({**best[cell["size"], s % 2], "size": cell["size"]} != cell)}
        for c, cell in enumerate(CELLS) for s in range(SEEDS)
    ]  # fmt: skip
    plan = {
        "cells": [{"index": c, "name": str(c), "levels": levels} for c, levels in enumerate(CELLS)],
        "factors": [{"path": path, "levels": levels} for path, levels in FACTORS.items()],
        "seeds": list(range(SEEDS)),
        "steps": 10,
        "design": {"reference": 0},
    }
    return SimpleNamespace(
        table=arrange_table(plan, pd.DataFrame(runs), pd.DataFrame(rows)), plan=plan, out=Path("study")
    )


def l1(strength: float) -> dict[str, Any]:
    """Return the levels of L1 alone."""
    return {"l1.strength": strength, "l2.strength": 0.0}


def l2(strength: float) -> dict[str, Any]:
    """Return the levels of L2 alone."""
    return {"l1.strength": 0.0, "l2.strength": strength}


def of(**changes: Any) -> declaring.Test:
    """Return a test of the best L2 against none."""
    return declaring.Test.model_validate(
        make_test("loss", **{"of": {"l2.strength": "best"}, "expect": "lower", **changes})
    )


def same(levels: dict[str, Any]) -> dict[tuple[int, int], dict[str, Any]]:
    """Return that all seeds of both sizes prefer these levels."""
    return {(size, parity): levels for size in (50, 100) for parity in (0, 1)}


def test_each_half_is_given_what_the_other_chose() -> None:
    """Odd seeds prefer 1, even ones 0.3: each half is told, and judged at, the level of the other; 1 ends the grid."""
    results = planted({**same(l2(0.3)), (50, 1): l2(1.0)})
    values = np.arange(len(CELLS))[:, None] + np.arange(SEEDS) / 100
    found = find_test(of(), ANY_CASE, {"main": results}, lambda *_: values)

    (row,) = found.more["choices"]
    assert row == {
        "side": "of", "at": "", "levels": ["l2.strength 1", "l2.strength 0.3"], "ends": [True, False]
    }  # fmt: skip
    places = [CELLS.index({**l2(strength), "size": 50}) for strength in (1.0, 0.3)]
    assert found.more["halves"] == pytest.approx(places)
    assert found.more["effects"] == pytest.approx(places * 3)


def test_given_levels_are_no_choice() -> None:
    """A test whose levels are all given has neither choices nor halves, and a reference has no side."""
    results, values = planted(same(l2(0.3))), np.zeros((len(CELLS), SEEDS))
    found = find_test(of(of={"l2.strength": 0.3}), ANY_CASE, {"main": results}, lambda *_: values)
    reference = of(than=0.5, against={"l2.strength": "best"})

    assert (found.more["choices"], found.more["halves"]) == ([], [])
    assert [row["side"] for row in find_choices(results, reference, ANY_CASE, DIFFERENT)] == ["of"]


def test_what_makes_no_difference_is_no_choice() -> None:
    """Where all levels have one number of a seed, as with the best strength of a seed, none was chosen."""
    results = planted(same(l2(0.3)))
    alike = np.tile(np.arange(SEEDS, dtype=float), (len(CELLS), 1))
    alike[:, 0] = np.nan

    assert find_choices(results, of(), ANY_CASE, alike) == []
    assert len(find_choices(results, of(), ANY_CASE, DIFFERENT)) == 1


def test_a_tie_but_for_rounding_goes_to_the_first_level() -> None:
    """Of levels whose scores differ in the last bit alone the weaker one is taken."""
    results = planted({**same(l2(0.3)), (50, 0): l2(1.0), (50, 1): l2(1.0)})
    records = results.table.records
    records.loc[records["cell"] == CELLS.index({**l2(0.3), "size": 50}), "validation.nll"] = 1e-15

    assert find_choices(results, of(), ANY_CASE, DIFFERENT)[0]["levels"] == ["l2.strength 0.3"] * 2


def test_both_sides_and_every_level_of_a_trend_are_told() -> None:
    """Four rows: of and against at either size, each named by what is on; of several factors the chosen one."""
    results = planted({**same(l2(0.1)), (100, 0): l1(0.1), (100, 1): l1(0.1)})
    several = [{"l1.strength": "best"}, {"l2.strength": "best"}]
    rows = find_choices(results, of(of={}, of_any=several, against=l2("best"), trend="size"), ANY_CASE, DIFFERENT)  # type: ignore[arg-type]

    assert [(row["side"], row["at"], row["levels"][0]) for row in rows] == [
        ("of", "size 50", "l2.strength 0.1"), ("against", "size 50", "l2.strength 0.1"),
        ("of", "size 100", "l1.strength 0.1"), ("against", "size 100", "l2.strength 0.1"),
    ]  # fmt: skip
    # The only L1 strength is no grid; the weakest L2 is an end of its own.
    assert [row["ends"][0] for row in rows] == [True, True, False, True]


def test_a_level_is_chosen_at_every_level_of_an_averaged_factor() -> None:
    """A test averaged over sizes tells its choice at either size."""
    results = planted({**same(l2(0.3)), (100, 0): l2(0.1), (100, 1): l2(0.1)})
    rows = find_choices(results, of(averaged=["size"]), ANY_CASE, DIFFERENT)

    told = [(row["at"], row["levels"]) for row in rows]
    assert told == [("size 50", ["l2.strength 0.3"] * 2), ("size 100", ["l2.strength 0.1"] * 2)]


def test_a_case_adds_its_levels_to_what_is_chosen_from() -> None:
    """The level chosen within a case is the best of its own cells."""
    results = planted({**same(l2(0.3)), (100, 0): l2(0.1), (100, 1): l2(0.1)})
    large = Case(name="large", where={"size": 100})

    assert [find_choices(results, of(), case, DIFFERENT)[0]["levels"][0] for case in (ANY_CASE, large)] == [
        "l2.strength 0.3", "l2.strength 0.1"
    ]  # fmt: skip


def chosen(*levels: str, halves: tuple[float, float] = (2.0, 2.1)) -> dict[str, Any]:
    """Return a row of a test of an effect with margin 1 whose halves were given these levels."""
    found = judged([(declare(), {"": {"effect": seeds_with(2.0, 0.5)}})])["claims"][0]["cases"][0]["tests"][0]
    ends = [level == "l2.strength 0.3" for level in levels]
    choice = {"side": "of", "at": "", "levels": list(levels), "ends": ends}
    return {**found, "choices": [choice], "halves": list(halves)}


@pytest.mark.parametrize(
    ("halves", "said"),
    [((2.0, 2.1), ""), ((2.0, -0.1), "of different signs"), ((2.0, 3.5), "further apart than the margin of 1")],
)
def test_halves_that_differ_are_marked_plainly(halves: tuple[float, float], said: str) -> None:
    """Another level for each half is said; so are, with both numbers, other signs and more than the margin between."""
    row = chosen("l2.strength 0.1", "l2.strength 0.3", halves=halves)
    note = choice_note(row, row["choices"][0])

    assert note.startswith("halves chose l2.strength 0.1 and 0.3: the mean is no single strength's effect")
    assert note.endswith(said)
    assert (f"{halves[0]:+.2f}"[:4] in note and f"{halves[1]:+.2f}"[:4] in note) == bool(said)
    assert levels_text(row["choices"]) == "l2.strength 0.1 and 0.3 ≠ (0.3: end of the grid)"


def test_halves_that_agree_are_not_marked() -> None:
    """One level for both halves has no mark and no note, however far their effects are apart."""
    row = chosen("l2.strength 0.3", "l2.strength 0.3", halves=(9.0, -9.0))

    assert choice_note(row, row["choices"][0]) == ""
    assert levels_text(row["choices"]) == "l2.strength 0.3 (end of the grid)"


def test_many_choices_are_counted() -> None:
    """Of five choices a line says how many differ and how many are at an end."""
    (differing,), (alike,) = (chosen(*levels)["choices"] for levels in (("x 1", "l2.strength 0.3"), ("x 1", "x 1")))

    assert levels_text([differing, *[alike] * 4]) == "5 choices, 1 ≠, 1 at the end of the grid"
    assert levels_text([alike] * 5) == "5 choices"


def test_page_scoreboard_and_markdown_tell_the_levels() -> None:
    """A case whose halves differ is marked in scoreboard and chips; table, details and Markdown have the level."""
    claims = judged([(declare(cases=["small", "large"]),
                      {name: {"effect": seeds_with(2.0, 0.5)} for name in ("small", "large")})])  # fmt: skip
    claim = claims["claims"][0]
    for case, levels in zip(claim["cases"], (("l2.strength 0.3",) * 2, ("l2.strength 0.3", "x 3")), strict=True):
        case["tests"][0] |= {key: chosen(*levels)[key] for key in ("choices", "halves")}
    section, (small, large) = make_section(claim), claims_markdown(claims).splitlines()[3:5]

    assert count_differing(claim) == 1
    assert section.effect.endswith("; ≠ in 1 of 2")
    assert [name for name, _, _ in section.chips] == ["small", "large ≠"]
    column = [column.label for column in section.tests.columns].index("Best level")
    assert [row.cells[column] for row in section.tests.rows] == [
        "l2.strength 0.3 (end of the grid)", "l2.strength 0.3 and x 3 ≠ (0.3: end of the grid)"
    ]  # fmt: skip
    assert section.best is not None
    assert [row.cells[-1][:12] for row in section.best.rows] == ["–", "halves chose"]
    assert "Best level: l2.strength 0.3 (end of the grid)." in small
    assert "Best level: l2.strength 0.3 and x 3 ≠ (0.3: end of the grid)." in large


def test_a_choice_of_a_test_that_decides_nothing_marks_nothing() -> None:
    """Halves that differ in a test beside the rule stand in the table, not in the scoreboard nor in Markdown."""
    rule = {"supported": ["a"], "refuted": ["a"]}
    declared = declare(tests=[make_test("a"), make_test("b")], rule=rule)
    found = judged([(declared, {"": {"a": seeds_with(2, 0.3), "b": seeds_with(2, 0.3)}})])
    claim = found["claims"][0]
    claim["cases"][0]["tests"][1] |= {key: chosen("x 1", "x 2")[key] for key in ("choices", "halves")}

    assert count_differing(claim) == 0
    assert "≠" not in make_section(claim).effect
    assert "≠" not in claims_markdown(found)
    claim["rule"] = {"supported": ["a", "b"], "refuted": ["a", "b"]}
    assert "Of other tests halves differ (≠). |" in claims_markdown(found)
