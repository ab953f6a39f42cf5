"""Designs that draw their cells from ranges: the draws, the slopes, what is refused, and a whole study."""

import contextlib
import copy
import dataclasses
import io
import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from studies import tiny
from test_config import make, problems_of

import regjax
from regjax import cli
from regjax.config import parse_study, study_json
from regjax.design import Range, describe_design, design_lines, make_cells, make_contrasts
from regjax.design.ranges import draw_choices, draw_shares

RANGES = {
    "l2.strength": {"log_range": [1e-6, 1e-1]},
    "dropout.hidden": {"range": [0.0, 0.8]},
    "early_stopping.patience": {"range": [1, 4]},
    "model.norm": ["none", "batch", "layer"],
}
CUBE = {"kind": "latin_hypercube", "points": 12}


def study_of(factors=RANGES, design=CUBE, **tables):
    """Return the checked study of these factors and this design."""
    return parse_study(make(factors=factors, design=design, **tables))


def drawing(kind, points, draw=0):
    """Return as much of a design as the draws look at."""
    return SimpleNamespace(kind=kind, points=points, draw=draw)


@settings(max_examples=60, deadline=None)
@given(
    points=st.integers(2, 60), draw=st.integers(0, 1000), log=st.booleans(), low=st.floats(1e-6, 10.0),
    ratio=st.floats(1.5, 1e6),
)  # fmt: skip
def test_a_latin_hypercube_uses_every_bin_once(points, draw, log, low, ratio):
    """Of N equal bins of a range, or of its logarithm, each holds one level but for rounding to six digits."""
    span = Range(low, low * ratio, log)
    levels = span.place(draw_shares(drawing("latin_hypercube", points, draw), "a.b"))
    assert all(span.low <= level <= span.high for level in levels)
    codes = np.sort([span.code(level) for level in levels])
    assert (codes >= np.arange(points) / points - 1e-4).all()
    assert (codes <= np.arange(1, points + 1) / points + 1e-4).all()


@given(points=st.integers(2, 60), size=st.integers(2, 9), draw=st.integers(0, 1000))
def test_lists_are_balanced_in_a_latin_hypercube(points, size, draw):
    """Every level of a list is drawn floor(N / k) or one more times, and which levels have more differs by draw."""
    counts = np.bincount(draw_choices(drawing("latin_hypercube", points, draw), "a.b", size), minlength=size)
    assert len(counts) == size
    assert counts.sum() == points
    assert np.ptp(counts) <= 1


def test_random_levels_are_uniform():
    """A thousand random levels are uniform over a range or its logarithm (Kolmogorov, Smirnov), lists too."""
    design = drawing("random", 1000)
    for span in (Range(1e-6, 0.1, log=True), Range(-1.0, 3.0)):
        codes = [span.code(level) for level in span.place(draw_shares(design, "a.b"))]
        assert kstest(codes, "uniform").pvalue > 0.01
    assert np.bincount(draw_choices(design, "a.b", 4)).min() > 200


def test_whole_numbers():
    """Whole numbers of a range are equally likely, both ends too, and keep the type of the ends."""
    shares = (np.arange(400) + 0.5) / 400
    assert np.bincount(Range(1, 4, integer=True).place(shares)).tolist() == [0, 100, 100, 100, 100]
    powers = Range(1.0, 7.0, log=True, integer=True).place(np.log(np.arange(1, 8)) / np.log(8))
    assert powers == [1, 2, 3, 4, 5, 6, 7]
    assert all(isinstance(level, float) for level in powers)


def test_draws_hang_on_the_factor_alone():
    """Other seeds, other factors and other streams leave the levels of a factor; another draw changes them."""
    first = [cell.levels["l2.strength"] for cell in make_cells(study_of())]
    more = {"l1.strength": {"log_range": [1e-6, 1e-1]}, **RANGES}
    assert first == [c.levels["l2.strength"] for c in make_cells(study_of(more, seeds={"count": 50, "first": 7}))]
    assert first != [c.levels["l2.strength"] for c in make_cells(study_of(design={**CUBE, "draw": 1}))]
    assert first != [c.levels["l1.strength"] for c in make_cells(study_of(more))]


@pytest.mark.parametrize("design", [CUBE, {**CUBE, "kind": "random", "points": 30, "draw": 3}])
def test_a_study_is_read_back(design):
    """A study of ranges as JSON gives the same study, with the same cells and contrasts."""
    study = study_of(design=design)
    text = json.dumps(study_json(study), allow_nan=False)
    again = parse_study(json.loads(text))
    assert again == study
    assert json.loads(text)["factors"] == RANGES
    assert make_contrasts(again, make_cells(again)) == make_contrasts(study, make_cells(study))
    assert dataclasses.replace(again) == study


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda study: pickle.loads(pickle.dumps(study))])
def test_a_copied_study_keeps_its_ranges(duplicate):
    """A study that is copied or sent to another process draws the same levels of the same ranges."""
    study = study_of()
    again = duplicate(study)
    assert again == study
    assert [getattr(levels, "span", None) for levels in again.factors.values()] == [
        Range(1e-6, 1e-1, log=True), Range(0.0, 0.8), Range(1, 4, integer=True), None
    ]  # fmt: skip
    assert make_cells(again) == make_cells(study)


def columns_of(cells):
    """Return the columns of the regression by hand, [cell, slope]."""
    rows = []
    for cell in cells:
        l2, dropout, patience, norm = cell.levels.values()
        rows.append([(np.log10(l2) + 6) / 5, dropout / 0.8, (patience - 1) / 3, norm == "batch", norm == "layer"])
    return np.array(rows, dtype=float)


def test_slopes_are_least_squares():
    """The weights give the coefficients of NumPy's least squares, whatever the cells hold."""
    study = study_of()
    cells = make_cells(study)
    contrasts = make_contrasts(study, cells)
    assert [c["name"] for c in contrasts] == [
        "l2.strength: 1e-06 to 0.1", "dropout.hidden: 0 to 0.8", "early_stopping.patience: 1 to 4",
        "model.norm: batch vs none", "model.norm: layer vs none",
    ]  # fmt: skip
    assert {c["kind"] for c in contrasts} == {"slope"}
    assert all(c["confirmatory"] for c in contrasts)
    weights = np.array([c["weights"] for c in contrasts])
    columns = columns_of(cells)
    np.testing.assert_allclose(np.transpose([c["codes"] for c in contrasts]), columns, atol=1e-12)
    values = np.random.default_rng(0).normal(size=(len(cells), 5))
    expected = np.linalg.lstsq(np.column_stack([np.ones(len(cells)), columns]), values, rcond=None)[0][1:]
    assert weights @ values == pytest.approx(expected, abs=1e-10)
    assert weights.sum(axis=1) == pytest.approx(0, abs=1e-12)
    assert weights @ (3 + columns @ [1, -2, 3, 4, 5]) == pytest.approx([1, -2, 3, 4, 5], abs=1e-10)


def test_the_cell_with_everything_off():
    """all_off adds one cell at the off and first levels; slopes leave it out, simple effects are taken against it."""
    factors = {path: {**table, "off": "off"} if isinstance(table, dict) else table for path, table in RANGES.items()}
    study = study_of(factors, {**CUBE, "and_also": ["all_off"]})
    cells = make_cells(study)
    off = {"l2.strength": 0, "dropout.hidden": 0, "early_stopping.patience": float("inf"), "model.norm": "none"}
    assert (len(cells), cells[0].levels) == (13, off)
    assert [cell.levels for cell in cells[1:]] == [cell.levels for cell in make_cells(study_of())]
    assert parse_study(json.loads(json.dumps(study_json(study)))) == study
    contrasts = make_contrasts(study, cells)
    plain = study_of()
    expected = [[0.0, *c["weights"]] for c in make_contrasts(plain, make_cells(plain))]
    assert [c["weights"] for c in contrasts if c["kind"] == "slope"] == expected
    simple = [c for c in contrasts if c["kind"] == "simple"]
    assert [np.flatnonzero(c["weights"]).tolist() for c in simple] == [[0, i] for i in range(1, 13)]
    assert not any(c["confirmatory"] for c in simple)
    assert describe_design(study, cells)["reference"] == 0
    assert "reference" not in describe_design(plain, make_cells(plain))


def test_what_a_plan_says_of_drawn_cells():
    """The plan's lines name kind, number of cells, draw, correlation and ranges."""
    study = study_of()
    cells = make_cells(study)
    correlation = np.abs(np.corrcoef(columns_of(cells).T))
    correlation[3:, 3:] = 0
    largest = np.max(correlation - np.diag(np.diag(correlation)))
    assert design_lines(describe_design(study, cells)) == [
        f"design: latin_hypercube, 12 cells from draw 0, correlations between factors up to {largest:.2f}",
        "  l2.strength from 1e-06 to 0.1 (logarithmic)",
        "  dropout.hidden from 0 to 0.8",
        "  early_stopping.patience from 1 to 4, whole numbers",
    ]


def test_a_linear_range_with_points_is_a_list():
    """range with points gives levels at equal distances, off first, for any design."""
    study = parse_study(make(factors={"dropout.hidden": {"off": "off", "range": [0.2, 0.8], "points": 4}}))
    assert study.factors == {"dropout.hidden": (0.0, 0.2, 0.4, 0.6, 0.8)}


L2 = {"l2.strength": {"log_range": [1e-6, 1e-1]}}
REFUSED = [
    (L2, {}, "factors.\"l2.strength\": got a range without points, expected points = n, or design.kind = "),
    (L2, {"kind": "random"}, "design.points: got nothing, expected the number of cells that random draws"),
    (L2, {"kind": "random", "points": 2}, "got 2, expected at least 3: slopes of the factors and two more"),
    (L2, {"kind": "random", "points": 1001}, "expected an integer in [2, 1000], the number of drawn cells"),
    (L2, {"points": 8}, 'got points beside full_factorial, expected kind = "random" or "latin_hypercube"'),
    (L2, {**CUBE, "zip": [["l2.strength", "dropout.hidden"]]}, "got zip beside latin_hypercube"),
    (L2, {**CUBE, "and_also": ["add_one_in"]}, 'got "add_one_in", expected "all_off"; for latin_hypercube'),
    (L2, {**CUBE, "and_also": ["all_off"]}, "got a range without off, expected off beside it"),
    (L2, {**CUBE, "family": ["main"]}, 'got "main", expected "slope"'),
    (L2, {**CUBE, "family": ["simple"]}, 'expected "slope"; simple effects need and_also = ["all_off"]'),
    (L2, {**CUBE, "headline": "main"}, "design.headline"),
    ({"dropout.hidden": [0, 0.5]}, {"family": ["slope"]}, "slopes are of random or latin_hypercube"),
    ({"dropout.hidden": [0, 0.5]}, {"headline": "slope"}, "slopes are of random or latin_hypercube"),
    ({"l2.strength": {"off": 0, "log_range": [0.1, 1]}}, CUBE, "got off, which no cell has"),
    ({"l2.strength": {"log_range": [0.1, 1], "range": [0.1, 1]}}, CUBE, "got log_range and range, expected one of"),
    ({"l2.strength": {"log_range": [0.0, 1]}}, CUBE, "expected [low, high] with 0 < low < high"),
    ({"l2.strength": {"range": [1, 0]}}, CUBE, "expected [low, high] with low < high"),
    ({"l2.strength": {"range": [-1, 0.5]}}, CUBE, 'range[0]: got -1, expected a number >= 0'),
    ({"dropout.hidden": {"range": [0, 1]}}, CUBE, 'range[1]: got 1, expected a number in [0, 1)'),
    ({"early_stopping.patience": {"range": [1.5, 4]}}, CUBE, "got 1.5, expected an integer"),
    ({"early_stopping.restore": {"range": [0, 1]}}, CUBE, "expected true or false"),
    ({"model.norm": {"range": [0, 1]}}, CUBE, 'expected "none", "batch"'),
    ({"l2.strength": {"range": [0.5, 0.500000000001]}}, CUBE, "two numbers that differ in float32"),
    ({"dropout.hidden": [0, 0.5], "l2.strength": [0, 1]}, CUBE, "12 points of which 8 repeat a cell"),
    ({"dropout.hidden": {"range": [0, 0.5]}, "model.norm": ["none", "batch", "layer"]},
     {"kind": "random", "points": 5, "draw": 0}, "5 points that do not tell the factors apart"),
]  # fmt: skip


@pytest.mark.parametrize(("factors", "design", "message"), REFUSED)
def test_what_is_refused(factors, design, message):
    """Ranges and designs that do not fit are refused in words that say what would."""
    assert any(message in line for line in problems_of(make(factors=factors, design=design)))


def test_tuning_takes_no_ranges():
    """A nuisance hyper is chosen from candidates: a range without points is refused there."""
    tables = make(factors=L2, design=CUBE, tune={"optimizer.learning_rate": {"log_range": [1e-4, 1e-2]}})
    assert problems_of(tables)[0].startswith('tune."optimizer.learning_rate".points: got nothing')


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> regjax.Results:
    """Return a tiny study of eight drawn cells and three seeds, with predictions, on one split."""
    study = tiny(
        factors={"l2.strength": {"log_range": [1e-4, 1e-1]}, "dropout.hidden": {"range": [0.0, 0.8]}},
        design={"kind": "latin_hypercube", "points": 8},
        seeds__vary=["init", "order", "dropout"],
        measure={"predictions": "test"},
        training__epochs=2,
    )
    return regjax.run(study, tmp_path_factory.mktemp("ranges") / "out")


def test_a_study_of_drawn_cells(results: regjax.Results):
    """Effects of a finished study are the coefficients of least squares on its cell means."""
    means = results.cells()["mean"].to_numpy()
    levels = np.array([list(cell["levels"].values()) for cell in results.plan["cells"]])
    columns = np.column_stack([np.ones(8), (np.log10(levels[:, 0]) + 4) / 3, levels[:, 1] / 0.8])
    expected = np.linalg.lstsq(columns, means, rcond=None)[0][1:]
    assert results.effects()["effect"].to_numpy() == pytest.approx(expected, abs=1e-7)
    factors = [(f["path"], len(f["levels"])) for f in results.plan["factors"]]
    assert factors == [("l2.strength", 8), ("dropout.hidden", 8)]
    assert parse_study(results.plan["study"]) == parse_study(study_json(parse_study(results.plan["study"])))


def test_the_report_of_drawn_cells(results: regjax.Results):
    """The page has a panel per factor and the best cells, and calls no cell a baseline."""
    page = Path(results.report()).read_text()
    assert "Cells of a Latin hypercube" in page
    assert "range0" in page
    assert "range1" in page
    assert "straight lines explain" in page
    assert "all 8, best first; exploratory" in page
    assert "Bias and variance" in page
    body = page[page.index("<body") :]
    assert "baseline" not in body
    changes = results.bias_variance()
    assert changes.filter(like="_effect").isna().all(axis=None)
    assert set(changes["verdict"]) == {""}
    text = results.summary()
    assert "l2.strength from 0.0001 to 0.1, averaged over the drawn levels of the other factors" in text
    assert "straight line in the logarithm of the level that is fitted to the 8 drawn cells" in " ".join(text.split())


def test_the_command_line_names_the_design(results: regjax.Results, tmp_path: Path):
    """`regjax plan` says which cells are drawn and from what."""
    lines = [
        'question = "Which range matters?"', 'primary = { metric = "test.accuracy" }', 'data = { name = "digits" }',
        'model = { name = "linear" }', 'optimizer = { name = "sgd", learning_rate = 0.1 }',
        "training = { steps = 2, batch_size = 8, evaluate_every = { steps = 2 } }", "seeds = { count = 2 }",
        'factors = { "l2.strength" = { log_range = [1e-4, 1e-1] } }', 'design = { kind = "random", points = 5 }',
    ]  # fmt: skip
    path = tmp_path / "study.toml"
    path.write_text("\n".join(lines))
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert cli.main(["plan", str(path)]) == 0
    assert "design: random, 5 cells from draw 0" in output.getvalue()
    assert "l2.strength from 0.0001 to 0.1 (logarithmic)" in output.getvalue()
