"""What verdicts and the report say of the design: reference and sign, stratum, aliases, dependence on other parts."""

import numpy as np
import pytest

from regjax.analysis.effects import make_effects
from regjax.analysis.sentences import verdict_sentence
from regjax.analysis.sides import held_text
from regjax.report.brief import brief_sentence
from regjax.report.extras import make_extras
from regjax.report.tables import design_grid

RISE = np.array([[0.9] * 10, [0.8] * 10]) + np.linspace(0, 0.01, 10)


def say(table, metric=None, **contrast):
    """Return the verdict on a contrast of two cells."""
    whole = {"name": "x", "kind": "simple", "weights": [1.0, -1.0], "confirmatory": True, **contrast}
    made = table(RISE, contrasts=[whole])
    return verdict_sentence(made, make_effects(made, metric=metric).to_dict("records")[0])


@pytest.mark.parametrize(("metric", "sign"), [("test.accuracy", "positive"), ("validation.nll", "negative")])
def test_leaving_out_names_reference_and_sign(table, metric, sign):
    """The sentence says that the reference has all parts on, and which sign speaks for the part."""
    said = say(table, metric, name="all on vs without l1.strength")
    assert "the reference has every part on" in said
    assert f"a {sign} difference means that l1.strength helps the others" in said


def test_strata_and_aliases_are_named(table):
    """The sentence says in which stratum the contrast is and what it cannot be told apart from."""
    said = say(
        table, name="a: 1 vs 0 (data.train_size=500)", stratum={"data.train_size": 500}, aliases=["b x c", "-d x e"]
    )
    assert "only cells with data.train_size = 500 enter" in said
    assert "aliased with b x c, -d x e, from which this design cannot tell it apart" in said


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("three_way", ("three-way interaction: x is positive", "at the third one's baseline")),
        ("interaction_gap", ("dependence on the other parts, x is positive", "lies above the effect alone")),
    ],
)
def test_higher_interactions_have_their_words(table, kind, words):
    """Three-way effects and gaps are called positive or negative, and what that means is said."""
    said = say(table, kind=kind)
    assert all(word in said for word in words)


def test_report_shows_aliases(table):
    """A fraction has a section with its aliases, and no baseline mark where it has no such cell; others do not."""
    design = {
        "kind": "fractional",
        "letters": {"A": "a"},
        "resolution": 3,
        "defining": "I = ABC",
        "aliases": {"a": ["b x c"]},
    }
    made = table(RISE, design=design)
    (extra,) = [extra for extra in make_extras(made) if extra.anchor == "aliases"]
    assert extra.grids[0].rows[0].cells == ("a", "b x c")
    assert "I = ABC" in extra.sentences[0]
    assert [row.kind for row in design_grid(made.plan).rows] == ["", ""]
    plain = table(RISE)
    assert not [extra for extra in make_extras(plain) if extra.anchor == "aliases"]
    assert [row.kind for row in design_grid(plain.plan).rows] == ["baseline", ""]


GRID = [{"a": a, "b": b, "c": c} for a in (0.0, 1.0) for b in (0.0, 2.0) for c in ("x", "y")]


def say_of_grid(table, kind, weights, **keys):
    """Return the verdict on a contrast of the eight cells of three factors."""
    cells = [{"index": i, "name": f"cell {i}", "levels": levels} for i, levels in enumerate(GRID)]
    factors = [{"path": path, "levels": [GRID[0][path], GRID[-1][path]]} for path in "abc"]
    values = 0.8 + 0.01 * np.arange(8)[:, None] + np.linspace(0, 0.01, 10)
    whole = {"name": "q", "kind": kind, "weights": weights, "confirmatory": True, **keys}
    made = table(values, contrasts=[whole], cells=cells, factors=factors, markers=[])
    return verdict_sentence(made, make_effects(made).to_dict("records")[0])


def test_a_simple_effect_names_the_levels_of_the_others(table):
    """One cell less another says at which levels the factors stand that both have in common."""
    weights = [0.0] * 8
    weights[0], weights[4] = -1.0, 1.0
    assert "; with b = 0, c = x;" in say_of_grid(table, "simple", weights)
    assert "; with b = 0;" in say_of_grid(table, "simple", weights, stratum={"c": "x"})
    assert "with" not in say_of_grid(table, "simple", weights, name="a alone vs all off")


def test_a_declared_contrast_names_its_sides(table):
    """Levels of each side, what is averaged over and what is held; nothing where they share cells or have no level."""
    both = [1.0 * (g["a"] > 0 and g["b"] > 0) - (g["a"] == 0 and g["b"] == 0) for g in GRID]
    said = say_of_grid(table, "declared", [0.5 * weight for weight in both])
    assert "; compared are a = 1, b = 2 with a = 0, b = 0, averaged over c;" in said
    held = [weight * (g["c"] == "y") for weight, g in zip(both, GRID, strict=True)]
    assert "; compared are a = 1, b = 2 with a = 0, b = 0, all with c = y;" in say_of_grid(table, "declared", held)
    crossed = [((g["a"] > 0) == (g["b"] > 0)) / 4 - ((g["a"] > 0) != (g["b"] > 0)) / 4 for g in GRID]
    assert "compared" not in say_of_grid(table, "declared", crossed)
    overlapping = [(g["a"] > 0) / 4 - 1 / 8 for g in GRID]
    assert "compared" not in say_of_grid(table, "declared", overlapping)


@pytest.mark.parametrize(
    ("num_held", "text"), [(6, "a = 0, b = 0, c = 0, d = 0, e = 0, f = 0"), (8, "f = 0 and 2 more factors alike")]
)
def test_beyond_six_held_factors_are_counted(num_held, text):
    """A sentence names six factors that are held; further ones it counts."""
    cells = [{"levels": {**dict.fromkeys("abcdefgh"[:num_held], 0), "x": x}} for x in (0, 1)]

    assert held_text({"cells": cells}, {"weights": [-1.0, 1.0]}).endswith(text)


def test_contrasts_without_a_seed_read_well(table):
    """Where all runs diverged the sentence has no comma before its colon, and nothing is promised for later."""
    lost = {(1, seed): 10 for seed in range(10)}
    made = table(
        RISE,
        diverged=lost,
        contrasts=[{"name": "a: 1 vs 0", "kind": "main", "weights": [-1.0, 1.0], "confirmatory": True}],
    )
    row = make_effects(made).to_dict("records")[0]
    assert verdict_sentence(made, row).startswith(
        "a 1 vs 0, averaged over the levels of the other factors: no seed has"
    )
    assert brief_sentence(row, None) == "a 1 vs 0: no seed has a result."


def test_an_interaction_says_that_it_is_averaged(table):
    """A two-way contrast of eight cells is averaged over the third factor, one of four cells is not."""
    signs = [(1 if g["a"] else -1) * (1 if g["b"] else -1) for g in GRID]
    assert "; averaged over the other factors" in say_of_grid(table, "two_way", [sign / 2 for sign in signs])
    one = [float(sign * (g["c"] == "x")) for sign, g in zip(signs, GRID, strict=True)]
    assert "averaged" not in say_of_grid(table, "two_way", one)


@pytest.mark.parametrize(
    ("kind", "sign", "negative"), [("simple", 1, False), ("simple", -1, False), ("two_way", -1, True)]
)
def test_both_intervals_of_a_sentence_have_one_sign(table, kind, sign, negative):
    """Lowered by an amount, the interval about new examples is of that amount too; an interaction keeps its sign."""
    contrast = {"name": "x", "kind": kind, "weights": [-1.0, 1.0], "confirmatory": True}
    data = {"num_train": 50, "num_validation": 0, "num_test": 10, "num_pool": 100, "pooled": True}
    rising = 0.5 + sign * np.array([[0.0] * 10, [0.1] * 10]) + np.linspace(0, 0.01, 10) * np.array([[1], [2]])
    primary = {"metric": "test.accuracy", "at": {"kind": "last"}}
    made = table(rising, contrasts=[contrast], data=data, vary=["init", "split"], primary=primary)
    sentence = verdict_sentence(made, make_effects(made).to_dict("records")[0])
    tail = sentence.partition("for new examples")[2].partition("is [")[2]
    assert tail
    assert tail.startswith("-") == negative
