"""Markers, misleading single runs and verdict sentences."""

import re

import numpy as np
import pytest

from regjax.analysis.effects import make_effects
from regjax.analysis.questions import compares_two_cells, mislead, place_markers, smallest_p, verdict_sentence
from regjax.analysis.sentences import effect_text, p_text

BASE = 0.97 + np.arange(10) / 1000
HIGHER = np.array([BASE, BASE + 0.003 + np.arange(10) / 5000])
CLOSE = np.array([BASE, BASE + 0.0002 + np.arange(10) / 1e5])
MIXED = np.array([BASE, BASE[::-1] + 0.0001])
BOTH = np.array([BASE, BASE, BASE, BASE + 0.004 + np.arange(10) / 5000])
TWO_WAY = [{"name": "a x b", "kind": "two_way", "weights": [1, -1, -1, 1], "confirmatory": True}]
MAIN = [{"name": "a: 1 vs 0", "kind": "main", "weights": [-0.5, 0.5, -0.5, 0.5], "confirmatory": True}]


def sentence(loaded, **kwargs) -> str:
    """Return the sentence of the first contrast."""
    return verdict_sentence(loaded, make_effects(loaded, **kwargs).iloc[0])


def test_markers_fall_where_they_should(table):
    """Share below, mean, SD and z are those of the marker's cell; a run equal to the marker is not below it."""
    values = np.float32([[0.5, 0.6, 0.7, 0.8], [0.5, 0.5, 0.5, 0.5]])
    markers = [{"label": "a", "cell": 0, "value": 0.7}, {"label": "b", "cell": 1, "value": 0.6}]
    found = place_markers(table(values, markers=markers))

    assert found["label"].tolist() == ["a", "b"]
    assert found["cell"].tolist() == ["cell 0", "cell 1"]
    assert found["below"].tolist() == [0.5, 1.0]
    assert found.loc[0, ["mean", "sd"]].tolist() == pytest.approx([0.65, np.std([1, 2, 3, 4], ddof=1) / 10])
    assert found["z"][0] == pytest.approx(0.05 / found["sd"][0])
    assert np.isnan(found["z"][1])


def test_no_markers_and_no_runs(table):
    """Without markers the table is empty; without runs the places are NaN."""
    assert len(place_markers(table(np.ones((2, 2)), markers=[]))) == 0
    empty = place_markers(table(np.ones((2, 1)), absent={(0, 0), (1, 0)}))
    assert empty.loc[0, ["below", "mean", "sd", "z"]].isna().all()


def test_mislead_counts_pairs_by_hand(table):
    """Cell 1 is better on average; of nine pairs of runs two say the opposite and two are tied."""
    loaded = table(np.float32([[0.1, 0.2, 0.5], [0.2, 0.5, 0.6]]))
    found = mislead(loaded, make_effects(loaded).iloc[0])

    assert found == {
        "pairs": 9,
        "wrong": pytest.approx(1 / 9),
        "tied": pytest.approx(2 / 9),
        "paired_wrong": 0.0,
        "paired_tied": 0.0,
    }


def test_mislead_does_not_depend_on_the_direction(table):
    """The same pairs mislead whichever cell comes first, and diverged runs are in no pair."""
    values = np.array([[0.4, 0.3, 0.2, 0.9], [0.1, 0.35, 0.1, 0.1]])
    turned = [{"name": "t", "kind": "declared", "weights": [1.0, -1.0], "confirmatory": True}]
    story = {"diverged": {(0, 3): 5}}
    results = [table(values, **story), table(values, contrasts=turned, **story)]
    one, other = (mislead(loaded, make_effects(loaded).iloc[0]) for loaded in results)

    assert one == other
    assert one["pairs"] == 12
    assert one["wrong"] == pytest.approx(2 / 12)
    assert one["paired_wrong"] == pytest.approx(1 / 3)


def test_mislead_needs_a_direction_and_two_cells(table):
    """Equal means mislead nobody (NaN); a contrast of more cells is refused."""
    same = table(np.full((2, 3), 0.5))
    assert np.isnan(mislead(same, make_effects(same).iloc[0])["wrong"])

    main = table(BOTH, contrasts=MAIN)
    row = make_effects(main).iloc[0]
    assert not compares_two_cells(main, row)
    with pytest.raises(ValueError, match="two cells"):
        mislead(main, row)


def test_a_row_of_another_study_is_refused(table):
    """A contrast that the plan does not declare has no cells to look at."""
    loaded = table(HIGHER)
    row = {**make_effects(loaded).iloc[0], "contrast": "l2.strength: 1 vs 0"}
    for ask in (compares_two_cells, mislead):
        with pytest.raises(ValueError, match=r"got contrast 'l2\.strength: 1 vs 0', expected one of the plan's"):
            ask(loaded, row)


def test_mislead_reads_the_state_of_its_row(table):
    """A row at another state is judged by the runs at that state."""
    accuracy = np.array([[[0.9, 0.9, 0.1, 0.1]] * 3, [[0.1, 0.1, 0.9, 0.9]] * 3]) + np.arange(3)[:, None] / 100
    at = {"kind": "step", "step": 10, "label": "epoch 1"}
    contrasts = [{"name": "d", "kind": "simple", "weights": [-1.0, 1.0], "confirmatory": True}]
    primary = {"metric": "test.accuracy", "at": {"kind": "last"}, "margin": None, "also_at": [at]}
    loaded = table(accuracy, contrasts=contrasts, primary=primary)

    assert make_effects(loaded, at)["effect"][0] == pytest.approx(-0.8)
    assert mislead(loaded, make_effects(loaded, at).iloc[0])["wrong"] == 0.0
    with pytest.raises(ValueError, match="epoch 9"):
        mislead(loaded, {**make_effects(loaded).iloc[0], "at": "epoch 9"})


def test_smallest_p():
    """Two of 2^n flips where all are taken, one of B + 1 where they are drawn."""
    assert [smallest_p(n) for n in (1, 5, 16)] == [1.0, 2 / 32, 2 / 65536]
    assert smallest_p(17) == 1 / 20_001


def test_a_sentence_names_everything(table):
    """Contrast, metric, state, effect, unit, interval, p, seeds, margin, split, what varies and what is held fixed."""
    text = sentence(table(HIGHER))
    row = make_effects(table(HIGHER)).iloc[0]

    assert text == (
        f"dropout.hidden 0.5 vs 0 raised test accuracy at epoch 2 by 0.39 pp [{100 * row['low']:.2f}, "
        f"{100 * row['high']:.2f}] (simultaneous 95% interval, adjusted p = 0.002, higher in 10 of 10 seeds), on this "
        "split; that is more than the margin of 0.1 pp; initial weights, example order and dropout draws vary by seed; "
        "held fixed: the split and optimizer.learning_rate = 0.001."
    )


@pytest.mark.parametrize(
    ("values", "plan", "parts"),
    [
        (HIGHER[::-1], {}, ["lowered test accuracy", "by 0.39 pp [0.", "lower in 10 of 10 seeds"]),
        (CLOSE, {}, ["makes no difference to test accuracy", "within the margin of 0.1 pp, though it shows a rise"]),
        (MIXED, {}, ["undecided for", "effect 0.01 pp [-", "neither a difference nor its absence beyond the margin"]),
        (HIGHER[:, :4], {}, ["with no finite interval (adjusted p", "4 seeds cannot give a p-value below 0.125"]),
        (
            HIGHER,
            {"fixed": {"dropout.hidden": [0.0, 0.25], "optimizer.nesterov": True, "training.batch_size": 1234567}},
            ["the split, dropout.hidden = [0, 0.25], optimizer.nesterov = true and training.batch_size = 1234567."],
        ),
        (HIGHER, {"vary": ["order", "split"]}, ["example order and the split vary by seed"]),
        (HIGHER, {"vary": ["order"]}, ["; example order varies by seed"]),
        (HIGHER, {"tuned": {"0": {"l2.strength": 1}, "1": {"l2.strength": 2}}}, ["tuned per cell: l2.strength;"]),
        (BOTH, {"contrasts": MAIN}, ["a 1 vs 0, averaged over the levels of the other factors, raised"]),
        (
            BOTH,
            {"contrasts": MAIN, "study": {"design": {"exclude": [{"a": 1, "b": 1}]}}},
            ["averaged over the combinations of the other factors that have both sides, raised"],
        ),
        (BOTH, {"contrasts": TWO_WAY}, ["interaction: a x b is positive for", "above the sum of their separate"]),
        (HIGHER, {"diverged": {(1, 9): 5}}, ["1 run diverged; 9 of 10 seeds enter the comparison"]),
        (HIGHER, {"absent": {(1, n) for n in range(10)}}, ["no seed has a result for test accuracy"]),
    ],
)
def test_sentences(table, values, plan, parts):
    """Each verdict and circumstance is said in its own words."""
    text = sentence(table(values, **plan))

    for part in parts:
        assert part in text


def test_a_fall_is_told_in_sizes(table):
    """What was lowered is lowered by positive amounts, the smaller first."""
    low, high = re.search(r"by 0.39 pp \[([\d.]+), ([\d.]+)\]", sentence(table(HIGHER[::-1]))).groups()

    assert float(low) < 0.39 < float(high)


def test_on_this_split_is_said_where_the_split_is_fixed(table):
    """With a split per seed the sentence does not say "on this split"."""
    assert "on this split" in sentence(table(HIGHER))
    assert "on this split" not in sentence(table(HIGHER, vary=["split"]))


def test_exploratory_sentences_have_no_p(table):
    """A row off the primary state says that it is exploratory and alone."""
    text = sentence(table(HIGHER), at={"kind": "best"})

    assert "at the best step by validation NLL" in text
    assert "exploratory: 95% interval of this contrast alone, no p-value; higher in 10 of 10 seeds" in text
    assert not re.search(r"p [=<]", text)


def test_losses_have_their_unit_and_direction(table):
    """NLL is in nats, lower is better, and the margin of another metric does not apply."""
    text = sentence(table(HIGHER, nll=np.repeat(CLOSE[..., None], 4, axis=2)), metric="validation.nll")

    assert "raised validation NLL (lower is better) at epoch 2 by 0.0002" in text
    assert "margin" not in text


@pytest.mark.parametrize(("low", "high"), [(0.0000004, 0.08), (-0.08, -0.0000004)])
def test_an_end_beside_zero_is_not_printed_as_zero(low, high):
    """An interval that excludes 0 is printed so that one sees it."""
    text = effect_text({"metric": "test.nll", "effect": (low + high) / 2, "low": low, "high": high})
    ends = [float(end) for end in re.findall(r"-?[\d.]+(?=[,\]])", text)]

    assert len(ends) == 2
    assert all(ends)


def test_p_shows_its_side_of_the_level():
    """A p that would round to the level gets more digits."""
    assert [p_text(p) for p in (0.04996, 0.05, 0.05004)] == ["p = 0.04996", "p = 0.050", "p = 0.05004"]
    assert [p_text(p) for p in (0.0496, 0.0504, 0.0513)] == ["p = 0.0496", "p = 0.0504", "p = 0.051"]


def test_rounding_of_records_misleads_nobody(table):
    """Runs apart by what two float32 roundings can make of one number are tied, and an SD of that size is no SD."""
    near = np.float32(0.9)
    above = np.nextafter(np.nextafter(near, np.float32(1)), np.float32(1))
    loaded = table(np.array([[near, near], [above, 0.95]]), markers=[{"label": "m", "cell": 0, "value": 0.95}])
    found = mislead(loaded, make_effects(loaded).iloc[0])
    steady = table(np.array([[near, above, near], [near] * 3]), markers=[{"label": "m", "cell": 0, "value": 0.95}])
    marker = place_markers(steady).iloc[0]

    assert (found["paired_wrong"], found["paired_tied"]) == (0.0, 0.5)
    assert (found["wrong"], found["tied"]) == (0.0, 0.5)
    assert 0 < marker["sd"] < 1e-6
    assert np.isnan(marker["z"])
