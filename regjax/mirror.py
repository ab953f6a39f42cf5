"""A second copy of a run directory: on a mounted drive or bucket, from which a new machine goes on."""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regjax import store
from regjax.files import RegjaxError, StoreError, create, digest, number_of, publish
from regjax.leases import FOLDER, Leases
from regjax.queue import find_checkpoints, find_kept_checkpoints
from regjax.units import (
    digest_path,
    find_reader,
    find_runs,
    is_same_segment,
    list_begun,
    list_files,
    list_finished,
    list_later,
    list_left,
    list_passed,
    list_units,
)

# A mount that cannot flush says so with one of these; its own software decides when bytes are safe.
CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


class Mirror:
    """Keeps `folder` a readable copy of the run directory `out`, and restores `out` from it.

    A failure to copy is told and tried again at the next call; it never ends a study. Whatever moment a process ends
    at, the copy is a run directory of an earlier moment: what a file names is copied before it. What is sound in the
    copy is not replaced by what is damaged, nor are finished runs by unfinished ones.

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
        self._told = set[str]()
        self._cleared = False
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
            for path in () if self._cleared else list_left(self.folder):
                _remove(path)
            self._cleared = True
            refused = set[Path]()
            for group in list_finished(self.out):
                for path in group:
                    if not self._copy(path.relative_to(self.out)):
                        refused.add(path)
                        if path.name.startswith(("seg-", "runs.")):
                            # What follows names it.
                            break
            kept = {path.parent.name for path in refused}
            for path in list_passed(self.out, self.folder):
                if path.parent.parent.name not in kept:
                    shutil.rmtree(path)
        except OSError as error:
            self._warn(f"{path} is not mirrored to {self.folder}: {error.strerror or error}; tried again later", error)
            return False
        finally:
            self.seconds += time.perf_counter() - began
        if not refused:
            self._told.clear()
        return not refused

    def _copy(self, name: Path) -> bool:
        """Copy a finished file or folder where the mirror has none or another; return whether that may be."""
        source, target = self.out / name, self.folder / name
        try:
            status = source.stat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
            if self._copied.get(name) == stamp:
                return True
            if digest_path(source) != digest_path(target):
                if target.exists():
                    self._give_way(source, target)
                copy_path(source, target)
                self.bytes += sum(path.stat().st_size for path in list_files(source))
            self._copied[name] = stamp
        except (FileNotFoundError, StoreError) as error:
            # Another process is past this checkpoint, and removes it.
            if name.parent.name == "checkpoint" and not source.exists():
                return True
            if not isinstance(error, StoreError):
                raise
            self._warn(f"{source} is not mirrored, the copy in {self.folder} stays: {error}", error)
            return False
        return True

    def _give_way(self, source: Path, target: Path) -> None:
        """Remove what of the mirror is of no use beside a file or folder that will replace another one.

        Raises:
          StoreError: what would replace it is damaged, or has not come as far.
        """
        find_reader(self.out, source)(source)
        number = number_of(source)
        if number is None or not source.name.startswith("seg-") or is_same_segment(source, target):
            return
        # Another training of this queue, cut elsewhere: together they would be neither.
        chunk = source.parent.name
        for path in store.find_numbered(source.parent, "done-*.json"):
            find_reader(self.out, path)(path)
        later = list_later(self.folder, chunk, number)
        lacking = find_runs(path for path in later if path.name.startswith("done-")) - set(store.done_runs(self.out))
        if lacking:
            verb = "run is" if len(lacking) == 1 else "runs are"
            raise StoreError(f"{len(lacking)} {verb} done there and not yet here")
        for path in later:
            if path != target:
                _remove(path)
        self._copied = {name: stamp for name, stamp in self._copied.items() if chunk not in name.parts}

    def _warn(self, text: str, reason: Exception) -> None:
        """Say a warning once, until all went well."""
        told = str(getattr(reason, "strerror", None) or reason)
        if told not in self._told:
            self._say(f"warning: {text}")
        self._told.add(told)

    def close(self) -> None:
        """Copy what is left at the end of a study, and say what mirroring took."""
        with contextlib.nullcontext() if self._leases is None else self._leases.alone(self._name):
            whole = self._sync()
            shutil.rmtree(self.folder / FOLDER, ignore_errors=True)
        state = "is whole" if whole else "lacks files: run the study again once what was warned of is mended"
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
        own, before = self._own_segments(here, there), len(list_units(here))
        if own is None or not self._take(here / "queue.json"):
            return 0
        segments = 0
        while self._take(store.segment_path(self.out, chunk, segments)):
            segments += 1
        for index in store.find_numbered(there, "done-*.json").values():
            if index < segments and not self._take_part(store.Part(chunk, index)):
                segments = index
        for path in find_checkpoints(self.folder, chunk):
            if own <= int(path.name) <= segments:
                self._take(here / "checkpoint" / path.name)
        for path in find_kept_checkpoints(self.folder, chunk):
            if int(path.name) <= segments:
                self._take(here / path.parent.name / path.name)
        return len(list_units(here)) - before

    def _own_segments(self, here: Path, there: Path) -> int | None:
        """Return how many segments a queue of the run directory has; None, and tell, where the mirror's do not go on.

        Segments are cut by the clock: those of two trainings together would miss records, or have them twice.
        """
        ours, theirs = ({path.name for path in store.find_numbered(side, "seg-*.parquet")} for side in (here, there))
        other = sorted(name for name in ours & theirs if not is_same_segment(here / name, there / name))
        other += sorted(ours - theirs) if theirs - ours else []
        if not other:
            return len(ours)
        self._say(
            f"warning: nothing is restored from {there}: {here / other[0]} is of another training, or one of the two "
            "is damaged (`regjax repair` tells); what is missing is trained"
        )
        return None

    def _take_part(self, part: store.Part) -> bool:
        """Restore what ended in a segment; return whether the run directory has all of it."""
        for path in (part.params(self.out), part.predictions(self.out), part.weights(self.out)):
            if (self.folder / path.relative_to(self.out)).exists() and not self._take(path):
                return False
        return self._take(part.done(self.out))

    def _take(self, path: Path) -> bool:
        """Restore one file or folder that can be read; return whether the run directory has it now."""
        if path.exists():
            return True
        source, read = self.folder / path.relative_to(self.out), find_reader(self.out, path)
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
