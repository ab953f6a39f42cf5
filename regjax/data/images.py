"""Encoded images as one array: plain PNGs all at once, others by Pillow, one by one."""

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO

import numpy as np

from regjax.data.checks import DataError
from regjax.data.png import COLOR_TYPES, decode_pngs, is_plain

# Which modes of Pillow become which number of channels: grey may become colour, colour is never made grey.
MODES = {1: ("L", ("1", "L")), 2: ("LA", ("LA",)), 3: ("RGB", ("1", "L", "P", "RGB")), 4: ("RGBA", ("LA", "RGBA"))}


def decode_images(images: Sequence[bytes], shape: tuple[int, int, int]) -> np.ndarray:
    """Return encoded images as uint8 [N, height, width, channels].

    Args:
      images: contents of PNG, JPEG or BMP files.
      shape: (height, width, channels) that each must have; grey images become colour where three channels are asked.
        Pixels of JPEG files are Pillow's, which may differ by a few units from those of other decoders.

    Raises:
      DataError: an image is damaged, of another kind or size, or Pillow is needed and missing; names its position.
    """
    if shape[2] not in COLOR_TYPES:
        raise DataError(f"images of {shape[2]} channels cannot be read, expected 1 to 4")
    other = next((index for index, image in enumerate(images) if not is_plain(image, shape)), None)
    if other is None:
        return decode_pngs(images, shape)
    if find_spec("PIL") is None:
        raise DataError(f"image {other} is no plain PNG of {shape}; install pillow to read others")
    return np.stack([_decode_one(index, image, shape) for index, image in enumerate(images)])


def _decode_one(index: int, image: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    from PIL import Image

    height, width, channels = shape
    mode, accepted = MODES[channels]
    try:
        with Image.open(BytesIO(image), formats=("PNG", "JPEG", "BMP")) as file:
            # Before any pixel is decoded: the size of a damaged header may be absurd.
            if file.size != (width, height) or file.mode not in accepted:
                raise DataError(
                    f"image {index} is {file.format} {file.mode} of {file.height} x {file.width}, expected {mode} of "
                    f"{height} x {width}"
                )
            return np.asarray(file.convert(mode), np.uint8).reshape(shape)
    except DataError:
        raise
    # Pillow documents no closed list of what damaged files raise.
    except Exception as error:
        raise DataError(f"image {index} cannot be decoded: {error}") from error
