"""Leases on a run directory: processes, on one machine or several, agree who writes what.

    out/leases/<name>.<number>.json    who holds <name>; the highest number counts

A lease is taken by the exclusive creation of the next number's file, which of many contenders one gets, and renewed by
a thread that touches it. It is free when its file is gone, when its process is, or when somebody who looked on has
seen nothing touched for `SECONDS` by a clock of his own: clocks of two machines are never compared. A process that was
frozen finds its lease gone, or another's, at the next `check`, and may have been about to write: who takes over from
the silent holds a lease that is `fenced`, and keeps out of the files of the one before.

What is relied on: exclusive creation, and that opening a file sees what was written to it before, on a network drive
too (NFS keeps both).
"""

import contextlib
import dataclasses
import functools
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from regjax.files import StoreError, create, digest, publish_text

# Not renewed for so long, a lease is lost; it is renewed so often in that time.
SECONDS, BEATS = 60.0, 6
# Between two looks at a lease that somebody else holds.
POLL = 0.1
FOLDER = "leases"
PLAN, PROCESS = "plan", "process-"


class LeaseLostError(StoreError):
    """Another process has taken over what this one was writing."""


class Holder(NamedTuple):
    """What the file of a lease says.

    Attributes:
      name, number, path: of the lease.
      told: host, space, pid, mark, token, since, fenced, and what else its holder said.
      beat: when it was touched last, by the clock that its drive has, in nanoseconds.
    """

    name: str
    number: int
    path: Path
    told: dict[str, Any]
    beat: int

    @property
    def process(self) -> str:
        """Whose it is, in words."""
        return f"process {self.told.get('pid', '?')} on {self.told.get('host', 'an unknown machine')}"


@dataclasses.dataclass(frozen=True)
class Lease:
    """A lease of this process.

    Attributes:
      name, path, told: as in its file.
      fenced: whether it was taken from a process that may wake and write again.
    """

    name: str
    path: Path
    told: dict[str, Any]
    fenced: bool


def read_leases(folder: Path) -> dict[str, Holder]:
    """Return {name: who holds it} of a folder of leases, whether they still live or not."""
    found: dict[str, Holder] = {}
    for path in sorted(Path(folder).glob("*.*.json")):
        name, _, number = path.name.removesuffix(".json").rpartition(".")
        if number.isdigit() and (name not in found or int(number) > found[name].number):
            holder = _read(path, name, int(number))
            found |= {name: holder} if holder else {}
    return found


def _read(path: Path, name: str, number: int) -> Holder | None:
    """Return who holds a lease, None where its file is gone."""
    try:
        # Opened, for a file server is asked anew only then.
        with path.open("rb") as file:
            beat, text = os.fstat(file.fileno()).st_mtime_ns, file.read()
    except OSError:
        return None
    try:
        told = json.loads(text)
    except ValueError:
        told = {}
    return Holder(name, number, path, told if isinstance(told, dict) else {}, beat)


def _is_same(lease: Lease) -> bool:
    """Return whether the file of a lease is as it was made."""
    found = _read(lease.path, lease.name, 0)
    return found is not None and found.told.get("token") == lease.told["token"]


def is_gone(told: dict[str, Any]) -> bool:
    """Return whether a process is known to have ended: it said so, or it was of this machine and is not there now."""
    if "ended" in told or told.get("space") != find_space():
        return "ended" in told
    now, then = mark_process(told.get("pid")), told.get("mark")
    return now is None or ("" not in (now, then) and now != then)


def mark_process(pid: Any) -> str | None:
    """Return what tells a living process from another of its number, "" where nothing does; None where it is gone."""
    if type(pid) is not int or pid < 1:
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except OSError:
        return ""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return None if state in "ZX" else rest[18]  # when it began, in ticks since the machine did


@functools.cache
def find_space() -> str:
    """Return a digest of where process numbers are of one kind: the machine since its start, and the container."""
    known = [platform.node()]
    with contextlib.suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return digest("\n".join(known))


class Leases:
    """The leases of this process on a run directory, renewed by a thread as long as the context lasts.

    Args:
      out: run directory, made where missing.

    Raises:
      StoreError: it cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.folder = Path(out), Path(out) / FOLDER
        self._held: dict[Path, Lease] = {}
        self._alone: dict[str, Lease] = {}
        self._joined: Lease | None = None
        self._seen: dict[Path, tuple[int, float, float]] = {}
        self._guard, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="leases")

    def __enter__(self) -> "Leases":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL
            raise StoreError(f"cannot write {self.out}: {getattr(error, 'strerror', None) or error}") from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for lease in list(self._held.values()):
            self.release(lease)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _renew(self) -> None:
        while not self._over.wait(SECONDS / BEATS):
            for path in list(self._held):
                # Gone or out of reach: `check` tells which.
                with contextlib.suppress(OSError):
                    os.utime(path)
            for holder in read_leases(self.folder).values():
                self._is_silent(holder)

    def _is_silent(self, holder: Holder) -> bool:
        """Return whether a lease was seen untouched for long; pauses of this process do not count as looking on."""
        now = time.monotonic()
        with self._guard:
            beat, quiet, last = self._seen.get(holder.path, (0, 0.0, now))
            quiet = quiet + min(now - last, SECONDS / BEATS) if beat == holder.beat else 0.0
            self._seen[holder.path] = (holder.beat, quiet, now)
        return quiet >= SECONDS

    def is_free(self, holder: Holder) -> bool:
        """Return whether what is held may be taken over."""
        return "moved" not in holder.told and (is_gone(holder.told) or self._is_silent(holder))

    def held(self) -> dict[str, Holder]:
        """Return {name: holder} of all leases whose holders live, as far as is known."""
        found = read_leases(self.folder).items()
        return {name: holder for name, holder in found if "moved" not in holder.told and not self.is_free(holder)}

    def acquire(self, name: str, **more: Any) -> Lease | None:
        """Return a lease, None where another process holds it or was first.

        Args:
          name: of letters, digits and hyphens.
          more: what else its file says.
        """
        before = read_leases(self.folder).get(name)
        if before is not None and not self.is_free(before):
            return None
        number = before.number + 1 if before else 0
        fenced = before is not None and (not is_gone(before.told) or bool(before.told.get("fenced")))
        told = {
            "host": platform.node(), "space": find_space(), "pid": os.getpid(), "mark": mark_process(os.getpid()),
            "token": secrets.token_hex(8), "since": time.time(), "fenced": fenced, **more,
        }  # fmt: skip
        lease = Lease(name, self.folder / f"{name}.{number}.json", told, fenced)
        if not create(lease.path, json.dumps(told)):
            return None
        # Who took over from `before` in the meantime has removed it, whether he has ended by now or not.
        numbers = self._numbers(name)
        if max(numbers, default=-1) != number or (before is not None and before.number not in numbers):
            lease.path.unlink(missing_ok=True)
            return None
        for lower in numbers - {number}:
            (self.folder / f"{name}.{lower}.json").unlink(missing_ok=True)
        self._held[lease.path] = lease
        return lease

    def _numbers(self, name: str) -> set[int]:
        found = (path.name.split(".")[-2] for path in self.folder.glob(f"{name}.*.json"))
        return {int(number) for number in found if number.isdigit()}

    def check(self, lease: Lease) -> None:
        """Ask whether a lease is this process's still.

        Raises:
          LeaseLostError: it is not.
          StoreError: others went on as if this process were no more.
        """
        silent = f"this process was silent for {SECONDS:g} s or more"
        if self._joined is not None and not _is_same(self._joined):
            raise StoreError(f"{silent}, and {self.out} was changed as if it had ended; run the same command again")
        if not _is_same(lease):
            self._held.pop(lease.path, None)
            raise LeaseLostError(f"{silent}, and another has taken over {lease.name} in {self.out}")

    def holds(self, lease: Lease) -> bool:
        """Return whether a lease is this process's still."""
        return _is_same(lease)

    def release(self, lease: Lease) -> None:
        """Give a lease back, where it is still this process's; the next holder of a fenced one has a fenced one."""
        if self._held.pop(lease.path, None) is None or not _is_same(lease):
            return
        if lease.fenced:
            publish_text(lease.path, json.dumps({**lease.told, "ended": True}))
        else:
            lease.path.unlink(missing_ok=True)

    def close(self, lease: Lease, moved: str) -> None:
        """Leave a lease behind that nobody can take: what it was for goes on elsewhere."""
        self.check(lease)
        publish_text(lease.path, json.dumps({**lease.told, "moved": moved}))
        self._held.pop(lease.path, None)

    def clear(self) -> None:
        """Remove what no process holds: for when nothing is left to be done."""
        for holder in read_leases(self.folder).values():
            if "moved" in holder.told or is_gone(holder.told):
                holder.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def alone(self, name: str, check: Callable[[], None] = lambda: None) -> Iterator[Lease]:
        """Hold a lease; wait until it can be had, asking `check`, which may raise, between two looks.

        One that this process holds alone already is held on, to the end of the outer context.
        """
        if (mine := self._alone.get(name)) is not None:
            yield mine
            return
        while (lease := self.acquire(name)) is None:
            check()
            time.sleep(POLL)
        self._alone[name] = lease
        try:
            yield lease
        finally:
            del self._alone[name]
            self.release(lease)

    def join(self, study: str, check: Callable[[], None] = lambda: None) -> None:
        """Say that this process trains a study here.

        Args:
          study: digest of the study.
          check: asked while others are waited for; may raise.

        Raises:
          StoreError: a living process trains another study here.
        """
        with self.alone(PLAN, check):
            self.refuse(study, check)
            self._joined = self.acquire(f"{PROCESS}{secrets.token_hex(8)}", study=study)

    def refuse(self, study: str | None, check: Callable[[], None] = lambda: None) -> None:
        """Refuse to go on beside a living process that trains another study, or any study for None.

        Of a process on another machine that is known once its lease was renewed, or was not for `SECONDS`.

        Raises:
          StoreError: there is one.
        """
        first: dict[Path, int] = {}
        while others := [h for h in self.processes() if study is None or h.told.get("study") != study]:
            for holder in others:
                here = holder.told.get("space") == find_space()
                if here or first.setdefault(holder.path, holder.beat) != holder.beat:
                    what = "training" if study is None else "training another study"
                    raise StoreError(
                        f"another process is {what} into {self.out}: {holder.process}; wait for it, end it, or choose "
                        "another --out"
                    )
            check()
            time.sleep(POLL)

    def processes(self) -> list[Holder]:
        """Return the other processes that train here; what those left behind that live no more is removed."""
        found = []
        for name, holder in read_leases(self.folder).items():
            if name.startswith(PROCESS) and holder.path not in self._held:
                if self.is_free(holder):
                    holder.path.unlink(missing_ok=True)
                else:
                    found.append(holder)
        return found
