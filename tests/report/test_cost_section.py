"""The section on costs: sentences, tables and figure of numbers that are the test's own."""

from pathlib import Path
from typing import Any

import pytest

from regjax.analysis.overhead import study_digest, write_costs
from regjax.analysis.table import Table, load_table
from regjax.report.cost import STALE, cost_sentence, costs_text, draw_costs, make_section

VERSIONS = {"regjax": "0.1.0", "jax": "0.10.2"}


def ratio(value: float, half: float = 0.02) -> dict[str, float | None]:
    """Return a ratio with its interval."""
    return {"ratio": value, "low": value - half, "high": value + half}


def make_part(factor: str, level: Any, update: float) -> dict[str, Any]:
    """Return what a part costs whose update takes `update` times as long in the population, twice that alone."""

    def form(value: float, slots: int) -> dict[str, Any]:
        return {
            "slots": slots, "updates": 64, "rounds": 30, "update": ratio(value), "evaluation": ratio(1.0),
            "run": ratio((value + 1) / 2), "seconds": {"update": [value, 1.0], "evaluation": [1.0, 1.0]},
            "bytes": [1120, 1000], "compile": [5.5, 5.0],
        }  # fmt: skip

    return {
        "factor": factor,
        "level": level,
        "against": 0.0,
        "population": form(update, 16),
        "member": form(2 * update, 1),
    }


def make_costs(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the costs of two parts and of both together, and a factor that was not timed."""
    return {
        "study": study_digest(plan), "devices": "cpu x 2", "versions": VERSIONS, "commit": None, "rounds": 30,
        "seconds": 60.0, "clock": "processor", "same": {"optimizer.learning_rate": "no part"},
        "parts": [make_part("dropout.hidden", 0.5, 1.25), make_part("a.<b>", "x & y", 1.01), make_part("", None, 1.3)],
    }  # fmt: skip


@pytest.fixture
def table(two_cell_folder: Path, tmp_path: Path) -> Table:
    """Return a study whose run directory is the test's own."""
    loaded = load_table(two_cell_folder)
    return Table(loaded.plan, loaded.records, loaded.cells, loaded.seeds, loaded.status, tmp_path)


def test_the_section_is_there_once_costs_are_measured(table: Table) -> None:
    """Nothing without costs.json; with it a sentence per part, two tables, one figure, and what was not timed."""
    assert make_section(table) is None
    write_costs(table.out, make_costs(table.plan))  # type: ignore[arg-type]

    extra = make_section(table)

    assert extra is not None
    assert len(extra.sentences) == 5
    assert "30 rounds" in extra.sentences[3]
    assert "the processor's time of all threads" in extra.sentences[3]
    assert "on cpu x 2, regjax 0.1.0, jax 0.10.2" in extra.sentences[3]
    assert extra.sentences[4] == "Not timed: optimizer.learning_rate (no part)."
    assert [len(grid.rows) for grid in extra.grids] == [3, 3]
    assert extra.grids[0].rows[0].cells == (
        "dropout.hidden = 0.5", "1.25 [1.23, 1.27]", "1.00 [0.98, 1.02]", "1.12 [1.10, 1.15]", "+12%", "1.1"
    )  # fmt: skip
    assert extra.grids[1].rows[0].cells[1] == "2.50 [2.48, 2.52]"


def test_numbers_without_a_folder_have_no_costs(table: Table) -> None:
    """Numbers of other programs have no run directory, hence no section."""
    assert make_section(Table(table.plan, table.records, table.cells, table.seeds, table.status, None)) is None


def test_costs_of_another_study_are_not_shown(table: Table) -> None:
    """Costs that were measured for another network are named as such, and no number of theirs is shown."""
    write_costs(table.out, {**make_costs(table.plan), "study": "other"})  # type: ignore[arg-type]

    extra = make_section(table)

    assert extra is not None
    assert extra.sentences == (STALE,)
    assert not extra.drawings
    assert not extra.grids


def test_a_sentence_says_whether_there_is_a_cost() -> None:
    """An interval above 1 is a cost; one that holds 1 shows no difference; without interval nothing is shown."""
    costs = cost_sentence(make_part("dropout.hidden", 0.5, 1.25))
    none = cost_sentence(make_part("l2.strength", 1e-3, 1.01))
    unknown = make_part("l2.strength", 1e-3, 1.25)
    unknown["population"]["update"] |= {"low": None, "high": None}

    assert costs == (
        "dropout.hidden = 0.5: an update takes 1.25 [1.23, 1.27] times that without, 2.50 [2.48, 2.52] for one run "
        "alone; with evaluations 1.12 [1.10, 1.15]; memory per run +12%, compiling 1.1 times."
    )
    assert "no difference in the time of an update is shown: 1.01 [0.99, 1.03]" in none
    assert "no difference in the time of an update is shown: 1.25 times" in cost_sentence(unknown)


def test_the_figure_carries_its_numbers(table: Table) -> None:
    """Equal input gives equal bytes, names are escaped, and a row per part and program is offered as data."""
    costs = make_costs(table.plan)
    costs["parts"][1]["member"]["update"] = {"ratio": None, "low": None, "high": None}
    drawing = draw_costs(costs)

    assert drawing.svg == draw_costs(costs).svg
    assert "a.&lt;b&gt;" in drawing.svg
    assert "dropout.hidden = 0.5, one run alone: 2.50 [2.48, 2.52]" in drawing.alt
    assert drawing.data is not None
    assert list(drawing.data.columns) == ["part", "program", "slots", "ratio", "low", "high"]
    assert list(drawing.data["slots"]) == [16, 1] * 3
    assert drawing.data["ratio"].isna().sum() == 1


def test_the_terminal_has_both_tables(table: Table) -> None:
    """The text has a table per form of program and says how it was measured."""
    text = costs_text(make_costs(table.plan))

    assert text.count("dropout.hidden = 0.5") == 2
    assert "16 runs at once" in text
    assert "one run alone on one device" in text
    assert "Not timed" in text
