"""Numbers from elsewhere, analysed as a study's."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regjax
from regjax import cli
from regjax.analysis import foreign
from regjax.files import RegjaxError

RNG = np.random.default_rng(11)
GRID = [(d, n, s) for d, n in itertools.product((0.0, 0.5), ("none", "batch")) for s in range(7)]
FRAME = pd.DataFrame(GRID, columns=["dropout", "norm", "seed"]).assign(
    accuracy=[0.9 + 0.01 * d + 0.004 * RNG.normal() for d, _, _ in GRID], time=1.0
)
NUMBERS = ["n", "effect", "low", "high", "p", "sd", "seeds_positive", "verdict"]


def test_a_full_grid_has_the_contrasts_of_a_factorial() -> None:
    """Main effects and the interaction are confirmatory; their numbers are means worked by hand."""
    effects = regjax.analyze(FRAME, "accuracy", factors=["dropout", "norm"]).effects().set_index("contrast")
    cells = FRAME.pivot(index="seed", columns=["dropout", "norm"], values="accuracy")
    main = (cells[0.5].mean(axis=1) - cells[0.0].mean(axis=1)).mean()

    assert effects.loc["dropout: 0.5 vs 0", "effect"] == pytest.approx(main)
    assert effects["kind"].tolist() == ["main", "main", "two_way", "simple", "simple", "simple"]
    assert effects["confirmatory"].tolist() == [True] * 3 + [False] * 3


def test_a_grid_with_holes_is_compared_with_its_baseline() -> None:
    """Where a combination is absent there are simple contrasts alone, all confirmatory, against the named baseline."""
    holes = FRAME[(FRAME["dropout"] == 0) | (FRAME["norm"] == "none")]
    found = regjax.analyze(holes, "accuracy", factors=["dropout", "norm"], baseline={"dropout": 0.5})
    assert found.cells()["cell"].iloc[0] == "dropout=0.5, norm=none"
    assert found.effects()["contrast"].tolist() == ["dropout=0 vs baseline", "dropout=0, norm=batch vs baseline"]
    assert found.effects()["confirmatory"].all()
    with pytest.raises(RegjaxError, match="no row has the baseline"):
        regjax.analyze(holes, "accuracy", factors=["dropout", "norm"], baseline={"dropout": 0.5, "norm": "batch"})


def test_a_study_analysed_again_gives_the_very_same(tmp_path: Path) -> None:
    """Records of a run directory, taken out and analysed as from elsewhere, give equal effects, intervals and p."""
    from studies import tiny

    factors = {"dropout.hidden": [0.0, 0.5], "l2.strength": [0.0, 0.01]}
    study = tiny(factors=factors, seeds__count=7, primary__at="last", training__epochs=1)
    results = regjax.run(study, tmp_path / "out", report=False)
    records = results.to_pandas()
    last = records[records["step"] == records["step"].max()]
    again = regjax.analyze(last, "test.accuracy", margin=0.01)

    pd.testing.assert_frame_equal(again.effects()[NUMBERS], results.effects()[NUMBERS], check_exact=True)
    pd.testing.assert_frame_equal(again.appendix().drop(columns="at"), results.appendix().drop(columns="at"))
    assert again.cells()["cell"].tolist() == results.cells()["cell"].tolist()


def test_missing_pairs_stay_missing_and_are_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """An empty number takes its seed out of the effects that need it, and the summary tells so."""
    frame = FRAME[["norm", "dropout", "seed", "accuracy"]].copy()
    frame.loc[3, "accuracy"] = np.nan
    frame.drop(index=[11]).to_csv(tmp_path / "runs.csv", index=False)
    line = ["analyze", str(tmp_path / "runs.csv"), "--metric", "accuracy", "--out", str(tmp_path / "out")]
    assert cli.main([*line, "--margin", "0.005", "--baseline", "dropout=0"]) == 0
    text, *report = capsys.readouterr().out.partition("report: ")
    assert report == ["report: ", f"{tmp_path / 'out' / 'report.html'}\n"]
    assert cli.main([*line[:-2], "--margin", "0.005", "--baseline", "dropout=0"]) == 0
    assert capsys.readouterr().out == text
    page = (tmp_path / "out" / "report.html").read_text()

    effects = pd.read_csv(tmp_path / "out" / "effects.csv")
    assert effects["n"].tolist() == [5, 5, 5, 6, 5, 6]
    assert "2 of 28 pairs of cell and seed have no number" in text
    assert "2 of 28 pairs" in page
    for absent in ("Learning curves", "provisional", "Data digest", "Settings", "initial weights", "diverged."):
        assert absent not in page
    assert "Other statistics of the same effects" in page


def test_csv_parquet_and_frame_say_the_same(tmp_path: Path) -> None:
    """The last digit survives a file; the level "none" is a level."""
    FRAME.to_csv(tmp_path / "runs.csv", index=False)
    FRAME.to_parquet(tmp_path / "runs.parquet")
    expected = regjax.analyze(FRAME, "accuracy").effects()

    for name in ("runs.csv", "runs.parquet"):
        pd.testing.assert_frame_equal(regjax.analyze(tmp_path / name, "accuracy").effects(), expected, check_exact=True)


def test_switches_are_the_same_in_a_file_and_in_a_table(tmp_path: Path) -> None:
    """True and false, as such or in the words of a CSV file, are one switch; off is first whatever row comes first."""
    frame = FRAME[["norm", "seed", "accuracy"]].iloc[13::-1].assign(norm=lambda rows: rows["norm"] == "batch")
    frame.to_csv(tmp_path / "runs.csv", index=False)
    frame.to_parquet(tmp_path / "runs.parquet")
    upper = frame.astype({"norm": str}).assign(norm=lambda rows: rows["norm"].str.upper())
    expected = regjax.analyze(frame, "accuracy").effects()

    assert expected["contrast"].tolist() == ["norm: true vs false"]
    for source in (tmp_path / "runs.csv", tmp_path / "runs.parquet", upper):
        pd.testing.assert_frame_equal(regjax.analyze(source, "accuracy").effects(), expected, check_exact=True)
    turned = regjax.analyze(tmp_path / "runs.csv", "accuracy", baseline={"norm": "True"}).effects()
    assert turned["contrast"].tolist() == ["norm: false vs true"]
    assert turned["effect"][0] == pytest.approx(-expected["effect"][0])


def change(**columns: object) -> pd.DataFrame:
    """Return the table with the first values of columns replaced."""
    frame = FRAME.astype(dict.fromkeys(columns, object))
    for name, value in columns.items():
        frame.loc[0, name] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (FRAME, {"metric": "f1"}, "no column 'f1' for the metric, expected one of: dropout"),
        (FRAME, {"seed": "fold"}, "no column 'fold' for the seed"),
        (FRAME, {"factors": ["l2"]}, "no column 'l2' for the factor"),
        (FRAME, {"factors": ["time"]}, "one level only"),
        (FRAME, {"factors": ["dropout"]}, "second one of cell dropout=0, seed 0"),
        (FRAME, {"baseline": {"dropout": 3}}, "expected one of: 0.0, 0.5"),
        (FRAME, {"factors": ["accuracy"]}, "got 'accuracy' as a factor, which is the metric or the seed already"),
        (FRAME, {"factors": ["dropout", "seed"]}, "got 'seed' as a factor, which is the metric or the seed already"),
        (FRAME, {"factors": ["dropout", "dropout"]}, "got the factors dropout, dropout, expected each column once"),
        (FRAME, {"factors": []}, "got the factors none, expected each column once and one at least"),
        (FRAME, {"baseline": {"dropout": "high"}}, "got the baseline dropout=high, expected one of: 0.0, 0.5"),
        (FRAME, {"baseline": {"dropout": [0.5]}}, "got the baseline dropout=[0.5], expected one of: 0.0, 0.5"),
        (FRAME, {"baseline": {"width": 3}}, "expected one of the factors"),
        (FRAME, {"margin": -1.0}, "expected a positive number"),
        (FRAME.drop(columns=["dropout", "norm"]), {}, "no column has several levels"),
        (change(accuracy="high"), {}, "got 'high' in column 'accuracy', row 1"),
        (change(accuracy="high").iloc[::-1], {}, "got 'high' in column 'accuracy', row 28, expected a number"),
        (change(accuracy=np.inf), {}, "expected a finite number"),
        (change(seed=0.5), {}, "expected whole numbers"),
        (change(seed=None), {}, "row 1 has no value in column 'seed'"),
        (change(dropout="nan"), {}, "row 1 has no level in column 'dropout'; give it one, or leave the row out"),
        (change(dropout="-NaN"), {"factors": ["dropout", "norm"]}, "row 1 has no level in column 'dropout'"),
        (change(norm=None), {}, "row 1 has no level in column 'norm'"),
        (change(norm="  "), {}, "row 1 has no level in column 'norm'"),
        (FRAME.assign(seed=range(len(FRAME))), {}, "pairs need seeds in common"),
        (FRAME.head(0), {}, "without rows"),
        ("nothing.csv", {}, "cannot read nothing.csv"),
    ],
)
def test_bad_tables_are_refused_with_what_to_do(frame: pd.DataFrame, options: dict, message: str) -> None:
    """Each mistake has its own error."""
    with pytest.raises(RegjaxError) as caught:
        regjax.analyze(frame, **{"metric": "accuracy", **options})
    assert message in str(caught.value)


@pytest.mark.parametrize("head", ["dropout,seed,accuracy,accuracy", "dropout,dropout,seed,accuracy"])
def test_a_column_that_stands_twice_is_refused(head: str, tmp_path: Path) -> None:
    """In a file and in a table a name is one column's; "a" and "a.1" are two names."""
    path, name = tmp_path / "runs.csv", max(head.split(","), key=head.split(",").count)
    rows = [f"{d},{d}.5,{s},0.{s}{d}" for d in range(2) for s in range(7)]
    path.write_text("\n".join([head, *rows]))
    frame = pd.read_csv(path, header=None, skiprows=1).set_axis(head.split(","), axis=1)
    for source in (path, frame):
        with pytest.raises(RegjaxError, match=f"column '{name}' stands twice in the head, expected a name of its own"):
            regjax.analyze(source, "accuracy")
    path.write_text("\n".join(["dropout,dropout.1,seed,accuracy", *rows]))
    assert regjax.analyze(path, "accuracy", factors=["dropout"]).effects()["n"].tolist() == [7]


def test_too_many_cells_or_seeds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the limit are analysed, one more is told: a factor or the seed is likely misnamed."""
    monkeypatch.setattr(foreign, "MOST_SEEDS", 7)
    monkeypatch.setattr(foreign, "MOST_CELLS", 4)
    assert len(regjax.analyze(FRAME, "accuracy", factors=["dropout", "norm"]).effects()) == 6
    monkeypatch.setattr(foreign, "MOST_SEEDS", 6)
    with pytest.raises(RegjaxError, match="got 7 seeds, expected 6 at most"):
        regjax.analyze(FRAME, "accuracy", factors=["dropout", "norm"])
    monkeypatch.setattr(foreign, "MOST_CELLS", 3)
    with pytest.raises(RegjaxError, match="got 4 cells, expected 3 at most"):
        regjax.analyze(FRAME, "accuracy", factors=["dropout", "norm"])


def test_a_baseline_may_be_in_other_letters_unless_these_are_another_level() -> None:
    """A level as it is written comes before one that differs in capitals."""
    arms = FRAME.assign(norm=FRAME["norm"].map({"none": "BN", "batch": "bn"}), dropout=0.0)[:14]
    for asked, first in (("BN", "BN"), ("bn", "bn"), ("Bn", "BN")):
        found = regjax.analyze(arms, "accuracy", factors=["norm"], baseline={"norm": asked})
        assert found.cells()["cell"].iloc[0] == f"norm={first}"


def test_a_bad_baseline_on_the_command_line_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A baseline is written FACTOR=LEVEL."""
    assert cli.main(["analyze", "x.csv", "--metric", "a", "--baseline", "dropout"]) == 2
    assert "FACTOR=LEVEL" in capsys.readouterr().err


def effects_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the effects with the levels a (baseline) and b, c of one factor, whatever they are called."""
    first = frame["arm"].iloc[0]
    return regjax.analyze(frame, "score", factors=["arm"], baseline={"arm": first}).effects()[NUMBERS]


# Sixteenths are exact: adding and scaling by powers of two makes no rounding of its own.
SCORES = st.lists(st.integers(0, 64), min_size=21, max_size=21)


@settings(max_examples=25, deadline=None)
@given(scores=SCORES, order=st.permutations(range(7)), shift=st.integers(0, 64), power=st.integers(-3, 3))
def test_names_order_and_origin_do_not_matter(scores: list[int], order: list[int], shift: int, power: int) -> None:
    """Other names of cells and seeds change nothing, nor does a constant; a factor scales effects and intervals."""
    arms = [arm for arm in "abc" for _ in range(7)]
    frame = pd.DataFrame({"arm": arms, "seed": [*range(7)] * 3, "score": np.array(scores) / 16})
    expected = effects_of(frame)

    renamed = frame.assign(arm=frame["arm"].map({"a": "z", "b": "y", "c": "x"}))
    pd.testing.assert_frame_equal(effects_of(renamed), expected, check_exact=True)
    reseeded = frame.assign(seed=[100 + order[s] for s in frame["seed"]])
    pd.testing.assert_frame_equal(effects_of(reseeded), expected, rtol=1e-9, atol=1e-12)
    shifted = frame.assign(score=frame["score"] + shift)
    pd.testing.assert_frame_equal(effects_of(shifted), expected, rtol=1e-5, atol=1e-5)
    scaled = effects_of(frame.assign(score=frame["score"] * 2.0**power))
    for name in ("effect", "low", "high", "sd"):
        assert np.allclose(scaled[name], expected[name] * 2.0**power, rtol=1e-9, equal_nan=True)
    assert np.array_equal(scaled["p"], expected["p"])


@pytest.mark.parametrize(("name", "value"), [("accuracy", 97.3), ("val_accuracy", 97.3), ("test.ece", 3.0)])
def test_percent_is_refused_where_a_share_is_expected(name: str, value: float) -> None:
    """97.3 in a column of accuracies would be shown as 9730 %, its effects a hundred times too large."""
    percent = FRAME.rename(columns={"accuracy": name})
    percent.loc[3, name] = value
    with pytest.raises(RegjaxError, match="row 4, expected a share"):
        regjax.analyze(percent, name, factors=["dropout", "norm"])
    other = percent.rename(columns={name: "score"})
    assert len(regjax.analyze(other, "score", factors=["dropout", "norm"]).effects()) == 6


def test_a_margin_in_percent_is_refused() -> None:
    """A margin of half an accuracy or more can only be meant in percent; 0.005 is half a point."""
    with pytest.raises(RegjaxError, match=r"half a percentage point is 0\.005"):
        regjax.analyze(FRAME, "accuracy", factors=["dropout", "norm"], margin=0.5)
