"""Designs: the cells, and the weights of the contrasts between them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_config import make

from regjax.config import ConfigError, Design, parse_study
from regjax.design import count_cells, count_contrasts, make_cells, make_contrasts

PATHS = ("dropout.hidden", "l2.strength", "l1.strength", "dropout.input")


def build(factors, **tables):
    """Return the cells of a study and {name: contrast}."""
    study = parse_study(make(factors=factors, seeds={"count": 1}, **tables))
    cells = make_cells(study)
    contrasts = make_contrasts(study, cells)
    assert len({c["name"] for c in contrasts}) == len(contrasts)
    assert study.design.exclude or len(cells) == count_cells(study.design, study.factors)
    return cells, {c["name"]: c for c in contrasts}


def test_one_factor_lists_each_effect_once():
    """With one factor main and simple effects are one, and confirmatory."""
    cells, contrasts = build({"dropout.hidden": [0, 0.5, 0.8]})
    assert [c.name for c in cells] == ["dropout.hidden=0", "dropout.hidden=0.5", "dropout.hidden=0.8"]
    assert list(contrasts.values()) == [
        {"name": "dropout.hidden: 0.5 vs 0", "kind": "simple", "weights": [-1, 1, 0], "confirmatory": True},
        {"name": "dropout.hidden: 0.8 vs 0", "kind": "simple", "weights": [-1, 0, 1], "confirmatory": True},
    ]


def test_two_by_two_by_hand():
    """The weights of a 2 x 2 factorial are those of the textbook."""
    cells, contrasts = build({"dropout.hidden": [0, 0.5], "model.norm": ["none", "batch"]})
    assert [c.name for c in cells][1:3] == [
        "dropout.hidden=0, model.norm=batch",
        "dropout.hidden=0.5, model.norm=none",
    ]
    weights = {name: (c["kind"], c["weights"], c["confirmatory"]) for name, c in contrasts.items()}
    assert weights == {
        "dropout.hidden: 0.5 vs 0": ("main", [-0.5, -0.5, 0.5, 0.5], True),
        "model.norm: batch vs none": ("main", [-0.5, 0.5, -0.5, 0.5], True),
        "dropout.hidden 0.5 x model.norm batch": ("two_way", [1, -1, -1, 1], True),
        "model.norm=batch vs baseline": ("simple", [-1, 1, 0, 0], False),
        "dropout.hidden=0.5 vs baseline": ("simple", [-1, 0, 1, 0], False),
        "dropout.hidden=0.5, model.norm=batch vs baseline": ("simple", [-1, 0, 0, 1], False),
    }


def test_two_by_three_by_hand():
    """With three levels each other level is compared to the baseline level."""
    _, contrasts = build({"dropout.hidden": [0, 0.5], "l2.strength": [0, 0.1, 0.2]})
    third = 1 / 3
    expected = {
        "dropout.hidden: 0.5 vs 0": [-third, -third, -third, third, third, third],
        "l2.strength: 0.1 vs 0": [-0.5, 0.5, 0, -0.5, 0.5, 0],
        "l2.strength: 0.2 vs 0": [-0.5, 0, 0.5, -0.5, 0, 0.5],
        "dropout.hidden 0.5 x l2.strength 0.1": [1, -1, 0, -1, 1, 0],
        "dropout.hidden 0.5 x l2.strength 0.2": [1, 0, -1, -1, 0, 1],
    }
    assert {n: c["weights"] for n, c in contrasts.items() if c["kind"] != "simple"} == {
        name: pytest.approx(weights) for name, weights in expected.items()
    }


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(2, 4), min_size=2, max_size=4), seed=st.integers(0, 2**32 - 1))
def test_factorial_effects_equal_numpy(sizes, seed):
    """On random tables main and two-way effects equal differences of NumPy means over the other axes."""
    factors = {path: [i / 8 for i in range(n)] for path, n in zip(PATHS, sizes, strict=False)}
    table = np.random.default_rng(seed).normal(size=sizes)
    _, contrasts = build(factors)
    values = {name: np.dot(c["weights"], table.ravel()) for name, c in contrasts.items()}
    paths = list(factors)
    for axis, path in enumerate(paths):
        means = table.mean(axis=tuple(a for a in range(len(sizes)) if a != axis))
        for level in range(1, sizes[axis]):
            assert values[f"{path}: {level / 8:g} vs 0"] == pytest.approx(means[level] - means[0])
    for a, b in itertools.combinations(range(len(sizes)), 2):
        means = table.mean(axis=tuple(i for i in range(len(sizes)) if i not in (a, b)))
        for i, j in itertools.product(range(1, sizes[a]), range(1, sizes[b])):
            expected = means[i, j] - means[0, j] - means[i, 0] + means[0, 0]
            assert values[f"{paths[a]} {i / 8:g} x {paths[b]} {j / 8:g}"] == pytest.approx(expected)
    for kind in ("simple", "main", "two_way", "three_way"):
        number = sum(c["kind"] == kind for c in contrasts.values())
        assert number == count_contrasts(kind, Design(), factors, table.size)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 4), min_size=1, max_size=4),
    kind=st.sampled_from(["full_factorial", "one_at_a_time"]),
)
def test_every_design_compares(sizes, kind):
    """The weights of every contrast sum to zero, and the first cell has every first level."""
    factors = {path: [i / 8 for i in range(n)] for path, n in zip(PATHS, sizes, strict=False)}
    cells, contrasts = build(factors, design={"kind": kind})
    assert all(level == 0 for level in cells[0].levels.values())
    assert [cell.index for cell in cells] == list(range(len(cells)))
    assert len({cell.name for cell in cells}) == len(cells)
    assert all(abs(sum(c["weights"])) < 1e-12 for c in contrasts.values())


def test_one_at_a_time():
    """Every level but the baseline has one cell, compared to the baseline cell."""
    factors = {"dropout.hidden": [0, 0.5], "l2.strength": [0, 0.1, 0.2]}
    cells, contrasts = build(factors, design={"kind": "one_at_a_time"})
    assert [tuple(c.levels.values()) for c in cells] == [(0, 0), (0.5, 0), (0, 0.1), (0, 0.2)]
    assert {n: c["weights"] for n, c in contrasts.items()} == {
        "dropout.hidden: 0.5 vs 0": [-1, 1, 0, 0],
        "l2.strength: 0.1 vs 0": [-1, 0, 1, 0],
        "l2.strength: 0.2 vs 0": [-1, 0, 0, 1],
    }
    assert all(c["confirmatory"] for c in contrasts.values())


def test_leave_one_out():
    """The first cell has everything on; an effect is all-on less the cell without one part."""
    factors = {"dropout.hidden": [0, 0.5], "max_norm.bound": ["off", 3]}
    cells, contrasts = build(factors, design={"kind": "leave_one_out"})
    assert [c.name for c in cells] == [
        "dropout.hidden=0.5, max_norm.bound=3",
        "dropout.hidden=0, max_norm.bound=3",
        "dropout.hidden=0.5, max_norm.bound=off",
    ]
    assert {n: c["weights"] for n, c in contrasts.items()} == {
        "all on vs without dropout.hidden": [1, -1, 0],
        "all on vs without max_norm.bound": [1, 0, -1],
    }


def test_declared_contrasts_take_the_place_of_the_family():
    """A declared contrast is confirmatory and alone so, unless the family is given as well."""
    factors = {"dropout.hidden": [0, 0.5], "l2.strength": [0, 0.1]}
    declared = [{"name": "both", "of": {"dropout.hidden": 0.5, "l2.strength": 0.1}, "against": {"l2.strength": 0}}]
    _, contrasts = build(factors, contrasts=declared)
    assert contrasts["both"] == {
        "name": "both",
        "kind": "declared",
        "weights": [-0.5, 0, -0.5, 1],
        "confirmatory": True,
    }
    assert [n for n, c in contrasts.items() if c["confirmatory"]] == ["both"]
    _, contrasts = build(factors, contrasts=declared, design={"family": ["main"]})
    assert {c["kind"] for c in contrasts.values() if c["confirmatory"]} == {"declared", "main"}


def test_names_tell_levels_apart():
    """Levels that read alike in short form are written in full; booleans, lists and infinity in words."""
    cells, _ = build({"l2.strength": [0.1, 0.1000001], "model.decay_on": ["all", ["**/kernel", "b"]]})
    assert cells[3].name == "l2.strength=0.1000001, model.decay_on=[**/kernel, b]"
    cells, _ = build({"early_stopping": {"patience": ["off", 3], "restore": [True, False]}})
    assert cells[0].name == "early_stopping.patience=off, early_stopping.restore=true"


def test_large_exploratory_kinds_are_left_out():
    """What nobody asked for does not blow up the plan: exploratory kinds beyond the bound are not listed."""
    levels = {"log_range": [0.01, 1], "points": 40}
    _, contrasts = build({"l2.strength": levels, "l1.strength": levels}, design={"family": ["main"]})
    assert {c["kind"] for c in contrasts.values()} == {"main"}
    with pytest.raises(ConfigError, match="1599 simple contrasts of 1600 cells"):
        build({"l2.strength": levels, "l1.strength": levels}, design={"family": ["simple"]})
