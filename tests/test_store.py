"""Files of a run directory: whole or absent, verified when read."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from regjax import store
from regjax.files import StoreError, lock_folder, publish


def frame(run: str = "a", offset: float = 0.0) -> pd.DataFrame:
    """Return two records of a run."""
    return pd.DataFrame({"run": [run] * 2, "step": [1, 2], "test.nll": [0.5 + offset, np.nan], "seconds": [1.0, 2.0]})


def test_a_file_that_fails_to_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """An error while writing keeps the published file and leaves no temporary one."""
    path = tmp_path / "plan.json"
    store.write_json(path, {"a": 1})

    def half(temporary: Path) -> None:
        temporary.write_text("{")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"plan\.json.*No space left"):
        publish(path, half)
    assert store.read_json(path) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_parent_that_is_a_file_is_a_store_error(tmp_path: Path) -> None:
    """A run directory that cannot be made is told with its path."""
    (tmp_path / "out").write_text("")
    with pytest.raises(StoreError, match="out"):
        store.write_json(tmp_path / "out" / "plan.json", {})


def test_not_a_number_cannot_enter_json(tmp_path: Path) -> None:
    """JSON has neither NaN nor infinity; writing one is an error, not a broken file."""
    with pytest.raises(ValueError, match="JSON"):
        store.write_json(tmp_path / "x.json", {"a": float("inf")})
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0"])
def test_broken_json_is_a_store_error(tmp_path: Path, content: str) -> None:
    """A plan that is no JSON object is named."""
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(StoreError, match=r"plan\.json"):
        store.load_plan(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A plan of another schema says which this regjax reads."""
    store.write_json(tmp_path / "plan.json", {"schema": 99})
    with pytest.raises(StoreError, match="schema 99"):
        store.load_plan(tmp_path)


def test_every_flipped_byte_of_the_numbers_is_noticed(tmp_path: Path) -> None:
    """Flipping one bit in any sampled byte of a record file's data pages raises instead of giving a wrong number."""
    path = tmp_path / "seg.parquet"
    table = pa.table({"x": np.random.default_rng(0).normal(size=2000)})
    store.write_table(path, table)
    content = path.read_bytes()
    for place in np.random.default_rng(1).integers(100, 12_000, 40):
        broken = bytearray(content)
        broken[place] ^= 1 << (place % 8)
        path.write_bytes(bytes(broken))
        with pytest.raises(StoreError, match=r"seg\.parquet"):
            store.read_table(path)


def test_a_column_that_some_segments_lack_is_kept(tmp_path: Path) -> None:
    """Joining files with different columns loses none."""
    joined = store.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2], "b": [0.5]})])
    assert joined.to_pydict() == {"a": [1, 2], "b": [None, 0.5]}


def test_the_digest_is_of_numbers_not_of_time() -> None:
    """Wall seconds and column order do not change the digest; any number, its type or a row's order does."""
    table = pa.Table.from_pandas(frame())
    other_time = pa.Table.from_pandas(frame().assign(seconds=9.0)[["step", "seconds", "test.nll", "run"]])

    assert store.digest_records(table) == store.digest_records(other_time)
    for changed in (frame("b"), frame(offset=1e-16 + 1e-15), frame().iloc[::-1], frame().astype({"step": "int32"})):
        assert store.digest_records(pa.Table.from_pandas(changed, preserve_index=False)) != store.digest_records(table)


def finish(out: Path, chunk: str, runs: list[str]) -> None:
    """Store a finished chunk by hand."""
    store.write_table(store.segment_path(out, chunk, 0), pd.concat([frame(run) for run in runs]))
    digest = store.digest_records(store.read_chunk(out, chunk))
    store.write_json(store.chunk_folder(out, chunk) / "done.json", {"chunk": chunk, "runs": runs, "digest": digest})


def test_only_done_chunks_count(tmp_path: Path) -> None:
    """Records of a chunk without done.json are not read; a run in two chunks is read once."""
    finish(tmp_path, "one", ["a", "b"])
    finish(tmp_path, "two", ["b", "c"])
    store.write_table(store.segment_path(tmp_path, "three", 0), frame("d"))
    records = store.load_records(tmp_path)

    assert sorted(records["run"]) == ["a", "a", "b", "b", "c", "c"]
    assert store.done_runs(tmp_path) == {"a": "one", "b": "one", "c": "two"}
    assert sorted(set(store.load_records(tmp_path, ["c", "d"])["run"])) == ["c"]
    assert len(store.load_records(tmp_path, [])) == 0


def test_done_without_records_is_named(tmp_path: Path) -> None:
    """A chunk that says done and has lost its record file is an error with its folder."""
    finish(tmp_path, "one", ["a"])
    store.segment_path(tmp_path, "one", 0).unlink()
    with pytest.raises(StoreError, match="one"):
        store.load_records(tmp_path)


def test_records_that_are_not_those_published_are_refused(tmp_path: Path) -> None:
    """A segment lost or altered after its chunk was published is an error, not a shorter table."""
    finish(tmp_path, "one", ["a"])
    store.write_table(store.segment_path(tmp_path, "one", 1), frame("b"))
    with pytest.raises(StoreError, match="differ from the digest"):
        store.load_records(tmp_path)


def test_a_done_file_without_runs_is_named(tmp_path: Path) -> None:
    """A done.json of another kind says what it lacks and what to do."""
    store.write_json(tmp_path / "chunks" / "x" / "done.json", {"chunk": "x"})
    with pytest.raises(StoreError, match=r"x/done\.json lacks runs, digest"):
        store.done_runs(tmp_path)


def test_one_process_trains_into_a_folder(tmp_path: Path) -> None:
    """A second holder of a run directory is refused while the first has it, and not afterwards."""
    with lock_folder(tmp_path / "out"):
        code = (
            "import sys; from pathlib import Path; from regjax.files import lock_folder\n"
            "with lock_folder(Path(sys.argv[1])): pass"
        )
        second = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "out"], capture_output=True, text=True, check=False
        )
    with lock_folder(tmp_path / "out"):
        pass

    assert "another process is training" in second.stderr
