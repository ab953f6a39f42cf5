"""How processes share the runs of a group: which queue a process may train, and which rows a queue has begun.

    out/leases/<queue>.<number>.json    the process that trains a queue (see leases.py)
    out/leases/rows/<hash>.<number>     the queue that has begun a row; the highest number counts

Every process has a queue of its own, of all rows that were nobody's when it was made, and passes over those that
another has begun by the time a slot is free. Both are about time alone: a row that two queues trained has equal bits
in both, and results take the run from one of them.
"""

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from regjax import store
from regjax.files import canonical, create, digest, publish
from regjax.leases import FOLDER, Lease, Leases
from regjax.plan import Run
from regjax.queue import describe_queue, find_checkpoints, is_over, read_queue
from regjax.train.layout import Row, make_rows
from regjax.train.program import Program

ROWS = "rows"


class Taken(NamedTuple):
    """A queue that this process may train.

    Attributes:
      name: of its chunk.
      rows: what it trains.
      lease: of this process on it.
      described: what `queue.json` is to say, None where it says so already.
    """

    name: str
    rows: tuple[Row, ...]
    lease: Lease
    described: dict[str, Any] | None = None


class Sharing:
    """What this process and others do in a run directory.

    Args:
      out: run directory.
      leases: of this process.
    """

    def __init__(self, out: Path, leases: Leases) -> None:
        self.out, self.leases = Path(out), leases
        self._done, self._read = set[str](), set[Path]()

    def owner(self, row: Sequence[Sequence[str]]) -> str | None:
        """Return the queue that has begun a row, given by its runs; None where none has."""
        return self._find(row)[1]

    def _find(self, row: Sequence[Sequence[str]]) -> tuple[Path, str | None]:
        """Return the file that the next owner of a row would create, and the queue that has begun it."""
        name, owner, number = digest(canonical([list(runs) for runs in row])), None, 0
        while True:
            path = self.out / FOLDER / ROWS / f"{name}.{number}"
            try:
                owner = path.read_text(errors="replace")  # a damaged one names nobody
            except OSError:
                return path, owner
            number += 1

    def begin_row(self, lease: Lease, row: Sequence[Sequence[str]]) -> bool:
        """Return whether the queue of `lease` trains a row from now on: unless another has begun it, or all is done.

        Raises:
          LeaseLostError: the queue is another process's by now.
        """
        self.leases.check(lease)
        if {run for runs in row for run in runs} <= self._find_done():
            return False
        while True:
            path, owner = self._find(row)
            if owner == lease.name:
                return True
            if owner is not None and owner in self.leases.held():
                return False
            if create(path, lease.name):
                return True

    def _find_done(self) -> set[str]:
        """Return all finished runs; a done file, which nobody changes, is read once."""
        for path in store.find_numbered(self.out, "chunks/*/done-*.json"):
            if path not in self._read:
                self._done |= set(store.read_done(path)["runs"])
                self._read.add(path)
        return self._done

    def take(self, program: Program, runs: Iterable[Run], passed: Collection[str]) -> Taken | None:
        """Return a queue to train: one that a process has left behind, or else a new one of what nobody has begun.

        Args:
          program: what it would be trained with.
          runs: those wanted.
          passed: names of stored queues that are no use.

        Returns:
          None where all that is not done is being trained.
        """
        done, held, busy = store.done_runs(self.out), self.leases.held(), set()
        left = {run.id: run for run in runs if run.id not in done}
        for name, queue in store.iter_queues(self.out) if left else ():
            mine, others = self._split(name, queue, held, left)
            busy |= others
            if name in held:
                continue
            wanted = {run: left[run] for run in mine - busy if run in left}
            rows = () if name in passed or is_over(self.out, name) else read_queue(queue, program, wanted)
            if not rows:
                continue
            if (lease := self.leases.acquire(name)) is not None:
                return Taken(name, rows, lease)
            if name in self.leases.held():
                busy |= mine
        return self._take_new(program, [run for run in left.values() if run.id not in busy])

    def _split(
        self, name: str, queue: Mapping[str, Any], held: Collection[str], left: Collection[str]
    ) -> tuple[set[str], set[str]]:
        """Return the runs of a queue in rows that are its own, and in rows that a held queue has begun.

        Rows that nobody has begun are its own where it has a checkpoint: queues of an earlier regjax say no more.
        """
        mine, others = set(), set()
        stored = bool(find_checkpoints(self.out, name))
        for row in queue["rows"]:
            runs = {run for trajectory in row for run in trajectory}
            if not runs & set(left):
                continue
            owner = self.owner(row)
            if owner in held:
                others |= runs
            elif owner == name or (owner is None and stored):
                mine |= runs
        return mine, others

    def _take_new(self, program: Program, runs: Sequence[Run]) -> Taken | None:
        if not runs:
            return None
        rows, number = make_rows(runs, program.layout.columns), 0
        while True:
            described = describe_queue(program, rows) | ({"share": number} if number else {})
            name = digest(canonical(described))
            lease = self.leases.acquire(name)
            if lease is not None and not lease.fenced:
                return Taken(name, rows, lease, described)
            if lease is not None:
                self.leases.close(lease, "")
            number += 1

    def move(self, taken: Taken, segments: int, save: Callable[[str], None]) -> Taken | None:
        """Return a queue that goes on where one ended whose process may wake and write again.

        It has the records so far, a checkpoint, and the rows that were begun; files of one queue have one writer.

        Args:
          taken: the queue, with a fenced lease.
          segments: how many it has.
          save: writes the checkpoint after these, into the chunk of a name.

        Returns:
          None where it had no checkpoint: what it has begun is then anybody's.
        """
        name, moved = taken.name, None
        if segments:
            queue = store.read_json(store.chunk_folder(self.out, name) / "queue.json")
            described = {**queue, "share": taken.lease.told["token"]}
            fresh = digest(canonical(described))
            lease = self.leases.acquire(fresh)
            assert lease is not None
            moved = Taken(fresh, taken.rows, lease)
        try:
            if moved is not None:
                self._copy(taken, moved, described, segments, save)
            self.leases.close(taken.lease, moved.name if moved else "")
        except BaseException:
            # Kept, it would be waited for by its own process.
            if moved is not None:
                self.leases.release(moved.lease)
            raise
        return moved

    def _copy(
        self, taken: Taken, moved: Taken, described: Mapping[str, Any], segments: int, save: Callable[[str], None]
    ) -> None:
        """Write what a queue has so far into the chunk that it goes on in."""
        store.write_json(store.chunk_folder(self.out, moved.name) / "queue.json", described)
        for index in range(segments):
            copy_file(store.segment_path(self.out, taken.name, index), store.segment_path(self.out, moved.name, index))
        save(moved.name)
        for row in described["rows"]:
            path, owner = self._find(row)
            if owner == taken.name:
                create(path, moved.name)

    def clear(self) -> None:
        """Remove what is of use to nobody once all runs of a study are done."""
        shutil.rmtree(self.out / FOLDER / ROWS, ignore_errors=True)
        self.leases.clear()


class Seating:
    """Which rows of a queue its process begins.

    A segment that is trained again begins the rows that it began before, whoever has begun or finished them since:
    runs of it may be published, and rows in other slots would end in other segments.

    Args:
      sharing: of this process.
      taken: the queue.
    """

    def __init__(self, sharing: Sharing, taken: Taken) -> None:
        self._sharing, self._taken = sharing, taken
        self.begin_segment(0)

    def begin_segment(self, index: int) -> None:
        """Begin a segment, which may be stored already."""
        head = store.segment_head(self._sharing.out, self._taken.name, index)
        self._before = None if head is None else head.refused
        self.refused = set[int]()

    def may_begin(self, place: int) -> bool:
        """Return whether the row at a place of the queue is begun.

        Raises:
          LeaseLostError: the queue is another process's by now.
        """
        row = [[run.id for run in trajectory.runs] for trajectory in self._taken.rows[place]]
        begun = self._sharing.begin_row(self._taken.lease, row)
        if self._before is not None:
            begun = place not in self._before
        self.refused |= set() if begun else {place}
        return begun


def copy_file(source: Path, target: Path) -> None:
    """Publish a copy of a file."""
    publish(target, lambda temporary: _copy(source, temporary))


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
