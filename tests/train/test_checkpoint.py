"""Checkpoints: what comes back is what was saved, or an error."""

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
