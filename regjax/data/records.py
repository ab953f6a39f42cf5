"""Record files that TFDS leaves on disk: their framing, and the order in which they were shuffled."""

import hashlib
import struct
from pathlib import Path

import numpy as np

from regjax.data.checks import DataError

MASK_DELTA = 0xA282EAD8


def read_tfrecords(path: Path) -> list[bytes]:
    """Return the records of a TFRecord file, both checksums of each verified.

        length (uint64) | masked crc32c of length | data | masked crc32c of data,   little-endian

    Raises:
      DataError: the file is absent or cut short, or a checksum is wrong.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    starts: list[int] = []
    sizes: list[int] = []
    position = 0
    while position < len(content):
        size = int.from_bytes(content[position : position + 8], "little")
        if position + 16 + size > len(content):
            raise DataError(f"{path} is cut short or damaged at byte {position} (record {len(starts)})")
        starts.append(position)
        sizes.append(size)
        position += 16 + size
    _verify(path, content, np.array(starts, np.int64), np.array(sizes, np.int64))
    return [content[start + 12 : start + 12 + size] for start, size in zip(starts, sizes, strict=True)]


def read_array_records(path: Path) -> list[bytes]:
    """Return the records of an ArrayRecord file, in their order.

    Raises:
      DataError: the file is absent, cut short or damaged.
    """
    from array_record.python.array_record_module import ArrayRecordReader

    try:
        reader = ArrayRecordReader(str(path))
        records = reader.read_all()
        # A file cut between its blocks is read without a word, as one of no records.
        if not reader.ok():
            raise ValueError("it is cut short or damaged")
        reader.close()
    # What the reader raises at damaged files is not documented and differs between versions.
    except Exception as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return records


def restore_order(part: str, values: np.ndarray) -> np.ndarray:
    """Return the rows of a TFDS part in the order in which its builder generated them.

    TFDS writes examples sorted by md5(part + key), and the key of the MNIST builders is the example's number in the
    IDX file. The hashes of 0..N-1 therefore give the number that each record had.

    Args:
      part: name of the split, "train" or "test".
      values: rows [N, ...] in the order of the record files.

    >>> restore_order("test", np.array(shuffled_order("test", 5))).tolist()
    [0, 1, 2, 3, 4]
    """
    restored = np.empty_like(values)
    restored[shuffled_order(part, len(values))] = values
    return restored


def shuffled_order(part: str, count: int) -> list[int]:
    """Return the example numbers 0..count-1 in the order of the record files of a TFDS part.

    >>> shuffled_order("test", 5)
    [1, 4, 3, 2, 0]
    """
    salt = hashlib.md5(part.encode(), usedforsecurity=False)

    def hash_number(number: int) -> bytes:
        hasher = salt.copy()
        hasher.update(str(number).encode())
        return hasher.digest()

    return sorted(range(count), key=hash_number)


def crc32c(content: bytes, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return CRC-32C (Castagnoli) of many slices of `content`, uint32, advancing all of them byte by byte together.

    >>> hex(crc32c(b"123456789", np.array([0]), np.array([9]))[0])
    '0xe3069283'
    """
    order = np.argsort(-sizes, kind="stable")
    table, data, first, size = _make_table(), np.frombuffer(content, np.uint8), starts[order], sizes[order]
    crc = np.full(len(order), 0xFFFFFFFF, np.uint32)
    # Slices are sorted by falling size, so those that have byte `index` are the first `active` ones.
    steps = np.arange(size[0] if len(size) else 0)
    for index, active in zip(steps, np.searchsorted(-size, -steps, side="left"), strict=True):
        low = (crc[:active] ^ data[first[:active] + index]) & 0xFF
        crc[:active] = table[low] ^ (crc[:active] >> 8)
    result = np.empty_like(crc)
    result[order] = ~crc
    return result


def _make_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


def _verify(path: Path, content: bytes, starts: np.ndarray, sizes: np.ndarray) -> None:
    for first, length, stored_at in (
        (starts, np.full_like(sizes, 8), starts + 8),
        (starts + 12, sizes, starts + 12 + sizes),
    ):
        crc = crc32c(content, first, length)
        masked = ((crc >> 15) | (crc << 17)) + np.uint32(MASK_DELTA)
        stored = np.array([struct.unpack_from("<I", content, at)[0] for at in stored_at], np.uint32)
        wrong = np.flatnonzero(masked != stored)
        if len(wrong):
            raise DataError(f"{path}: the checksum of record {wrong[0]} is wrong ({len(wrong)} such records)")
