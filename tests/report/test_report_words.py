"""The words and tables of a report: sentences, tables, numbers, plain text."""

import dataclasses
import re
from pathlib import Path

import pytest
from report_folders import make_plan, save_folder

from regjax.analysis.effects import all_effects, describe_cells
from regjax.analysis.sentences import verdict_sentence
from regjax.analysis.table import load_table, state_values
from regjax.report import effects_text, prose, tables
from regjax.report.page import render_page
from regjax.report.words import clean, format_effects, format_p, format_value

DROPOUT = [{"path": "dropout.hidden", "levels": [0.0, 0.5]}]


def test_the_note_of_effects_speaks_of_p_values_where_there_are_some() -> None:
    """After a pilot intervals are Stein's, and no p-values are promised."""
    assert "p-values and intervals are adjusted together" in prose.effects_note({})
    assert "there are no p-values" in prose.effects_note({"stein": {"pilot": 5}})


def test_diverged_runs_are_always_counted(two_cell_folder: Path, lattice_folder: Path) -> None:
    """A study without diverged runs says so; one with a diverged run lists its cell, seed and first bad step."""
    calm, rough = load_table(two_cell_folder), load_table(lattice_folder)
    assert prose.diverged_sentence(calm) == "0 of 60 runs diverged."
    assert prose.diverged_sentence(rough) == "1 of 128 runs diverged."
    assert "0 of 60 runs diverged." in render_page(calm, [])
    part = dataclasses.replace(rough.status, done=rough.status.done & (rough.status.diverged < 0))
    assert prose.diverged_sentence(dataclasses.replace(rough, status=part)).endswith("of 127 finished runs diverged.")
    (row,) = tables.diverged_grid(rough).rows
    assert row.cells == (rough.cells[3], "2", "1125")
    assert "<caption>Diverged runs</caption>" in render_page(rough, [])


def test_early_stopped_runs_are_counted_in_their_cell(lattice_folder: Path) -> None:
    """The table of cells counts the run that early stopping ended, in its cell and no other."""
    table = load_table(lattice_folder)
    grid = tables.cells_grid(describe_cells(table))
    assert [int(row.cells[-1]) for row in grid.rows] == [int(i == 5) for i in range(16)]


@pytest.mark.parametrize("absent", [3, 6])
def test_unfinished_study_is_marked_and_lists_what_is_missing(tmp_path: Path, absent: int) -> None:
    """Missing runs make the page provisional and are listed by cell and seed; with no run at all it still opens."""
    out = save_folder(tmp_path, make_plan(DROPOUT, 3), skip=lambda cell, seed: absent == 6 or cell == 1)
    table = load_table(out)
    assert prose.missing_sentence(table) == f"{absent} of 6 runs are not finished: all numbers are provisional."
    assert tables.missing_grid(table).rows[-1].cells == (table.cells[1], "3", "0-2")
    page = render_page(table, [])
    assert "are not finished: all numbers are provisional" in page
    assert ("No run has a result at this state" in page) == (absent == 6)
    assert "not finished" in effects_text(table)


def test_finished_study_is_not_marked(two_cell_folder: Path) -> None:
    """A complete study has neither the banner nor the section of missing runs."""
    page = render_page(load_table(two_cell_folder), [])
    assert "provisional" not in page
    assert "Runs not finished" not in page


def test_marker_sentence_counts_the_runs_below(two_cell_folder: Path) -> None:
    """The sentence on a published number names its label and how many of our runs lie below it."""
    table = load_table(two_cell_folder)
    page, text = render_page(table, []), " ".join(effects_text(table).split())
    primary = table.plan["primary"]
    for at, words in ((primary["at"], "at epoch 10"), (primary["also_at"][0], "at epoch 5")):
        values = state_values(table, "test.accuracy", at)
        for cell, value in enumerate((0.9774, 0.9827)):
            below = int((values[cell] < value).sum())
            head = f"source notebook: {100 * value:.2f}% for {table.cells[cell]}, set beside ours {words}"
            sentence = f"{head}; {below} of our 30 runs of this cell"
            assert sentence in page
            assert sentence in text


def test_a_published_number_of_a_cell_without_runs_stands_alone(tmp_path: Path) -> None:
    """Before its cell has a finished run there is nothing to compare it with, which is said."""
    markers = [{"label": "theirs", "cell": 1, "value": 0.98}]
    plan = make_plan(DROPOUT, 3, markers=markers)
    table = load_table(save_folder(tmp_path, plan, skip=lambda cell, _: cell == 1))
    head = f"theirs: 98.00% for {table.cells[1]}, set beside ours at epoch 10"
    assert f"{head}; this cell has no finished run to compare it with." in render_page(table, [])


def test_mislead_sentence_gives_the_share_of_wrong_pairs(two_cell_folder: Path) -> None:
    """The share of misleading pairs in words is that counted over all pairs of one run each."""
    table = load_table(two_cell_folder)
    base, dropout = state_values(table, "test.accuracy", table.plan["primary"]["at"])
    wrong = (dropout[:, None] < base[None, :]).mean()
    assert 0 < wrong < 0.5
    (sentence,) = prose.misled_sentences(prose.find_misled(table, all_effects(table)))
    assert f"out ahead in {100 * wrong:.1f}% of 900 pairs" in sentence


def test_many_misleading_contrasts_are_told_in_a_table(tmp_path: Path) -> None:
    """More than four contrasts of two cells give a table instead of a list of sentences."""
    plan = make_plan([{"path": "dropout.hidden", "levels": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]}], 4)
    table = load_table(save_folder(tmp_path, plan))
    found = prose.find_misled(table, all_effects(table))
    assert len(found) == 5
    assert prose.misled_sentences(found) == []
    grid = prose.misled_grid(found)
    assert [row.cells[0] for row in grid.rows] == [c["name"] for c in plan["contrasts"]]
    assert {row.cells[1] for row in grid.rows} == {"16"}


def test_verdicts_lose_no_clause_when_shared_ones_are_said_once(tmp_path: Path) -> None:
    """Each sentence and the shared ending together say what `verdict_sentence` says."""
    plan = make_plan([{"path": "dropout.hidden", "levels": [0.0, 0.2, 0.5]}], 12)
    plan["primary"]["margin"] = 0.0045  # between the two effects, so that their sentences differ in a middle clause
    table = load_table(save_folder(tmp_path, plan))
    effects = all_effects(table)
    verdicts, shared = prose.make_verdicts(table, effects)
    assert "held fixed" in shared
    ending = shared.removeprefix("For all of these: ")
    whole = [verdict_sentence(table, row) for row in tables.effect_rows(effects[effects["confirmatory"]])]
    assert [f"{v.sentence.removesuffix('.')}; {ending}" for v in verdicts] == whole


def test_verdict_tone_follows_what_is_better(tmp_path: Path) -> None:
    """A rise is good for accuracy and bad for nll; without a decision there is no tone."""
    plan = make_plan(DROPOUT, 12)
    good, _ = prose.make_verdicts(*_with_effects(save_folder(tmp_path / "a", plan)))
    bad, _ = prose.make_verdicts(*_with_effects(save_folder(tmp_path / "b", plan, gain=-0.003)))
    open_, _ = prose.make_verdicts(*_with_effects(save_folder(tmp_path / "c", make_plan(DROPOUT, 3))))
    assert [v[0].tone for v in (good, bad, open_)] == ["good", "bad", ""]


def _with_effects(out: Path) -> tuple:
    table = load_table(out)
    return table, all_effects(table)


def test_text_has_the_same_answer_as_the_page(two_cell_folder: Path) -> None:
    """The terminal shows question, verdict, cells, effects and diverged runs, in aligned columns."""
    table = load_table(two_cell_folder)
    text = effects_text(table)
    assert text.startswith(table.plan["question"])
    sentence = verdict_sentence(table, tables.effect_rows(all_effects(table))[0])
    assert sentence in " ".join(text.split())
    assert "0 of 60 runs diverged." in text
    lines = text.splitlines()
    rule = next(i for i, line in enumerate(lines) if line.startswith("---") and "Verdict" in lines[i - 1])
    starts = [m.start() for m in re.finditer(r"(?<= {2})-|^-", lines[rule])]
    for line in lines[rule + 1 : rule + 4]:
        assert all(start == 0 or line[start - 2 : start] == "  " for start in starts)
    assert lines[rule + 1][starts[3] : starts[4]].strip().startswith("+0.3")


def test_text_of_a_large_design_stays_short(lattice_folder: Path) -> None:
    """Of 25 effects the terminal shows the 10 that were declared and says where the others are."""
    text = effects_text(load_table(lattice_folder))
    assert "15 exploratory rows more in effects.csv and report.html" in text
    assert text.count("confirmatory  ") == 10


def test_text_holds_no_control_characters(tmp_path: Path) -> None:
    """A name cannot move the cursor, clear the screen or reverse what follows."""
    plan = make_plan(DROPOUT, 6, question="clear\x1b[2J \u202ereversed\nnext line")
    plan["cells"][1]["name"] = "\x1b]0;title\x07"
    plan["contrasts"][0]["name"] = "bell\x07"
    table = load_table(save_folder(tmp_path, plan))
    text = effects_text(table)
    assert {c for c in text if not c.isprintable()} == {"\n"}
    assert "reversed next line" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", render_page(table, []))


def test_numbers_are_shown_as_they_are_read() -> None:
    """Percent for accuracies, pp for their differences, four digits for nll, p never zero, signs only where needed."""
    assert format_value("validation.balanced_accuracy", 0.98765) == "98.77%"
    assert format_value("train.nll", 0.000049) == "0.0000"
    assert format_effects("test.accuracy", -0.0, 0.00003) == "[0.000, +0.003]"
    assert format_p(0.0496) == "0.0496"
    assert format_p(1e-9) == "< 0.001"
    assert clean("a\tb\u202ec") == "a b\N{REPLACEMENT CHARACTER}c"


def test_settings_and_provenance_are_complete(two_cell_folder: Path) -> None:
    """Every setting has a row; programs, seconds with their shares and devices are summed over parts."""
    plan = load_table(two_cell_folder).plan
    settings = {row.cells[0]: row.cells[1] for row in tables.settings_grid(plan).rows}
    assert settings["optimizer.epsilon"] == "1e-07"
    assert settings["early_stopping.patience"] == "off"
    assert settings["model.widths"] == "[512, 512]"
    assert "question" not in settings
    chunk = {"seconds": {"compile": 2.0, "train": 50.0, "store": 0.5}, "programs": {"compiled": 1, "cached": 2}}
    done = [{**chunk, "devices": "gpu x 1"}, {**chunk, "devices": "cpu x 2"}]
    facts = {row.cells[0]: row.cells[1] for row in tables.provenance_grid(plan, done).rows}
    assert facts["Compiled programs"] == "2 compiled, 4 taken from the cache"
    assert facts["Time to train"] == "1 min 40 s, 95%"
    assert facts["Devices"] == "cpu x 2, gpu x 1"
    assert facts["Commit"] == "not known"


def test_held_fixed_settings_are_marked(two_cell_folder: Path) -> None:
    """A hyper that the study holds equal in all cells says so in the table of settings."""
    rows = tables.settings_grid(load_table(two_cell_folder).plan).rows
    assert [row.cells[0] for row in rows if row.cells[2] == "held fixed"] == ["optimizer.learning_rate"]


def test_seeds_table_separates_what_varies(two_cell_folder: Path) -> None:
    """Streams that the study varies are drawn anew; the split is one for all seeds."""
    rows = {row.cells[0]: row.cells[1] for row in tables.seeds_grid(load_table(two_cell_folder).plan).rows}
    assert rows["initial weights"] == "drawn anew by every seed"
    assert rows["split into training, validation and test"] == "the same for all seeds"


def test_tuned_hypers_have_a_row_per_cell(lattice_folder: Path, two_cell_folder: Path) -> None:
    """Chosen nuisance hypers are listed by cell; a study that tunes nothing has no such section."""
    grid = tables.tuned_grid(load_table(lattice_folder).plan)
    assert len(grid.rows) == 16
    assert grid.rows[0].cells[1] == "0.001"
    assert "Tuned per cell" not in render_page(load_table(two_cell_folder), [])


def test_the_headline_kind_comes_first(lattice_folder: Path) -> None:
    """`design.headline` puts its contrasts at the primary state on top, then come the confirmatory ones."""
    table = load_table(lattice_folder)
    plain = tables.ranked_effects(table)
    kinds = set(plain["kind"])
    for kind in kinds:
        ranked = tables.ranked_effects(dataclasses.replace(table, plan={**table.plan, "headline": kind}))
        first = ranked["kind"].eq(kind) & ranked["at"].eq(plain["at"].iloc[0])
        assert first.iloc[: first.sum()].all()
        assert sorted(ranked["contrast"]) == sorted(plain["contrast"])
    assert plain["confirmatory"].is_monotonic_decreasing
    assert len(kinds) > 1


def test_what_varied_names_every_stream_that_is_drawn(two_cell_folder: Path) -> None:
    """Noise, augmentation and label noise are told as what varied by seed or was held fixed, where they are drawn."""
    table = load_table(two_cell_folder)
    plan = {**table.plan, "vary": ["init", "order", "noise", "labels"], "drawn": ["noise", "augment", "labels"]}
    said = verdict_sentence(dataclasses.replace(table, plan=plan), all_effects(table).iloc[0].to_dict())
    assert "initial weights, example order, noise draws and label-noise draws vary by seed" in said
    assert "held fixed: dropout draws, augmentation draws, the split" in said
    assert "noise draws" not in verdict_sentence(table, all_effects(table).iloc[0].to_dict())
    words = {row.cells[0]: row.cells[1] for row in tables.seeds_grid(plan).rows}
    assert words["augmentation of examples"] == "the same for all seeds"
    assert "augmentation of examples" not in {row.cells[0] for row in tables.seeds_grid(table.plan).rows}
