"""TFRecord files and the order in which TFDS shuffles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regjax.data import DataError
from regjax.data.features import Feature, parse_examples
from regjax.data.idx import read_idx
from regjax.data.official import IDX_FILES
from regjax.data.records import crc32c, read_tfrecords, restore_order, shuffled_order

FEATURES = (Feature("image", "image", (28, 28, 1), "uint8"), Feature("label", "label", num_classes=10))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_round_trip(tmp_path_factory, frame, records):
    """Records of any length, none included, are read in their order."""
    path = tmp_path_factory.mktemp("records") / "a"
    path.write_bytes(b"".join(frame(record) for record in records))

    assert read_tfrecords(path) == records


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6))
def test_crc(crc_of, slices):
    """The checksums of many slices at once equal those by the definition."""
    sizes = np.array([len(piece) for piece in slices])
    starts = np.cumsum(sizes) - sizes

    assert crc32c(b"".join(slices) + b"x", starts, sizes).tolist() == [crc_of(piece) for piece in slices]


def test_every_flipped_byte_is_noticed(tmp_path, frame):
    """Whichever byte of a file is changed, it is refused."""
    content = frame(b"first") + frame(b"") + frame(b"third record")
    path = tmp_path / "a"

    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"cut short or damaged|checksum of record"):
            read_tfrecords(path)


def test_cut_file(tmp_path, frame):
    """A file cut anywhere but between records is refused."""
    content = frame(b"first") + frame(b"second")
    path = tmp_path / "a"

    for end in set(range(1, len(content))) - {len(frame(b"first"))}:
        path.write_bytes(content[:end])
        with pytest.raises(DataError, match="cut short"):
            read_tfrecords(path)


def test_large_record(tmp_path):
    """A record of an absurd length is refused before anything of it is read."""
    path = tmp_path / "a"
    path.write_bytes((1 << 60).to_bytes(8, "little") + bytes(100))

    with pytest.raises(DataError, match="damaged at byte 0"):
        read_tfrecords(path)


def test_absent(tmp_path):
    """An absent file is refused by name."""
    with pytest.raises(DataError, match="absent cannot be read"):
        read_tfrecords(tmp_path / "absent")


@pytest.mark.parametrize("record", [b"nonsense", b"", b"\x0a\x00"])
def test_no_example(record):
    """A record that is no example with an image and a label is refused with its number."""
    with pytest.raises(DataError, match="record 0 is no example"):
        parse_examples([record], FEATURES)


@pytest.mark.parametrize("part", ["train", "test"])
def test_order_is_that_of_tfds(part):
    """The order is the one into which TFDS' own shuffler brings integer keys."""
    from tensorflow_datasets.core.shuffle import Shuffler

    shuffler = Shuffler(".", part)
    for number in range(300):
        shuffler.add(number, str(number).encode())
    on_disk = [int(data) for _, data in shuffler]

    assert shuffled_order(part, 300) == on_disk
    assert restore_order(part, np.array(on_disk)).tolist() == list(range(300))
    assert on_disk != list(range(300))


def test_fixture_of_tensorflow(real_data):
    """A shard that tensorflow wrote, with all five PNG filters, gives the IDX test part in its order."""
    path = real_data / "tfds_tfrecord_fixture" / "mnist" / "3.0.1" / "mnist-test.tfrecord-00000-of-00001"
    if not path.is_file():
        pytest.skip("no TFRecord fixture among the real data files")
    values = parse_examples(read_tfrecords(path), FEATURES)
    images_path, labels_path = (real_data / "mnist" / name for name in IDX_FILES["test"])
    pixels, targets = read_idx(images_path, (10_000, 28, 28)), read_idx(labels_path, (10_000,))

    np.testing.assert_array_equal(pixels, restore_order("test", values["image"][..., 0]))
    np.testing.assert_array_equal(targets, restore_order("test", values["label"]))
