"""A suite from files to verdicts: what is checked before training, what is bound, what is trained and measured once."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_suite import Counted, replace

from regjax import cli
from regjax.analysis.levels import level_tests
from regjax.claims.running import run_claims
from regjax.claims.suite import Suite, load_suite
from regjax.commands.claims import KEYS
from regjax.config import ConfigError
from regjax.files import StoreError
from regjax.progress import Progress
from regjax.results import load_results
from regjax.stop import Interrupted, Stop


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


def test_a_measure_that_refuses_ends_in_a_message(
    out: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only shows with the data at hand, as that nothing was planted, names measure and study; no traceback."""
    again = tmp_path / "again"
    shutil.copytree(out / "studies", again / "studies")
    replace(folder / "C01.toml", 'measure = "test.nll"', 'measure = "selection"')
    code = cli.main(["claims", str(folder), "--only", "C1", "--out", str(again), "--log", "plain"])

    assert code == 2
    said = "measure 'selection' of study 'l2': got the data 'digits', expected synthetic ones with a known support"
    assert said in capsys.readouterr().err


def test_larger_studies_are_another_declaration(suite_folder: Path, out: Path) -> None:
    """The quick suite and the full one stand in one folder without refusing each other."""
    suite = load_suite(suite_folder, ["C1"])
    full = Suite(suite.claims, suite.sources, True)
    run_claims(full, out, quiet)

    assert "C1 (full)" in json.loads((out / "declared.json").read_text())
