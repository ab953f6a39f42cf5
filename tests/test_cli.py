"""The command line and the scripts, as a user calls them."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import regjax
from regjax import cli, store

ROOT = Path(__file__).parent.parent
SMALL = ["data.split={train=96, validation=64, test=128}", "training.epochs=2", "training.evaluate_every={epochs=1}",
         "model.widths=[8]", "seeds.count=2",
         'factors={"dropout.hidden"=[0.0, 0.5]}', 'design={kind="full_factorial"}']  # fmt: skip
QUICKSTART = str(ROOT / "configs" / "quickstart.toml")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory that `regjax run` made."""
    folder = tmp_path_factory.mktemp("cli") / "out"
    assert cli.main(["run", QUICKSTART, "--out", str(folder), *SMALL]) == 0
    return folder


def test_run_leaves_a_report_and_tables(out: Path) -> None:
    """`regjax run` makes report.html, effects.csv and results.parquet beside plan and runs."""
    assert {"report.html", "effects.csv", "results.parquet", "plan.json", "runs.parquet"} <= {
        p.name for p in out.iterdir()
    }


def test_run_prints_effects_and_the_report(out: Path, capsys: pytest.CaptureFixture) -> None:
    """The second `regjax run` prints the table of effects and the path of the report, and trains nothing."""
    assert cli.main(["run", QUICKSTART, *SMALL, "--out", str(out)]) == 0
    printed = capsys.readouterr()

    assert "dropout.hidden: 0.5 vs 0" in printed.out
    assert printed.out.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert "4 already done" in printed.err


def test_status_tells_how_far(out: Path, capsys: pytest.CaptureFixture) -> None:
    """`regjax status` counts done and diverged runs and shows the effects so far."""
    assert cli.main(["status", str(out)]) == 0
    printed = capsys.readouterr().out

    assert printed.startswith("4 of 4 runs done, 0 stopped early, 0 diverged; ")
    assert "dropout.hidden: 0.5 vs 0" in printed


def test_report_is_rebuilt_to_the_same_bytes(out: Path, capsys: pytest.CaptureFixture) -> None:
    """`regjax report` makes a deleted report anew, with the same content."""
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()

    assert cli.main(["report", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "report.html")
    assert (out / "report.html").read_bytes() == before


def test_plan_says_cells_runs_groups_and_cost(capsys: pytest.CaptureFixture) -> None:
    """`regjax plan` prints cells, groups, estimates and the smallest p, and writes nothing."""
    assert cli.main(["plan", QUICKSTART]) == 0
    printed = capsys.readouterr().out

    assert "8 cells x 20 seeds" in printed
    assert "80 runs of 900 updates" in printed
    assert "MiB per device" in printed
    assert "smallest adjusted p" in printed


def test_plan_of_a_tuned_study_counts_both_waves(capsys: pytest.CaptureFixture) -> None:
    """The lattice study plans 240 tuning runs and 320 reported ones, in two groups each."""
    assert cli.main(["plan", str(ROOT / "configs" / "lattice_digits.toml")]) == 0
    printed = capsys.readouterr().out

    assert printed.count("tuning, group") == 2
    assert printed.count("120 runs") == 2
    assert printed.count("160 runs") == 2


def test_a_wrong_study_exits_2_with_all_problems(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Two mistakes are told at once, each with its path and the nearest name; nothing is written."""
    words = ["run", QUICKSTART, "--out", str(tmp_path / "out"), "training.epoch=3", "seeds.count=0"]
    assert cli.main(words) == 2
    told = capsys.readouterr().err

    assert "training.epoch" in told
    assert 'did you mean "epochs"' in told
    assert "seeds.count" in told
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """`regjax status` of a folder without a plan says which command makes one."""
    assert cli.main(["status", str(tmp_path)]) == 1
    assert "regjax run" in capsys.readouterr().err


def test_unprepared_data_exits_2_and_names_both_ways_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Without prepared MNIST the error names `regjax data prepare` and TFDS, and nothing is written."""
    study = str(ROOT / "configs" / "dropout_mnist.toml")
    words = ["run", study, "--out", str(tmp_path / "out"), f'data.folder="{tmp_path}"']
    assert cli.main(words) == 2
    assert "regjax data prepare mnist --from" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_word_is_refused() -> None:
    """A word that is neither option nor override ends the program with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", "somewhere", "training.epochs=3"])
    assert ended.value.code == 2


def test_data_list_names_every_set(capsys: pytest.CaptureFixture) -> None:
    """`regjax data list` names the data sets."""
    assert cli.main(["data", "list"]) == 0
    from regjax.data import DATASETS

    assert list(DATASETS) == [line.split()[0] for line in capsys.readouterr().out.splitlines()]


def test_without_a_command_the_commands_are_printed(capsys: pytest.CaptureFixture) -> None:
    """`regjax` alone prints what it can do, and is no success for a script that forgot the command."""
    assert cli.main([]) == 2
    assert "train what a study asks for" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", ["soon", "0", "nan", "inf"])
def test_a_duration_is_more_than_no_seconds(seconds: str, capsys: pytest.CaptureFixture) -> None:
    """A limit that is no number of seconds is refused before anything is read."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "absent.toml", "--out", "absent", "--max-seconds", seconds])
    assert ended.value.code == 2
    expected = f"argument --max-seconds: got '{seconds}', expected seconds, more than 0"
    assert expected in capsys.readouterr().err


def test_version_is_printed() -> None:
    """`python -m regjax --version` prints the version of the package."""
    done = subprocess.run([sys.executable, "-m", "regjax", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"regjax {regjax.__version__}"


def test_sweep_script_runs_from_flags(tmp_path: Path) -> None:
    """scripts/sweep_regularizers.py trains the combinations that its flags name."""
    main = runpy.run_path(str(ROOT / "scripts" / "sweep_regularizers.py"))["main"]
    results = main(["--out", str(tmp_path / "out"), "--factor", "dropout.hidden=0,0.5",
                    "--factor", "model.norm=none,batch",
                    "--seeds", "1", "--epochs", "1", "--widths", "8"])  # fmt: skip

    assert len(results.plan["cells"]) == 4
    assert results.table.status.done.all()


def test_reproduce_script_runs_on_real_mnist(tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """scripts/reproduce_dropout.py takes the study file and its flags as they are (planned, not trained, here)."""
    from regjax import conductor

    seen = {}
    monkeypatch.setattr(conductor, "train_plan", lambda plan, *_: seen.setdefault("runs", len(plan.runs)))
    monkeypatch.setattr(regjax.Results, "report", lambda self: self.out / "report.html")
    monkeypatch.setattr(regjax.Results, "summary", lambda self: "")
    regjax.cli.main(["data", "prepare", "mnist", "--from", str(real_data / "mnist"), "--to", str(tmp_path)])
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    main = runpy.run_path(str(ROOT / "scripts" / "reproduce_dropout.py"))["main"]
    results = main(["--out", str(tmp_path / "out"), "--seeds", "2"])

    assert seen == {"runs": 4}
    assert store.load_plan(results.out)["markers"][0]["value"] == 0.9774


def test_an_empty_out_is_refused() -> None:
    """`--out ""` would write into the current folder."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", QUICKSTART, "--out", ""])
    assert ended.value.code == 2


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`regjax plan ... | head -1` ends without a traceback."""
    command = f"{sys.executable} -m regjax plan {QUICKSTART} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Traceback" not in done.stderr


def test_a_wrong_flag_of_a_script_is_told_without_a_traceback(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    """The scripts say what is wrong with a study made from flags as `regjax run` does."""
    main = runpy.run_path(str(ROOT / "scripts" / "sweep_regularizers.py"))["main"]
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path / "out"), "--factor", "dropout.hiden=0,0.5"])
    assert 'did you mean "hidden"' in capsys.readouterr().err
