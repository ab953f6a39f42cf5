"""8-bit PNG images with the standard library: encoding a grey one, decoding many of any colour at once."""

import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from regjax.data.checks import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour types of the PNG specification (ISO/IEC 15948, section 11.2.2) by the number of channels.
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def encode_png(image: np.ndarray) -> bytes:
    """Return an image [height, width] uint8 as a grey PNG, its rows unfiltered."""
    rows = np.pad(image, ((0, 0), (1, 0)))
    chunks = ((b"IHDR", make_header((*image.shape, 1))), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def decode_pngs(images: Sequence[bytes], shape: tuple[int, int, int]) -> np.ndarray:
    """Return 8-bit PNG images, all of one size and kind, as uint8 [N, height, width, channels].

    Args:
      images: contents of PNG files, not interlaced.
      shape: (height, width, channels): 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.

    Raises:
      DataError: an image is damaged, of another kind or of another size; names its position.
    """
    lines = []
    for index, image in enumerate(images):
        try:
            lines.append(_inflate(image, shape))
        except (DataError, zlib.error, struct.error) as error:
            size = " x ".join(map(str, shape))
            raise DataError(f"image {index} is no 8-bit PNG of {size}: {error}") from error
    height, width, channels = shape
    return unfilter(np.frombuffer(b"".join(lines), np.uint8).reshape(-1, height, 1 + width * channels), channels)


def is_plain(image: bytes, shape: tuple[int, int, int]) -> bool:
    """Return whether this begins like a PNG that `decode_pngs` takes for the shape."""
    return image[:8] == SIGNATURE and image[16:29] == make_header(shape)


def unfilter(lines: np.ndarray, channels: int = 1) -> np.ndarray:
    """Return pixels [N, height, width, channels] of filtered scan lines [N, height, 1 + width * channels].

    A line begins with its filter type. Row by row, and over all images at once that used the same filter in that row.

    Raises:
      DataError: there is a filter type other than 0 to 4.
    """
    kinds = lines[:, :, 0]
    pixels = lines[:, :, 1:].copy().reshape(*lines.shape[:2], (lines.shape[2] - 1) // channels, channels)
    if kinds.size and kinds.max() >= len(UNDO):
        raise DataError(f"PNG filter type {kinds.max()}, expected 0 to {len(UNDO) - 1}")
    above = np.zeros_like(pixels[:, 0])
    for row in range(pixels.shape[1]):
        for kind, undo in enumerate(UNDO):
            chosen = np.flatnonzero(kinds[:, row] == kind)
            pixels[chosen, row] = undo(pixels[chosen, row], above[chosen])
        above = pixels[:, row]
    return pixels


def make_header(shape: tuple[int, int, int]) -> bytes:
    """Return the body of the IHDR chunk of an 8-bit image [height, width, channels], not interlaced."""
    height, width, channels = shape
    return struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPES[channels], 0, 0, 0)


def _inflate(image: bytes, shape: tuple[int, int, int]) -> bytes:
    if image[:8] != SIGNATURE:
        raise DataError("it has no PNG signature")
    header, data, position, kind = b"", [], 8, b""
    while kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", image, position)
        body = image[position + 8 : position + 8 + size]
        (checksum,) = struct.unpack_from(">I", image, position + 8 + size)
        if zlib.crc32(kind + body) != checksum:
            raise DataError(f"the checksum of its chunk {kind!r} is wrong")
        header = body if kind == b"IHDR" else header
        data += [body] if kind == b"IDAT" else []
        position += 12 + size
    if header != make_header(shape):
        raise DataError(f"its header is {header.hex()}")
    height, width, channels = shape
    inflater, expected = zlib.decompressobj(), height * (1 + width * channels)
    lines = inflater.decompress(b"".join(data), expected + 1)
    if len(lines) != expected or not inflater.eof:
        raise DataError(f"its pixels are not {expected} bytes")
    return lines


def _undo_none(row: np.ndarray, above: np.ndarray) -> np.ndarray:
    return row


def _undo_sub(row: np.ndarray, above: np.ndarray) -> np.ndarray:
    return np.add.accumulate(row, axis=1, dtype=np.uint8)


def _undo_up(row: np.ndarray, above: np.ndarray) -> np.ndarray:
    return row + above


def _undo_average(row: np.ndarray, above: np.ndarray) -> np.ndarray:
    return _undo_by_column(row, above, lambda left, up, corner: (left + up) >> 1)


def _undo_paeth(row: np.ndarray, above: np.ndarray) -> np.ndarray:
    def predict(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
        guess = left + up - corner
        to_left, to_up, to_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
        first = (to_left <= to_up) & (to_left <= to_corner)
        return np.where(first, left, np.where(to_up <= to_corner, up, corner))

    return _undo_by_column(row, above, predict)


def _undo_by_column(row: np.ndarray, above: np.ndarray, predict: Callable[..., np.ndarray]) -> np.ndarray:
    wide, above = (np.ascontiguousarray(np.moveaxis(v, 1, 0), np.int16) for v in (row, above))
    left = corner = np.zeros_like(wide[0])
    for column, up in enumerate(above):
        wide[column] = left = (wide[column] + predict(left, up, corner)) & 0xFF
        corner = up
    return np.moveaxis(wide, 0, 1).astype(np.uint8)


# The five filters of the PNG specification (ISO/IEC 15948, section 9.2), by their number.
UNDO = (_undo_none, _undo_sub, _undo_up, _undo_average, _undo_paeth)
