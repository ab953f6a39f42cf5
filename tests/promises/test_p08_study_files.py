"""P8: broken study files: all problems at once, before any compilation, nothing written."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_config import BASE, make, problems_of
from test_config_refusals import REFUSED

import regjax
from regjax import cli, runtime
from regjax.config import ConfigError

QUICK = (Path(__file__).parents[2] / "configs" / "quickstart.toml").read_bytes()
# A mistake in each table, which shows without the others.
BROKEN = {
    "question": "", "primary": {"margin": 0.0}, "data": {"scale": "standart"}, "task": {"name": "clasification"},
    "model": {"widths": []}, "optimizer": {"learning_rate": "1e-3"}, "training": {"epochs": 2.0},
    "seeds": {"count": 0}, "fixed": {"l2.strength": [0.1]}, "factors": {"droput.hidden": [0, 0.5]},
    "design": {"kind": "factorial"}, "tune": {"optimizer.learning_rate": [0.1, 0.2], "seeds": 0},
    "contrasts": [{"name": "a", "of": {"dropout.hidden": 0.5}}], "measure": {"predictions": "train"},
    "report": {"markers": [{"label": "x", "when": {"dropout.hidden": 0.5}, "value": "1"}]}, "budget": {"hours": 6},
}  # fmt: skip
FILES = {
    "empty": b"", "spaces": b" \n\t\n", "binary": bytes(range(256)), "nul": QUICK + b"\0",
    "utf-16": QUICK.decode().encode("utf-16"),
    "latin-1": QUICK + "\nx = 'é'".encode("latin-1"), "half": QUICK[: len(QUICK) // 2], "twice": QUICK * 2,
    "json": b'{"question": "?"}', "yaml": b"question: '?'\ndata:\n  name: digits\n", "pickle": b"\x80\x04K\x01.",
    "gzip": b"\x1f\x8b\x08\x00", "page": b"<html></html>", "merge conflict": b"<<<<<<< HEAD\n" + QUICK,
    "smart quotes": QUICK.replace(b'"', "\u201c".encode()), "open string": QUICK + b'\nx = "',
    "open table": QUICK + b"\n[x",
    "equals": QUICK.replace(b" = ", b" == "), "colons": QUICK.replace(b" = ", b": "), "cut key": QUICK + b"\nx",
    "bare text": QUICK + b"\nthis is no TOML", "date": QUICK.replace(b"[seeds]", b"[seeds]\nfirst = 1979-05-27"),
    "second table": QUICK + b"\n[data]\nname = 'mnist'", "key as table": QUICK + b"\n[question.x]\ny = 1",
    "deep list": QUICK + b"\nx = " + b"[" * 900, "deep table": QUICK + b"\n[" + b".".join([b"x"] * 900) + b"]",
    "long integer": QUICK.replace(b"[seeds]", b"[seeds]\nfirst = " + b"9" * 5000),
    "escape": QUICK.replace(b'question = "', b'question = "\\u001b[2J'), "surrogate": QUICK + b'\nx = "\\ud800"',
    "many keys": QUICK + b"".join(b"\nx%d = 1" % i for i in range(20_000)), "too large": QUICK + b"#" * 10**6,
    "words": b"question = 3\nprimary = 3\ndata = 3\nmodel = 3\noptimizer = 3\ntraining = 3\nseeds = 3\nfactors = 3",
}  # fmt: skip


def compiled() -> tuple[int, int]:
    """Return how many programs were compiled so far."""
    runtime.configure()
    return runtime.COMPILATIONS.taken()


@pytest.mark.parametrize("command", ["plan", "run"])
def test_broken_files_exit_2_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, command: str
) -> None:
    """Each broken file ends with exit code 2, its name or its keys in printable words, nothing compiled or written."""
    monkeypatch.chdir(tmp_path)
    before, out = compiled(), ["--out", "out"] if command == "run" else []
    for name, content in FILES.items():
        Path("study.toml").write_bytes(content)
        assert cli.main([command, "study.toml", *out]) == 2, name
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("regjax: ")
        assert "Traceback" not in said.err
        assert len(said.err) < 20_000
        assert said.err.replace("\n", "").isprintable()
        assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]
    assert compiled() == before


def test_wrong_studies_leave_nothing(tmp_path: Path) -> None:
    """Each of the studies that the checks refuse is refused by `run` too, nothing compiled or written."""
    before = compiled()
    for tables, words in REFUSED:
        with pytest.raises(ConfigError) as caught:
            regjax.run(make(**tables), tmp_path / "out")
        assert words in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert compiled() == before
    assert len(REFUSED) + len(FILES) >= 60


@settings(max_examples=100, deadline=None)
@given(st.sets(st.sampled_from(sorted(BROKEN)), min_size=1))
def test_all_problems_are_told_at_once(tables: set[str]) -> None:
    """Mistakes in any of the tables are all told, each in the words it has alone."""
    alone = [problems_of(make(**{name: BROKEN[name]})) for name in tables]

    assert [len(lines) for lines in alone] == [1] * len(tables)
    assert {line for (line,) in alone} <= set(problems_of(make(**{name: BROKEN[name] for name in tables})))


@settings(max_examples=100, deadline=None)
@given(st.sets(st.sampled_from(sorted(BASE)), min_size=1))
def test_all_missing_tables_are_told_at_once(names: set[str]) -> None:
    """Every table that is needed and absent has a line."""
    lines = problems_of({name: table for name, table in BASE.items() if name not in names})

    assert {line.split(":")[0] for line in lines} >= names
