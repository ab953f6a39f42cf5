"""Streamed training: the records of the resident program, from blocks that are loaded ahead, in bounded number."""

import dataclasses
import threading
import weakref
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from populations import assert_equal, assert_same_run, digits, make, train
from studies import tiny

import regjax
from regjax import store
from regjax.cli import make_parser
from regjax.config import parse_study
from regjax.data.base import Dataset, make_dataset
from regjax.keys import stream_key
from regjax.plan import make_plan
from regjax.preview import preview
from regjax.train import checkpoint, evaluate, layout, stream
from regjax.train.inputs import seed_of
from regjax.train.layout import Layout, is_large, make_rows
from regjax.train.program import Compiled, Program, make_program, place_data
from regjax.train.seats import begin, look
from regjax.train.stream import PREFETCHED, Block, Feed, Streamed, choose_block, count_stretch

# Batch norm, dropout, a split and a scale per seed, slots that are refilled, evaluations that do not divide an epoch,
# and evaluations and predictions of several batches.
HARD = tiny(
    data={"name": "digits", "split": {"train": 96, "validation": 64, "test": 1100}, "scale": "standard"},
    model={"name": "mlp", "widths": [8], "norm": "batch"},
    training={
        "steps": 42,
        "batch_size": 32,
        "evaluate_every": {"steps": 7},
        "keep": "best",
        "save_every": {"steps": 7},
    },
    measure={"predictions": "test"},
    seeds={"count": 6},
    factors={"dropout.hidden": [0.0, 0.5], "early_stopping.patience": [1, 3]},
)
PLAIN = {"optimizer": {"name": "sgd", "learning_rate": 0.1}, "factors": {"l2.strength": [0.0, 0.1]}}
SMALL_BLOCK = 32 * 65 * 4 * 3


def numbers(results: regjax.Results) -> pd.DataFrame:
    """Return all records but what the clock says."""
    return results.to_pandas().drop(columns="seconds")


@pytest.fixture(scope="module")
def resident(tmp_path_factory: pytest.TempPathFactory) -> regjax.Results:
    """Return the hard study trained from data on the devices."""
    return regjax.run(HARD, tmp_path_factory.mktemp("resident") / "out", stream=False, report=False)


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut intervals into several blocks, the last of them partly filled."""
    monkeypatch.setattr(stream, "BLOCK_BYTES", SMALL_BLOCK)


@pytest.mark.usefixtures("_small_blocks")
def test_streamed_equals_resident_bit_for_bit(resident: regjax.Results, tmp_path: Path) -> None:
    """Records, states, kept parameters and predictions of a streamed study are bit-equal to the resident one's."""
    streamed = regjax.run(HARD, tmp_path / "out", stream=True, report=False)

    pd.testing.assert_frame_equal(numbers(resident), numbers(streamed), check_exact=True)
    pd.testing.assert_frame_equal(resident.predictions(), streamed.predictions(), check_exact=True)
    assert_equal(resident.params(1, 2), streamed.params(1, 2))
    ours, theirs = (list(store.iter_done(results.out)) for results in (streamed, resident))
    assert [part["state"] for part in ours] == [part["state"] for part in theirs]
    assert {part["data"] for part in ours} == {"streamed"}
    assert {part["data"] for part in theirs} == {"resident"}


@pytest.mark.usefixtures("_small_blocks")
def test_interrupted_and_continued_streamed_equals_uninterrupted(
    resident: regjax.Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A streamed study killed at its second checkpoint goes on from there to the records of an unbroken one."""
    original = checkpoint.save

    def die_at_second(folder: Path, tree: Any) -> None:
        original(folder, tree)
        if folder.name == "000002":
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", die_at_second)
    with pytest.raises(KeyboardInterrupt):
        regjax.run(HARD, tmp_path / "out", stream=True, report=False)
    monkeypatch.setattr(checkpoint, "save", original)
    assert len(list((tmp_path / "out").rglob("seg-*.parquet"))) == 2
    continued = regjax.run(HARD, tmp_path / "out", stream=True, report=False)

    assert len(list((tmp_path / "out").glob("chunks/*/queue.json"))) == 1
    pd.testing.assert_frame_equal(numbers(resident), numbers(continued), check_exact=True)


def test_rows_of_cells_with_a_shared_split_equal_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of several columns, one split for all and several epochs to an interval give bit-equal runs, refilled."""
    monkeypatch.setattr(stream, "BLOCK_BYTES", 2 * 32 * (digits().x[:1].nbytes + 4))
    program = make(
        2,
        Layout(2, 2, 1),
        seeds__vary=["init", "order", "dropout"],
        training={"epochs": 4, "batch_size": 32, "evaluate_every": {"epochs": 2}},
        fixed={"early_stopping.patience": 1},
        factors={"dropout.hidden": [0.0, 0.5]},
    )
    streamed = dataclasses.replace(program, streamed=True)
    rows = make_rows(program.group.runs, 2)

    one = train(program, Compiled(program), rows)
    other = train(streamed, Streamed(streamed), rows)

    assert not program.axes.rows
    assert one.runs.keys() == other.runs.keys()
    for key, outcome in one.runs.items():
        assert_same_run(outcome, other.runs[key])


def numbered(count: int) -> Dataset:
    """Return examples whose one input is their row number."""
    rows = np.arange(count)
    return make_dataset("arrays", rows[:, None].astype(np.float32), (rows % 3).astype(np.int32), peak=1.0)


def numbered_program(dataset: Dataset, epochs: int, **seeds: Any) -> Program:
    """Return a streamed program on numbered examples: 3 batches of 16 to an epoch, 2 epochs to an interval."""
    study = parse_study(
        tiny(
            data={"name": "arrays", "path": "none.npz", "split": {"train": 50, "validation": 20, "test": 30}},
            training={"epochs": epochs, "batch_size": 16, "evaluate_every": {"epochs": 2}, "train_examples": 40},
            seeds={"count": 2, **seeds},
            **PLAIN,
        )
    )
    (group,) = make_plan(study, dataset).groups
    return make_program(study, dataset, group, jax.devices()[:2], Layout(2, 2, 1), streamed=True)


def test_examples_come_in_the_order_of_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks hold each row's permutations batch by batch, also from mid-training on, and then all splits in turn."""
    monkeypatch.setattr(stream, "BLOCK_BYTES", 2 * 16 * 8)
    monkeypatch.setattr(evaluate, "EVALUATION_BATCH", 40)
    program = numbered_program(numbered(120), epochs=4)
    streamed = Streamed(program)
    live = begin(program, streamed, place_data(program), make_rows(program.group.runs, 2))
    updates = stream.cut_interval(6, streamed.stretch, streamed.block)
    feed = streamed.open_feed(live.seed, np.array([0, 6], np.int32), updates, 1)
    blocks = [feed.take() for _ in range(len(updates) + 3)]

    assert [count for _, _, count in updates] == [2, 1, 2, 1]
    for row, start in enumerate((0, 2)):
        run = live.queue[row][0].runs[0]
        rows = seed_of(program.study, program.dataset, run).rows
        seen = [np.asarray(block.x)[row, :count, :, 0] for block, (*_, count) in zip(blocks, updates, strict=False)]
        keys = [jax.random.fold_in(stream_key(run.seed, "order"), start + epoch) for epoch in (0, 1)]
        expected = [np.asarray(jax.random.permutation(key, jnp.asarray(rows.train)))[:48] for key in keys]
        np.testing.assert_array_equal(np.concatenate(seen).ravel(), np.concatenate(expected))
        evaluated = np.concatenate([np.asarray(block.x)[row, :, 0] for block in blocks[4:]])
        splits = np.concatenate([rows.train[:40], rows.validation, rows.test])
        np.testing.assert_array_equal(evaluated, splits)
        for block in blocks:
            np.testing.assert_array_equal(np.asarray(block.y)[row], np.asarray(block.x)[row, ..., 0] % 3)


def test_blocks_that_exist_at_once_are_bounded() -> None:
    """Threads load ahead of the training, by PREFETCHED blocks and never more; what was trained on is freed."""
    taken, started, alive = [0], [0], []
    changed, furthest, most = threading.Condition(), [0], [0]

    def load(index: int) -> Block:
        host = np.zeros(100)
        with changed:
            alive.append(weakref.ref(host))
            started[0] += 1
            furthest[0] = max(furthest[0], started[0] - taken[0])
            most[0] = max(most[0], sum(reference() is not None for reference in alive))
            changed.notify()
        return Block(jnp.zeros(1), jnp.zeros(1), jnp.zeros(1), (host, host, host))

    feed = Feed(load, 20)
    for _ in range(20):
        taken[0] += 1
        block = feed.take()
        with changed:
            assert changed.wait_for(lambda: started[0] >= min(20, taken[0] + PREFETCHED), timeout=30)
        feed.release(block, block.x + 1)
        del block

    assert furthest[0] == PREFETCHED
    assert most[0] <= PREFETCHED + 2


class Broken(np.ndarray):
    """Examples that cannot be read once training begins."""

    def __getitem__(self, index: Any) -> Any:
        """Raise at batches of rows."""
        if isinstance(index, np.ndarray):
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def test_an_error_while_loading_is_raised() -> None:
    """An error of a loading thread ends the training with that error, not with a hang."""
    dataset = numbered(120)
    program = numbered_program(dataset._replace(x=dataset.x.view(Broken)), epochs=4)
    streamed, data = Streamed(program), place_data(program)
    live = begin(program, streamed, data, make_rows(program.group.runs, 2))

    with pytest.raises(OSError, match="the disk is gone"):
        look(program, streamed, data, live)


def test_large_data_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data above a share of the memory is streamed, by hand any data is; then one example lies on the devices."""
    dataset, devices = numbered(120), jax.devices()[:2]
    huge = dataset._replace(x=np.broadcast_to(np.uint8(0), (10**9, 28, 28, 3)))
    by_hand = numbered_program(dataset, epochs=2)
    assert not is_large(dataset, devices)
    assert is_large(huge, devices)

    def choose(asked: bool | None) -> bool:
        return make_program(by_hand.study, dataset, by_hand.group, devices, streamed=asked).streamed

    assert (choose(None), choose(True)) == (False, True)
    monkeypatch.setattr(layout, "DATA_SHARE", 0.0)
    assert (choose(None), choose(False)) == (True, False)
    assert [len(array) for array in place_data(by_hand)] == [1, 1]


def test_blocks_cut_a_stretch_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block takes no more than its bytes on a device, at least one update, and leaves little of the last empty."""
    program = numbered_program(numbered(120), epochs=2)  # one row of slots to a device, 16 examples of 8 bytes
    found = []
    for size in (1, 16 * 8 * 4, 16 * 8 * 9, 2**20):
        monkeypatch.setattr(stream, "BLOCK_BYTES", size)
        found.append(choose_block(program, 10))

    assert found == [1, 4, 5, 10]
    assert count_stretch(program.group.runs[0].recipe, 50) == 3


def test_six_programs_without_a_collective_operation() -> None:
    """The streamed programs of a group are six, and none has an operation that talks between devices."""
    streamed = Streamed(numbered_program(numbered(120), epochs=2))
    compiled = [value for value in vars(streamed).values() if isinstance(value, jax.stages.Compiled)]
    words = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter", "collective-broadcast")

    assert len(compiled) == 6
    assert not [word for function in compiled for word in words if word in function.as_text()]
    assert streamed.memory() > streamed.ahead > 0


@pytest.mark.parametrize(("words", "stream"), [([], None), (["--stream"], True), (["--no-stream"], False)])
def test_the_command_line_chooses(words: list[str], stream: bool | None) -> None:
    """`--stream` and `--no-stream` choose where the data lies; without them its size does."""
    parse = make_parser().parse_args

    assert parse(["run", "study.toml", "--out", "out", *words]).stream is stream
    assert parse(["plan", "study.toml", *words]).stream is stream


def test_the_plan_says_that_data_is_streamed() -> None:
    """`regjax plan --stream` says of a group that its data is streamed."""
    assert "data streamed from the host" in preview(tiny(**PLAIN), stream=True)
