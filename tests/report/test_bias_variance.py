"""The section on bias and variance: its numbers, its figure, and when it is left out."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regjax.report.bias_variance import draw_split, find_axis, make_section


def make_frame(names: list[str]) -> pd.DataFrame:
    """Return splits of some cells with intervals."""
    bias, variance = np.linspace(0.1, 0.2, len(names)), np.linspace(0.2, 0.1, len(names))
    frame = pd.DataFrame(
        {"cell": names, "loss": "squared", "risk": bias + variance, "bias": bias, "variance": variance}
    )
    ends = {
        f"{name}_{end}": frame[name] + d for name in ("bias", "variance") for end, d in (("low", -0.1), ("high", 0.1))
    }
    return frame.assign(**ends)


def plan_of(path: str, levels: list[Any]) -> Any:
    """Return a table that knows only its factor."""
    cells = [{"levels": {path: level}} for level in levels]
    return SimpleNamespace(plan={"factors": [{"path": path, "levels": levels}], "cells": cells})


@pytest.mark.parametrize(
    ("levels", "axis"),
    [
        ([0.0, 0.5], [0.0, 0.5]),
        ([[16], [32, 32]], [16.0, 32.0]),
        ([[16], [32, 16]], None),
        (["none", "batch"], None),
        ([False, True], None),
    ],
)
def test_a_factor_of_numbers_is_an_axis(levels: list[Any], axis: list[float] | None) -> None:
    """Numbers and equal widths make an axis; names, switches and mixed widths do not."""
    found = find_axis(plan_of("some.path", levels))
    assert (found and found[1]) == axis


@pytest.mark.parametrize("levels", [[0.01, 0.0, 0.001], ["none", "<b>", "layer"]], ids=["numbers", "names"])
def test_the_figure_says_its_numbers_and_is_the_same_twice(levels: list[Any]) -> None:
    """Every cell is in the words for those who do not see it, text is escaped, equal input gives equal bytes."""
    frame = make_frame([f"some.path={level}" for level in levels])
    drawing = draw_split(plan_of("some.path", levels), frame)
    assert all(f"{cell}: risk 0.3, bias" in drawing.alt for cell in frame["cell"])
    assert "risk = bias² + variance" in drawing.caption
    assert "<b>" not in drawing.svg
    assert drawing.svg == draw_split(plan_of("some.path", levels), frame).svg


def test_a_study_without_predictions_has_no_section() -> None:
    """Nothing is said where nothing is kept."""
    assert make_section(SimpleNamespace(out=None, plan={"vary": ["init"]})) is None
