"""Ctrl-C in commands that train nothing."""

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from regjax import cli
from regjax.config import load_study

WORDS = ["--data", "tfds:own", "--factor", "l2.strength=0,0.1"]


@pytest.fixture
def interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after which whoever reads the data set "tfds:own" is interrupted, once, while it reads."""
    folder = tmp_path / "data" / "own" / "1.0.0"
    folder.mkdir(parents=True)
    info = {"name": "own", "fileFormat": "array_record", "splits": [{"name": "train", "shardLengths": ["9"]}]}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    os.mkfifo(folder / "features.json")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))

    def wait_for_reader() -> None:
        with (folder / "features.json").open("wb", buffering=0) as pipe:
            pipe.write(b" " * 2**17)  # more than a pipe holds: is written when the other end is reading
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]

    return threading.Thread(target=wait_for_reader, daemon=True).start


def test_a_command_that_is_interrupted_says_so(
    interrupt: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """`regjax plan` ends with exit code 130 and one line, without a traceback."""
    from regjax.draft import Answers, write_draft

    path = tmp_path / "study.toml"
    path.write_text(write_draft(Answers(data="tfds:own"), path))
    interrupt()

    assert cli.main(["plan", str(path)]) == 130
    assert capsys.readouterr().err == "regjax: interrupted; run the same command again\n"


def test_a_new_study_stays_where_its_timing_is_interrupted(
    interrupt: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Ctrl-C while a first study is timed leaves the file as it is; the command ends as without timing."""
    path = tmp_path / "study.toml"
    interrupt()

    assert cli.main(["new", str(path), *WORDS]) == 0
    told = capsys.readouterr()
    assert told.err.endswith("\nnot timed\n")
    assert f"next: regjax plan {path}" in told.out
    assert load_study(path).data.name == "tfds:own"
