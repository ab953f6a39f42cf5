"""Checkpoints of arrays through orbax, with a digest per file and per leaf that are verified when they are read.

Orbax keeps no checksum of contents: a flipped bit would be restored as a wrong number without a word. Files are
compared before orbax opens them: a restore that fails half-way leaves callbacks behind, which then meet a closed loop.
"""

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from regjax.files import StoreError, canonical, digest, publish_text

DIGESTS = "digests"
FILES = "files.json"  # beside what orbax writes: {file: digest}
# Letters and digits of any language. In other paths orbax looks for files by a pattern, and tensorstore for addresses.
PLAIN = re.compile(r"[\w/. -]*")


class CheckpointError(StoreError):
    """A checkpoint is damaged: a leaf's digest differs, or orbax cannot read it."""


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """Return {path: array on the host} of a tree.

    >>> flatten({"a": (np.zeros(2), np.ones(()))}).keys()
    dict_keys(['a/0', 'a/1'])
    """
    leaves = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def leaf_digest(path: str, leaf: np.ndarray) -> str:
    """Return a digest of a leaf: its path, dtype, shape and bytes."""
    hasher = hashlib.sha256(f"{path}:{leaf.dtype}:{leaf.shape}:".encode())
    hasher.update(np.ascontiguousarray(leaf).tobytes())
    return hasher.hexdigest()[:16]


def tree_digest(tree: Any) -> str:
    """Return one digest of all leaves of a tree."""
    leaves = flatten(tree)
    return hashlib.sha256("".join(leaf_digest(p, leaves[p]) for p in sorted(leaves)).encode()).hexdigest()[:16]


@contextlib.contextmanager
def plain_path(folder: Path) -> Iterator[Path]:
    """Give a path of a folder, which may be absent, that orbax takes for what it is; by a link where its own is none.

    Raises:
      OSError: folders for temporary files have no such path either.
    """
    path = Path(folder).resolve()
    if PLAIN.fullmatch(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="regjax-") as temporary:
        if not PLAIN.fullmatch(temporary):
            raise OSError(f"TMPDIR is {temporary}, expected letters, digits and /._- only, as {path} has others")
        link = Path(temporary) / "link"
        link.symlink_to(path.parent)
        yield link / path.name


def save(folder: Path, tree: Any) -> None:
    """Write `tree` to a new orbax checkpoint `folder`, atomically, the digests of its leaves within.

    An existing folder is replaced only after the new one is complete.

    Raises:
      StoreError: it cannot be written, for instance because the disk is full.
    """
    from orbax.checkpoint import v1 as ocp

    leaves = flatten(tree)
    digests = json.dumps({path: leaf_digest(path, leaf) for path, leaf in leaves.items()} | {FILES: "listed"})
    fresh = folder.with_name(folder.name + ".new")
    content = {path.replace("/", "|"): leaf for path, leaf in leaves.items()}
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with plain_path(fresh) as path:
            ocp.save(path, {DIGESTS: np.frombuffer(digests.encode(), np.uint8), "leaves": content})
        publish_text(fresh / FILES, canonical(digest_files(fresh)))
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    except Exception as error:  # orbax and tensorstore raise many kinds; all mean that it is not written
        shutil.rmtree(fresh, ignore_errors=True)
        raise StoreError(f"cannot write {folder}: {type(error).__name__}: {str(error)[:300]}") from error


def digest_files(folder: Path) -> dict[str, str]:
    """Return {path within the folder: digest} of every file but the list of them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILES)
    return {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in files}


def check_files(folder: Path) -> None:
    """Compare the files of a checkpoint with the list of their digests, where it has one.

    Raises:
      CheckpointError: there is no such folder, or a file is missing or differs.
    """
    try:
        found = digest_files(folder)
        listed = json.loads((folder / FILES).read_bytes()) if found and (folder / FILES).exists() else found
        wrong = sorted(name for name in listed if found.get(name) != listed[name])
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder} cannot be read: {type(error).__name__}: {error}") from error
    if wrong or not found:
        names = ", ".join(wrong) or "all files"
        raise CheckpointError(f"{folder} is damaged: {names} missing, or other than their digests")


def load_leaves(folder: Path) -> dict[str, np.ndarray]:
    """Return {path: array} of a checkpoint, verified.

    Raises:
      CheckpointError: a file or leaf is missing or differs from its digest, or orbax cannot read the folder.
    """
    from orbax.checkpoint import v1 as ocp

    check_files(folder)
    try:
        with plain_path(folder) as path:
            stored: Any = ocp.load(path)
        digests = json.loads(bytes(stored[DIGESTS]).decode())
        unlisted = digests.pop(FILES, None) and not (folder / FILES).exists()
        leaves = {path.replace("|", "/"): np.asarray(leaf) for path, leaf in stored["leaves"].items()}
    except Exception as error:  # orbax and tensorstore raise many kinds; all mean the same to the caller
        raise CheckpointError(f"{folder} cannot be read: {type(error).__name__}: {error}") from error
    if unlisted:
        raise CheckpointError(f"{folder} is damaged: {FILES} is missing")
    wrong = [path for path in digests if path not in leaves or leaf_digest(path, leaves[path]) != digests[path]]
    if wrong or set(leaves) != set(digests):
        names = ", ".join(sorted(wrong)) or "unknown leaves"
        raise CheckpointError(f"{folder} is damaged: {names} differ from their digest")
    return leaves


def restore(folder: Path, like: Any) -> Any:
    """Return the tree stored in `folder`, structured as `like` (arrays or shapes).

    Raises:
      CheckpointError: damaged, or its leaves are not those of `like`.
    """
    leaves = load_leaves(folder)
    paths, treedef = jax.tree_util.tree_flatten_with_path(like)
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths]
    for name, (_, leaf) in zip(names, paths, strict=True):
        found = leaves.get(name)
        if found is None or found.shape != leaf.shape or found.dtype != leaf.dtype:
            got = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
            raise CheckpointError(f"{folder}: {name} is {got}, expected {leaf.dtype}{list(leaf.shape)}")
    return jax.tree.unflatten(treedef, [leaves[name] for name in names])


def nest(leaves: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return nested dicts of {"a/b": leaf} paths.

    >>> nest({"a/b": np.zeros(1)})
    {'a': {'b': array([0.])}}
    """
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *folders, name = path.split("/")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[name] = leaf
    return tree
