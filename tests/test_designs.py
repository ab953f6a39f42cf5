"""Designs beyond the plain grids: parts left out and added in, strata, incomplete grids, fractions, aliases."""

import itertools
import tomllib
from fractions import Fraction

import numpy as np
import pytest
from test_config import make, problems_of
from test_design import build

from regjax.config import parse_study, study_json
from regjax.design import describe_design, design_lines, make_cells, make_contrasts
from regjax.design.fractions import (
    CYCLES,
    STANDARD,
    choose_generators,
    defining_words,
    find_aliases,
    fraction_rows,
    parse_generators,
    screening_rows,
    write_word,
)
from regjax.explain import explain
from regjax.regularizers import REGULARIZERS

NAMES = ("dropout.hidden", "l1.strength", "l2.strength", "dropout.input", "input_noise.scale",
         "label_smoothing.strength", "weight_noise.scale")  # fmt: skip
THREE = {path: [0, 0.5] for path in NAMES[:3]}


def switches(number):
    """Return so many factors of two levels."""
    return {path: [0, 0.25] for path in NAMES[:number]}


def describe(**tables):
    """Return the description of a study's design."""
    study = parse_study(make(seeds={"count": 1}, **tables))
    return describe_design(study, make_cells(study))


def test_add_one_in():
    """The first cell has everything off; an effect is one part alone less all off."""
    cells, contrasts = build(THREE, design={"kind": "add_one_in"})
    assert [tuple(c.levels.values()) for c in cells] == [(0, 0, 0), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5)]
    assert {n: c["weights"] for n, c in contrasts.items()} == {
        "dropout.hidden alone vs all off": [-1, 1, 0, 0],
        "l1.strength alone vs all off": [-1, 0, 1, 0],
        "l2.strength alone vs all off": [-1, 0, 0, 1],
    }


def test_left_out_and_added_in_joined():
    """Cells are joined without doubles, and the gap is the effect beside the others less the effect alone."""
    also = ["add_one_in", "all_off"]
    cells, contrasts = build(THREE, design={"kind": "leave_one_out", "and_also": also})
    assert len(cells) == 8
    values = np.array([np.prod([1 + level for level in c.levels.values()]) for c in cells])
    effects = {name: c["weights"] @ values for name, c in contrasts.items()}
    assert effects["all on vs without l1.strength"] == pytest.approx(1.5**3 - 1.5**2)
    assert effects["l1.strength alone vs all off"] == pytest.approx(0.5)
    assert effects["all on vs all off"] == pytest.approx(1.5**3 - 1)
    assert effects["l1.strength: left out vs added in"] == pytest.approx(1.5**3 - 1.5**2 - 0.5)
    gaps = [c for c in contrasts.values() if c["kind"] == "interaction_gap"]
    assert len(gaps) == 3
    assert not any(c["confirmatory"] for c in gaps)


def test_two_parts_have_one_gap():
    """Of two parts the gap is their interaction, listed once, and without double cells."""
    factors = {path: [0, 0.5] for path in NAMES[:2]}
    cells, contrasts = build(factors, design={"kind": "add_one_in", "and_also": ["leave_one_out"]})
    assert len(cells) == 4
    assert [c["weights"] for c in contrasts.values() if c["kind"] == "interaction_gap"] == [[1, -1, -1, 1]]


def test_strata_compare_within():
    """Every contrast of a stratified study weighs cells of its own stratum alone, and names it."""
    factors = {"dropout.hidden": [0, 0.5], "data.train_size": [100, 200], "l2.strength": [0, 0.1, 0.2]}
    cells, contrasts = build(factors, design={"strata": ["data.train_size"]})
    sizes = np.array([c.levels["data.train_size"] for c in cells])
    assert {c["kind"] for c in contrasts.values()} == {"main", "two_way", "simple"}
    for name, contrast in contrasts.items():
        size = contrast["stratum"]["data.train_size"]
        assert name.endswith(f" (data.train_size={size})")
        assert set(sizes[np.array(contrast["weights"]) != 0]) == {size}
    values = np.array([c.levels["dropout.hidden"] * c.levels["data.train_size"] for c in cells])
    assert contrasts["dropout.hidden: 0.5 vs 0 (data.train_size=200)"]["weights"] @ values == pytest.approx(100)


@pytest.mark.parametrize("kind", ["full_factorial", "one_at_a_time"])
def test_one_factor_in_strata(kind):
    """With one factor beside the strata its simple effects are asked, each against its own baseline."""
    factors = {"data.train_size": [100, 200], "dropout.hidden": [0, 0.5]}
    _, contrasts = build(factors, design={"kind": kind, "strata": ["data.train_size"]})
    assert {n: (c["weights"], c["confirmatory"]) for n, c in contrasts.items()} == {
        "dropout.hidden: 0.5 vs 0 (data.train_size=100)": ([-1, 1, 0, 0], True),
        "dropout.hidden: 0.5 vs 0 (data.train_size=200)": ([0, 0, -1, 1], True),
    }


def test_three_way_by_hand():
    """The three-way effect of a 2 x 2 x 2 factorial has the sign of the product of levels; it is exploratory."""
    _, contrasts = build(THREE)
    name = "dropout.hidden 0.5 x l1.strength 0.5 x l2.strength 0.5"
    assert contrasts[name]["weights"] == [-1, 1, 1, -1, 1, -1, -1, 1]
    assert not contrasts[name]["confirmatory"]
    _, contrasts = build(THREE, design={"family": ["three_way"]})
    assert contrasts[name]["confirmatory"]


def test_three_way_equals_numpy():
    """Three-way effects are second differences of third differences of the table of means."""
    factors = {
        "dropout.hidden": [0, 0.5],
        "l1.strength": [0, 1, 2],
        "l2.strength": [0, 1, 2],
        "dropout.input": [0, 0.5],
    }
    _, contrasts = build(factors)
    table = np.random.default_rng(0).normal(size=(2, 3, 3, 2))
    mean = table.mean(axis=3)
    change = mean[1] - mean[0]
    expected = change[2, 1] - change[0, 1] - change[2, 0] + change[0, 0]
    weights = contrasts["dropout.hidden 0.5 x l1.strength 2 x l2.strength 1"]["weights"]
    assert weights @ table.ravel() == pytest.approx(expected)


def test_excluded_cells_are_not_compared():
    """Main effects of an incomplete grid take the mean over the combinations that have both sides."""
    factors = {"dropout.hidden": [0, 0.5], "model.norm": ["none", "batch"], "l2.strength": [0, 1]}
    exclude = [{"dropout.hidden": 0.5, "model.norm": "batch"}]
    cells, contrasts = build(factors, design={"exclude": exclude})
    assert len(cells) == 6
    assert contrasts["dropout.hidden: 0.5 vs 0"]["weights"] == [-0.5, -0.5, 0, 0, 0.5, 0.5]
    assert "dropout.hidden 0.5 x model.norm batch" not in contrasts
    assert contrasts["dropout.hidden 0.5 x l2.strength 1"]["weights"] == [1, -1, 0, 0, -1, 1]


def test_zipped_factors_are_one():
    """Factors that change together have joint levels, and the contrasts name both."""
    factors = {"optimizer.learning_rate": [0.1, 0.2], "dropout.hidden": [0, 0.5], "training.batch_size": [32, 64]}
    cells, contrasts = build(factors, design={"zip": [["optimizer.learning_rate", "training.batch_size"]]})
    assert [tuple(c.levels.values()) for c in cells] == [(0.1, 0, 32), (0.1, 0.5, 32), (0.2, 0, 64), (0.2, 0.5, 64)]
    name = "optimizer.learning_rate & training.batch_size: 0.2 & 64 vs 0.1 & 32"
    assert contrasts[name]["weights"] == [-0.5, -0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("number", "written", "relation", "resolution", "aliases"),
    [
        (4, ["D=ABC"], {"ABCD"}, 4, {"AB": {"CD"}, "AC": {"BD"}, "AD": {"BC"}, "A": set()}),
        (
            5,
            ["D=AB", "E=AC"],
            {"ABD", "ACE", "BCDE"},
            3,
            {"A": {"BD", "CE"}, "B": {"AD"}, "C": {"AE"}, "D": {"AB"}, "E": {"AC"}, "BC": {"DE"}, "BE": {"CD"}},
        ),
        (
            7,
            ["D=AB", "E=AC", "F=BC", "G=ABC"],
            {"ABD", "ACE", "BCF", "ABCG", "BCDE", "ACDF", "CDG", "ABEF", "BEG", "AFG", "DEF", "ADEG", "BDFG", "CEFG",
             "ABCDEFG"},
            3,
            {"A": {"BD", "CE", "FG"}, "B": {"AD", "CF", "EG"}, "G": {"CD", "BE", "AF"}},
        ),
        (
            6,
            ["E=ABC", "F=BCD"],
            {"ABCE", "BCDF", "ADEF"},
            4,
            {"AB": {"CE"}, "AC": {"BE"}, "AD": {"EF"}, "AE": {"BC", "DF"}, "AF": {"DE"}, "BD": {"CF"}, "BF": {"CD"}},
        ),
    ],
)  # fmt: skip
def test_published_alias_tables(number, written, relation, resolution, aliases):
    """Defining relation and aliases up to two-way order are those of the textbook (Montgomery)."""
    words = defining_words(parse_generators(number, written))
    assert {write_word(word) for word in words} == relation
    assert min(map(len, words)) == resolution
    rows = np.array(fraction_rows(number, written, None))
    found = {write_word(w): {write_word(o) for _, o in others} for w, others in find_aliases(rows).items()}
    assert {word: found[word] for word in aliases} == aliases


@pytest.mark.parametrize("number", STANDARD)
def test_standard_fractions(number):
    """A standard fraction has the resolution it is listed with, and balanced, orthogonal columns."""
    for resolution, text in STANDARD[number]:
        words = defining_words(parse_generators(number, text.split()))
        assert min(map(len, words)) == resolution
        assert choose_generators(number, resolution) == text.split()
        signs = 2 * np.array(fraction_rows(number, text.split(), None)) - 1
        assert (signs.T @ signs == len(signs) * np.eye(number)).all()
        assert not signs.sum(axis=0).any()
        for word, sign in words.items():
            assert (signs[:, sorted(word)].prod(axis=1) == sign).all()


@pytest.mark.parametrize("size", CYCLES)
def test_screening_designs(size):
    """Columns of a Plackett-Burman design are balanced and orthogonal."""
    signs = 2 * np.array(screening_rows(size - 1, size)) - 1
    assert signs.shape == (size, size - 1)
    assert (signs.T @ signs == size * np.eye(size - 1)).all()
    assert not signs.sum(axis=0).any()


def test_partial_aliases_of_twelve_runs():
    """In 12 runs every main effect holds +-1/3 of every interaction of two others."""
    for word, aliases in find_aliases(np.array(screening_rows(11, 12))).items():
        if len(word) == 1:
            assert {abs(coefficient) for coefficient, _ in aliases} == {Fraction(1, 3)}
            pairs = itertools.combinations(sorted(set(range(11)) - word), 2)
            assert {other for _, other in aliases} == set(map(frozenset, pairs))


def test_contrasts_of_a_fraction():
    """Without higher interactions a half fraction gives the effects of the whole grid; chains are listed once."""
    cells, contrasts = build(switches(4), design={"kind": "fractional", "resolution": 4})
    signs = np.array([[4 * 2 * level - 1 for level in c.levels.values()] for c in cells])
    values = signs @ [1.0, 2.0, 3.0, 4.0] + 5 * signs[:, 0] * signs[:, 1]
    effects = {name: c["weights"] @ values for name, c in contrasts.items()}
    assert effects == pytest.approx(
        {
            **{f"{path}: 0.25 vs 0": 2.0 * (i + 1) for i, path in enumerate(NAMES[:4])},
            "dropout.hidden x l1.strength": 20.0,
            "dropout.hidden x l2.strength": 0.0,
            "dropout.hidden x dropout.input": 0.0,
        }
    )
    assert contrasts["dropout.hidden x l1.strength"]["aliases"] == ["l2.strength x dropout.input"]
    assert contrasts["l1.strength: 0.25 vs 0"]["aliases"] == []
    assert contrasts["l1.strength: 0.25 vs 0"]["confirmatory"]


def test_signed_generators():
    """A negative generator takes the other half, and the aliases carry its sign."""
    cells, contrasts = build(switches(3), design={"kind": "fractional", "generators": ["C=-AB"]})
    assert tuple(cells[0].levels.values()) == (0, 0, 0)
    assert contrasts["dropout.hidden: 0.25 vs 0"]["aliases"] == ["-l1.strength x l2.strength"]
    made = describe(factors=switches(3), design={"kind": "fractional", "generators": ["C=-AB"]})
    assert (made["defining"], made["reference"]) == ("I = -ABC", 0)
    assert {c["kind"] for c in contrasts.values()} == {"main"}


def test_screening_study():
    """A Plackett-Burman study takes the fewest runs that hold its factors, and asks for main effects."""
    cells, contrasts = build(switches(7), design={"kind": "plackett_burman", "runs": 12})
    assert len(cells) == 12
    assert {c["kind"] for c in contrasts.values()} == {"main"}
    assert all(len(c["aliases"]) == 15 and "1/3 " in c["aliases"][0] for c in contrasts.values())
    assert len(build(switches(7), design={"kind": "plackett_burman"})[0]) == 8


def test_description():
    """The plan tells kind, reference, relation, resolution and aliases, as text too."""
    made = describe(factors=switches(4), design={"kind": "fractional", "generators": ["D=ABC"]})
    assert made["defining"] == "I = ABCD"
    assert (made["kind"], made["resolution"], made["reference"]) == ("fractional", 4, 0)
    assert made["aliases"]["dropout.hidden x l1.strength"] == ["l2.strength x dropout.input"]
    assert "defining relation I = ABCD" in design_lines(made)[0]
    assert "reference" not in describe(factors=switches(3), design={"kind": "fractional", "resolution": 3})
    screening = describe(factors=switches(7), design={"kind": "plackett_burman"})
    assert design_lines(screening)[0] == "design: plackett_burman, resolution 3"
    assert "-1/3 " not in str(screening["aliases"])  # of 8 runs each alias is whole
    strata = describe(factors=THREE, design={"strata": ["l1.strength"]})
    assert design_lines(strata) == ["design: full_factorial, within each level of l1.strength"]


@pytest.mark.parametrize(
    ("factors", "design"),
    [
        (THREE, {"kind": "leave_one_out", "and_also": ["add_one_in", "all_off"]}),
        (THREE, {"strata": ["l1.strength"], "exclude": [{"dropout.hidden": 0.5, "l2.strength": 0.5}]}),
        (THREE, {"family": ["three_way"]}),
        (THREE, {"zip": [["l1.strength", "l2.strength"]]}),
        (THREE, {"kind": "fractional", "generators": ["C=AB"]}),
        ({"max_norm.bound": ["off", 3], "l2.strength": [0, 1]}, {"exclude": [{"max_norm.bound": 3, "l2.strength": 1}]}),
    ],
)
def test_studies_read_back(factors, design):
    """A study's JSON gives an equal study."""
    study = parse_study(make(factors=factors, design=design))
    assert parse_study(study_json(study)) == study


REFUSED = [
    ({"and_also": ["all_off"]}, "design.and_also: got and_also beside full_factorial"),
    ({"kind": "add_one_in", "and_also": ["add_one_in"]}, "other parts than the kind itself"),
    ({"strata": ["l3.strength"]}, 'design.strata: got "l3.strength", expected factors:'),
    ({"strata": list(THREE)}, "design.strata: got every factor"),
    ({"strata": ["l1.strength"], "zip": [["l1.strength", "l2.strength"]]}, "which is in zip"),
    ({"zip": [["l1.strength"]]}, "at least two factors"),
    ({"zip": [["l1.strength", "l3.strength"]]}, 'design.zip[0]: got "l3.strength"'),
    ({"exclude": [{"l1.strength": 0.4}]}, "expected a level of the factor"),
    ({"exclude": [{"l1.begin": 0.5}]}, 'design.exclude[0]."l1.begin": got a path that is no factor, expected one of d'),
    ({"exclude": [{"l1.strength": 0}]}, "the cell of all baselines"),
    ({"exclude": [{"l1.strength": 0.5}]}, "every cell with l1.strength = 0.5"),
    ({"exclude": [{"l1.strength": 0.5, "l2.strength": 0}, {"l1.strength": 0, "l2.strength": 0.5}]},
     "no two cells that differ in l1.strength: 0.5 vs 0 alone"),
    ({"family": ["two_way"], "exclude": [{"l1.strength": 0.5, "l2.strength": 0.5},
      {"l1.strength": 0.5, "dropout.hidden": 0.5}, {"l2.strength": 0.5, "dropout.hidden": 0.5}]},
     "design.exclude: got no two_way contrast with all its four cells, expected some contrast of design.family"),
    ({"family": ["three_way"], "exclude": [{"l1.strength": 0.5, "l2.strength": 0.5, "dropout.hidden": 0.5}]},
     "design.exclude: got no three_way contrast with all its eight cells"),
    ({"kind": "fractional"}, "design: got neither"),
    ({"kind": "fractional", "generators": ["C=AD"]}, 'design.generators: got "C=AD", which is no generator'),
    ({"kind": "fractional", "generators": ["C=AB", "C=-AB"]}, "design.generators: got C, which is generated twice"),
    ({"kind": "fractional", "generators": ["C=AB", "B=AC"]}, "a letter that is generated itself"),
    ({"kind": "fractional", "generators": ["C=AB", "C=-AB"]}, "design.generators: got C, which is generated twice"),
    ({"kind": "fractional", "resolution": 4}, "design.resolution: got resolution 4 of 3 factors"),
    ({"kind": "fractional", "resolution": 3, "family": ["simple"]}, 'got "simple", expected "main" or "two_way"'),
    ({"kind": "plackett_burman", "runs": 12}, "3 factors in 12 runs, of which some are the same"),
    ({"kind": "plackett_burman", "runs": 16}, "got runs = 16"),
    ({"runs": 12}, "design.runs: got runs beside full_factorial"),
]  # fmt: skip


@pytest.mark.parametrize(("design", "words"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_refuses(design, words):
    """What cannot be made is told in words."""
    assert words in problems_of(make(factors=THREE, design=design))[0]


SIZED = {"dropout.hidden": [0, 0.5, 0.6], "l1.strength": [0, 0.5], "data.train_size": [96, 48]}
BASELINE_48 = {"data.train_size": 48, "dropout.hidden": 0, "l1.strength": 0}
KINDS = ({"kind": "full_factorial"}, {"kind": "full_factorial", "family": ["simple"]}, {"kind": "one_at_a_time"})


@pytest.mark.parametrize("design", KINDS, ids=str)
def test_a_stratum_without_its_baseline_is_refused(design):
    """A stratum whose baseline cell is excluded would be compared with nothing: it is named."""
    design = {**design, "strata": ["data.train_size"], "exclude": [BASELINE_48]}
    (line,) = problems_of(make(factors=SIZED, design=design))
    assert 'design.exclude: got the baseline cell of the stratum { "data.train_size" = 48 }, expected' in line


@pytest.mark.parametrize(
    ("strata", "left_out", "compared"),
    [(["data.train_size"], {**BASELINE_48, "dropout.hidden": 0.5}, 9),
     (["data.train_size", "l1.strength"], {"data.train_size": 48, "l1.strength": 0.5}, 6)],
)  # fmt: skip
def test_other_cells_of_a_stratum_may_go(strata, left_out, compared):
    """Single cells beside the baseline, and whole strata of several, are left out; what is left is all compared."""
    design = {"strata": strata, "exclude": [left_out], "family": ["simple"]}
    study = parse_study(make(factors=SIZED, design=design))
    contrasts = make_contrasts(study, make_cells(study))
    assert sum(one["kind"] == "simple" for one in contrasts) == compared


@pytest.mark.parametrize(
    ("number", "design", "words"),
    [
        (2, {"family": ["three_way"]}, 'design.family: got "three_way", expected "main" or "two_way"; three_way needs'),
        (4, {"kind": "fractional", "generators": ["C=AB", "D=AB"]}, "design.generators: got resolution 2, expected at"),
        (12, {"kind": "fractional", "resolution": 3}, "resolution 3 of 12 factors, expected a standard fraction of 3"),
        (17, {"kind": "fractional", "generators": ["D=AB"]}, "factors: got 17 factors, expected at most 16 for gener"),
        (12, {"kind": "plackett_burman", "runs": 12}, "factors: got 12 factors, expected at most 11 in 12 runs"),
        (24, {"kind": "plackett_burman"}, "factors: got 24 factors, expected at most 23 in 24 runs"),
    ],
)
def test_refuses_too_many_factors_or_too_few(number, design, words):
    """How many factors a design holds is told, and what its generators confound."""
    paths = [tomllib.loads(explain(name).example) for name in REGULARIZERS]
    factors = {path: levels for found in paths[:number] for path, levels in found.items()}
    (line,) = problems_of(make(factors=factors, design=design))
    assert words in line


def test_a_family_that_lacks_some_interactions_is_kept():
    """Excluded cells take contrasts out of the family, even all of one kind; it is refused only where none is left."""
    exclude = [{"dropout.hidden": 0.25, "l1.strength": 0.25}]
    _, contrasts = build(switches(3), design={"family": ["two_way", "three_way"], "exclude": exclude})
    assert [name for name, contrast in contrasts.items() if contrast["confirmatory"]] == [
        "dropout.hidden 0.25 x l2.strength 0.25",
        "l1.strength 0.25 x l2.strength 0.25",
    ]


def test_refuses_unequal_zip():
    """Factors that change together need as many levels each."""
    factors = {"l1.strength": [0, 1, 2], "l2.strength": [0, 1]}
    (line,) = problems_of(make(factors=factors, design={"zip": [list(factors)]}))
    assert "3 of l1.strength, 2 of l2.strength" in line
