"""Whole files or none: atomic publishing, and digests of plain values. A leaf that any stage may use."""

import contextlib
import hashlib
import json
import os
import platform
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Machines that share a drive may have a process of one number each.
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
# What a segment leaves, by its number: five digits or as many as it has.
NUMBERED = re.compile(
    r"(?:(?:seg|predictions|weights)-(N)\.parquet|params-(N)|done-(N)\.json)".replace("N", "[0-9]{5}|[1-9][0-9]{5,}")
)


class RegjaxError(Exception):
    """An error that a user can mend; its text says what was got, what was expected and what to do.

    Attributes:
      exit_code: of the command line: 2 where the study, its data or the command is wrong, 1 where stored files are.
    """

    exit_code = 2


class StoreError(RegjaxError):
    """A file of a run directory is missing, damaged or of another kind than expected."""

    exit_code = 1


def publish(path: Path, write: Callable[[Path], None], new: bool = False) -> None:
    """Write a file so that readers see all of it or nothing: temporary file, fsync, rename, fsync of the folder.

    Args:
      path: final name; its folder is made where missing.
      write: called with the temporary path; must leave a complete file there.
      new: whether a file that has the name already stays as it is.

    Raises:
      StoreError: the disk is full or the folder cannot be written; names the path.
    """
    with _beside(path) as temporary:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if not new or (_link(temporary, path) is None and not path.exists()):
            temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def create(path: Path, text: str) -> bool:
    """Write a new small file, whole from its first moment; return False where the name is taken.

    Of several processes that create one name exactly one gets True, on a network drive too. It is not flushed to disk.

    Raises:
      StoreError: the disk is full or the folder cannot be written; names the path.
    """
    with _beside(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
        if (made := _link(temporary, path)) is not None:
            return made
        # The name is exclusive here, too, and for a moment its file is empty.
        try:
            with path.open("xb") as file:
                file.write(text.encode("utf-8"))
        except FileExistsError:
            return False
        return True


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, of this thread alone; what goes wrong is told with the path."""
    temporary = path.with_name(f".{path.name}.{HOST}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link of that name would be followed, out of the folder.
        temporary.unlink(missing_ok=True)
        yield temporary
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _link(temporary: Path, path: Path) -> bool | None:
    """Give a whole file its name unless that is taken; return whether it was given, None without hard links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        # A file server that was asked twice has linked it and says that it is there.
        return temporary.stat().st_nlink > 1
    except OSError:
        return None
    return True


def publish_text(path: Path, text: str, new: bool = False) -> None:
    """Write a text as UTF-8 with the line ends that it has, as `publish` does.

    Raises:
      StoreError: the disk is full or the folder cannot be written; names the path.
    """
    publish(path, lambda temporary: _write(temporary, text.encode("utf-8")), new)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def expand_home(path: str | Path) -> Path:
    """Return a path with a user's home for its leading ~; as it stands where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser would raise


def number_of(path: Path) -> int | None:
    """Return the number of the segment that a file is of by its name; None where it has another name, as copies have.

    >>> number_of(Path("seg-00003.parquet")), number_of(Path("seg-00003 (copy).parquet"))
    (3, None)
    """
    found = NUMBERED.fullmatch(path.name)
    return int(found[found.lastindex or 0]) if found else None


def refuse_links(folder: Path) -> None:
    """Raise StoreError where a folder, or what lies below it, is a link: writing there would write elsewhere."""
    below = (Path(parent) / name for parent, folders, files in os.walk(folder) for name in (*folders, *files))
    links = [path for path in (folder, *below) if path.is_symlink()]
    if links:
        raise StoreError(f"{links[0]} is a link to {links[0].readlink()}; remove it, or choose another --out")


def refuse_inside(out: Path, target: Path, what: str) -> None:
    """Raise RegjaxError where a file or folder to be written is a run directory or lies in one: it is only read."""
    if out.resolve() in (target.resolve(), *target.resolve().parents):
        raise RegjaxError(f"got the {what} {target}, expected one outside of the run directory {out}")


def printable(text: str) -> str:
    r"""Return `text` with unprintable characters escaped, which could otherwise steer a terminal.

    >>> print(printable("\x1b[2J"))
    \x1b[2J
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def canonical(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, infinities refused.

    >>> canonical({"b": 1, "a": [0.5, None]})
    '{"a":[0.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str | bytes) -> str:
    """Return the first 16 hex digits of the SHA-256 of `text`.

    >>> digest("regjax")
    '4e8a64228637f331'
    """
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def flatten_tables(tables: Any, *place: str) -> dict[str, Any]:
    """Return {dotted path: value} of nested tables.

    >>> flatten_tables({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    if not isinstance(tables, Mapping):
        return {".".join(place): tables}
    found: dict[str, Any] = {}
    for key, value in tables.items():
        found |= flatten_tables(value, *place, key)
    return found
