"""Which cells share a program: by structure, and by what a second program costs against what it saves."""

from typing import Any

import jax
import pytest
from small_runs import make_batches, make_recipe, make_seed, same_bits, traced, train
from studies import tiny

from regjax import grouping
from regjax.config import parse_study
from regjax.data import Dataset, load_dataset
from regjax.plan import make_plan
from regjax.regularizers import Dropout

LONG = {"steps": 200_000_000, "batch_size": 32, "evaluate_every": {"steps": 1000}}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Return the embedded data set."""
    return load_dataset("digits")


def groups(digits: Dataset, **changes: Any) -> list[tuple[int, tuple]]:
    """Return (number of runs, regularizers of the first run) of every group of a study."""
    plan = make_plan(parse_study(tiny(**changes)), digits)
    return [(len(group.runs), group.runs[0].recipe.regularizers) for group in plan.groups]


def test_a_short_study_is_one_program(digits: Dataset) -> None:
    """Cells without dropout join those with it, and what all have off, the input's rate, is left out."""
    assert groups(digits) == [(6, (Dropout(hidden=0.0, input=None),))]


def test_a_rate_that_any_cell_has_on_is_in_all(digits: Dataset) -> None:
    """A factor on the input's rate keeps it a number in every cell, and leaves the hidden rate out."""
    ((count, parts),) = groups(digits, factors={"dropout.input": [0.0, 0.2]})

    assert count == 6
    assert parts == (Dropout(hidden=None, input=0.0),)


def test_a_long_study_compiles_a_second_program(digits: Dataset) -> None:
    """Where the draws saved take longer than a compilation, cells without dropout have a program without draws."""
    assert groups(digits, training=LONG) == [(3, ()), (3, (Dropout(hidden=0.5, input=None),))]


def test_a_program_for_what_costs_nothing_is_never_made(digits: Dataset) -> None:
    """Penalties are next to free where they are off: their cells share one program however long the study is."""
    ((count, _),) = groups(digits, training=LONG, factors={"l2.strength": [0.0, 0.001]})

    assert count == 6


def test_an_accelerator_has_one_program(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off the CPU draws are next to free, and all cells share one program."""
    monkeypatch.setattr(grouping.jax, "default_backend", lambda: "gpu")

    assert len(groups(digits, training=LONG)) == 1


def test_more_seeds_are_more_to_save(digits: Dataset) -> None:
    """What a program apart saves grows with the seeds: a study of one seed joins, of two hundred parts."""
    training = {**LONG, "steps": 20_000_000}

    assert len(groups(digits, training=training, seeds__count=1)) == 1
    assert len(groups(digits, training=training, seeds__count=200)) == 2


def test_rates_left_out_change_no_bit() -> None:
    """Dropout that is off, off with the input's site left out, and absent train bit-equal; so do 0.5 with both (I1)."""
    x, labels = make_batches(20)
    variants = [(), (Dropout(hidden=0.0, input=None),), (Dropout(hidden=0.0, input=0.0),)]
    off = [jax.jit(train)(traced(make_recipe(*parts)), make_seed(), x, labels) for parts in variants]
    on = [
        jax.jit(train)(traced(make_recipe(Dropout(hidden=0.5, input=rate))), make_seed(), x, labels)
        for rate in (None, 0.0)
    ]

    assert same_bits(off[0][0].params, off[1][0].params)
    assert same_bits(off[0][0].params, off[2][0].params)
    assert same_bits(on[0][0].params, on[1][0].params)
    assert not same_bits(off[0][0].params, on[0][0].params)
