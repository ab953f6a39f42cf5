"""A second copy of a run directory: on a mounted drive or bucket, from which a new machine goes on."""

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from regjax import store
from regjax.files import RegjaxError, StoreError, create, digest, publish
from regjax.leases import FOLDER, Leases
from regjax.queue import checkpoint_path, find_checkpoints, find_kept_checkpoints
from regjax.sharing import ROWS
from regjax.train.checkpoint import load_leaves

DERIVED = ("effects.csv", "results.parquet", "report.html")
# A mount that cannot flush says so with one of these; its own software decides when bytes are safe.
CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


class Mirror:
    """Keeps `folder` a readable copy of the run directory `out`, and restores `out` from it.

    A failure to copy is told and tried again at the next call; it never ends a study. Whatever moment a process ends
    at, the copy is a run directory of an earlier moment: what a file names is copied before it.

    Args:
      folder: the copy; made where missing.
      out: run directory.
      say: takes one line of text for people.
      leases: of this process on the run directory; of several processes one copies at a time.

    Raises:
      RegjaxError: one of the two lies within the other.
    """

    def __init__(self, folder: Path, out: Path, say: Callable[[str], None], leases: Leases | None = None) -> None:
        self.folder, self.out, self._say, self._leases = Path(folder), Path(out), say, leases
        ours, theirs = self.out.resolve(), self.folder.resolve()
        if ours == theirs or ours in theirs.parents or theirs in ours.parents:
            raise RegjaxError(f"got the mirror {folder} for {out}, expected a folder apart from it")
        self._copied: dict[Path, tuple[int, ...]] = {}
        self._told = ""
        self.seconds, self.bytes = 0.0, 0

    @property
    def _name(self) -> str:
        return f"mirror-{digest(str(self.folder.resolve()))}"

    def sync(self) -> bool:
        """Copy what is new in the run directory, remove checkpoints that it is past; return whether all went well.

        Where another process is at it nothing is done.
        """
        if self._leases is None:
            return self._sync()
        if (lease := self._leases.acquire(self._name)) is None:
            return True
        try:
            return self._sync()
        finally:
            self._leases.release(lease)

    def _sync(self) -> bool:
        began, path = time.perf_counter(), self.out
        try:
            for path in list_finished(self.out):
                try:
                    self._copy(path.relative_to(self.out))
                except FileNotFoundError:
                    # Another process is past this checkpoint, and removes it.
                    if path.parent.name != "checkpoint":
                        raise
            for path in list_passed(self.out, self.folder):
                shutil.rmtree(path)
        except OSError as error:
            reason = str(error.strerror or error)
            self._warn(f"{path} is not mirrored to {self.folder}: {reason}; tried again later", reason)
            return False
        finally:
            self.seconds += time.perf_counter() - began
        self._told = ""
        return True

    def _copy(self, name: Path) -> None:
        source, target = self.out / name, self.folder / name
        status = source.stat()
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if self._copied.get(name) == stamp:
            return
        if name in self._copied or digest_path(source) != digest_path(target):
            copy_path(source, target)
            self.bytes += sum(path.stat().st_size for path in list_files(source))
        self._copied[name] = stamp

    def _warn(self, text: str, reason: str) -> None:
        if reason != self._told:
            self._say(f"warning: {text}")
        self._told = reason

    def close(self) -> None:
        """Copy what is left at the end of a study, and say what mirroring took."""
        with contextlib.nullcontext() if self._leases is None else self._leases.alone(self._name):
            whole = self._sync()
            shutil.rmtree(self.folder / FOLDER, ignore_errors=True)
        state = "is whole" if whole else "lacks files: run the study again once it can be written"
        self._say(f"mirror: {self.folder} {state}; {self.bytes / 2**20:.1f} MiB copied in {self.seconds:.1f} s")

    def restore(self) -> None:
        """Copy from the mirror what the run directory lacks; no file of the run directory is overwritten.

        Only what can be read and agrees with its digests is taken, of a queue no more than its sound beginning.
        """
        try:
            for path in list_begun(self.folder):
                create(self.out / path.relative_to(self.folder), path.read_text(errors="replace"))
            chunks = sorted(path.parent.name for path in self.folder.glob("chunks/*/queue.json"))
            restored = sum(self._restore_chunk(chunk) for chunk in chunks)
        except OSError as error:
            reason = error.strerror or error
            self._say(f"warning: {self.folder} cannot be restored from: {reason}; what is missing is trained anew")
            return
        if restored:
            self._say(f"restored {restored} files and folders from {self.folder}")

    def _restore_chunk(self, chunk: str) -> int:
        """Return how many files and folders of a queue were restored: segments, what ended in them, checkpoints."""
        here, there = (store.chunk_folder(side, chunk) for side in (self.out, self.folder))
        own = len(list(here.glob("seg-*.parquet")))
        before = len(list_units(here))
        if not self._take(here / "queue.json", store.read_json):
            return 0
        segments = 0
        while self._take(here / f"seg-{segments:05d}.parquet", store.read_table):
            segments += 1
        for path in sorted(there.glob("done-*.json")):
            index = int(path.stem.removeprefix("done-"))
            if index < segments and not self._take_part(store.Part(chunk, index)):
                segments = index
        for path in find_checkpoints(self.folder, chunk):
            if own <= int(path.name) <= segments:
                self._take(here / "checkpoint" / path.name, load_leaves)
        for path in find_kept_checkpoints(self.folder, chunk):
            if int(path.name) <= segments:
                self._take(here / path.parent.name / path.name, load_leaves)
        return len(list_units(here)) - before

    def _take_part(self, part: store.Part) -> bool:
        """Restore what ended in a segment; return whether the run directory has all of it."""
        params, tables = part.params(self.out), (part.predictions(self.out), part.weights(self.out))
        for path, read in ((params, load_leaves), *((path, store.read_table) for path in tables)):
            if (self.folder / path.relative_to(self.out)).exists() and not self._take(path, read):
                return False

        def read_done(path: Path) -> None:
            done, records = store.read_json(path), store.read_chunk(self.out, part.chunk)
            mine = None if records is None else records[records["run"].isin(done.get("runs", []))]
            if mine is None or store.digest_records(mine) != done.get("digest"):
                raise StoreError(f"{path} does not agree with its records")

        return self._take(part.done(self.out), read_done)

    def _take(self, path: Path, read: Callable[[Path], Any]) -> bool:
        """Restore one file or folder that `read` can read; return whether the run directory has it now."""
        if path.exists():
            return True
        source = self.folder / path.relative_to(self.out)
        if not source.exists():
            return False
        try:
            if source.is_dir():
                read(source)
                copy_path(source, path)
            else:
                publish(path, lambda temporary: _copy_sound(source, temporary, read))
        except StoreError as error:
            self._say(f"warning: not restored: {error}")
            return False
        return True


def _copy_sound(source: Path, temporary: Path, read: Callable[[Path], Any]) -> None:
    shutil.copyfile(source, temporary)
    try:
        read(temporary)
    except StoreError as error:
        raise StoreError(str(error).replace(str(temporary), str(source))) from error


def list_finished(out: Path) -> Iterator[Path]:
    """Yield the finished files and folders of a run directory, each after what it names."""
    yield from _present(out / "runs.parquet", out / "plan.json")
    units: list[Path] = []
    for chunk in sorted(path.parent for path in out.glob("chunks/*/queue.json")):
        # Listed before what it goes on from.
        checkpoints = sorted((*find_checkpoints(out, chunk.name), *find_kept_checkpoints(out, chunk.name)))
        units += [*list_units(chunk), *checkpoints]
    yield from list_begun(out)
    yield from units
    yield from _present(*(out / name for name in DERIVED))


def _present(*paths: Path) -> list[Path]:
    return [path for path in paths if path.exists()]


def list_begun(out: Path) -> list[Path]:
    """Return the files that say which queue has begun which row: with others a queue would go on otherwise."""
    return sorted((out / FOLDER / ROWS).glob("[0-9a-f]*"))


def list_units(chunk: Path) -> list[Path]:
    """Return the published files and folders of a queue but its checkpoints, in the order in which to copy them."""
    patterns = ("queue.json", "seg-*.parquet", "params-*", "predictions-*.parquet", "weights-*.parquet", "done-*.json")
    # Listed the other way round: what is there now is named by nothing that is listed later.
    found = [sorted(path for path in chunk.glob(pattern) if path.suffix != ".new") for pattern in reversed(patterns)]
    return [path for paths in reversed(found) for path in paths]


def list_passed(out: Path, folder: Path) -> Iterator[Path]:
    """Yield the checkpoints of a mirror that the run directory has left behind."""
    for path in sorted(folder.glob("chunks/*/checkpoint/[0-9]*")):
        chunk = path.parent.parent.name
        past = path.name.isdigit() and store.segment_path(out, chunk, int(path.name)).exists()
        if past and not checkpoint_path(out, chunk, int(path.name)).exists():
            yield path


def list_files(path: Path) -> list[Path]:
    """Return a file, or all files of a folder."""
    return sorted(inner for inner in path.rglob("*") if inner.is_file()) if path.is_dir() else [path]


def digest_path(path: Path) -> str:
    """Return a digest of the bytes of a file, or of names and bytes of all files of a folder; "" where it is absent."""
    if not path.exists():
        return ""
    hasher = hashlib.sha256()
    for inner in list_files(path):
        with inner.open("rb") as file:
            hasher.update(f"{inner.relative_to(path)}:{hashlib.file_digest(file, 'sha256').hexdigest()};".encode())
    return hasher.hexdigest()


def copy_path(source: Path, target: Path) -> None:
    """Copy a file or folder so that readers see all of it or nothing; where nothing can be renamed, check the copy.

    Raises:
      OSError: it cannot be copied, or the copy differs.
    """
    fresh = target.with_name(f"{target.name}.new")
    _remove(fresh)
    try:
        _copy_files(source, fresh)
        if target.is_dir():
            shutil.rmtree(target)
        try:
            fresh.replace(target)
        except OSError:
            # A bucket may know no rename.
            _copy_files(source, target)
            if digest_path(source) != digest_path(target):
                raise OSError(errno.EIO, f"{target} differs from what was copied") from None
    finally:
        with contextlib.suppress(OSError):
            _remove(fresh)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy_files(source: Path, target: Path) -> None:
    for inner in list_files(source):
        place = target / inner.relative_to(source) if source.is_dir() else target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(inner, place)
        with place.open("rb+") as file:
            try:
                os.fsync(file.fileno())
            except OSError as error:
                if error.errno not in CANNOT_FLUSH:
                    raise
        if place.stat().st_size != inner.stat().st_size:
            raise OSError(errno.EIO, f"{place} is shorter than what was copied")
