"""Estimates of `regjax plan`, and the layout they describe."""

from pathlib import Path

import jax
import pytest
from studies import tiny

from regjax.config import load_study, parse_study
from regjax.data import load_dataset
from regjax.plan import make_plan
from regjax.train.estimate import estimate_group
from regjax.train.layout import Chunk, choose_slots, make_chunks
from regjax.train.program import Compiled, make_program, start

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("widths", [[128, 128], [512, 512]])
def test_memory_estimate_is_near_what_the_compiler_reports(widths: list[int]) -> None:
    """The estimated bytes per device lie within a factor of two of the compiled program's, on two devices."""
    digits = load_dataset("digits")
    study = parse_study(
        tiny(model__widths=widths, seeds__count=8, data__split={"train": 960, "validation": 300, "test": 300})
    )
    (group,) = make_plan(study, digits).groups
    program = make_program(study, digits, group, jax.devices()[:2])
    measured = Compiled(program, start(program, Chunk(group.runs[: program.slots], program.slots))).memory()

    assert 0.5 < estimate_group(program, 1e11).bytes_per_device / measured < 2


def test_time_estimate_grows_with_the_work() -> None:
    """Twice the seeds take twice as long; the estimate of the quickstart is seconds, not hours."""
    digits = load_dataset("digits")
    costs = []
    for count in (10, 20):
        study = load_study(ROOT / "configs" / "quickstart.toml", [f"seeds.count={count}"])
        group = make_plan(study, digits).groups[0]
        costs.append(estimate_group(make_program(study, digits, group, jax.devices()[:2]), 3e11).seconds)

    assert costs[1] == pytest.approx(2 * costs[0])
    assert 0.5 < costs[1] < 60


@pytest.mark.parametrize(
    ("runs", "devices", "expected"), [(60, 2, 60), (61, 2, 62), (1, 4, 4), (300, 2, 100), (7, 1, 7)]
)
def test_slots_are_even_over_devices_and_little_is_padded(runs: int, devices: int, expected: int) -> None:
    """Small members: as few chunks as fit, slots a multiple of the devices, less than one row of padding per chunk."""
    assert choose_slots(runs, 1000, jax.devices()[:devices]) == expected


def test_large_members_train_few_at_a_time() -> None:
    """A member whose state exceeds the share of a CPU device's cache still gets one slot per device."""
    assert choose_slots(60, 10**9, jax.devices()[:2]) == 2


def test_chunks_hold_every_run_once() -> None:
    """Runs are cut into chunks in order; only the last is short."""
    chunks = make_chunks(list(range(10)), 4)  # type: ignore[arg-type]
    assert [list(chunk.runs) for chunk in chunks] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
