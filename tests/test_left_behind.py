"""Queues that were left behind, by a process that was killed or is silent, or damaged since: what is told of them."""

import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from continued import Engine, Killed, all_rows, assert_same_numbers, begin_elsewhere, go_on, progress, ready, share

from regjax import execute, leases, sharing, store, waves
from regjax.execute import Job, train_runs
from regjax.files import StoreError, canonical, create, digest
from regjax.leases import Leases
from regjax.progress import GroupState, Progress
from regjax.queue import describe_queue
from regjax.repair import Fault, find_faults, repair
from regjax.sharing import Sharing, Taken
from regjax.stop import Interrupted, Stop
from regjax.train import checkpoint
from regjax.waves import share_groups, unique


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


def end_after(
    begins: str, engine: Engine, out: Path, after: Callable[[Callable[[Path], None]], None], nth: int = 1
) -> Path:
    """Train until something of this name was written for the nth time, and return it."""
    reached: list[Path] = []

    def look(path: Path) -> None:
        if path.name.startswith(begins):
            reached.append(path)
            if len(reached) == nth:
                raise Killed

    after(look)
    with pytest.raises(Killed):
        go_on(out, *engine)
    return reached[-1]


def test_a_queue_without_an_earlier_segment_is_not_gone_on_with(
    engine: Engine, tmp_path: Path, after: Callable[[Callable[[Path], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: without an earlier segment a queue is refused until it is repaired."""
    damaged = end_after("000002", engine, tmp_path, after).parents[1] / "seg-00000.parquet"
    monkeypatch.undo()
    damaged.unlink()
    with pytest.raises(StoreError, match=r"seg-00000\.parquet is missing; `regjax repair` sets its queue aside"):
        go_on(tmp_path, *engine)
    assert damaged in [fault.path for fault in repair(tmp_path)]
    assert not damaged.exists()


@pytest.mark.parametrize("how", ["other runs", "other records"])
def test_a_segment_that_is_trained_again_to_something_else_ends_its_queue(
    engine: Engine, uncut: Path, tmp_path: Path, after: Callable[[Callable[[Path], None]], None], how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """P1: where published runs are not what is trained again, the queue is set aside, and the others begin anew."""
    damaged = end_after("done-", engine, tmp_path, after)
    monkeypatch.undo()
    done, chunk = store.read_done(damaged), damaged.parent.name
    if how == "other runs":
        store.write_json(damaged, {**done, "runs": done["runs"][:-1]})
    else:
        head = store.segment_head(tmp_path, chunk, done["segment"])
        assert head is not None
        assert head.refused is not None
        table = store.read_table(store.segment_path(tmp_path, chunk, done["segment"])).to_pandas()
        table["test.nll"] *= 2
        store.write_segment(tmp_path, chunk, done["segment"], table, head.intervals, head.refused)
    with Leases(tmp_path) as ours:
        said = share(engine, tmp_path, ours)
    assert "was trained again to other records than are stored; what is done of its queue stays" in said
    assert not (damaged.parent / "queue.json").exists()
    assert len(list(tmp_path.glob("chunks/*/queue.json"))) == 1

    assert [fault.path for fault in repair(tmp_path) if fault.path.parent != tmp_path] == [damaged]
    go_on(tmp_path, *engine)
    assert_same_numbers(tmp_path, uncut)


@pytest.mark.parametrize(("elsewhere", "nth"), [([2], 1), ([2], 2), ([3], 2), ([2, 3], 1), ([3, 4], 2), ([5], 3)])
def test_a_segment_that_is_trained_again_begins_the_rows_that_it_began(
    engine: Engine, uncut: Path, tmp_path: Path, after: Callable[[Callable[[Path], None]], None],
    elsewhere: list[int], nth: int, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """P1: killed after runs were published, a queue trains that segment alike, though others have left their rows."""
    other = begin_elsewhere(engine, tmp_path, "elsewhere", elsewhere)
    end_after("done-", engine, tmp_path, after, nth)
    monkeypatch.undo()
    other.path.unlink()
    go_on(tmp_path, *engine)

    assert not (tmp_path / "quarantine").exists()
    assert not store.load_records(tmp_path).duplicated(["run", "step"]).any()
    assert_same_numbers(tmp_path, uncut)
    assert chunk_faults(tmp_path) == []


def test_rows_that_are_done_are_not_begun_again(
    engine: Engine, uncut: Path, tmp_path: Path, after: Callable[[Callable[[Path], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """P6: who goes on with a dead process's queue leaves out the rows that others have finished since."""
    end_after("done-", engine, tmp_path, after)
    monkeypatch.undo()
    before = set(store.done_runs(tmp_path))
    # Another process trains rows that the queue has not come to: the last two, in a queue of their own.
    plan, program, functions = engine
    late = [run for row in all_rows(engine)[4:] for trajectory in row for run in trajectory.runs]
    with Leases(tmp_path) as ours, monkeypatch.context() as patched:
        patched.setattr(sharing, "is_over", lambda *_: True)
        job = Job(0, late, program, ready(functions))
        train_runs(plan, job, Sharing(tmp_path, ours), progress())
    assert set(store.done_runs(tmp_path)) - before == {run.id for run in late}
    go_on(tmp_path, *engine)

    published = [run for done in store.iter_done(tmp_path) for run in done["runs"]]
    assert len(published) == len(set(published)) == len(plan.runs)
    assert_same_numbers(tmp_path, uncut)


def test_the_last_checkpoint_names_the_rows_that_it_holds(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where others have begun all that is left, the last state is told as that of the rows that were trained last."""
    begin_elsewhere(engine, tmp_path, "elsewhere", [4, 5])
    monkeypatch.setattr(execute, "close_checkpoints", lambda *_: None)
    go_on(tmp_path, *engine)
    newest = max(tmp_path.glob("chunks/*/checkpoint/*"))

    assert sorted(checkpoint.load_leaves(newest)["seats/row"]) == [2, 3]


def test_who_loses_a_queue_while_moving_it_keeps_nothing_of_it(
    engine: Engine, tmp_path: Path, after: Callable[[Callable[[Path], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P6: where another process takes the queue over meanwhile, the lease on its new chunk is given back."""
    name = end_after("000001", engine, tmp_path, after).parents[1].name
    monkeypatch.undo()

    def lose(*_: Any) -> None:
        raise leases.LeaseLostError("another has taken it over")

    monkeypatch.setattr(Leases, "close", lose)
    with Leases(tmp_path) as ours:
        lease = ours.acquire(name)
        assert lease is not None
        with pytest.raises(leases.LeaseLostError, match="another has"):
            Sharing(tmp_path, ours).move(Taken(name, all_rows(engine), lease), 1, lambda _: None)
        assert set(ours.held()) == {name}


def test_rows_that_others_have_begun_are_left_to_them(engine: Engine, tmp_path: Path) -> None:
    """Where a living process has begun every row, another one makes a queue, finds nothing to do, and ends."""
    begin_elsewhere(engine, tmp_path, "elsewhere", range(len(all_rows(engine))))
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
    begin_elsewhere(engine, tmp_path, name, range(2))
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
    begin_elsewhere(engine, tmp_path, name, [])
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
    begin_elsewhere(engine, tmp_path, name, range(len(all_rows(engine))))
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
