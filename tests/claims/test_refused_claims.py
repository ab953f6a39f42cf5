"""Claim files that are wrong: what is said of them before anything is trained."""

from pathlib import Path

import pytest
from planted_suite import STUDY, replace

from regjax import cli
from regjax.claims.suite import load_suite
from regjax.config import ConfigError


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
        ("C01", 'measure = "test.nll"', "", "got none of them, expected exactly one of"),
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
        ("C01", 'expect = "lower"', 'expect = "lower"\nat = "0"', "got step 0, expected an evaluation; they lie"),
        ("C02", 'over = "l2.strength"', 'over = "l2.strength"\nat = "00"', "figure.at: got step 00, expected an eval"),
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
         "unknown factor \"l2.strenght\"; did you mean \"l2.strength\"? (the study has: l2.strength, dropout.hidden)"),
        ("C02", 'scale = "log"', 'scale = "ln"', "got scale = 'ln', expected scale = \"linear\" or \"log\""),
        ("C02", 'scale = "log"', 'scale = "log"\nthan = 0.0', "got than = 0.0, expected than above 0"),
        ("C02", 'kind = "levels"', 'kind = "bars"', "got kind = 'bars', expected kind = \"effects\" or \"levels\""),
        ("C02", 'over = "l2.strength"', "", "expected a measure, and over = the factor that it is drawn over"),
        ("C02", 'over = "l2.strength"', 'over = "l2.strength"\nwhere = { "l1.strength" = 0.0 }',
         "figure.where: unknown factor 'l1.strength'"),
        ("C02", 'name = "share"', 'name = "norm"', "got norm, norm, expected each name of a test once"),
        ("C02", 'name = "with dropout"', 'name = "without dropout"',
         "got without dropout, without dropout, expected each name of a case once"),
        ("C02", 'moderator = "dropout"', 'moderator = ""', "got moderator = '' with 2 [[cases]], expected"),
        ("C01", 'margin = 0.01', 'margin = 0.01\n[figure]\nkind = "levels"\nmeasure = "test.nll"\n'
         'over = "l2.strength"\nlines = "cases"', "figure.lines: got \"cases\", expected a claim with [[cases]]"),
        ("C02", 'lines = "cases"', "each = { part = [] }", "of each one option with a list of values"),
        ("C02", 'lines = "cases"', "each = { part = [1] }", "none with a metric of the records"),
        ("C02", "add = 0.5", "plus = 0.5", "options.plus: unknown key \"plus\" (options has: add)"),
        ("C02", "add = 0.5", 'add = "much"', 'options.add: got "much", expected a number'),
        ("C02", 'lines = "cases"', 'lines = "l1.strength"', "figure.lines: unknown factor 'l1.strength'"),
        ("C02", 'over = "l2.strength"', 'over = "l2"', "figure.over: unknown factor 'l2'"),
        ("C02", '"dropout.hidden" = 0.5', '"dropout.hidden" = 0.4', "in case 'with dropout'"),
        ("C03", 'mechanism = "planted"', 'mechanism = "planted"\noptions = { rate = 0.2 }', "got { rate = 0.2 }, exp"),
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


IDLE = {
    "mechanism": ("C03", 'mechanism = "planted"', {
        "tests.facts.expect": '"sideways"', "tests.facts.of": "{ nothing = 1 }", "tests.facts.scale": '"cubic"',
        "tests.facts.study": '"main"', "tests.facts.trend": '"nope"',
    }),
    "contrast": ("C03", 'expect = "not higher"', {
        "tests.best.against": "{ a = 1 }", "tests.best.choose_on": '"nonsense"', "tests.best.of": "{ a = 1 }",
        "tests.best.than": "0.5",
    }),
    "than": ("C01", 'expect = "lower"\nthan = 0.0', {
        "tests.error.against": "{ a = 1 }", "tests.error.against_any": "[{ a = 1 }, { a = 2 }]",
    }),
    "nothing is chosen": ("C01", 'expect = "lower"', {"tests.error.choose_on": '"nonsense"'}),
    "a figure of effects": ("C01", 'margin = 0.01\n[figure]', {
        "figure.at": '"last"', "figure.lines": '"cases"', "figure.measure": '"nonsense"',
    }),
}  # fmt: skip


@pytest.mark.parametrize(("file", "before", "keys"), IDLE.values(), ids=IDLE)
def test_a_key_without_effect_is_refused(folder: Path, file: str, before: str, keys: dict[str, str]) -> None:
    """Keys that nothing reads are each told, though what stands in them may be nonsense."""
    written = "\n".join([before, *(f"{key.rpartition('.')[2]} = {value}" for key, value in keys.items())])
    replace(folder / f"{file}.toml", before.splitlines()[0], written)

    found = problems(folder)
    assert [problem.removeprefix(f"{file}.toml: ").split(": got ")[0] for problem in found] == list(keys)
    assert all("expected no " in problem and problem.endswith(": it does nothing there") for problem in found)


def test_a_key_of_a_case_that_no_test_reads_is_refused(folder: Path) -> None:
    """A case that chooses nothing has nothing to choose by, and one without a second side no level for it."""
    replace(folder / "C02.toml", '"l2.strength" = "best"', '"l2.strength" = 1.0')
    replace(folder / "C02.toml", 'expect = "lower"', 'expect = "lower"\nthan = 1.0')
    replace(folder / "C02.toml", 'expect = "higher"', 'expect = "higher"\nthan = 1.0')
    replace(folder / "C02.toml", '"with dropout"', '"with dropout"\nchoose_on = "nonsense"\nagainst = { a = 1 }')

    assert [problem.split(":")[1] for problem in problems(folder)] == [
        ' cases."with dropout".against',
        ' cases."with dropout".choose_on',
    ]


def test_a_key_that_one_case_reads_is_kept(folder: Path) -> None:
    """A metric to choose by has an effect where any case chooses; a case's own says so where it chooses."""
    replace(folder / "C02.toml", 'of = { "l2.strength" = "best" }', 'choose_on = "validation.accuracy"')
    replace(folder / "C02.toml", 'name = "with dropout"', 'name = "with dropout"\nof = { "l2.strength" = "best" }')

    assert load_suite(folder).claims


def test_all_problems_come_at_once(folder: Path) -> None:
    """Mistakes in three files are three problems of one message."""
    replace(folder / "C01.toml", "test.nll", "test.nl")
    replace(folder / "C02.toml", "add = 0.5", "plus = 0.5")
    replace(folder / "C03.toml", 'mechanism = "planted"', 'mechanism = "plantd"')

    assert {problem.split(":")[0] for problem in problems(folder)} == {"C01.toml", "C02.toml", "C03.toml"}


@pytest.mark.parametrize("name", ["..toml", "...toml"])
def test_a_study_whose_folder_would_be_another_is_refused(folder: Path, name: str) -> None:
    """A file of dots alone before .toml would have its results beside or above those of other studies."""
    (folder / "studies" / "l2.toml").rename(folder / "studies" / name)
    for path in folder.glob("*.toml"):
        path.write_text(path.read_text().replace("studies/l2.toml", f"studies/{name}"))

    said = f"C01.toml: studies.main: file: got {name!r}, expected a name that a folder may have before .toml"
    assert any(problem.startswith(said) for problem in problems(folder))


def test_absent_data_are_said_before_training(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A study whose data are not there ends the command with a message, and no folder is made."""
    replace(folder / "studies" / "l2.toml", 'name = "digits"', 'name = "arrays", path = "absent.npz"')
    code = cli.main(["claims", str(folder), "--out", str(tmp_path / "out")])

    assert code == 2
    said = capsys.readouterr().err
    assert "C1, C2, C3: " in said
    assert "absent.npz" in said
    assert not (tmp_path / "out").exists()


def test_a_folder_without_claims_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`regjax claims` of a folder with no .toml says what such a folder holds."""
    assert cli.main(["claims", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "got no claim files, expected a folder with one .toml per claim" in capsys.readouterr().err
