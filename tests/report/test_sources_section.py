"""The section on sources of variance: its sentence, its table, its figure."""

import numpy as np
import pandas as pd
import pytest

from regjax.report.sources import draw_sources, percent, sources_grid, sources_sentence


def make_frame(cells: int = 2, pairs: int = 6) -> pd.DataFrame:
    """Return shares of three streams in some cells."""
    total = np.array([0.2, 0.714, 0.0])
    rows = {
        "stream": ["init", "split", "dropout"], "total": total, "low": total / 2, "high": total * 1.2,
        "first": total / 3, "first_low": total / 4, "first_high": total / 2, "sd": np.sqrt(total) / 100,
    }  # fmt: skip
    frames = [pd.DataFrame({"cell": f"cell <{i}>", "metric": "test.accuracy", "at": "last", "n": pairs, **rows})
              for i in range(cells)]  # fmt: skip
    frame = pd.concat(frames, ignore_index=True).assign(sd_all=0.01)
    ends = ["low", "high", "first_low", "first_high"]
    frame[ends] = frame[ends] if pairs >= 3 else np.nan
    return frame


def test_the_sentence_names_the_largest_share_first() -> None:
    """The baseline cell's streams come by size with their intervals, after the SD in percentage points."""
    text = sources_sentence(make_frame())

    assert "In the baseline cell (cell <0>) the seed-to-seed SD of test accuracy is 1.00 pp" in text
    assert text.index("split into training, validation and test 71% [36%, 86%]") < text.index("initial weights 20%")
    assert text.endswith("dropout draws 0% [0%, 0%] (6 pairs of seeds).")
    assert "no intervals" in sources_sentence(make_frame(pairs=2))
    assert "do not differ" in sources_sentence(make_frame().assign(sd_all=0.0, total=np.nan))


def test_a_small_share_is_not_written_as_none() -> None:
    """Nothing is 0%, and what is little is not."""
    assert (percent(0.0), percent(0.031), percent(0.0996), percent(np.nan)) == ("0%", "3.1%", "10%", "–")


def test_the_table_has_a_row_per_cell_and_stream() -> None:
    """SDs are in percentage points, missing intervals dashes."""
    rows = sources_grid(make_frame(pairs=2)).rows

    assert len(rows) == 6
    assert rows[1].cells[1:] == ("split", "2", "71%", "–", "24%", "–", "0.84", "1.00")


@pytest.mark.parametrize("cells", [1, 12])
def test_the_figure_carries_its_numbers(cells: int) -> None:
    """Equal input gives equal bytes, names are escaped, the data are those drawn, and what is cut is said."""
    frame = make_frame(cells)
    drawing = draw_sources(frame)

    assert drawing[:4] == draw_sources(frame)[:4]
    assert "cell &lt;0&gt;" in drawing.svg
    assert "split 71%" in drawing.alt
    assert drawing.data is not None
    assert len(drawing.data) == 3 * min(cells, 8)
    assert ("The first 8 of 12 cells" in drawing.caption) == (cells == 12)
