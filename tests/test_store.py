"""Files of a run directory: whole or absent, verified when read."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from regjax import store
from regjax.files import StoreError, publish


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


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0", '{"a": NaN, "check": "sha256:0"}'])
def test_broken_json_is_a_store_error(tmp_path: Path, content: str) -> None:
    """A plan that is no JSON object is named."""
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(StoreError, match=r"plan\.json"):
        store.load_plan(tmp_path)


@pytest.mark.parametrize(
    ("schema", "text"),
    [(store.SCHEMA + 1, "written by a newer regjax"), ("1", "expected a number"), (None, "expected a number"),
     (0, "expected a number"), (True, "expected a number")],
)  # fmt: skip
def test_an_unknown_schema_is_refused(tmp_path: Path, schema: Any, text: str) -> None:
    """A plan of a newer schema says that a newer regjax wrote it; one that is no number is damaged."""
    store.write_json(tmp_path / "plan.json", {"schema": schema})
    with pytest.raises(StoreError, match=text):
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
    """Wall seconds and the order of columns and rows do not change the digest; any number, its place or type does."""
    table = pd.concat([frame("a"), frame("b", 0.25)])
    swapped = table.assign(**{"test.nll": table["test.nll"].to_numpy()[[2, 1, 0, 3]]})

    for same in (table.assign(seconds=9.0)[["step", "seconds", "test.nll", "run"]], table.iloc[[3, 0, 2, 1]]):
        assert store.digest_records(same) == store.digest_records(table)
    for changed in (frame("a"), table.replace("b", "c"), swapped, pd.concat([frame("a"), frame("b", 0.25 + 1e-15)]),
                    table.astype({"step": "int32"})):  # fmt: skip
        assert store.digest_records(changed) != store.digest_records(table)


def finish(out: Path, chunk: str, runs: list[str], segment: int = 0, others: tuple[str, ...] = ()) -> None:
    """Store a segment by hand in which `runs` end, and `others` do not."""
    records = pd.concat([frame(run) for run in runs])
    both = pd.concat([records, *(frame(run) for run in others)])
    store.write_table(store.segment_path(out, chunk, segment), both)
    done = {"chunk": chunk, "segment": segment, "runs": runs, "digest": store.digest_records(records)}
    store.write_json(store.Part(chunk, segment).done(out), done)


def test_only_done_runs_count(tmp_path: Path) -> None:
    """Records of runs that no part has published are not read; a run in two chunks is read once."""
    finish(tmp_path, "one", ["a", "b"])
    finish(tmp_path, "two", ["b", "c"], others=("e",))
    store.write_table(store.segment_path(tmp_path, "three", 0), frame("d"))
    records = store.load_records(tmp_path)

    assert sorted(records["run"]) == ["a", "a", "b", "b", "c", "c"]
    assert store.done_runs(tmp_path) == {"a": ("one", 0), "b": ("one", 0), "c": ("two", 0)}
    assert sorted(set(store.load_records(tmp_path, ["c", "d"])["run"])) == ["c"]
    assert len(store.load_records(tmp_path, [])) == 0


def test_a_run_has_its_records_of_all_segments(tmp_path: Path) -> None:
    """A run that ends in a later segment has its records of the earlier ones too, and its part's digest is of all."""
    late = pd.concat([frame("late"), frame("late").assign(step=[3, 4])])
    finish(tmp_path, "one", ["early"], others=("late",))
    store.write_table(store.segment_path(tmp_path, "one", 1), late[late["step"] > 2])
    done = {"chunk": "one", "segment": 1, "runs": ["late"], "digest": store.digest_records(late)}
    store.write_json(store.Part("one", 1).done(tmp_path), done)
    records = store.load_records(tmp_path)

    assert records.groupby("run")["step"].apply(list).to_dict() == {"early": [1, 2], "late": [1, 2, 3, 4]}
    assert store.done_runs(tmp_path) == {"early": ("one", 0), "late": ("one", 1)}


def test_done_without_records_is_named(tmp_path: Path) -> None:
    """A chunk that says done and has lost its record file is an error with its folder."""
    finish(tmp_path, "one", ["a"])
    store.segment_path(tmp_path, "one", 0).unlink()
    with pytest.raises(StoreError, match="one"):
        store.load_records(tmp_path)


def test_records_that_are_not_those_published_are_refused(tmp_path: Path) -> None:
    """Records lost, added or altered after their part was published are an error that names it."""
    finish(tmp_path, "one", ["a"])
    finish(tmp_path, "one", ["b"], segment=1)
    assert len(store.load_records(tmp_path)) == 4
    store.write_table(store.segment_path(tmp_path, "one", 2), frame("b"))
    with pytest.raises(StoreError, match=r"differ from the digest in its done-00001\.json"):
        store.load_records(tmp_path)


def test_a_done_file_without_runs_is_named(tmp_path: Path) -> None:
    """A done file of another kind says what it lacks and what to do."""
    store.write_json(store.Part("x", 0).done(tmp_path), {"chunk": "x"})
    with pytest.raises(StoreError, match=r"x/done-00000\.json lacks segment, runs, digest"):
        store.done_runs(tmp_path)


def test_a_missing_table_of_runs_says_what_to_do(tmp_path: Path) -> None:
    """A plan without its table of runs names the table, and the commands that help."""
    store.write_json(tmp_path / "plan.json", {"schema": store.SCHEMA})
    with pytest.raises(StoreError, match=r"runs\.parquet does not exist; `regjax repair` .* `regjax run` makes it"):
        store.load_planned(tmp_path)
