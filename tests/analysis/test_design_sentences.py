"""What verdicts and the report say of the design: reference and sign, stratum, aliases, dependence on other parts."""

import numpy as np
import pytest

from regjax.analysis.effects import make_effects
from regjax.analysis.sentences import verdict_sentence
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
