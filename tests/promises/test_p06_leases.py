"""P6: of many contenders one holds a lease, dead and silent holders lose theirs, and none is taken from the living."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from studies import tiny

import regjax
from regjax import cli, leases
from regjax.files import StoreError, canonical, create, digest
from regjax.leases import LeaseLostError, Leases, mark_process, read_leases
from regjax.repair import repair
from regjax.sharing import Sharing

CONTENDERS = 12


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leases be lost after a quarter of a second."""
    monkeypatch.setattr(leases, "SECONDS", 0.25)


def leave(folder: Path, name: str, number: int = 0, **told: Any) -> Path:
    """Write the lease of another process: of another machine, unless told otherwise."""
    path = folder / "leases" / f"{name}.{number}.json"
    assert create(path, json.dumps({"host": "far", "space": "far", "pid": 1, "mark": "1", "token": "x", **told}))
    return path


def wait_for(folder: Path, name: str) -> leases.Lease:
    """Return a lease once it can be had."""
    with Leases(folder) as ours:
        while (lease := ours.acquire(name)) is None:
            time.sleep(0.01)
        return lease


@pytest.fixture(scope="module")
def dead() -> dict[str, Any]:
    """Return what a process of this machine said that is no more."""
    code = "import json, os; from regjax.leases import *; print(json.dumps([os.getpid(), mark_process(os.getpid())]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid, mark = json.loads(done.stdout)
    return {"space": leases.find_space(), "pid": pid, "mark": mark}


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_contenders_one_wins(tmp_path: Path, dead: dict[str, Any], stale: bool) -> None:
    """However many take a free lease, or one whose holder is dead, in the same instant: one has it."""
    for index in range(20):
        out, barrier = tmp_path / str(index), threading.Barrier(CONTENDERS)
        if stale:
            leave(out, "queue", number=3, **dead)

        def contend(_: int, out: Path = out, barrier: threading.Barrier = barrier) -> leases.Lease | None:
            ours = Leases(out)
            barrier.wait()
            return ours.acquire("queue")

        with ThreadPoolExecutor(CONTENDERS) as pool:
            won = [lease for lease in pool.map(contend, range(CONTENDERS)) if lease is not None]
        assert len(won) == 1
        assert [path.name for path in (out / "leases").iterdir()] == [won[0].path.name]
        assert read_leases(out / "leases")["queue"].told["token"] == won[0].told["token"]
        assert not won[0].fenced


def test_a_dead_process_is_seen_at_once(tmp_path: Path, dead: dict[str, Any]) -> None:
    """A process of this machine that has ended holds nothing, nor does its number, given to another process."""
    leave(tmp_path, "ended", **dead)
    leave(tmp_path, "again", **{**dead, "pid": os.getpid(), "mark": "0"})
    leave(tmp_path, "alive", **{**dead, "pid": os.getpid(), "mark": mark_process(os.getpid())})
    for name, number in (("word", "1"), ("negative", -1), ("huge", 2**40)):
        leave(tmp_path, name, **{**dead, "pid": number})
    with Leases(tmp_path) as ours:
        assert set(ours.held()) == {"alive"}
        assert ours.acquire("alive") is None
        free = ("ended", "again", "word", "negative", "huge")
        assert not any(lease is None or lease.fenced for lease in map(ours.acquire, free))


def test_the_highest_number_of_a_lease_counts(tmp_path: Path) -> None:
    """Of the files of a lease the one with the highest number counts, as a number; a file of another kind does not."""
    for number in (2, 10, 9):
        leave(tmp_path, "queue", number, token=str(number))
    (tmp_path / "leases" / "queue.last.json").write_text("{}")
    (tmp_path / "leases" / "gone.0.json").mkdir()  # cannot be opened, as one that was removed since it was listed
    assert {name: holder.number for name, holder in read_leases(tmp_path / "leases").items()} == {"queue": 10}


@pytest.mark.parametrize("renewed", [True, False])
def test_of_a_process_far_away_its_lease_tells(tmp_path: Path, short: None, renewed: bool) -> None:
    """Whether another study is trained on another machine is known once its lease is renewed, or was not for long."""
    path, over = leave(tmp_path, "process-far", study="other"), threading.Event()

    def renew() -> None:
        while not over.wait(0.02):
            os.utime(path)

    thread = threading.Thread(target=renew)
    looks: list[float] = []
    with Leases(tmp_path) as ours:
        if renewed:
            thread.start()
            with pytest.raises(StoreError, match=r"is training another study into .*: process 1 on far; wait for"):
                ours.join("mine")
            over.set()
            thread.join()
        else:
            ours.join("mine", lambda: looks.append(time.monotonic()))
            assert looks
            assert not path.exists()


def test_a_silent_process_of_another_machine_loses(tmp_path: Path, short: None) -> None:
    """A lease that nobody renews is taken, with the note that its holder may wake; one that is renewed is not."""
    leave(tmp_path, "silent")
    renewed, over = leave(tmp_path, "renewed"), threading.Event()

    def renew() -> None:
        while not over.wait(0.02):
            os.utime(renewed)

    thread = threading.Thread(target=renew)
    thread.start()
    began = time.monotonic()
    taken = wait_for(tmp_path, "silent")
    waited = time.monotonic() - began
    with Leases(tmp_path) as ours:
        while time.monotonic() - began < 4 * leases.SECONDS:
            assert ours.acquire("renewed") is None
            time.sleep(0.02)
    over.set()
    thread.join()

    assert taken.fenced
    assert waited >= leases.SECONDS


def test_pauses_of_who_looks_on_do_not_count(tmp_path: Path, short: None) -> None:
    """A process that looked once, slept for long and looks again has not seen a lease untouched for so long."""
    leave(tmp_path, "other")
    ours = Leases(tmp_path)
    assert ours.acquire("other") is None
    time.sleep(2 * leases.SECONDS)

    assert ours.acquire("other") is None


def test_who_has_lost_a_lease_is_told_and_takes_nothing_back(tmp_path: Path, short: None) -> None:
    """Past its lease a process finds at its next check that it has lost, and releasing leaves the new holder's."""
    frozen = Leases(tmp_path)  # its thread does not run
    old = frozen.acquire("queue")
    assert old is not None
    leave_as_far(old)
    with Leases(tmp_path) as ours:
        while (new := ours.acquire("queue")) is None:
            time.sleep(0.01)
        with pytest.raises(LeaseLostError, match="another has taken over queue"):
            frozen.check(old)
        frozen.release(old)
        ours.check(new)
        assert read_leases(tmp_path / "leases")["queue"].told["token"] == new.told["token"]
    # Whoever comes next has to keep out of the files of the frozen one, too.
    again = Leases(tmp_path).acquire("queue")

    assert again is not None
    assert again.fenced


@pytest.mark.parametrize("fenced", [False, True])
def test_who_wakes_and_releases_leaves_the_lease_of_another(tmp_path: Path, short: None, fenced: bool) -> None:
    """A process that lost its lease asleep and gives it back unasked changes nothing, the new lease having its name."""
    if fenced:
        leave(tmp_path, "queue")
    frozen = Leases(tmp_path)  # its thread does not run
    while (old := frozen.acquire("queue")) is None:
        time.sleep(0.01)
    leave_as_far(old)
    with Leases(tmp_path) as ours:
        while (new := ours.acquire("queue")) is None:
            time.sleep(0.01)
        if not fenced:  # all is done and cleared away, and numbers begin anew
            ours.release(new)
            ours.clear()
            new = ours.acquire("queue")
            assert new is not None
            assert new.path == old.path
        frozen.release(old)

        ours.check(new)
        assert list((tmp_path / "leases").iterdir()) == [new.path]


def leave_as_far(lease: leases.Lease) -> None:
    """Let a lease be that of another machine, whose processes cannot be looked at."""
    lease.path.write_text(json.dumps({**lease.told, "space": "far"}))


class Late(Leases):
    """Finds a lease free, and takes it when another process has had it and has given it back."""

    def is_free(self, holder: leases.Holder) -> bool:
        """Return whether it was free, before another took it."""
        free, other = super().is_free(holder), Leases(self.out)
        taken = other.acquire(holder.name)
        assert taken is not None
        other.release(taken)
        return free


def test_who_comes_late_takes_nothing(tmp_path: Path, dead: dict[str, Any]) -> None:
    """A contender that was held up between looking and taking has not taken over from one that was there since."""
    leave(tmp_path, "queue", **dead)

    assert Late(tmp_path).acquire("queue") is None
    assert not list((tmp_path / "leases").iterdir())


def test_what_goes_on_elsewhere_is_nobodys(tmp_path: Path, dead: dict[str, Any]) -> None:
    """A lease that was closed cannot be taken, until it is cleared away."""
    leave(tmp_path, "closed", moved="elsewhere", **dead)
    assert Leases(tmp_path).acquire("closed") is None
    with Leases(tmp_path) as ours:
        lease = ours.acquire("queue")
        assert lease is not None
        ours.close(lease, "elsewhere")
        assert ours.acquire("queue") is None
        assert ours.held() == {}
        ours.clear()
        assert ours.acquire("queue") is not None


def test_another_study_waits_for_the_first(tmp_path: Path, dead: dict[str, Any]) -> None:
    """Beside a living process another study and a repair are refused, naming the process; beside a dead one not."""
    leave(tmp_path, "process-dead", study="one", **dead)
    (tmp_path / "chunks").mkdir()
    with Leases(tmp_path) as first:
        first.join("one")
        with Leases(tmp_path) as second:
            second.join("one")
            assert [holder.told["pid"] for holder in second.processes()] == [os.getpid()]
        expected = rf"is training another study into .*: process {os.getpid()} on .*; wait for it"
        with pytest.raises(StoreError, match=expected):
            regjax.run(tiny(), tmp_path)
        with pytest.raises(StoreError, match=f"another process is training into .*: process {os.getpid()}"):
            repair(tmp_path)
        assert cli.main(["repair", str(tmp_path), "--dry-run"]) == 1
    assert not (tmp_path / "leases").exists()

    assert repair(tmp_path) == []


def test_a_process_that_was_taken_for_dead_ends(tmp_path: Path) -> None:
    """Where others went on as if a process were no more, its next check is an error that says what to do."""
    with Leases(tmp_path) as ours:
        ours.join("one")
        lease = ours.acquire("queue")
        assert lease is not None
        (path,) = (tmp_path / "leases").glob("process-*")
        path.unlink()
        with pytest.raises(StoreError, match="run the same command again"):
            ours.check(lease)


def test_a_damaged_note_of_a_row_names_nobody(tmp_path: Path) -> None:
    """A file that says which queue has begun a row, and is no text any more, is passed over, and the row is begun."""
    path = tmp_path / "leases" / "rows" / f"{digest(canonical([['a'], ['b']]))}.0"
    assert create(path, "")
    path.write_bytes(b"\xff\xfe")
    with Leases(tmp_path) as ours:
        lease, sharing = ours.acquire("queue"), Sharing(tmp_path, ours)
        assert lease is not None
        assert sharing.begin_row(lease, [["a"], ["b"]])
        assert sharing.owner([["a"], ["b"]]) == "queue"


def test_a_new_file_has_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many who create one name one does, its text being there whole; on a drive without hard links as well."""

    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("linked", "plain"):
        with ThreadPoolExecutor(CONTENDERS) as pool:
            made = list(pool.map(lambda k, name=name: create(tmp_path / f"{k % 1}{name}", str(k)), range(CONTENDERS)))
        assert sum(made) == 1
        assert (tmp_path / f"0{name}").read_text() == str(made.index(True))
        monkeypatch.setattr(os, "link", refuse)
    assert len(list(tmp_path.iterdir())) == 2
