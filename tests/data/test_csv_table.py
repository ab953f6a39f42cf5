"""A user's .csv file."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regjax.data import DataError, load_dataset, memory

HEAD = "age,site,smokes,kind"
ROWS = ["41,north,True,b", "38.5,south,False,a", "52,east,True,b", "47,north,False,a"]


def save(folder: Path, text: str, name: str = "own.csv") -> Path:
    """Write a text and return its path."""
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_columns_become_features(tmp_path: Path) -> None:
    """Numbers stand as they are, truth values are 1 and 0, a column of texts is one 0/1 feature for each in order."""
    found = load_dataset("arrays", path=save(tmp_path, "\n".join([HEAD, *ROWS])), y="kind")

    expected = [[41, 0, 1, 0, 1], [38.5, 0, 0, 1, 0], [52, 1, 0, 0, 1], [47, 0, 1, 0, 0]]
    np.testing.assert_array_equal(found.x, np.array(expected, np.float32))
    assert (found.x.dtype, found.peak, found.y.tolist(), found.num_classes) == (np.float32, 1.0, [1, 0, 1, 0], 2)


def test_targets_by_their_kind(tmp_path: Path) -> None:
    """Whole numbers are labels, numbers with a decimal point values; the file equals the same arrays."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"a": generator.normal(size=8), "n": np.arange(8) % 3, "v": generator.normal(size=8)})
    frame.to_csv(tmp_path / "own.CSV", index=False)
    np.savez(tmp_path / "own.npz", x=frame[["a", "v"]], y=frame["n"], w=frame[["a", "n"]], z=frame["v"])

    for column, x, y in (("n", "x", "y"), ("v", "w", "z")):
        table = load_dataset("arrays", path=tmp_path / "own.CSV", y=column)
        assert table.digest == load_dataset("arrays", path=tmp_path / "own.npz", x=x, y=y).digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,4\n", r"has no column 'y'; available: 'a', 'b'; set data\.y"),
        (",a,y\n0,1,2\n1,3,4\n", r"column 1 has no name; if it numbers the rows, leave it out"),
        ("f,y,y\n1,2,2\n3,4,4\n", r"column 'y' stands twice in the head, expected a name of its own for each; rename"),
        ('"y ",f, y\n1,2,2\n3,4,4\n', r"column 'y' stands twice"),
        ("f,f,f.1,y\n1,2,2,0\n3,4,4,1\n", r"column 'f' stands twice"),
        (",,y\n0,1,2\n1,3,4\n", r"column 1 has no name"),
        ("a,y\n1,2\n,3\n", r"column 'a' has no value in 1 of 2 rows, first in row 2 after the head"),
        ("a,y\n1,2\n3,NA\n", r"column 'y' has no value in 1 of 2 rows"),
        ("a,y\n1,2,3\n4,5,6\n", r"more fields in its rows than names"),
        ("a,y\n1,2\n4,5,6\n", r"no readable \.csv file: .*line 3"),
        ("a;y\n1;2\n", r"one column, 'a;y'; expected columns separated by commas"),
        ("y\n1\n2\n", r"has the column 'y' alone"),
        ("a,y\n1,2\n3,2\n", r"one class only \(2\)"),
        ("a,y\n1,b\n3,b\n", r"column 'y' holds one class only \('b'\), expected at least two"),
        ("a,y\n1,2\ninf,3\n", r"not finite as float32 in 1 of 2 rows"),
        ("a,y\n" + "".join(f"name{i},{i % 2}\n" for i in range(65)), r"'a' has 65 different texts, such as 'name0'"),
        ("", r"no readable \.csv file: No columns"),
        ("a,y\n\0\ud800", None),
    ],
)
def test_refusals(text: str, message: str | None, tmp_path: Path) -> None:
    """A table that cannot be trained on is refused with the column, what was got and what to do."""
    path = tmp_path / "own.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=message):
        load_dataset("arrays", path=path)


def test_texts_are_sorted_by_their_letters(tmp_path: Path) -> None:
    """Features and labels of texts stand in the order of code points, whatever the letters."""
    texts = ["\u00fc", "B", "a\U0001f600", "a", "\ufb01"]
    rows = [f"{texts[i % 5]},{texts[i % 3]}" for i in range(30)]
    found = load_dataset("arrays", path=save(tmp_path, "\n".join(["a,y", *rows])))

    np.testing.assert_array_equal(found.x, np.eye(5, dtype=np.float32)[[sorted(texts).index(t) for t in texts] * 6])
    np.testing.assert_array_equal(found.y, [sorted(texts[:3]).index(t) for t in texts[:3]] * 10)


def test_names_that_resemble_are_two_columns(tmp_path: Path) -> None:
    """A head that holds "y" and "y.1" itself has two columns."""
    assert load_dataset("arrays", path=save(tmp_path, "y.1,y\n5,0\n6,1\n")).x.tolist() == [[5], [6]]


def measure(path: Path) -> tuple[str, int]:
    """Return why a table is refused, if it is, and the most bytes that reading it takes."""
    said = ""
    tracemalloc.start()
    try:
        load_dataset("arrays", path=path)
    except DataError as error:
        said = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return said, peak


@pytest.mark.parametrize("row", ["{},1,b", "a,1,{}"])
def test_a_long_text_takes_its_own_length_only(row: str, tmp_path: Path) -> None:
    """A cell of 200,000 letters among 1,500 rows, of an input or of the targets, takes a few MiB to read."""
    rows = [row.format("z" * 200_000), *["a,1,a", "b,1,b"] * 750]
    said, peak = measure(save(tmp_path, "\n".join(["a,n,y", *rows])))
    assert (said, peak < 2**23) == ("", True)


def test_features_are_counted_before_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns of texts whose features do not fit, and rows without fields, are refused before these take memory."""
    texts = [",".join([f"t{i % 60}"] * 30) + f",{i % 2}" for i in range(2500)]
    head = ",".join(f"c{i}" for i in range(30))
    path = save(tmp_path, "\n".join([f"{head},y", *texts]))
    wide = save(tmp_path, f"{','.join(f'c{i}' for i in range(200))},y\n" + "1\n" * 10000, "wide.csv")
    monkeypatch.setattr(memory, "find_limit", lambda: 2**24)

    for refused, message in ((path, "the inputs would take 18000000 bytes"), (wide, "10001 rows of 201 columns")):
        said, peak = measure(refused)
        assert message in said
        assert peak < 2**22


def test_other_arguments(tmp_path: Path) -> None:
    """A key of inputs belongs to .npz files, and a file that is absent is said to be so."""
    with pytest.raises(DataError, match=r"data\.x: is a key of \.npz files"):
        load_dataset("arrays", path=save(tmp_path, "\n".join([HEAD, *ROWS])), x="age", y="kind")
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        load_dataset("arrays", path=tmp_path / "none.csv")
