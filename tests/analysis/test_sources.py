"""Shares of variance by stream: closed forms, unbiasedness, intervals, and how they are read from a run directory."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import simulate_sources
from scipy import stats

from regjax import store
from regjax.analysis.sources import count_mixed, estimate, make_sources
from regjax.analysis.table import load_table
from regjax.report.sources import make_section

PAIRS = [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_an_additive_world_has_equal_total_and_first_order_shares() -> None:
    """Where streams add up both shares of one are the mean of (a - b)^2 / 2 by V, written out by hand."""
    # Two streams; the values of the seeds of a pair differ by d1 in one and d2 in the other.
    first, second = np.array([[0.0, 1.0], [2.0, 5.0], [1.0, 3.0]]), np.array([[0.0, 2.0], [1.0, 0.0], [4.0, 3.0]])
    y = first + second
    z = np.array([first[:, ::-1] + second, first + second[:, ::-1]])
    found = estimate(y, z)

    d1, d2 = first[:, 0] - first[:, 1], second[:, 0] - second[:, 1]
    whole = np.mean([(d1 + d2) ** 2, (d2 - d1) ** 2, (d1 - d2) ** 2], axis=0).mean() / 2
    expected = np.array([(d1**2).mean(), (d2**2).mean()]) / 2 / whole
    assert found.total.share == pytest.approx(np.minimum(expected, 1))
    for mine, same in zip(found.first, found.total, strict=True):
        assert mine == pytest.approx(same)
    assert found.sd == pytest.approx(np.sqrt([(d1**2).mean() / 2, (d2**2).mean() / 2]))


def test_a_single_stream_makes_all_of_the_variance() -> None:
    """With one stream the swapped run is the partner's run, and its share is 1 with an interval of one point."""
    y = np.random.default_rng(0).normal(size=(5, 2))
    found = estimate(y, y[None, :, ::-1])

    assert [float(end[0]) for end in (*found.total, *found.first)] == pytest.approx([1.0] * 6)


def test_a_stream_that_changes_nothing_has_no_share() -> None:
    """Its shares and all ends are exactly 0; the same without any variance at all is no share, and SD 0."""
    y = np.random.default_rng(1).normal(size=(5, 2))
    found = estimate(y, np.array([y, y[:, ::-1]]))
    assert [float(end[0]) for end in (*found.total, *found.first)] == [0.0] * 6

    flat = estimate(np.ones((5, 2)), np.ones((2, 5, 2)))
    assert np.isnan(flat.total.share).all()
    assert flat.sd_all == 0.0
    assert (flat.sd == 0.0).all()


@pytest.mark.parametrize("name", list(simulate_sources.WORLDS))
def test_the_parts_are_unbiased(name: str) -> None:
    """Over many pairs both shares are the true ones, and the total of interacting streams sums to more than 1."""
    world = simulate_sources.WORLDS[name]
    found = estimate(*simulate_sources.draw(world, 300_000, np.random.default_rng(2)))

    assert found.total.share == pytest.approx(world.total, abs=0.03)
    assert found.first.share == pytest.approx(world.first, abs=0.03)
    assert (found.total.share.sum() > 1.2) == (name == "interacting")


def test_variances_are_right_on_average_for_two_seeds() -> None:
    """The mean over single pairs of sd^2 is the true total variance, however few pairs a study has."""
    world, rng = simulate_sources.WORLDS["interacting"], np.random.default_rng(3)
    squares = np.array([estimate(*simulate_sources.draw(world, 1, rng)).sd ** 2 for _ in range(4000)])

    error = squares.std(axis=0) / np.sqrt(len(squares))
    assert (np.abs(squares.mean(axis=0) - 0.93 * world.total) < 4 * error).all()


def test_intervals_hold_the_truth() -> None:
    """Of 400 additive studies of 20 seeds at least 90%, chance aside, hold each true share in its interval."""
    found = simulate_sources.simulate(simulate_sources.WORLDS["additive"], 20, 400)

    least = stats.binom.ppf(0.001, 400, 0.90) / 400
    assert (found["total"] >= least).all()
    assert (found["first"] >= least).all()


def test_few_pairs_and_one_change() -> None:
    """Two pairs have shares and no intervals; a stream that changed one pair alone has the interval [0, 1]."""
    y = np.random.default_rng(4).normal(size=(4, 2))
    z = np.array([y, y[:, ::-1]])
    z[0, 2, 0] += 0.5

    found = estimate(y, z)
    assert 0 < found.total.share[0] < 1
    assert (found.total.low[0], found.total.high[0]) == (0.0, 1.0)
    few = estimate(y[:2], z[:, :2])
    assert np.isfinite(few.total.share).all()
    assert np.isnan([few.total.low, few.total.high, few.first.low, few.first.high]).all()


@pytest.fixture
def swapped(folder: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that writes a run directory whose second half of cells are runs that redraw a stream."""

    def write(y: np.ndarray, z: np.ndarray, **kwargs) -> Path:
        out = folder(np.concatenate([y, *z]), **kwargs)
        runs, plan = store.load_runs(out), store.load_plan(out)
        streams, num_cells = ["init", "order"][: len(z)], len(y)
        extra = runs["cell"] >= num_cells
        runs["stream"] = [
            streams[cell // num_cells - 1] if e else "" for cell, e in zip(runs["cell"], extra, strict=True)
        ]
        runs.loc[extra, "wave"] = "sources"
        runs["cell"] %= num_cells
        plan["cells"] = plan["cells"][:num_cells]
        plan["sources"] = {"streams": streams, "cells": "all", "pairs": PAIRS}
        store.save_plan(out, plan, runs)
        return out

    return write


def test_shares_are_read_from_a_run_directory(swapped: Callable[..., Path]) -> None:
    """Rows per cell and stream are those of `estimate`; the reported runs are those of the table and no others."""
    rng = np.random.default_rng(5)
    y, z = rng.uniform(size=(2, 8)).astype(np.float32), rng.uniform(size=(2, 2, 8)).astype(np.float32)
    table = load_table(swapped(y, z))
    frame = make_sources(table)

    assert list(zip(frame["cell"], frame["stream"], strict=True)) == [
        ("cell 0", "init"), ("cell 0", "order"), ("cell 1", "init"), ("cell 1", "order")
    ]  # fmt: skip
    for cell in range(2):
        expected = estimate(y[cell].reshape(4, 2), z[:, cell].reshape(2, 4, 2))
        mine = frame[frame["cell"] == f"cell {cell}"]
        assert mine["total"].to_numpy() == pytest.approx(expected.total.share)
        assert mine["first_high"].to_numpy() == pytest.approx(expected.first.high)
        assert (mine["n"] == 4).all()
    assert table.status.done.shape == (2, 8)


def test_pairs_are_of_seeds_by_their_numbers(swapped: Callable[..., Path]) -> None:
    """A study whose first seed is 100 has the shares of the same runs with seeds from 0."""
    rng = np.random.default_rng(15)
    out = swapped(rng.uniform(size=(2, 8)).astype(np.float32), rng.uniform(size=(2, 2, 8)).astype(np.float32))
    before = make_sources(load_table(out))
    runs, plan = store.load_runs(out), store.load_plan(out)
    runs["seed"] += 100
    plan["seeds"] = [seed + 100 for seed in plan["seeds"]]
    plan["sources"]["pairs"] = [[seed + 100 for seed in pair] for pair in plan["sources"]["pairs"]]
    store.save_plan(out, plan, runs)

    pd.testing.assert_frame_equal(make_sources(load_table(out)), before)


def test_pairs_with_a_lost_run_are_left_out(swapped: Callable[..., Path]) -> None:
    """A diverged reported run and an absent redrawn one each take their pair from all streams of that cell alone."""
    rng = np.random.default_rng(6)
    y, z = rng.uniform(size=(2, 8)), rng.uniform(size=(2, 2, 8))
    table = load_table(swapped(y, z, diverged={(0, 0): 0}, absent={(4, 5)}))
    frame = make_sources(table)

    assert frame["n"].tolist() == [2, 2, 4, 4]
    kept = estimate(y[0].reshape(4, 2)[[1, 3]], z[:, 0].reshape(2, 4, 2)[:, [1, 3]])
    assert frame["total"][:2].to_numpy() == pytest.approx(kept.total.share, rel=1e-5)
    section = make_section(table)
    assert section is not None
    assert section.sentences[2:] == ("Pairs with a run that diverged or is not done are left out.",)


@pytest.mark.parametrize(("layouts", "mixed"), [(([2, 2, 1], [2, 2, 1]), 0), (([2, 2, 1], [4, 1, 1]), 4)])
def test_pairs_of_several_layouts_are_counted(swapped: Callable[..., Path], layouts: tuple, mixed: int) -> None:
    """Even and odd seeds lie in two chunks here: pairs are mixed exactly where the chunks' layouts differ."""
    out = swapped(np.ones((2, 8)), np.ones((2, 2, 8)))
    for chunk, layout in zip(("chunk0", "chunk1"), layouts, strict=True):
        queue = {"layout": layout, "devices": "cpu x 1", "data": "resident"}
        store.write_json(store.chunk_folder(out, chunk) / "queue.json", queue)

    assert count_mixed(load_table(out)) == mixed
    section = make_section(load_table(out))
    assert section is not None
    told = "The runs of 4 pairs of seeds come from several layouts or devices: what rounding does"
    assert [sentence.startswith(told) for sentence in section.sentences[2:]] == [True] * bool(mixed)


def test_runs_to_come_mix_nothing_and_leave_no_shares(swapped: Callable[..., Path]) -> None:
    """A pair of which only runs of one layout are done is not mixed; without a whole pair a share is NaN, not 0."""
    out = swapped(
        np.ones((2, 8)), np.ones((2, 2, 8)), absent={(cell, seed) for cell in range(6) for seed in (1, 3, 5, 7)}
    )
    for chunk, layout in (("chunk0", [2, 2, 1]), ("chunk1", [4, 1, 1])):
        queue = {"layout": layout, "devices": "cpu x 1", "data": "resident"}
        store.write_json(store.chunk_folder(out, chunk) / "queue.json", queue)
    table = load_table(out)
    frame = make_sources(table)

    assert count_mixed(table) == 0
    assert frame["n"].tolist() == [0] * 4
    assert frame[["total", "low", "high", "first", "first_low", "first_high", "sd", "sd_all"]].isna().all(axis=None)


def test_a_study_without_sources_has_no_rows(table: Callable) -> None:
    """There is a frame with all columns and nothing in it."""
    frame = make_sources(table(np.ones((2, 3))))
    assert frame.empty
    assert {"cell", "stream", "total", "first", "sd"} <= set(frame.columns)
