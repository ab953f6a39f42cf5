"""A first study file from flags or questions."""

import io
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regjax import cli
from regjax.config import load_study
from regjax.data import load_dataset
from regjax.draft import Answers, write_draft

FACTORS = ["--factor", "dropout.hidden=0,0.3", "--factor", "l2.strength=0,1e-4", "--no-timing"]


class Keyboard(io.StringIO):
    """A standard input at which somebody types."""

    def isatty(self) -> bool:
        """Return that it is a terminal."""
        return True


def test_flags_become_a_study(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Every flag stands in the file, which is a valid study; the header has question, cost and command."""
    path = tmp_path / "mine.toml"
    words = ["--data", "digits", "--model", "mlp", "--seeds", "12", "--metric", "test.nll", "--margin", "0.01",
             "--at", "last", "--epochs", "5", "--batch-size", "16", "--optimizer", "sgd", "--design", "one_at_a_time",
             "--question", "Does it help?"]  # fmt: skip
    assert cli.main(["new", str(path), *FACTORS, *words]) == 0
    study, text = load_study(path), path.read_text()

    assert study.factors == {"dropout.hidden": (0.0, 0.3), "l2.strength": (0.0, 1e-4)}
    assert (study.primary.metric, study.primary.margin, study.primary.at) == ("test.nll", 0.01, "last")
    assert (study.seeds.count, study.training.epochs, study.training.batch_size) == (12, 5, 16)
    assert (study.optimizer["name"], study.design.kind, study.question) == ("sgd", "one_at_a_time", "Does it help?")
    assert text.startswith("# Question: Does it help?\n# Expect: ")
    assert "3 cells x 12 seeds = 36 runs" in text
    assert f"regjax run {path} --out out/mine" in text
    assert f"regjax plan {path}" in capsys.readouterr().out


@pytest.mark.parametrize("data", ["digits", "diabetes", "mnist", "mine.npz", "teacher", "tfds:iris", "wine"])
@pytest.mark.parametrize("model", ["linear", "mlp", "cnn", "resnet", "vit"])
def test_every_kind_of_data_and_model_is_written(data: str, model: str, tmp_path: Path) -> None:
    """The file of any data set and model passes the checks of a study."""
    path = tmp_path / "study.toml"
    path.write_text(write_draft(Answers(data=data, model=model, factors=("label_smoothing.strength=0,0.1",)
                                        if data != "diabetes" else ("l2.strength=0,0.1",)), path))  # fmt: skip
    study = load_study(path)

    assert study.model["name"] == model
    assert study.primary.metric == ("test.mse" if data == "diabetes" else "test.accuracy")


def test_a_file_name_that_is_too_long_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A study file that no folder can hold is one line, not a traceback."""
    assert cli.main(["new", str(tmp_path / f"{'x' * 300}.toml"), *FACTORS]) == 1
    assert "x.toml: File name too long" in capsys.readouterr().err


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A file that is there stays, unless --force."""
    path = tmp_path / "study.toml"
    path.write_text("mine")
    assert cli.main(["new", str(path), *FACTORS]) == 2
    assert path.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert cli.main(["new", str(path), *FACTORS, "--force"]) == 0
    assert load_study(path).factors


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--factor", "dropout.hiden=0,0.3"], 'did you mean "hidden"'),
        (
            ["--factor", "dropout.hidden=0,0.3", "--factor", " dropout.hidden =0,0.5"],
            "got the factor 'dropout.hidden' twice, expected each path once, with all of its levels",
        ),
        ([*FACTORS, "--margin", "0"], "primary.margin: got 0, expected a number > 0"),
        ([*FACTORS, "--batch-size", "0"], "training.batch_size: got 0, expected an integer >= 1"),
        ([*FACTORS, "--question", ""], 'question: got "", expected a sentence'),
        ([*FACTORS, "--metric", ""], 'primary.metric: got ""'),
        ([*FACTORS, "--model", ""], 'model.name: got ""'),
        (["--factor", "dropout.hidden"], "expected PATH=LEVEL"),
        (["--factor", "dropout.hidden=0,0.3 # half"], "got the factor 'dropout.hidden=0,0.3 # half', expected PATH"),
        (["--factor", "dropout.hidden=0,[[{ a = 1 }]]"], "got the level {'a': 1}, expected a number, a text, true"),
        (["--factor", f"dropout.hidden=0,{'9' * 5000}"], 'factors."dropout.hidden"[1]: got "999'),
        (["--factor", "model.norm=none,\U0001f600"], 'factors."model.norm"[1]: got "\U0001f600", expected "none"'),
        ([*FACTORS, "--question", "a\x7f"], 'question: got "a\\x7f", expected text without control characters'),
        ([*FACTORS, "--question", "a\udcff"], "got 'a\\udcff', expected a text that is UTF-8"),
        (["--seeds", "3"], "got no factor"),
        ([], "got no factor"),
        ([*FACTORS, "--data", "absent.npz"], "absent.npz does not exist"),
        (
            [*FACTORS, "--data", "x" * 300 + ".csv"],
            "x.csv cannot be read: File name too long; give the path",
        ),
        (
            [*FACTORS, "--data", "x" * 300 + ".npz"],
            "x.npz cannot be read: File name too long; give the path",
        ),
        ([*FACTORS, "--metric", "accuracy"], 'did you mean "test.accuracy"'),
    ],
)
def test_wrong_answers_write_nothing(
    words: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake is told as `regjax plan` tells it, with exit code 2, and no file appears."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert cli.main(["new", str(tmp_path / "study.toml"), *words]) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_question_is_one_line_of_the_header(tmp_path: Path) -> None:
    """A line break, in the question or in the file's own name, does not end the comment that it stands in."""
    path = tmp_path / "my\nstudy.toml"
    assert cli.main(["new", str(path), *FACTORS, "--question", "Does it\nhelp \U0001f600?"]) == 0

    assert load_study(path).question == "Does it help \U0001f600?"
    assert path.read_text().startswith("# Question: Does it help \U0001f600?\n# Expect: ")
    assert "my\\nstudy.toml --out" in path.read_text()


def test_what_cannot_be_timed_is_written_and_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Where a study cannot be timed its file stays, and why is said beside how to find out."""
    path = tmp_path / "study.toml"
    assert cli.main(["new", str(path), "--factor", "l2.strength=0,0.1", "--epochs", str(2**31 - 1)]) == 0
    told = capsys.readouterr()

    assert re.search(r"not timed: training: got \d+ steps, expected at most 2147483647 steps", told.err)
    assert told.out.startswith(f"{path}\nnext: regjax plan {path}")
    assert "the command `regjax plan" in path.read_text()


def test_questions_are_asked_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without flags each question has a default that an empty line takes."""
    path = tmp_path / "study.toml"
    monkeypatch.setattr(sys, "stdin", Keyboard("wine\n\nl2.strength=0,0.1 model.norm=none,batch\n\n0.02\n7\n\n"))
    assert cli.main(["new", str(path), "--no-timing"]) == 0
    study = load_study(path)

    assert (study.data.name, study.model["name"], study.training.epochs, study.seeds.count) == ("wine", "mlp", 7, 10)
    assert (study.primary.metric, study.primary.margin) == ("test.accuracy", 0.02)
    assert study.factors == {"l2.strength": (0.0, 0.1), "model.norm": ("none", "batch")}


def test_the_margin_may_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers "none" where a number is proposed gets a file without a margin, and a line that says what it is."""
    path = tmp_path / "study.toml"
    monkeypatch.setattr(sys, "stdin", Keyboard("\n\n\n\nnone\n\n\n"))
    assert cli.main(["new", str(path), "--no-timing"]) == 0

    assert load_study(path).primary.margin is None
    assert "# margin = ..." in path.read_text()


def test_questions_left_open_by_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """What flags say is not asked; a wrong answer is told at once, and asked again."""
    path = tmp_path / "study.toml"
    typed = "digitz\nabsent.npz\n\nmlq\n\ndropout.hiden=0,0.3\nl2.strength=0,0.1\n\n\n"
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    assert cli.main(["new", str(path), "--epochs", "3", "--seeds", "7", "--no-timing"]) == 0
    study, told = load_study(path), capsys.readouterr().err

    assert (study.data.name, study.training.epochs, study.seeds.count) == ("digits", 3, 7)
    assert study.factors == {"l2.strength": (0.0, 0.1)}
    for text in ('did you mean "digits"', "absent.npz does not exist", '"mlq"', 'did you mean "hidden"'):
        assert text in told


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with a user's own files: two tables, pictures, and arrays under other names."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    x, kinds = generator.normal(size=(30, 3)), generator.choice(["low", "mid", "high"], 30)
    pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind=kinds).to_csv("kinds.csv", index=False)
    pd.DataFrame(x, columns=["a", "b", "y"]).to_csv("values.csv", index=False)
    np.savez("pictures.npz", x=generator.integers(0, 256, (30, 8, 8), np.uint8), y=kinds)
    np.savez("parts.npz", x_train=x, y_train=kinds, x_test=x[:9], y_test=kinds[:9])
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["kinds.csv", "--target", "kind"], ("mlp", "test.accuracy", "standard", None, "kind")),
        (["values.csv"], ("mlp", "test.mse", "standard", None, "y")),
        (["pictures.npz"], ("cnn", "test.accuracy", "unit", "x", "y")),
        (["parts.npz"], ("mlp", "test.accuracy", "standard", "x_train", "y_train")),
    ],
)
def test_own_files(words: list[str], expected: tuple, own: Path) -> None:
    """What a user's own file holds chooses the network, metric, scale and keys; the path leads there from the study."""
    (own / "studies").mkdir()
    assert cli.main(["new", "studies/s.toml", "--data", *words, "--factor", "l2.strength=0,0.1", "--no-timing"]) == 0
    study = load_study("studies/s.toml")
    data = study.data

    assert (study.model["name"], study.primary.metric, data.scale, data.x, data.y) == expected
    assert (data.split is None) == (words == ["parts.npz"])
    assert len(load_dataset(**study.dataset_arguments()).x) >= 30


def test_the_target_of_a_table(own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """A table without a column of a usual name needs the name of one: an error says so, a question asks for it."""
    assert cli.main(["new", "s.toml", "--data", "kinds.csv", *FACTORS]) == 2
    assert "It has 'a', 'b', 'c', 'kind'; name it with --target" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Keyboard("kinds.csv\nkind\n\n\n\n\n\n\n"))
    assert cli.main(["new", "s.toml", "--no-timing"]) == 0
    assert load_study("s.toml").data.y == "kind"


def test_the_time_stands_in_the_file(own: Path, capsys: pytest.CaptureFixture) -> None:
    """Without --no-timing a few updates are timed, and the header says what training costs."""
    words = ["--epochs", "1", "--seeds", "6", "--model", "linear", "--factor", "l2.strength=0,0.1"]
    assert cli.main(["new", "s.toml", "--data", "values.csv", *words]) == 0
    cost = r"about \d+ s of training on cpu x \d, 1 program compiled in \d+ s\."

    assert re.search(cost, capsys.readouterr().out)
    assert re.search(rf"# Cost:     2 cells x 6 seeds = 12 runs; {cost}", (own / "s.toml").read_text())
    assert load_study("s.toml").training.epochs == 1


@pytest.mark.parametrize(("typed", "text"), [("wine\n", "the input ended"), ("\n\n\n\n\nmany\n", "got 'many'")])
def test_broken_off_questions_write_nothing(
    typed: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Ctrl-D or an answer that is no number ends with exit code 2."""
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    assert cli.main(["new", str(tmp_path / "study.toml")]) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
