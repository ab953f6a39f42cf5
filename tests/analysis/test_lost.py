"""Lost runs: what effects would be had they counted, against numbers by hand."""

import dataclasses

import numpy as np
import pytest

from regjax.analysis.effects import make_effects
from regjax.analysis.lost import extremes, lost_effects
from regjax.analysis.sentences import verdict_sentence
from regjax.analysis.stein import stein_intervals
from regjax.report.lost import make_section

BASE = np.array([0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.92, 0.93])
VALUES = np.array([BASE, BASE + np.array([0.02, 0.03, 0.04, 0.05, 0.03, 0.02, 0.06, 0.04])])


def by_way(found, column):
    """Return {way: number} of the only contrast."""
    return dict(zip(found["way"], found[column], strict=True))


def test_three_ways_by_hand(table):
    """A run that diverged at step 15 is left out, counts with its record at step 10, or counts with 0."""
    accuracy = np.repeat(VALUES[..., None], 4, axis=2)
    accuracy[1, 3, 1] = 0.5
    loaded = table(accuracy, diverged={(1, 3): 15})
    found = lost_effects(loaded)
    d = VALUES[1] - VALUES[0]
    rest = np.delete(d, 3).sum()

    assert found["lost"].tolist() == [1, 1, 1]
    assert by_way(found, "n") == {"without": 7, "with": 8, "worst case": 8}
    assert by_way(found, "effect") == pytest.approx(
        {"without": rest / 7, "with": (rest + 0.5 - 0.93) / 8, "worst case": (rest - 0.93) / 8}
    )
    without, shown = found.iloc[0], make_effects(loaded).iloc[0]
    assert without[["effect", "low", "high"]].tolist() == shown[["effect", "low", "high"]].tolist()


def test_a_lost_baseline_counts_with_the_best_value(table):
    """A lost run of the cell that is taken away stands against a positive effect with accuracy 1."""
    found = lost_effects(table(VALUES, diverged={(0, 2): 5}))
    d = np.delete(VALUES[1] - VALUES[0], 2)

    assert by_way(found, "effect")["worst case"] == pytest.approx((d.sum() + VALUES[1, 2] - 1.0) / 8)
    assert by_way(found, "n") == {"without": 7, "with": 8, "worst case": 8}


def test_runs_to_come_are_not_lost(table):
    """A run that is not done leaves its seed out of all three ways and is not counted."""
    both = table(VALUES, absent={(0, 2)}, diverged={(1, 3): 5})
    found, row = lost_effects(both), make_effects(both).iloc[0]
    d = np.delete(VALUES[1] - VALUES[0], [2, 3])

    assert found["lost"].tolist() == [1, 1, 1]
    assert by_way(found, "n") == {"without": 6, "with": 7, "worst case": 7}
    assert by_way(found, "effect")["worst case"] == pytest.approx((d.sum() - VALUES[0, 3]) / 7)
    assert row["worst_case"] == by_way(found, "verdict")["worst case"]
    assert "still to come" in make_section(both).sentences[0]


def test_a_study_that_is_not_done_has_lost_nothing(table):
    """Runs that are still to come alone make no row, no section and no worst case."""
    waiting = table(VALUES, absent={(0, 2)})

    assert lost_effects(waiting).empty
    assert make_section(waiting) is None
    assert make_effects(waiting)["worst_case"].tolist() == [""]


def test_missing_numbers_from_elsewhere_are_lost(table):
    """Without a run directory nothing is to come: a missing number counts in the worst case."""
    found = lost_effects(dataclasses.replace(table(VALUES, absent={(0, 2)}), out=None))

    assert by_way(found, "n") == {"without": 7, "with": 7, "worst case": 8}


def test_two_stages_have_their_intervals_here_too(table):
    """Where a pilot gave the number of seeds, all three ways have the two-stage interval and the section says so."""
    stein = {"pilot": 5, "max": 8, "halfwidth": 0.01}
    loaded = table(VALUES, diverged={(1, 3): 5}, stein=stein)
    found, row = lost_effects(loaded), make_effects(loaded).iloc[0]
    d = VALUES[1] - VALUES[0]
    d[3] = -VALUES[0, 3]
    low, high = stein_intervals(d[None], 5, np.array([0.05]))

    without = found.iloc[0]
    assert without[["effect", "low", "high"]].tolist() == row[["effect", "low", "high"]].tolist()
    assert by_way(found, "low")["worst case"] == pytest.approx(low[0])
    assert by_way(found, "high")["worst case"] == pytest.approx(high[0])
    assert row["worst_case"] == "undecided"
    assert "two-stage (Stein)" in make_section(loaded).sentences[0]


def test_other_metrics_take_the_extremes_on_record(table):
    """A loss has no bounds: the lost run takes the largest that any run of the study has recorded, or the least."""
    nll = np.repeat(1.0 - VALUES[..., None], 4, axis=2)
    nll[0, 0, 0] = 3.0
    loaded = table(VALUES, nll=nll, diverged={(1, 3): 5})
    found = lost_effects(loaded, metric="validation.nll")
    d = np.delete(VALUES[0] - VALUES[1], 3)

    assert by_way(found, "effect")["without"] == pytest.approx(d.mean())
    assert by_way(found, "effect")["worst case"] == pytest.approx((d.sum() + 3.0 - (1.0 - VALUES[0, 3])) / 8)
    assert extremes(loaded, "validation.nll") == pytest.approx((1.0 - VALUES[1].max(), 3.0))


def test_a_run_whose_loss_overflows_is_lost(table):
    """An infinite loss of finite parameters is no number: the run is lost, and counts with its last finite one."""
    nll = np.repeat(1.0 - VALUES[..., None], 4, axis=2)
    nll[1, 3, 2:] = np.inf
    nll[1, 3, 1] = 0.5
    found = lost_effects(table(VALUES, nll=nll), metric="validation.nll")
    d = np.delete(VALUES[0] - VALUES[1], 3)

    assert found["lost"].tolist() == [1, 1, 1]
    assert by_way(found, "n") == {"without": 7, "with": 8, "worst case": 8}
    assert by_way(found, "effect")["with"] == pytest.approx((d.sum() + 0.5 - (1.0 - VALUES[0, 3])) / 8)
    assert by_way(found, "effect")["without"] == pytest.approx(d.mean())


def test_shares_of_any_name_have_bounds(table):
    """What ends in "accuracy" is lost at 0 or 1, as are errors of calibration; a gap of shares has no such bounds."""
    loaded = table(VALUES)
    loaded.records["val_accuracy"] = loaded.records["gap.accuracy"] = 0.5
    primary = dataclasses.replace(loaded, plan={**loaded.plan, "primary": {"metric": "val_accuracy"}})

    assert extremes(primary, "val_accuracy") == (0.0, 1.0)
    assert extremes(primary, "gap.accuracy") == (0.5, 0.5)


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("step", [-0.0001, 0.0, 0.0001])
def test_against_no_difference_is_the_largest_difference(table, lost, step):
    """Where the margin shows no difference, the worst case is the end that takes the effect farther from 0, here 0."""
    near = np.array([BASE, BASE + step * np.arange(1, 9)])
    primary = {"metric": "test.accuracy", "at": {"kind": "step", "step": 20}, "margin": 0.015}
    loaded = table(near, diverged={(lost, 3): 5}, primary=primary)
    found, row = lost_effects(loaded), make_effects(loaded).iloc[0]
    d = np.delete(near[1] - near[0], 3)
    worst = (d.sum() + (near[1, 3] if lost == 0 else -near[0, 3])) / 8

    assert row["verdict"] == "no difference beyond the margin"
    assert by_way(found, "effect")["worst case"] == pytest.approx(worst, abs=1e-6)
    assert row["worst_case"] == by_way(found, "verdict")["worst case"] != row["verdict"]
    assert "in the worst case for the lost runs the decision changes to" in verdict_sentence(loaded, row)


def test_the_sentence_says_when_the_decision_changes(table):
    """A rise that one diverged run could undo is said to be so; nothing is said where no run is lost."""
    lost, whole = table(VALUES, diverged={(1, 3): 5}), None
    row = make_effects(lost).iloc[0]

    assert (row["verdict"], row["worst_case"]) == ("raises", "undecided")
    assert "; in the worst case for the lost runs the decision changes to: undecided" in verdict_sentence(lost, row)
    assert make_section(lost).grids[0].rows[2].cells[:4] == ("dropout.hidden: 0.5 vs 0", "1", "worst case", "8")
    whole = make_effects(lost, metric="test.accuracy", at={"kind": "step", "step": 0}).iloc[0]
    assert whole["worst_case"] == ""


def test_nothing_lost_is_nothing_shown(table):
    """Without lost runs there is no row and no section."""
    loaded = table(VALUES)

    assert lost_effects(loaded).empty
    assert make_section(loaded) is None
    assert make_effects(loaded)["worst_case"].tolist() == [""]
