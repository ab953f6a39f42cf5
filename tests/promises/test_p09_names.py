"""P9: names cannot leave the output folder."""

import json
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_study import NAMES, HostileRun, list_files
from studies import tiny

import regjax
from regjax import cli, store
from regjax.data import DataError, load_dataset
from regjax.files import HOST, StoreError, publish, refuse_links
from regjax.leases import Leases
from regjax.train import checkpoint

GOLDEN = Path(__file__).parents[1] / "golden" / "1"
FILES = re.compile(
    r"plan\.json|runs\.parquet|effects\.csv|results\.parquet|report\.html|chunks/[0-9a-f]{16}/("
    r"queue\.json|(seg|predictions|weights)-\d{5}\.parquet|done-\d{5}\.json|params-\d{5}/[\w./-]+)"
)


def test_no_name_of_a_study_becomes_the_name_of_a_file(hostile_run: HostileRun) -> None:
    """A study of hostile names writes fixed words, numbers and hashes, below its output folder and nowhere else."""
    written = list_files(hostile_run.around) - hostile_run.before

    assert {name for name in written if not name.startswith("out/")} == set()
    assert {name for name in written if not FILES.fullmatch(name.removeprefix("out/"))} == set()
    assert len(written) > 10


def test_names_come_back_as_they_were_written(hostile_run: HostileRun) -> None:
    """Every code point of a name is kept: composed and decomposed accents stay two names, 300 characters stay 300."""
    plan = store.load_plan(hostile_run.out)

    assert [marker["label"] for marker in plan["markers"]] == [name.strip() for name in NAMES]
    assert {name.strip() for name in NAMES} <= {contrast["name"] for contrast in plan["contrasts"]}


@pytest.mark.parametrize(
    "name",
    [
        "CON",
        "NUL",
        "aux.",
        "out ",
        "caf\u00e9",
        "cafe\u0301",
        "\u202eevil",
        "\N{PILE OF POO}",
        "a\nb",
        "$HOME",
        "{x}",
        "-rf",
    ],
)
def test_an_output_folder_has_the_very_name_that_was_given(tmp_path: Path, name: str) -> None:
    """Names that other systems reserve, and any unicode, make a folder of that name and no other."""
    with Leases(tmp_path / name):
        store.write_json(tmp_path / name / "plan.json", {"schema": 1})

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert store.load_plan(tmp_path / name)["schema"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "exp[1]",
        "[!a]",
        "a*b?",
        "{a,b}!",
        "a b",
        "caf\u00e9 \u540d",
        "e\u0301",
        "a\\b",
        "gs:",
        "a|b#c%20&$HOME~",
        "a\nb",
    ],
)
def test_arrays_are_read_back_below_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    """What orbax and tensorstore take for a pattern or an address is a folder of that name, with nothing beside it."""
    folder, tree = tmp_path / name / "params-00000", {"a/b": np.arange(3.0)}
    checkpoint.save(folder, tree)
    found = checkpoint.load_leaves(folder)

    assert list(found) == ["a/b"]
    np.testing.assert_array_equal(found["a/b"], tree["a/b"])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in (tmp_path / name).iterdir()] == [folder.name]


def test_without_a_plain_temporary_folder_nothing_unreadable_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where OUT and the folder for temporary files both have names that orbax misreads, saving is an error."""
    (tmp_path / "tmp[1]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp[1]"))
    with pytest.raises(StoreError, match=r"cannot write .*TMPDIR is .*tmp\[1\].*, expected letters, digits and"):
        checkpoint.save(tmp_path / "exp[1]" / "params-00000", {"a": np.arange(3.0)})
    assert not list((tmp_path / "tmp[1]").iterdir())


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "file/below", "/proc/regjax"])
def test_an_output_folder_that_cannot_be_is_told(tmp_path: Path, name: str) -> None:
    """300 characters, a NUL, a place below a file and one that cannot be written are errors before any training."""
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StoreError, match="cannot write"):
        regjax.run(tiny(), tmp_path / name)
    assert list_files(tmp_path) == {"file"}
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    "name",
    ["tfds:../x", "tfds:a/../../x", "tfds:a/..", "tfds:/etc", "tfds:a//b", "tfds:a\0", "tfds:a/b/c", "tfds:a:../1.0.0",
     "tfds:a:1.0.0/..", "tfds:~root", "tfds:a/-x", "tfds:\u0430", "mnist/../x", "../digits", "tfds:" + "a" * 300],
)  # fmt: skip
def test_a_data_set_is_not_looked_for_outside_its_folder(tmp_path: Path, name: str) -> None:
    """Names of data sets that climb, are absolute or are none at all are refused; nothing is made."""
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError):
        load_dataset(name, folder=tmp_path / "data")
    assert list_files(tmp_path) == set()


def test_an_output_folder_may_be_a_link(tmp_path: Path) -> None:
    """Where OUT itself is a link the files are in the folder that it leads to, and the link stays."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "scratch")
    with Leases(tmp_path / "out"):
        refuse_links(store.chunk_folder(tmp_path / "out", ""))
        store.write_json(tmp_path / "out" / "plan.json", {"schema": 1})

    assert (tmp_path / "out").is_symlink()
    assert list_files(tmp_path / "scratch") == {"plan.json"}


@pytest.mark.parametrize("link", ["chunks", "chunks/0123456789abcdef", "chunks/0123456789abcdef/checkpoint"])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_chunk_that_is_a_link_is_refused(tmp_path: Path, link: str, dangling: bool) -> None:
    """A link below OUT to a folder elsewhere is named before anything is trained, and nothing is written there."""
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "out" / link).parent.mkdir(parents=True)
    if not dangling:
        elsewhere.mkdir()
        (elsewhere / "kept").write_text("kept")
    (tmp_path / "out" / link).symlink_to(elsewhere)

    with pytest.raises(StoreError, match=rf"out/{link} is a link to .*elsewhere; remove it"):
        regjax.run(tiny(), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["chunks"]
    assert dangling or list_files(elsewhere) == {"kept"}
    assert elsewhere.exists() != dangling


def test_files_that_are_links_are_replaced_not_followed(tmp_path: Path) -> None:
    """A result, a temporary file or a lease that is a link to another file leaves that file as it was."""
    (tmp_path / "precious").write_text("kept")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("report.html", f".report.html.{HOST}.{os.getpid()}.{threading.get_ident()}.tmp"):
        (out / name).symlink_to(tmp_path / "precious")
    publish(out / "report.html", lambda path: path.write_text("page"))
    (out / "leases").mkdir()
    (out / "leases" / "plan.0.json").symlink_to(tmp_path / "precious")
    with Leases(out) as leases:
        assert leases.acquire("plan") is None
    with pytest.raises(StoreError, match=r"leases/plan\.0\.json is a link to .*precious; remove it"):
        regjax.run(tiny(), out)

    assert (tmp_path / "precious").read_text() == "kept"
    assert (out / "report.html").read_text() == "page"
    assert not (out / "report.html").is_symlink()


@pytest.mark.parametrize(
    "changes", [{"chunk": "../../other"}, {"chunk": "/etc"}, {"segment": "0/../../x"}, {"segment": 7}]
)
def test_a_done_file_cannot_point_elsewhere(tmp_path: Path, changes: dict) -> None:
    """A done file that names another chunk or segment than its own is an error, and nothing is read there."""
    path = store.Part("0123456789abcdef", 0).done(tmp_path)
    store.write_json(path, {"chunk": path.parent.name, "segment": 0, "runs": ["r"], "digest": "d"})
    assert store.done_runs(tmp_path) == {"r": store.Part(path.parent.name, 0)}
    store.write_json(path, {"chunk": path.parent.name, "segment": 0, "runs": ["r"], "digest": "d", **changes})
    with pytest.raises(StoreError, match="says that it is segment"):
        store.load_records(tmp_path)


@pytest.mark.parametrize("run", ["../../victim/evil", "/etc", "*", "A" * 16, "a" * 17, 7])
def test_a_run_that_is_no_digest_is_refused(tmp_path: Path, run: Any) -> None:
    """A forged name of a run, from which a tracker's folder would be named, is an error to whoever reads the folder."""
    out, victim = tmp_path / "out", tmp_path / "victim" / "evil-0" / "kept"
    victim.parent.mkdir(parents=True)
    victim.write_text("kept")
    shutil.copytree(GOLDEN, out)
    runs, before = store.load_runs(out), list_files(tmp_path)
    store.save_plan(out, store.load_plan(out), runs.assign(run=[run] * len(runs)))

    with pytest.raises(StoreError, match=r"runs\.parquet has the run .* expected 16 hexadecimal digits"):
        store.load_planned(out)
    for to in ("tensorboard", "wandb", "mlflow"):
        assert cli.main(["export", str(out), "--to", to, "--path", str(tmp_path / "DIR")]) == 1
    assert list_files(tmp_path) == before


def test_terminals_get_no_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """What an error repeats of a name is escaped: no sequence of a terminal and no direction override gets through."""
    (tmp_path / "runs.csv").write_text(
        json.dumps("a\x1b[2J\u202e")[1:-1].encode().decode("unicode_escape") + ",b\n1,2\n"
    )
    for words in (
        ["analyze", str(tmp_path / "runs.csv"), "--metric", "z"],
        ["status", str(tmp_path / "\x1b[2J\u202e")],
    ):
        assert cli.main(words) != 0
        said = capsys.readouterr()
        assert "\\x1b[2J" in said.err
        assert not set(said.err + said.out) & set("\x1b\u202e")
