"""Queues that were left behind, by a process that was killed or is silent, or damaged since: what is told of them."""

import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from continued import Killed, assert_same_numbers, go_on, ready

from regjax import leases, store, waves
from regjax.execute import Job, train_runs
from regjax.files import StoreError, canonical, create, digest
from regjax.leases import Lease, Leases
from regjax.plan import Plan
from regjax.progress import GroupState, Progress
from regjax.queue import describe_queue
from regjax.repair import Fault, find_faults, repair
from regjax.sharing import Sharing
from regjax.stop import Interrupted, Stop
from regjax.train import checkpoint
from regjax.train.layout import make_rows
from regjax.train.program import Compiled, Program
from regjax.waves import share_groups, unique

Engine = tuple[Plan, Program, Compiled]


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], None]], None]:
    """Return a function that has something looked at after each file or folder that training writes."""

    def watch(look: Callable[[Path], None]) -> None:
        def wrap(original: Callable[..., None]) -> Callable[..., None]:
            def wrapped(path: Path, *arguments: Any) -> None:
                original(path, *arguments)
                look(path)

            return wrapped

        for module, name in ((store, "write_table"), (store, "write_json"), (checkpoint, "save")):
            monkeypatch.setattr(module, name, wrap(getattr(module, name)))

    return watch


def chunk_faults(out: Path) -> list[Fault]:
    """Return what is damaged in a folder that never had a plan."""
    return [fault for fault in find_faults(out) if fault.path.parent != out]


def test_a_deleted_done_file_is_named_as_soon_as_its_segment_is_saved(
    engine: Engine, uncut: Path, tmp_path: Path, after: Callable[[Callable[[Path], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """P5: where a queue is cut off nothing is told; after each checkpoint the newest done file is missed."""
    named, everything = [], {run.id for run in engine[0].runs}

    def look(path: Path) -> None:
        if path.name.startswith(("seg-", "done-")):
            assert chunk_faults(tmp_path) == []
        if path.parent.name != "checkpoint":
            return
        done = store.Part(path.parents[1].name, int(path.name) - 1).done(tmp_path)
        if not done.exists():
            assert chunk_faults(tmp_path) == []
            return
        text, over, runs = done.read_text(), set(store.done_runs(tmp_path)) == everything, store.read_done(done)["runs"]
        done.unlink()
        assert [(fault.path, fault.runs) for fault in chunk_faults(tmp_path)] == [(done, len(runs))]
        named.append(done)
        if over:
            raise Killed
        done.write_text(text)

    after(look)
    with pytest.raises(Killed):
        go_on(tmp_path, *engine)
    monkeypatch.undo()
    assert len(named) > 3
    (folder,) = tmp_path.glob("chunks/*/checkpoint")
    assert repair(tmp_path)[-1].path == named[-1]
    go_on(tmp_path, *engine)

    assert not folder.exists()
    assert_same_numbers(tmp_path, uncut)


@pytest.mark.parametrize(
    ("last", "text"),
    [("000002", r"seg-00000\.parquet is missing; `regjax repair` sets its queue aside"),
     ("done-", r"done-.* names other runs than end there; `regjax repair` sets it aside")],
)  # fmt: skip
def test_a_queue_with_damaged_results_is_not_gone_on_with(
    engine: Engine, tmp_path: Path, after: Callable[[Callable[[Path], None]], None], last: str, text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """P5: without an earlier segment, or with other runs in a done file, a queue is refused until it is repaired."""
    reached: list[Path] = []

    def look(path: Path) -> None:
        if path.name.startswith(last):
            reached.append(path)
            raise Killed

    after(look)
    with pytest.raises(Killed):
        go_on(tmp_path, *engine)
    monkeypatch.undo()
    (damaged,) = reached
    if last == "done-":
        done = store.read_done(damaged)
        store.write_json(damaged, {**done, "runs": done["runs"][:-1]})
    else:
        damaged = damaged.parents[1] / "seg-00000.parquet"
        damaged.unlink()
    with pytest.raises(StoreError, match=text):
        go_on(tmp_path, *engine)
    assert damaged in [fault.path for fault in repair(tmp_path)]
    assert not damaged.exists()


def begin_elsewhere(engine: Engine, out: Path, name: str, rows: int) -> Lease:
    """Return the lease of a process of another machine on a queue that has begun so many rows."""
    other = Leases(out)  # its thread does not run
    lease = other.acquire(name)
    assert lease is not None
    for row in all_rows(engine)[:rows]:
        assert Sharing(out, other).begin_row(lease, [[run.id for run in trajectory.runs] for trajectory in row])
    lease.path.write_text(json.dumps({**lease.told, "space": "far"}))
    return lease


def all_rows(engine: Engine) -> Any:
    """Return the rows of all runs."""
    _, program, _ = engine
    return make_rows(unique(program.group.runs), program.layout.columns)


def share(engine: Engine, out: Path, ours: Leases) -> str:
    """Train what a folder lacks as a process of these leases, and return what it says."""
    plan, program, functions = engine
    said = io.StringIO()
    told = Progress(said, live=False)
    told.begin(1, 1.0)
    train_runs(plan, Job(0, unique(program.group.runs), program, ready(functions)), Sharing(out, ours), told)
    return said.getvalue()


def test_rows_that_others_have_begun_are_left_to_them(engine: Engine, tmp_path: Path) -> None:
    """Where a living process has begun every row, another one makes a queue, finds nothing to do, and ends."""
    begin_elsewhere(engine, tmp_path, "elsewhere", rows=len(all_rows(engine)))
    with Leases(tmp_path) as ours:
        share(engine, tmp_path, ours)
    (chunk,) = tmp_path.glob("chunks/*")
    assert [path.name for path in chunk.iterdir()] == ["queue.json"]


def test_a_silent_process_without_a_checkpoint_leaves_all_to_others(
    engine: Engine, uncut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P6: a queue that was never saved is begun anew in a chunk of another name, where a silent process may wake."""
    monkeypatch.setattr(leases, "SECONDS", 0.2)
    queue = describe_queue(engine[1], all_rows(engine))
    name = digest(canonical(queue))
    begin_elsewhere(engine, tmp_path, name, rows=2)
    store.write_json(store.chunk_folder(tmp_path, name) / "queue.json", queue)
    with Leases(tmp_path) as ours:
        wait_until_free(ours, name)
        said = share(engine, tmp_path, ours)
        assert leases.read_leases(ours.folder)[name].told["moved"] == ""

    assert f"took over queue {name} from a process that is silent" in said
    assert {part.chunk for part in store.done_runs(tmp_path).values()}.isdisjoint({name})
    assert_same_numbers(tmp_path, uncut)


def test_a_new_queue_keeps_away_from_one_that_a_silent_process_may_write(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P6: where a silent process was about to make the very queue, another one of equal rows gets another name."""
    monkeypatch.setattr(leases, "SECONDS", 0.2)
    name = digest(canonical(describe_queue(engine[1], all_rows(engine))))
    begin_elsewhere(engine, tmp_path, name, rows=0)
    with Leases(tmp_path) as ours:
        wait_until_free(ours, name)
        taken = Sharing(tmp_path, ours).take(engine[1], engine[0].runs, set())

    assert taken is not None
    assert taken.described is not None
    assert (taken.described["share"], taken.lease.fenced) == (1, False)
    assert taken.name == digest(canonical(taken.described)) != name


class Impatient(Stop):
    """Has the training end when it is asked for the third time."""

    asks = 0

    @property
    def asked(self) -> bool:
        """Whether the training is to end."""
        self.asks += 1
        if self.asks == 3:
            self.ask("enough", 75)
        return super().asked


def test_who_waits_for_others_says_so_once(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P6: with every run trained elsewhere a process says for whom it waits, once, however often it looks."""
    plan, program, functions = engine
    monkeypatch.setattr(waves, "WAIT", 0.01)
    name = "elsewhere"
    begin_elsewhere(engine, tmp_path, name, rows=len(all_rows(engine)))
    store.write_json(store.chunk_folder(tmp_path, name) / "queue.json", describe_queue(program, all_rows(engine)))
    far = {"host": "far", "space": "far", "pid": 1, "token": "x"}
    assert create(tmp_path / "leases" / f"{leases.PROCESS}far.0.json", json.dumps(far))
    said = io.StringIO()
    told = Progress(said, live=False)
    told.begin(1, 1.0, [GroupState("0", len(plan.runs))])
    job = Job(0, unique(program.group.runs), program, ready(functions))
    with ThreadPoolExecutor(1) as pool, Leases(tmp_path) as ours, pytest.raises(Interrupted, match="enough"):
        share_groups(plan, [job], pool, Sharing(tmp_path, ours), told, None, None, Impatient())

    assert said.getvalue() == "waiting for runs that are trained elsewhere: process 1 on far\n"


def wait_until_free(ours: Leases, name: str) -> None:
    """Look on until a lease has been silent for long enough."""
    while name in ours.held():
        time.sleep(0.01)
