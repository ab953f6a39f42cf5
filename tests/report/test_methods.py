"""What a study says of itself for a paper: methods, checklist, short verdicts, the view of a notebook."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import HOSTILE, make_plan, save_folder

import regjax
from regjax.analysis.effects import all_effects, make_effects
from regjax.analysis.inference import contrast_weights, seed_effects, takes_all_flips
from regjax.analysis.signflip import sign_flip
from regjax.analysis.table import Table, load_table
from regjax.report.brief import brief_sentence, brief_verdicts
from regjax.report.checklist import make_checklist
from regjax.report.methods import make_methods, training_text
from regjax.report.page import make_context
from regjax.report.power import power_text
from regjax.report.selection import selection_text
from regjax.report.tables import ranked_effects
from regjax.results import load_results
from regjax.store import iter_done

DROPOUT = [{"path": "dropout.hidden", "levels": [0.0, 0.5]}]


def methods_of(table: Table) -> str:
    """Return the methods as one text."""
    done = list(iter_done(table.out)) if table.out else []
    return " ".join(make_methods(table, all_effects(table), done).sentences)


def checks_of(table: Table) -> dict[str, tuple[str, str]]:
    """Return {item: (yes or no, answer)} of the checklist."""
    done = list(iter_done(table.out)) if table.out else []
    rows = make_checklist(table, all_effects(table), done).grids[0].rows
    return {row.cells[0]: (row.cells[1], row.cells[2]) for row in rows}


def elsewhere(num_seeds: int = 7) -> "regjax.foreign.Foreign":
    """Return numbers from elsewhere: two cells, an effect with noise."""
    noise = np.random.default_rng(3).normal(size=(2, num_seeds))
    rows = [(d, s, 0.9 + 0.01 * d + 0.001 * noise[int(d > 0), s]) for d in (0.0, 0.5) for s in range(num_seeds)]
    return regjax.analyze(pd.DataFrame(rows, columns=["dropout", "seed", "accuracy"]), "accuracy")


def test_methods_state_the_numbers_of_the_plan(two_cell_folder: Path) -> None:
    """Cells, seeds, runs, sizes, model, updates, margin, family, versions and programs are those of the study."""
    text = methods_of(load_table(two_cell_folder))
    for part in (
        "We compared 2 cells of 1 factor: dropout.hidden (0, 0.5). Each cell has 30 seeds (0-29), which makes 60 runs.",
        "A seed draws initial weights, example order and dropout draws anew",
        "48,000 training, 12,000 validation and 10,000 test examples; the split is the same for all seeds",
        "mlp (widths [512, 512], activation relu), with 669,706 parameters",
        "adam (learning rate 0.001, epsilon 1e-07) for 3,750 updates (10 epochs of 375 updates) of 128 examples each",
        "judged at epoch 10, the same for all",
        "effects below 0.1 pp either way are taken not to matter. 1 of 1 contrast is confirmatory: 1 simple effect.",
        "0 of 60 runs diverged", "regjax 0.1.0, jax 0.10.2 and python 3.11.9", "1 compiled program, 4 min 21 s in all",
    ):  # fmt: skip
        assert part in text, part


def test_methods_tell_tuning_stops_and_lost_runs(lattice_folder: Path) -> None:
    """Where there are tuned hypers, early stops, diverged runs and a selected state, the methods say so."""
    text = methods_of(load_table(lattice_folder))
    assert "best validation NLL; test examples select nothing" in text
    assert "optimizer.learning_rate was tuned per cell by validation NLL, on seeds that are not reported" in text
    assert "1 run stopped early" in text
    assert "1 of 128 runs diverged" in text
    assert "4 main effects and 6 two-way interactions" in text
    assert "max-T" in text
    assert "all 2^7, exact" in text


@pytest.mark.parametrize(("num_seeds", "said"), [(8, "all 2^8, exact"), (18, "20,000 drawn at random")])
def test_methods_say_which_flips_were_taken(tmp_path: Path, num_seeds: int, said: str) -> None:
    """What the methods say of the flips is what the engine reports of itself, for a family of two."""
    plan = make_plan([{"path": "l2.strength", "levels": [0.0, 0.1, 0.2]}], num_seeds)
    table = load_table(save_folder(tmp_path, plan))
    assert said in methods_of(table)
    weights = contrast_weights(plan["contrasts"], 3)
    values = np.random.default_rng(0).random((3, num_seeds))
    effects = seed_effects(weights, values)
    found = sign_flip(effects.values, np.random.default_rng(0))
    assert takes_all_flips(effects, np.array([True, True])) == found.exact == (num_seeds == 8)


def test_methods_of_other_tasks_and_designs(tmp_path: Path) -> None:
    """A regression, two-stage seeds, replicates and no confirmatory contrast are said as such."""
    plan = make_plan(DROPOUT, 6, design={"kind": "one_at_a_time", "reference": 0})
    plan["data"] |= {"num_classes": 0, "num_targets": 3}
    plan["stein"] = {"pilot": 4, "max": 9, "halfwidth": 0.002, "needed": 6, "seeds": 6, "sd": {}}
    plan["replicates"] = {"kind": "disjoint", "parts": 3}
    text = methods_of(load_table(save_folder(tmp_path / "a", plan)))
    assert "one-at-a-time design" in text
    assert "3 targets" in text
    assert "Stein's two-stage intervals" in text
    assert "replicates (disjoint into 3 parts)" in text
    assert "sign flips" not in text
    plan = make_plan(DROPOUT, 6)
    plan["contrasts"][0]["confirmatory"] = False
    table = load_table(save_folder(tmp_path / "b", plan))
    assert "all comparisons are exploratory" in methods_of(table)
    assert checks_of(table)["Several comparisons adjusted for"][0] == "no"


def test_methods_of_numbers_from_elsewhere_claim_nothing_of_their_training() -> None:
    """Cells, seeds and statistics are said; model, data and devices are not, and the checklist asks for them."""
    found = elsewhere()
    text, checks = methods_of(found.table), checks_of(found.table)
    assert "made by another program" in text
    assert "all 2^7, exact" in text
    for word in ("parameters", "training", "Software", "digest"):
        assert word not in text
    assert checks["Versions of the software"][0] == "no"
    assert checks["Number of runs"] == ("yes", "2 cells of 7 seeds (0-6): 14 runs")


def test_checklist_answers_from_the_plan_or_says_what_to_do(tmp_path: Path) -> None:
    """A commit with changes, too few seeds, no margin and unfinished runs are each "no", with what mends it."""
    good = checks_of(load_table(save_folder(tmp_path / "a", make_plan(DROPOUT, 8, commit="0123abcd"))))
    assert good["Version of the code"] == ("yes", "0123abcd")
    assert good["Enough seeds for an interval"][0] == good["All runs reported, failures counted"][0] == "yes"
    plan = make_plan(DROPOUT, 3, commit="0123abcd+")
    del plan["primary"]["margin"]
    bad = checks_of(load_table(save_folder(tmp_path / "b", plan, skip=lambda cell, seed: cell == 1 and seed == 2)))
    for item, advice in (
        ("Version of the code", "commit them"), ("Enough seeds for an interval", "take more"),
        ("Smallest effect that matters", "give a margin"), ("All runs reported, failures counted", "Complete them"),
    ):  # fmt: skip
        assert bad[item][0] == "no"
        assert advice in bad[item][1]


def test_brief_verdicts_agree_with_the_table_of_effects(two_cell_folder: Path) -> None:
    """The short sentence has the effect, its interval, the p-value and the seeds of its row."""
    table = load_table(two_cell_folder)
    effects = ranked_effects(table)
    (verdict,) = brief_verdicts(effects, 0.001)
    row = effects[effects["confirmatory"]].iloc[0]
    assert verdict.sentence.startswith("dropout.hidden 0.5 vs 0.0 raised test accuracy by")
    assert f"by {100 * row['effect']:.2f} pp [{100 * row['low']:.2f}, {100 * row['high']:.2f}]" in verdict.sentence
    assert verdict.sentence.endswith(f"adjusted p < 0.001, {row['seeds_positive']} of 30 seeds.")
    assert verdict.tone == "good"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"verdict": "lowers", "effect": -0.01, "low": -0.02, "high": -0.005, "seeds_negative": 8},
         "a 1 vs 0 lowered test accuracy by 1.00 pp [0.50, 2.00], adjusted p = 0.010, 8 of 8 seeds."),
        ({"verdict": "undecided", "low": -0.01}, "a 1 vs 0: undecided for test accuracy, 1.00 pp"),
        ({"verdict": "no difference beyond the margin"}, "a 1 vs 0 changed test accuracy by less than 5 pp: 1.00 pp"),
        ({"verdict": "lowers", "kind": "two_way", "effect": -0.01}, "a: 1 vs 0: negative for test accuracy, -1.00 pp"),
        ({"effect": float("nan")}, "a 1 vs 0: no seed has a result yet."),
        ({"p": float("nan")}, "a 1 vs 0 raised test accuracy by 1.00 pp [0.50, 2.00], 7 of 8 seeds."),
    ],
)  # fmt: skip
def test_brief_sentences_of_every_verdict(changes: dict, expected: str) -> None:
    """Every kind of verdict has its wording, and what lowers is told by a positive number."""
    row = {"contrast": "a: 1 vs 0", "kind": "simple", "metric": "test.accuracy", "verdict": "raises", "effect": 0.01,
           "low": 0.005, "high": 0.02, "p": 0.01, "n": 8, "seeds_positive": 7, "seeds_negative": 1}  # fmt: skip
    assert brief_sentence(row | changes, 0.05).startswith(expected)


class Tags(HTMLParser):
    """The tags of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; none has attributes."""
        assert not attrs
        self.tags.add(tag)


def test_notebooks_show_verdicts_and_effects(hostile_folder: Path, two_cell_folder: Path) -> None:
    """The HTML of results has the verdicts and the table, is escaped, and holds no script and no attribute."""
    html = load_results(hostile_folder)._repr_html_()
    assert Tags(html).tags <= {"p", "strong", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    assert "<script" not in html
    assert HOSTILE.split(">")[1].split("<")[1] not in html.split("&lt;")[0]
    shown = load_results(two_cell_folder)._repr_html_()
    assert "raised test accuracy by 0.3" in shown
    assert shown.count("<tr>") == 1 + len(all_effects(load_table(two_cell_folder)))


def test_notebooks_show_numbers_from_elsewhere_and_studies_without_results(tmp_path: Path) -> None:
    """`regjax.analyze` gives an object with the same view; a study before its first run says how much is missing."""
    assert "raised accuracy by" in elsewhere()._repr_html_()
    empty = save_folder(tmp_path, make_plan(DROPOUT, 3), skip=lambda *_: True)
    assert "6 of 6 runs are not finished" in load_results(empty)._repr_html_()


def test_numbers_from_elsewhere_answer_what_a_study_answers() -> None:
    """Effects at a metric, interactions, lost runs and power need no run directory."""
    found = elsewhere()
    pd.testing.assert_frame_equal(found.effects(), make_effects(found.table))
    assert found.interactions().empty
    assert found.lost().empty
    assert found.power(0.001)["seeds"].iloc[0] > 1


def best_levels(tmp_path: Path, kinds: tuple[str, ...], num_seeds: int = 8) -> Table:
    """Return a study that declares contrasts of best levels, a trend or an effect, and nothing else."""
    factors = [{"path": "l2.strength", "levels": [0.0, 1e-4, 1e-3]}, {"path": "data.train_size", "levels": [100, 900]}]
    asked = {"factor": "l2.strength", "by": "data.train_size", "choose_on": "validation.nll"}
    tests = {"trend": ["moves"], "best_level": ["helps (100)", "helps (900)"]}
    declared = [{**asked, "name": kind, "kind": kind, "tests": tests[kind]} for kind in kinds]
    plan = make_plan(factors, num_seeds, level_contrasts=declared)
    for contrast in plan["contrasts"]:
        contrast["confirmatory"] = False
    return load_table(save_folder(tmp_path, plan))


@pytest.mark.parametrize(
    ("kinds", "told", "tests", "least"),
    [
        (("trend",), "1 of 6 contrasts is confirmatory: 1 trend of a best level", 1, 2 / 2**8),
        (("best_level",), "2 of 7 contrasts are confirmatory: 2 effects of a best level", 2, 2 * 2 / 2**8),
    ],
)
def test_methods_of_best_levels_are_those_that_were_used(
    tmp_path: Path, kinds: tuple[str, ...], told: str, tests: int, least: float
) -> None:
    """Declared best levels are confirmatory, were not sign-flipped, and the smallest p is that of their tests."""
    table = best_levels(tmp_path, kinds)
    text, checks = methods_of(table), checks_of(table)
    assert told in text
    assert "No contrast is confirmatory" not in text
    assert "sign flips" not in text
    assert ("halvings" in text) == ("best_level" in kinds)
    assert ("adjusted for 2 tests (Bonferroni)" in text) == (tests == 2)
    assert checks["Enough seeds for an interval"] == ("yes", f"smallest possible p-value {least:.2g}")
    assert "best levels" in checks["Error bars defined"][1]


@pytest.mark.parametrize(("kinds", "leads"), [(("trend",), True), (("best_level",), False)])
def test_the_page_leads_with_what_is_declared(tmp_path: Path, kinds: tuple[str, ...], leads: bool) -> None:
    """How best levels move is drawn first where only that is declared; sizes that are a factor are named as a range."""
    table = best_levels(tmp_path, kinds)
    page = make_context(table, [])
    assert (page["lead_plot"] is not None) == leads
    assert "100 to 900 training examples" in page["facts"][0]
    assert all("seeds" not in verdict.sentence for verdict in page["brief"])
    assert "no confirmatory contrast of cells" in power_text(table, 0.01, 0.9)


def test_checklist_counts_the_seeds_that_are_left(tmp_path: Path) -> None:
    """Eight seeds of which five have both runs give no interval; of two stages no p-value is promised."""
    plan = make_plan(DROPOUT, 8)
    left = save_folder(tmp_path / "a", plan, skip=lambda cell, seed: cell == 1 and seed > 4)
    assert checks_of(load_table(left))["Enough seeds for an interval"] == (
        "no",
        "5 seeds cannot give p <= 0.05 or a finite interval; take more",
    )
    stages = {"pilot": 4, "max": 9, "halfwidth": 0.002, "needed": 6, "seeds": 6, "sd": {}}
    staged = checks_of(load_table(save_folder(tmp_path / "b", make_plan(DROPOUT, 6, stein=stages))))
    assert staged["Enough seeds for an interval"] == ("yes", "two-stage intervals from the pilot; no p-values")


@pytest.mark.parametrize(
    ("metric", "by"), [("test.accuracy", "accuracy"), ("gap.accuracy", "accuracy"), ("weight_norm", "NLL")]
)
def test_tuning_is_told_by_the_metric_that_chose(tmp_path: Path, metric: str, by: str) -> None:
    """Candidates are chosen by the primary metric on validation; the value in the file is not told: no cell has it."""
    plan = make_plan(DROPOUT, 6, tuned={"0": {"optimizer.learning_rate": 0.01}, "1": {"optimizer.learning_rate": 0.1}})
    table = load_table(save_folder(tmp_path, plan))
    table.plan["primary"] |= {"metric": metric}
    assert f"tuned per cell by validation {by}," in selection_text(table)
    assert "learning rate 0.001" not in training_text(table.plan)
    if metric == "test.accuracy":
        assert f"validation {by} tunes" in checks_of(table)["Selection without the test part"][1]


def test_an_outcome_on_the_examples_that_select_is_told_as_such(tmp_path: Path) -> None:
    """A validation metric at the best validation state is optimistic; at the end, or of the test part, it is not."""
    table = load_table(save_folder(tmp_path, make_plan(DROPOUT, 6)))
    primary = table.plan["primary"]
    said = {}
    for metric in ("validation.accuracy", "test.accuracy"):
        for at in ({"kind": "best"}, {"kind": "last"}):
            primary |= {"metric": metric, "at": at}
            said[metric, at["kind"]] = "look too good" in selection_text(table)
    assert [key for key, told in said.items() if told] == [("validation.accuracy", "best")]
