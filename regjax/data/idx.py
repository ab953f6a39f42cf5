"""IDX files: the format in which MNIST and its relatives are published."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from regjax.data.checks import DataError

UINT8_MAGIC = 0x0800  # two zero bytes, type 8 (unsigned byte), number of dimensions in the low byte


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the uint8 array of a gzipped IDX file.

    Args:
      path: an .gz file.
      shape: what the array must have; no more than this is ever decompressed.

    Raises:
      DataError: no gzip file, another magic number, another shape, or bytes missing or left over.
    """
    head = struct.pack(f">{1 + len(shape)}I", UINT8_MAGIC + len(shape), *shape)
    size = len(head) + math.prod(shape)
    try:
        with gzip.open(path, "rb") as file:
            # The one byte more shows that the file ends here, and makes gzip verify its checksum.
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no readable gzip file: {error}") from error
    if content[: len(head)] != head:
        raise DataError(
            f"{path} starts with {content[: len(head)].hex()}, expected the IDX head {head.hex()} of {shape}"
        )
    if len(content) != size:
        what = "more" if len(content) > size else f"only {len(content)}"
        raise DataError(f"{path} holds {what} bytes, expected {size} for shape {shape}")
    return np.frombuffer(content, np.uint8, offset=len(head)).reshape(shape)
