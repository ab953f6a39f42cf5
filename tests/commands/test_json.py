"""What reading commands print for other programs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regjax import cli
from regjax.commands import COMMANDS
from regjax.commands.output import CELL, EFFECT, jsonable
from regjax.results import load_results

Read = Callable[..., dict[str, Any]]
CONFIG = Path(__file__).parents[2] / "configs" / "quickstart.toml"


def documented(command: str, key: str) -> set[str]:
    """Return the names that the documented text of a key lists after its colon."""
    text = COMMANDS[command].KEYS[key].partition(": ")[2]
    return {re.match(r"\w+", word.strip())[0] for word in re.sub(r" \(.*?\)", "", text).split(",")}  # type: ignore[index]


def test_status_prints_its_documented_keys(out: Path, read: Read) -> None:
    """`status --json` has the keys of its documentation, and the rows have those of theirs."""
    found = read("status", out)

    assert set(found) == set(COMMANDS["status"].KEYS)
    assert set(found["effects"][0]) == set(EFFECT) == documented("status", "effects")
    assert set(found["cells"][0]) == set(CELL)
    assert set(found["groups"][0]) == documented("status", "groups")
    assert set(found["runs"]) == {"planned", "done", "running", "waiting", "stopped", "diverged"}


def test_the_numbers_are_those_of_the_results(out: Path, read: Read) -> None:
    """Effects as JSON are the effects as a table, NaN as null."""
    effects = load_results(out).effects()
    again = pd.DataFrame(read("status", out)["effects"])

    assert list(again["effect"]) == list(effects["effect"])
    assert again["low_new"].isna().equals(effects["low_new"].isna())
    assert "NaN" not in json.dumps(read("status", out))


def test_power_prints_its_documented_keys(out: Path, read: Read) -> None:
    """`power --json` has a row per confirmatory contrast."""
    found = read("power", out, "--effect", 0.01)

    assert set(found) == set(COMMANDS["power"].KEYS)
    assert set(found["contrasts"][0]) == documented("power", "contrasts")
    assert (found["effect"], found["power"]) == (0.01, 0.9)


def test_across_prints_its_documented_keys(out: Path, read: Read) -> None:
    """`across --json` of one study has its effects and no ranks."""
    found = read("across", out)

    assert set(found) == set(COMMANDS["across"].KEYS)
    assert set(found["effects"][0]) == documented("across", "effects")
    assert found["ranks"] is None
    assert found["diagram"] is None


def test_analyze_prints_its_documented_keys(tmp_path: Path, read: Read) -> None:
    """`analyze --json` of numbers from elsewhere has effects and cells, and no report where none is made."""
    rows = [(rate, seed, 0.9 + rate / 50 + seed / 1000) for rate in (0.0, 0.5) for seed in range(6)]
    pd.DataFrame(rows, columns=["dropout", "seed", "accuracy"]).to_csv(tmp_path / "runs.csv", index=False)
    found = read("analyze", tmp_path / "runs.csv", "--metric", "accuracy")

    assert set(found) == set(COMMANDS["analyze"].KEYS)
    assert set(found["effects"][0]) == set(EFFECT)
    assert found["effects"][0]["effect"] == pytest.approx(0.01)
    assert found["report"] is None


def test_data_list_prints_every_set(read: Read) -> None:
    """`data list --json` names what `data list` names."""
    found = read("data", "list")

    assert set(found) == set(COMMANDS["data"].KEYS)
    assert {"digits", "mnist", "arrays"} <= {row["name"] for row in found["datasets"]}


def test_plan_prints_its_documented_keys(read: Read) -> None:
    """`plan --json` has cells, programs, memory, time and the smallest p that six seeds allow."""
    small = ["training.epochs=2", "training.evaluate_every={epochs=1}", "model.widths=[8]", "seeds.count=6"]
    found = read("plan", CONFIG, *small, 'factors={"dropout.hidden"=[0.0, 0.5]}', "design={}")

    assert set(found) == set(COMMANDS["plan"].KEYS)
    assert set(found["groups"][0]) == documented("plan", "groups")
    assert set(found["contrasts"][0]) == documented("plan", "contrasts")
    assert set(found["disk"]) == documented("plan", "disk")
    assert found["cells"] == ["dropout.hidden=0", "dropout.hidden=0.5"]
    assert (found["runs"], found["programs"], found["smallest_p"]) == (12, 1, 2 / 2**6)
    assert found["groups"][0]["bytes_per_device"] > 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status", "nowhere"], 1),
        (["power", "OUT", "--effect", "-1"], 2),
        (["power", "OUT", "--effect", "0.1", "--power", "2"], 2),
        (["explain", "dropuot"], 2),
        (["plan", str(CONFIG), "training.epoch=3"], 2),
    ],
)
def test_errors_stay_on_standard_error(words: list[str], code: int, out: Path, capsys: pytest.CaptureFixture) -> None:
    """With --json a failing command prints nothing on standard output and has its exit code."""
    assert cli.main([str(out) if word == "OUT" else word for word in words] + ["--json"]) == code
    printed = capsys.readouterr()

    assert printed.out == ""
    assert printed.err.startswith("regjax: ")


def test_what_json_has_not_is_written_otherwise() -> None:
    """NaN and NA become null, infinities text, NumPy scalars numbers, paths text."""
    frame = pd.DataFrame({"a": [float("nan"), -float("inf")], "b": pd.array([1, 2])})

    assert jsonable({"rows": frame}) == {"rows": [{"a": None, "b": 1}, {"a": "-inf", "b": 2}]}
    assert jsonable([Path("x"), True, 0.5]) == ["x", True, 0.5]
    assert jsonable((np.int64(3), np.float32("nan"), np.array([[1, 2]]))) == [3, None, [[1, 2]]]
