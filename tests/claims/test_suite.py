"""A suite from files to verdicts: what is checked before training, what is bound, what is trained and measured once."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_suite import STUDY, Counted, write_claims

from regjax import cli
from regjax.analysis.levels import level_tests
from regjax.claims.facts import Check
from regjax.claims.measures import MEASURES, Measure
from regjax.claims.mechanisms import MECHANISMS
from regjax.claims.running import run_claims
from regjax.claims.suite import Suite, load_suite
from regjax.commands.claims import KEYS
from regjax.config import ConfigError
from regjax.files import StoreError
from regjax.progress import Progress
from regjax.results import load_results
from regjax.stop import Interrupted, Stop


@pytest.fixture(scope="session")
def planted() -> Iterator[Counted]:
    """Return a measure that claims of these tests may name."""
    measure = Counted()
    MEASURES["planted"] = Measure(measure, "a planted number")
    MECHANISMS["planted"] = lambda: [Check("one", "1", "1", True)]
    yield measure
    del MEASURES["planted"], MECHANISMS["planted"]


@pytest.fixture
def folder(tmp_path: Path, planted: Counted) -> Path:
    """Return a folder of claim files that a test may change."""
    return write_claims(tmp_path / "claims")


@pytest.fixture(scope="session")
def suite_folder(tmp_path_factory: pytest.TempPathFactory, planted: Counted) -> Path:
    """Return the same folder, for tests that leave it as it is."""
    return write_claims(tmp_path_factory.mktemp("suite") / "claims")


def quiet() -> Progress:
    """Return progress in lines."""
    return Progress(live=False)


@pytest.fixture(scope="session")
def out(suite_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the suite, run once: stopped before its first update, then to its end."""
    folder = tmp_path_factory.mktemp("claims") / "out"
    stop = Stop()
    stop.ask("planned", 75)
    with pytest.raises(Interrupted):
        run_claims(load_suite(suite_folder), folder, quiet, stop)
    run_claims(load_suite(suite_folder), folder, quiet)
    return folder


@pytest.fixture(scope="session")
def found(out: Path) -> dict[str, Any]:
    """Return what claims.json holds."""
    return json.loads((out / "claims.json").read_text())


def test_a_claim_that_is_false_by_construction_is_refuted(found: dict[str, Any]) -> None:
    """Through files, training, measures and rules: ruinous L2 does not lower the error, and it does shrink weights."""
    first, second, _ = found["claims"]

    assert first["verdict"] == "refuted"
    assert first["cases"][0]["tests"][0]["estimate"] > 0.1
    norms = [case["tests"][0] for case in second["cases"]]
    assert all(np.exp(test["high"]) < 0.8 for test in norms)
    assert [claim["verdict"] for claim in found["claims"]][1:] == ["supported", "supported"]


def test_the_effect_is_that_of_the_records(out: Path, found: dict[str, Any]) -> None:
    """A test's effects are the paired differences of the stored records, seed by seed."""
    frame = load_results(out / "studies" / "l2").to_pandas()
    best = frame[frame["step"] == frame["best_step"].groupby([frame["cell"], frame["seed"]]).transform("last")]
    wide = best[best["dropout.hidden"] == 0].pivot(index="seed", columns="l2.strength", values="test.nll")

    effects = found["claims"][0]["cases"][0]["tests"][0]["effects"]
    np.testing.assert_allclose(effects, wide[100.0] - wide[0.0])


def test_a_test_of_the_best_level_is_that_of_the_study(out: Path, found: dict[str, Any]) -> None:
    """A contrast's effect is the study's own, and its interval is no narrower."""
    (first, _) = level_tests(load_results(out / "studies" / "l2").table)
    row = found["claims"][2]["cases"][0]["tests"][0]

    assert row["estimate"] == pytest.approx(first.effect)
    assert row["se"] >= first.found.se
    assert row["n"] == 8


def test_a_best_level_is_judged_on_seeds_that_did_not_choose_it(found: dict[str, Any]) -> None:
    """The planted measure is the cell: both halves prefer strength 1 to 100, and so have the effect of cell 1."""
    rows = [case["tests"][1] for case in found["claims"][1]["cases"]]
    for row in rows:
        assert set(np.round(row["effects"][:-1], 6)) == {1.0}
        assert row["halves"] == pytest.approx([1.0, 1.0])
        assert [choice["levels"] for choice in row["choices"]] == [["l2.strength 1"] * 2]
        assert (row["n"], row["seeds"], row["effects"][-1]) == (7, 8, None)


def test_the_figure_has_a_point_for_every_case_and_level(found: dict[str, Any]) -> None:
    """Curves over the strengths, one for each case, with the mean of the records."""
    rows = found["claims"][1]["figure"]["rows"]

    assert [(row["line"], row["level"]) for row in rows] == [
        (case, level) for case in ("without dropout", "with dropout") for level in ("0", "1", "100")
    ]
    assert all(row["low"] < row["mean"] < row["high"] and row["n"] == 8 for row in rows)


def test_a_second_call_trains_and_measures_nothing(
    out: Path, found: dict[str, Any], suite_folder: Path, planted: Counted
) -> None:
    """All runs and measures are taken from the folder, and the same is found."""
    taken, files = planted.taken, sorted((out / "studies").rglob("*.parquet"))
    before = [path.stat().st_mtime_ns for path in files if "chunks" in path.parts]
    again = run_claims(load_suite(suite_folder), out, quiet)

    assert planted.taken == taken
    assert [path.stat().st_mtime_ns for path in files if "chunks" in path.parts] == before
    assert again["claims"] == found["claims"]


def test_a_changed_declaration_is_refused(out: Path, folder: Path, found: dict[str, Any]) -> None:
    """Another margin, study or number of seeds than was declared before the first record is refused."""
    del found
    for change, overrides in (
        (lambda: None, ["seeds.count=9"]),
        (lambda: replace(folder / "C01.toml", "margin = 0.01", "margin = 0.02"), []),
        (lambda: replace(folder / "studies" / "l2.toml", "steps = 60", "steps = 80"), []),
    ):
        shutil.copytree(folder, folder.with_name("kept"), dirs_exist_ok=True)
        change()
        with pytest.raises(StoreError, match=r"C1.* as declared before the first record"):
            run_claims(load_suite(folder, ["C1"], overrides=overrides), out, quiet)
        shutil.copytree(folder.with_name("kept"), folder, dirs_exist_ok=True)


def test_the_same_claims_elsewhere_are_no_change(out: Path, folder: Path) -> None:
    """What counts is what the files say, not where they are; comments do not count."""
    replace(folder / "C01.toml", "[claim]", "# A comment.\n[claim]")

    assert run_claims(load_suite(folder, ["C1"]), out, quiet)["claims"][0]["verdict"] == "refuted"


def replace(path: Path, old: str, new: str) -> None:
    """Change a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def problems(folder: Path) -> list[str]:
    """Return what is wrong with a suite."""
    with pytest.raises(ConfigError) as raised:
        load_suite(folder)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("C01", "test.nll", "test.nl", 'did you mean "test.nll"'),
        ("C01", '"l2.strength" = 100.0', '"l2.strenght" = 100.0', "l2.strenght"),
        ("C01", '"l2.strength" = 100.0', '"l2.strength" = 7.0', "7.0, expected one of [0.0, 1.0, 100.0]"),
        ("C01", 'measure = "test.nll"', "", "got none of them, expected exactly one of measure, mechanism and contrast"),
        ("C01", 'says', 'mechanism = "planted"\nsays', "got measure and mechanism, expected exactly one of"),
        ("C01", "margin = 0.01", "margin = 0.01\noptions = { part = 1 }", "none with a metric of the records"),
        ("C01", "main = {", "other = {", "got study 'main', expected entries of [studies]: other"),
        ("C01", "margin = 0.01", "margin = 0.01\n[rule]\nrefuted = ['eror']",
         "got rule.refuted with 'eror', expected names of tests: error"),
        ("C01", 'expect = "lower"', 'expect = "smaller"', "expect = one of"),
        ("C01", "margin = 0.01", "margin = 0.0", "a margin (above 0)"),
        ("C01", "margin = 0.01", "margin = inf", "tests[0].margin: got inf"),
        ("C01", 'expect = "lower"', 'expect = "lower"\nat = "end"', '"last" or the number of a step'),
        ("C01", 'expect = "lower"', 'expect = "lower"\nat = "30"', "every 20 steps"),
        ("C01", 'expect = "lower"', 'expect = "lower"\ntrend = "dropout.hidden"', "levels above 0"),
        ("C01", 'expect = "lower"', 'expect = "lower"\naveraged = ["dropout.hiden"]', 'did you mean "dropout.hidden"'),
        ("C01", 'expect = "lower"', 'expect = "lower"\naveraged = ["l2.strength"]', "neither the test nor the case"),
        ("C01", 'expect = "lower"', 'expect = "lower"\ntrend = "a.b"\naveraged = ["a.b"]', "each factor once in"),
        ("C02", "{ \"dropout.hidden\" = 0.5 }", '{ }\nchoose_on = "validation.nl"', 'did you mean "validation.nll"'),
        ("C02", '{ "l2.strength" = "best" }', '{ "l2.strength" = "best" }\nchoose_on = "test.nll"',
         "got 'test.nll', expected a metric of the validation examples"),
        ("C02", '{ "l2.strength" = "best" }', '{ "l2.strength" = "best", "dropout.hidden" = "best" }',
         "got l2.strength and dropout.hidden, expected at most one best level"),
        ("C02", '{ "l2.strength" = "best" }', '{ "l2.strenght" = "best" }',
         "got factor 'l2.strenght', expected one of l2.strength, dropout.hidden"),
        ("C02", 'scale = "log"', 'scale = "ln"', "got scale = 'ln', expected scale = \"linear\" or \"log\""),
        ("C02", 'scale = "log"', 'scale = "log"\nthan = 0.0', "got than = 0.0, expected than above 0"),
        ("C02", 'kind = "levels"', 'kind = "bars"', "got kind = 'bars', expected kind = \"effects\" or \"levels\""),
        ("C02", 'over = "l2.strength"', "", "expected a measure, and over = the factor that it is drawn over"),
        ("C02", 'over = "l2.strength"', 'over = "l2.strength"\nwhere = { "l1.strength" = 0.0 }',
         "figure.where: unknown factor 'l1.strength'"),
        ("C02", 'name = "share"', 'name = "norm"', "got norm, norm, expected each name of a test once"),
        ("C02", 'name = "with dropout"', 'name = "without dropout"',
         "got without dropout, without dropout, expected each name of a case once"),
        ("C02", 'moderator = "dropout"', 'moderator = ""', "got moderator = '' with 2 [[cases]], expected claim.moderator and"),
        ("C01", 'margin = 0.01', 'margin = 0.01\n[figure]\nkind = "levels"\nmeasure = "test.nll"\n'
         'over = "l2.strength"\nlines = "cases"', "figure.lines: got \"cases\", expected a claim with [[cases]]"),
        ("C02", 'lines = "cases"', "each = { part = [] }", "of each one option with a list of values"),
        ("C02", 'lines = "cases"', "each = { part = [1] }", "none with a metric of the records"),
        ("C02", "add = 0.5", "plus = 0.5", "got an unexpected keyword argument 'plus', expected those of planted: add"),
        ("C02", 'lines = "cases"', 'lines = "l1.strength"', "figure.lines: unknown factor 'l1.strength'"),
        ("C02", 'over = "l2.strength"', 'over = "l2"', "figure.over: unknown factor 'l2'"),
        ("C02", '"dropout.hidden" = 0.5', '"dropout.hidden" = 0.4', "in case 'with dropout'"),
        ("C03", 'mechanism = "planted"', 'mechanism = "plantd"', 'did you mean "planted"'),
        ("C03", "(dropout.hidden=0)", "(dropout.hidden=1)", "the study declares"),
        ("C03", 'expect = "not higher"', 'expect = "not higher"\nscale = "log"',
         "got 'log', expected \"linear\" with a contrast of the study"),
        ("studies/l2", STUDY[STUDY.index("[[contrasts]]"):], "", "expected a study with [[contrasts]] of best levels"),
        ("C03", "studies/l2.toml", "studies/l1.toml", "no such file"),
        ("C03", 'id = "C3"', 'id = "C2"', "C2 twice"),
        ("studies/l2", "steps = 20", "steps = 25", "a divisor of the 60 steps"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_training(folder: Path, file: str, old: str, new: str, said: str) -> None:
    """A wrong name, level, state, option, rule or study names its file and what was expected."""
    replace(folder / f"{file}.toml", old, new)

    found = problems(folder)
    assert any(said in problem for problem in found), found


def test_all_problems_come_at_once(folder: Path) -> None:
    """Mistakes in three files are three problems of one message."""
    replace(folder / "C01.toml", "test.nll", "test.nl")
    replace(folder / "C02.toml", "add = 0.5", "plus = 0.5")
    replace(folder / "C03.toml", 'mechanism = "planted"', 'mechanism = "plantd"')

    assert {problem.split(":")[0] for problem in problems(folder)} == {"C01.toml", "C02.toml", "C03.toml"}


def test_absent_data_are_said_before_training(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A study whose data are not there ends the command with a message, and no folder is made."""
    replace(folder / "studies" / "l2.toml", 'name = "digits"', 'name = "arrays", path = "absent.npz"')
    code = cli.main(["claims", str(folder), "--out", str(tmp_path / "out")])

    assert code == 2
    said = capsys.readouterr().err
    assert "C1, C2, C3: " in said
    assert "absent.npz" in said
    assert not (tmp_path / "out").exists()


def test_the_command_prints_its_documented_keys(
    out: Path, found: dict[str, Any], suite_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`claims --json` has the keys of its documentation and is what claims.json holds; nothing else is printed."""
    assert cli.main(["claims", str(suite_folder), "--out", str(out), "--json", "--log", "plain"]) == 0
    printed = json.loads(capsys.readouterr().out)

    assert set(printed) == set(KEYS) - {"cases", "tests", "choices", "checks"}
    assert printed["claims"] == found["claims"]
    case = printed["claims"][0]["cases"][0]
    rows = [test for claim in printed["claims"] for one in claim["cases"] for test in one["tests"]]
    (choice, *_), (check, *_) = ([row for test in rows for row in test[key]] for key in ("choices", "checks"))
    tables = {"claims": printed["claims"][0], "cases": case, "tests": rows[0], "choices": choice, "checks": check}
    for key, value in tables.items():
        assert [name for name in value if name not in KEYS[key]] == []


def test_the_command_prints_plan_scoreboard_and_markdown(
    out: Path, suite_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--plan` writes nothing and counts runs with overrides, which may stand behind --only; others print verdicts."""
    given = ["claims", str(suite_folder)]
    assert cli.main([*given, "--plan", "--out", str(tmp_path / "new"), "--only", "C1", "seeds.count=7"]) == 0
    assert "42 runs" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()
    assert cli.main([*given, "--out", str(out), "--log", "plain"]) == 0
    assert "C1 ✗ Refuted" in capsys.readouterr().out
    assert cli.main([*given, "--out", str(out), "--markdown", "--log", "plain"]) == 0
    assert "| C1 | Ruinous L2 lowers test error. | ✗ **refuted** |" in capsys.readouterr().out


def test_claims_can_be_left_out(suite_folder: Path) -> None:
    """--without leaves the others; unknown ids and a suite without any claim are refused."""
    every = {declared.claim.id for declared in load_suite(suite_folder).claims.values()}

    left = load_suite(suite_folder, without=["C1"]).claims.values()
    assert {declared.claim.id for declared in left} == every - {"C1"}
    with pytest.raises(ConfigError, match=r"--without: got C99, expected of C1"):
        load_suite(suite_folder, without=["C99"])
    with pytest.raises(ConfigError, match=r"^--only: got C99, expected of .*$"):
        load_suite(suite_folder, ["C99"])
    with pytest.raises(ConfigError, match="at least one claim that is left"):
        load_suite(suite_folder, ["C1"], without=["C1"])


def test_larger_studies_are_another_declaration(suite_folder: Path, out: Path) -> None:
    """The quick suite and the full one stand in one folder without refusing each other."""
    suite = load_suite(suite_folder, ["C1"])
    full = Suite(suite.claims, suite.sources, True)
    run_claims(full, out, quiet)

    assert "C1 (full)" in json.loads((out / "declared.json").read_text())
