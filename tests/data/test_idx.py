"""IDX files."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from regjax.data import DataError
from regjax.data.idx import read_idx

HEAD = struct.pack(">4I", 0x0803, 2, 3, 4)
BODY = bytes(range(24))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(arrays(np.uint8, array_shapes(max_dims=4, max_side=6)))
def test_round_trip(tmp_path_factory, array):
    """Arrays of any shape are read as they were written."""
    path = tmp_path_factory.mktemp("idx") / "a.gz"
    head = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))

    np.testing.assert_array_equal(array, read_idx(path, array.shape))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(HEAD + BODY[:-1]), "only 39 bytes, expected 40"),
        (gzip.compress(HEAD + BODY + b"\0"), "more bytes, expected 40"),
        (gzip.compress(struct.pack(">4I", 0x0D03, 2, 3, 4) + BODY), "starts with 00000d03"),
        (gzip.compress(struct.pack(">4I", 0x0803, 2, 4, 3) + BODY), "expected the IDX head"),
        (gzip.compress(b""), "starts with ,"),
        (HEAD + BODY, "no readable gzip file"),
        (gzip.compress(HEAD + BODY)[:-9], "no readable gzip file"),
        (gzip.compress(HEAD + BODY)[:-8] + bytes(8), "no readable gzip file"),
    ],
    ids=["short", "long", "type", "shape", "empty", "no gzip", "cut", "checksum"],
)
def test_refusals(tmp_path, content, message):
    """Another kind, shape or length, a damaged or a cut gzip file are refused by name."""
    path = tmp_path / "a.gz"
    path.write_bytes(content)

    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, (2, 3, 4))
    assert "a.gz" in str(caught.value)


def test_absent(tmp_path):
    """An absent file is refused by name."""
    with pytest.raises(DataError, match=r"a\.gz"):
        read_idx(tmp_path / "a.gz", (2,))


def test_bomb(tmp_path, monkeypatch):
    """No more than the declared size and one byte is decompressed, however much the file holds."""
    asked = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: asked.append(size) or read(self, size))
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(HEAD + BODY + bytes(10_000_000)))

    with pytest.raises(DataError, match="more bytes"):
        read_idx(path, (2, 3, 4))
    assert asked == [41]
