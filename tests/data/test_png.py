"""PNG images, with pillow as the oracle."""

import struct
import sys
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from regjax.data import DataError
from regjax.data.images import decode_images
from regjax.data.png import SIGNATURE, decode_pngs, encode_png, unfilter

PIL = pytest.importorskip("PIL.Image")
HEIGHT, WIDTH = 7, 5


def chunk(kind, body):
    """Return one chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(lines, *, depth=8, color=0, split=1, extra=b""):
    """Return a PNG file of filtered scan lines [height, 1 + width], its data in `split` chunks."""
    data = zlib.compress(lines.tobytes())
    size = -(-len(data) // split)
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    header = struct.pack(">IIBBBBB", (lines.shape[1] - 1) // channels, lines.shape[0], depth, color, 0, 0, 0)
    pieces = [chunk(b"IDAT", data[at : at + size]) for at in range(0, len(data), size)]
    return SIGNATURE + chunk(b"IHDR", header) + extra + b"".join(pieces) + chunk(b"IEND", b"")


def read_with_pillow(image):
    """Return the pixels that pillow decodes."""
    with PIL.open(BytesIO(image)) as file:
        return np.asarray(file)


def make_lines(rng, kinds):
    """Return random scan lines [N, height, 1 + width] with the given filter types [N, height]."""
    lines = rng.integers(0, 256, (*kinds.shape, 1 + WIDTH), dtype=np.uint8)
    lines[:, :, 0] = kinds
    return lines


@pytest.mark.parametrize("kind", range(5))
def test_each_filter(kind):
    """Each of the five filters is undone as pillow undoes it, in every row of random bytes."""
    lines = make_lines(np.random.default_rng(kind), np.full((20, HEIGHT), kind))
    expected = np.stack([read_with_pillow(write_png(image)) for image in lines])

    np.testing.assert_array_equal(expected[..., None], unfilter(lines))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(arrays(np.uint8, (4, HEIGHT), elements=st.integers(0, 4)), st.integers(0, 99))
def test_mixed_filters(kinds, seed):
    """Images that change filters from row to row, each in its own way, are decoded as by pillow."""
    lines = make_lines(np.random.default_rng(seed), kinds)
    images = [write_png(image, split=1 + index, extra=chunk(b"tEXt", b"a")) for index, image in enumerate(lines)]
    expected = np.stack([read_with_pillow(image) for image in images])

    np.testing.assert_array_equal(expected[..., None], decode_pngs(images, (HEIGHT, WIDTH, 1)))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    arrays(np.uint8, (4, HEIGHT), elements=st.integers(0, 4)), st.sampled_from([(4, 2), (2, 3), (6, 4)]),
    st.integers(0, 99),
)  # fmt: skip
def test_colours(kinds, kind, seed):
    """Images with two to four channels, any filters in any row, are decoded as by pillow."""
    color, channels = kind
    rng = np.random.default_rng(seed)
    lines = rng.integers(0, 256, (4, HEIGHT, 1 + WIDTH * channels), dtype=np.uint8)
    lines[:, :, 0] = kinds
    images = [write_png(image, color=color) for image in lines]
    expected = np.stack([read_with_pillow(image) for image in images])

    np.testing.assert_array_equal(expected, decode_pngs(images, (HEIGHT, WIDTH, channels)))
    np.testing.assert_array_equal(expected, decode_images(images, (HEIGHT, WIDTH, channels)))


def encode(image, kind, **options):
    """Return an image as pillow writes it."""
    written = BytesIO()
    PIL.fromarray(image).save(written, kind, **options)
    return written.getvalue()


def test_other_images_are_left_to_pillow():
    """JPEG, palette and grey images among plain ones become RGB as pillow reads them."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    palette = BytesIO()
    PIL.fromarray(image).quantize(16).save(palette, "png")
    images = [encode(image, "png"), encode(image, "jpeg"), palette.getvalue(), encode(image[..., 0], "png")]
    found = decode_images(images, (HEIGHT, WIDTH, 3))

    np.testing.assert_array_equal(image, found[0])
    for index, encoded in enumerate(images):
        with PIL.open(BytesIO(encoded)) as file:
            np.testing.assert_array_equal(np.asarray(file.convert("RGB")), found[index])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda image: encode(image[:-1], "png"), r"image 1 is PNG RGB of 6 x 5, expected L of 7 x 5"),
        (lambda image: encode(image, "jpeg"), r"image 1 is JPEG RGB of 7 x 5, expected L of 7 x 5"),
        (lambda image: encode(image[..., 0], "jpeg")[:-30], r"image 1 cannot be decoded"),
        (lambda image: encode(image, "gif"), r"image 1 cannot be decoded"),
        (lambda image: b"", r"image 1 cannot be decoded"),
    ],
)
def test_images_that_do_not_fit(make, message):
    """An image of another size, in colour where grey is expected, cut or of another format is refused by position."""
    image = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)
    with pytest.raises(DataError, match=message):
        decode_images([GOOD, make(image)], (HEIGHT, WIDTH, 1))


def test_encoding():
    """What is encoded is what pillow and the own decoder read, for images wider and higher than square."""
    rng = np.random.default_rng(0)
    for shape in ((28, 28), (3, 9), (9, 3), (1, 1)):
        image = rng.integers(0, 256, shape, dtype=np.uint8)

        np.testing.assert_array_equal(image, read_with_pillow(encode_png(image)))
        np.testing.assert_array_equal(image, decode_pngs([encode_png(image)], (*shape, 1))[0, :, :, 0])


LINES = np.zeros((HEIGHT, 1 + WIDTH), np.uint8)
GOOD = write_png(LINES)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "no PNG signature"),
        (GOOD[:-12], "unpack_from"),
        (GOOD[:40], "unpack_from"),
        (GOOD.replace(b"IHDR", b"IHDX"), "checksum of its chunk"),
        (write_png(LINES, depth=4), "header"),
        (write_png(LINES, color=2), "header"),
        (write_png(LINES[:-1]), "header"),
        (SIGNATURE + chunk(b"IHDR", GOOD[16:29]) + chunk(b"IEND", b""), "pixels are not 42 bytes"),
        (SIGNATURE + chunk(b"IHDR", GOOD[16:29]) + chunk(b"IDAT", b"nonsense") + chunk(b"IEND", b""), "image 1"),
        (
            SIGNATURE + chunk(b"IHDR", GOOD[16:29]) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b""),
            "pixels are not 42 bytes",
        ),
        (
            SIGNATURE
            + chunk(b"IHDR", GOOD[16:29])
            + chunk(b"IDAT", zlib.compress(LINES.tobytes())[:-2])
            + chunk(b"IEND", b""),
            "pixels are not 42 bytes",
        ),
        (write_png(np.full_like(LINES, 5)), "filter type 5"),
    ],
    ids=[
        "empty",
        "no end",
        "cut",
        "chunk",
        "depth",
        "color",
        "size",
        "no data",
        "no zlib",
        "bomb",
        "cut zlib",
        "filter",
    ],
)
def test_refusals(image, message):
    """A damaged image, or one of another kind or size, is refused with its position."""
    with pytest.raises(DataError, match=message):
        decode_pngs([GOOD, image], (HEIGHT, WIDTH, 1))


def test_five_channels_are_refused():
    """No image file has five channels."""
    with pytest.raises(DataError, match="images of 5 channels cannot be read, expected 1 to 4"):
        decode_images([], (HEIGHT, WIDTH, 5))


def test_without_pillow_plain_images_alone_are_read(monkeypatch):
    """Where pillow is not installed a plain PNG is read all the same, and another image names what is missing."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    lines = make_lines(np.random.default_rng(0), np.zeros((1, HEIGHT), np.uint8))[0]
    shape = (HEIGHT, WIDTH, 1)

    np.testing.assert_array_equal(decode_images([write_png(lines)], shape)[0, :, :, 0], lines[:, 1:])
    with pytest.raises(DataError, match=r"image 1 is no plain PNG of \(7, 5, 1\); install pillow to read others"):
        decode_images([write_png(lines), b"another"], shape)
