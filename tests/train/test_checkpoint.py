"""Checkpoints: what comes back is what was saved, or an error."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from regjax.files import StoreError
from regjax.train import checkpoint


def make_tree() -> dict[str, Any]:
    """Return a state-like tree: several types, a scalar, an empty branch, NaN."""
    return {
        "params": {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.array([jnp.nan, -0.0])},
        "stats": {},
        "count": (jnp.int32(3), jnp.array([True, False])),
    }


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    """Types, shapes, NaN and minus zero survive, in the same structure."""
    checkpoint.save(tmp_path / "c", make_tree())
    back = checkpoint.restore(tmp_path / "c", make_tree())

    assert checkpoint.tree_digest(back) == checkpoint.tree_digest(make_tree())
    assert np.signbit(back["params"]["b"][1])
    assert back["count"][1].dtype == bool


def test_saving_again_replaces(tmp_path: Path) -> None:
    """A second save under one name leaves the second tree and no other folder."""
    checkpoint.save(tmp_path / "c", {"a": jnp.zeros(2)})
    checkpoint.save(tmp_path / "c", {"a": jnp.ones(2)})

    assert checkpoint.load_leaves(tmp_path / "c")["a"].tolist() == [1.0, 1.0]
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_damage_is_an_error(tmp_path: Path) -> None:
    """A flipped bit, a shortened and a removed file are each a CheckpointError, never other numbers."""
    tree = {"a": jnp.asarray(np.random.default_rng(0).normal(size=4000), jnp.float32)}
    checkpoint.save(tmp_path / "c", tree)
    biggest = max((p for p in (tmp_path / "c").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = biggest.read_bytes()
    for place in np.linspace(50, len(content) - 50, 12).astype(int):
        broken = bytearray(content)
        broken[place] ^= 4
        biggest.write_bytes(bytes(broken))
        try:
            back = checkpoint.restore(tmp_path / "c", tree)
        except checkpoint.CheckpointError:
            continue
        assert checkpoint.tree_digest(back) == checkpoint.tree_digest(tree)
    biggest.write_bytes(content[: len(content) // 2])
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.restore(tmp_path / "c", tree)
    biggest.unlink()
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.restore(tmp_path / "c", tree)


def test_another_structure_is_an_error(tmp_path: Path) -> None:
    """A leaf of another shape, type or name says what was found and expected."""
    checkpoint.save(tmp_path / "c", {"a": jnp.zeros(2)})
    for like in ({"a": jnp.zeros(3)}, {"a": jnp.zeros(2, jnp.int32)}, {"b": jnp.zeros(2)}):
        with pytest.raises(checkpoint.CheckpointError, match="expected"):
            checkpoint.restore(tmp_path / "c", like)


def test_a_checkpoint_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    """Where a file stands in place of the folder, the error names the checkpoint and nothing is left beside it."""
    (tmp_path / "chunk").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*chunk"):
        checkpoint.save(tmp_path / "chunk" / "c", {"a": jnp.zeros(2)})


def write_foreign(folder: Path, digests: dict[str, str], leaves: dict[str, np.ndarray]) -> None:
    """Write a checkpoint without a list of its files, whose digests are given."""
    from orbax.checkpoint import v1 as ocp

    text = json.dumps(digests).encode()
    ocp.save(folder, {checkpoint.DIGESTS: np.frombuffer(text, np.uint8), "leaves": leaves})


def test_leaves_that_differ_from_their_digests_are_named(tmp_path: Path) -> None:
    """Without a list of files, as before there was one, each array is compared; a wrong and an unknown one are told."""
    zeros, ones = np.zeros(2, np.float32), np.ones(2, np.float32)
    known = {name: checkpoint.leaf_digest(name, zeros) for name in "ab"}
    write_foreign(tmp_path / "sound", known, {"a": zeros, "b": zeros})
    assert sorted(checkpoint.load_leaves(tmp_path / "sound")) == ["a", "b"]
    for number, (leaves, names) in enumerate(
        [({"a": zeros, "b": ones}, "b"), ({"a": ones, "b": ones}, "a, b"), ({"b": zeros}, "a"),
         ({"a": zeros, "b": zeros, "c": ones}, "unknown leaves")]
    ):  # fmt: skip
        folder = tmp_path / str(number)
        write_foreign(folder, known, leaves)
        with pytest.raises(checkpoint.CheckpointError, match=f"{number} is damaged: {names} differ from their digest"):
            checkpoint.load_leaves(folder)


def test_a_folder_that_is_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    """A folder of other files, which no list says to be wrong, cannot be read; the error names it."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("nothing of the kind")
    with pytest.raises(checkpoint.CheckpointError, match=r"c cannot be read: \w+: "):
        checkpoint.load_leaves(tmp_path / "c")
