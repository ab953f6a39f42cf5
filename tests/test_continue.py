"""Queues that are cut off, grown, left to another machine or out of memory: what is stored in the end is the same."""

import dataclasses
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import pytest
from continued import LAYOUT, Killed, assert_same_numbers, go_on, plan_of, progress, published, ready, train
from populations import digits

from regjax import execute, store
from regjax.execute import Job, train_group
from regjax.files import StoreError
from regjax.leases import Leases
from regjax.plan import Plan
from regjax.progress import Progress
from regjax.queue import flat_ids
from regjax.sharing import Sharing, Taken
from regjax.stop import Interrupted, Stop
from regjax.train import checkpoint
from regjax.train import program as engine_program
from regjax.train.layout import Layout
from regjax.train.program import Compiled, Program, make_program
from regjax.waves import choose_program, unique

# What a segment in which runs end is published with, in order.
WRITES = ("seg", "params", "predictions", "weights", "done", "checkpoint")


@pytest.fixture
def die(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets so many files be written from now on, and raises after the last of them."""
    left = [0]

    def dying(write: Callable[..., None]) -> Callable[..., None]:
        def limited(*arguments: Any) -> None:
            write(*arguments)
            left[0] -= 1
            if left[0] == 0:
                raise Killed(str(arguments[0]))

        return limited

    for module, name in ((store, "write_table"), (store, "write_json"), (checkpoint, "save")):
        monkeypatch.setattr(module, name, dying(getattr(module, name)))
    return lambda writes: left.__setitem__(0, writes)


def test_the_study_is_one_that_refills(engine: tuple[Plan, Program, Compiled], uncut: Path) -> None:
    """The queue of these tests has three rounds, ends runs in most of its segments, and stores each run once."""
    plan, program, _ = engine
    (queue,) = [queue for _, queue in store.iter_queues(uncut)]
    parts = published(uncut)

    assert [len(queue["rows"]), program.layout] == [6, LAYOUT]
    assert [len(trajectory) for row in queue["rows"] for trajectory in row] == [2] * 12
    assert len(parts) > 3
    assert sorted(run for done in parts.values() for run in done["runs"]) == sorted(run.id for run in plan.runs)


def test_killed_after_every_file_and_continued_equals_uninterrupted(
    engine: tuple[Plan, Program, Compiled], uncut: Path, tmp_path: Path, die: Callable[[int], None]
) -> None:
    """Killed after each file of each segment in turn, a queue ends in the same parts, digests and numbers (I8)."""
    die(1)
    with pytest.raises(Killed, match=r"queue\.json"):
        go_on(tmp_path, *engine)
    seen, budget = set(), 1
    while set(store.done_runs(tmp_path)) != {run.id for run in engine[0].runs}:
        die(budget)
        try:
            go_on(tmp_path, *engine)
        except Killed as killed:
            name = Path(str(killed)).name.split("-")[0]
            seen.add("checkpoint" if name.isdigit() else name)
            # Past its checkpoint the segment is behind; the next one is killed after its first file again.
            budget = 1 if name.isdigit() else budget + 1
    die(0)

    assert seen == set(WRITES)
    assert published(tmp_path) == published(uncut)
    assert_same_numbers(tmp_path, uncut)


def test_killed_between_two_refills_and_continued_equals_uninterrupted(
    engine: tuple[Plan, Program, Compiled], uncut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of a segment, between two rows that take a slot, a queue loses that segment only (I8)."""
    original, taken = execute.refill, []

    def refill(program: Program, functions: Compiled, data: Any, live: Any, may_take: Any) -> Any:
        live = original(program, functions, data, live, may_take)
        taken.append(int(live.seats.taken))
        if taken[-1] == 4 and live.seats.since_save % program.segment:
            raise Killed
        return live

    monkeypatch.setattr(execute, "refill", refill)
    with pytest.raises(Killed):
        go_on(tmp_path, *engine)
    monkeypatch.setattr(execute, "refill", original)
    before = {part: part.done(tmp_path).stat().st_mtime_ns for part in published(tmp_path)}
    go_on(tmp_path, *engine)

    assert 3 in taken
    assert before
    assert before == {part: part.done(tmp_path).stat().st_mtime_ns for part in before}
    assert published(tmp_path) == published(uncut)
    assert_same_numbers(tmp_path, uncut)


class StopAfter(Stop):
    """Asks for the end after so many questions: one as training begins, and one after each look."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.questions = questions

    @property
    def asked(self) -> bool:
        """Whether the training is to end."""
        self.questions -= 1
        if self.questions < 0:
            self.ask("enough", 75)
        return self._asked is not None


def go_until(out: Path, stop: Stop, plan: Plan, program: Program, functions: Compiled) -> bool:
    """Train what a folder lacks until asked to end; return whether it was."""
    try:
        train(out, plan, program, functions, progress(), stop=stop)
    except Interrupted:
        return True
    return False


def test_ended_after_every_few_looks_equals_uninterrupted(
    engine: tuple[Plan, Program, Compiled], uncut: Path, tmp_path: Path
) -> None:
    """Asked to end again and again in the middle of segments, each look is saved, and the results are the same (I8)."""
    assert go_until(tmp_path, StopAfter(0), *engine)
    assert not list(tmp_path.glob("chunks/*/seg-*"))
    lengths: list[int] = []
    while go_until(tmp_path, StopAfter(1 + len(lengths) % 3), *engine):
        ((name, _),) = store.iter_queues(tmp_path)
        head = store.segment_head(tmp_path, name, len(lengths))
        found = head and head.intervals
        assert found is not None
        lengths.append(found)

    assert {1, 2, 3} <= set(lengths)
    assert_same_numbers(tmp_path, uncut)


def test_a_segment_that_was_cut_short_and_killed_keeps_its_length(
    engine: tuple[Plan, Program, Compiled], uncut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a shortened segment's done file and its checkpoint, the segment is trained again to that length,
    and what was reported done stays as it was."""
    save = checkpoint.save

    def die(folder: Path, tree: Any) -> None:
        if folder.parent.name == "checkpoint" and list(folder.parents[1].glob("done-*")):
            raise Killed
        save(folder, tree)

    monkeypatch.setattr(checkpoint, "save", die)
    killed = False
    while not killed:
        try:
            go_until(tmp_path, StopAfter(3), *engine)
        except Killed:
            killed = True
    monkeypatch.setattr(checkpoint, "save", save)
    (done,), program = tmp_path.glob("chunks/*/done-*"), engine[1]
    assert program.segment is not None
    before, segment = done.read_bytes(), store.read_json(done)["segment"]
    head = store.segment_head(tmp_path, done.parent.name, segment)
    go_on(tmp_path, *engine)

    assert head is not None
    assert head.intervals == 3 < program.segment
    assert store.segment_head(tmp_path, done.parent.name, segment) == head
    assert done.read_bytes() == before
    assert_same_numbers(tmp_path, uncut)


@pytest.mark.parametrize("how", ["deleted", "cut", "flipped"])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(
    engine: tuple[Plan, Program, Compiled], uncut: Path, tmp_path: Path, die: Callable[[int], None], how: str
) -> None:
    """With its newest checkpoint damaged a queue says so and goes on one segment earlier, to the same parts."""
    plan, program, functions = engine
    cut(tmp_path, engine, die)
    while len(found := sorted(tmp_path.glob("chunks/*/checkpoint/[0-9]*"))) < 2:
        assert go_until(tmp_path, StopAfter(4), *engine)
    path = max((p for p in found[-1].rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    if how == "deleted":
        path.unlink()
    said = io.StringIO()
    loud = Progress(said, live=False)
    loud.begin(1, 1.0)
    train(tmp_path, plan, program, functions, loud)

    assert f"set aside as {found[-1].name}.damaged, and the one before is taken" in said.getvalue()
    assert f"going on after segment {int(found[-2].name)} " in said.getvalue()
    assert_same_numbers(tmp_path, uncut)


def cut(out: Path, engine: tuple[Plan, Program, Compiled], die: Callable[[int], None]) -> set[str]:
    """Train until a third of the runs is done, and return these."""
    writes = 0
    while len(store.done_runs(out)) < 8:
        writes += 7
        die(writes)
        with pytest.raises(Killed):
            go_on(out, *engine)
    die(0)
    return set(store.done_runs(out))


def test_a_study_that_grows_goes_on_with_its_queue(
    engine: tuple[Plan, Program, Compiled], uncut: Path, tmp_path: Path, die: Callable[[int], None]
) -> None:
    """With a seed more an unfinished queue is finished as it was, and the new runs train in a queue of their own."""
    _, program, functions = engine
    cut(tmp_path, engine, die)
    ((name, queue),) = store.iter_queues(tmp_path)
    grown = plan_of(seeds__count=4)
    bigger = dataclasses.replace(program, study=grown.study, group=grown.groups[0])
    go_on(tmp_path, grown, bigger, functions)
    queues = dict(store.iter_queues(tmp_path))
    (new,) = (value for key, value in queues.items() if key != name)

    assert queues[name] == queue
    assert set(flat_ids(new)) == {run.id for run in grown.runs} - set(flat_ids(queue))
    assert set(store.done_runs(tmp_path)) == {run.id for run in grown.runs}
    assert {part: told for part, told in published(tmp_path).items() if part.chunk == name} == published(uncut)
    assert_same_numbers(tmp_path, uncut)


@pytest.mark.parametrize("other", [{"devices": "cpu x 64"}, {"layout": [4, 2, 2], "asked": [4, 2, 2]}])
def test_a_queue_of_another_machine_is_abandoned(
    engine: tuple[Plan, Program, Compiled], uncut: Path, tmp_path: Path, die: Callable[[int], None], other: dict
) -> None:
    """A queue of other devices or slots is left as it is: its finished runs stay, the rest begins anew."""
    finished = cut(tmp_path, engine, die)
    ((name, queue),) = store.iter_queues(tmp_path)
    store.write_json(store.chunk_folder(tmp_path, name) / "queue.json", {**queue, **other})
    before = sorted(store.chunk_folder(tmp_path, name).rglob("*"))
    go_on(tmp_path, *engine)
    new = {key: value for key, value in store.iter_queues(tmp_path) if key != name}

    assert len(new) == 1
    assert set(flat_ids(*new.values())) == set(flat_ids(queue)) - finished
    assert {run for run, part in store.done_runs(tmp_path).items() if part.chunk == name} == finished
    assert sorted(store.chunk_folder(tmp_path, name).rglob("*")) == before
    assert_same_numbers(tmp_path, uncut)


EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")


def test_out_of_memory_halves_the_slots(
    engine: tuple[Plan, Program, Compiled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a device has no memory half the slots finish the group, and the next process begins with them."""
    plan, program, functions = engine
    original, said = execute.train_queue, io.StringIO()

    def train_queue(work: execute.Work, taken: Taken) -> None:
        if work.program.layout == LAYOUT:
            raise EXHAUSTED
        original(work, taken)

    monkeypatch.setattr(execute, "train_queue", train_queue)
    monkeypatch.setattr(jax, "devices", lambda: list(program.mesh.devices.flat))
    monkeypatch.setattr(engine_program, "choose_layout", lambda *_: LAYOUT)
    loud = Progress(said, live=False)
    loud.begin(1, 1.0)
    runs = unique(program.group.runs)
    job = Job(0, runs, program, ready(functions))
    with ThreadPoolExecutor(1) as pool, Leases(tmp_path) as leases:
        train_group(plan, job, pool, Sharing(tmp_path, leases), loud, None)
    queues = sorted((queue["layout"], queue["asked"]) for _, queue in store.iter_queues(tmp_path))
    again = choose_program(plan, digits(), program.group, tmp_path, None)

    assert "out of memory with 4 slots, going on with 2: RESOURCE_EXHAUSTED" in said.getvalue()
    assert queues == [([2, 1, 2], [2, 2, 2]), ([2, 2, 2], [2, 2, 2])]
    assert set(store.load_records(tmp_path)["run"]) == {run.id for run in runs}
    assert (again.layout, again.asked) == (Layout(2, 1, 2), LAYOUT)


@pytest.mark.parametrize(
    ("error", "expected", "text"),
    [
        (EXHAUSTED, StoreError, "one run per device does not fit the memory: RESOURCE_EXHAUSTED.* smaller batch"),
        (MemoryError(), StoreError, "does not fit the memory: no memory on the host"),
        (jax.errors.JaxRuntimeError("INTERNAL: broken"), jax.errors.JaxRuntimeError, "INTERNAL: broken"),
    ],
)
def test_one_slot_that_does_not_fit_is_told(
    engine: tuple[Plan, Program, Compiled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception,
    expected: type[Exception], text: str,
) -> None:  # fmt: skip
    """With one slot per device left a lack of memory is an error that says what to do; other errors stay themselves."""
    plan, program, functions = engine

    def train_runs(*_: Any) -> None:
        raise error

    monkeypatch.setattr(execute, "train_runs", train_runs)
    single = make_program(plan.study, digits(), program.group, jax.devices()[:2], Layout(2, 1, 2))
    job = Job(0, unique(program.group.runs), single, ready(functions))
    with ThreadPoolExecutor(1) as pool, Leases(tmp_path) as leases, pytest.raises(expected, match=text):
        train_group(plan, job, pool, Sharing(tmp_path, leases), progress(), None)
