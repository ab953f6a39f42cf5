"""Real data files where this machine has them, and small data that looks like them."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from regjax.data import prepare
from regjax.data.base import digest_arrays, make_parts
from regjax.data.official import IDX_FILES, OFFICIAL, Official


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch, tmp_path):
    """Keep every test out of the user's data and cache folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "own-data"))


@pytest.fixture
def no_network(monkeypatch):
    """Fail at any attempt to open a connection or to resolve a name."""

    def refuse(*args, **kwargs):
        pytest.fail(f"the network was used: {args}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.socket.connect_ex", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.fixture(scope="session")
def real_data():
    """Return the folder of real data files."""
    default = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("REGJAX_TEST_DATA") or default)
    if not folder.is_dir():
        pytest.skip("no real data files: set REGJAX_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def real_mnist(real_data, tmp_path_factory):
    """Return a data folder with the real MNIST, prepared from its IDX files."""
    folder = tmp_path_factory.mktemp("tfds")
    prepare("mnist", real_data / "mnist", folder)
    return folder


def write_idx(path, array):
    """Write a gzipped IDX file."""
    head = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes(), mtime=0))


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Return (official, arrays, source): a small set under MNIST's name, and a folder with its four IDX files.

    Arrays are {part: (images, labels)}. TFDS is told the checksums of these files, as if they were the official ones.
    """
    from tensorflow_datasets.core.download.checksums import UrlInfo
    from tensorflow_datasets.image_classification import mnist

    rng = np.random.default_rng(5)
    counts, shape = {"train": 23, "test": 9}, (28, 28)
    arrays = {
        part: (
            rng.integers(0, 256, (count, *shape), dtype=np.uint8),
            (np.arange(count) % 10).astype(np.uint8),
        )
        for part, count in counts.items()
    }
    source = tmp_path / "idx"
    source.mkdir()
    infos = {}
    for part, names in IDX_FILES.items():
        for name, array in zip(names, arrays[part], strict=True):
            write_idx(source / name, array)
            content = (source / name).read_bytes()
            checksum = hashlib.sha256(content).hexdigest()
            infos[mnist.MNIST.URL + name] = UrlInfo(size=len(content), checksum=checksum, filename=name)
    monkeypatch.setattr(mnist.MNIST, "url_infos", infos)
    x, y = (np.concatenate([arrays[part][i] for part in counts]) for i in (0, 1))
    digest = digest_arrays(x[..., None], y.astype(np.int32), make_parts(23, 9))
    official = Official("mnist", "mnist", "3.0.1", counts, (*shape, 1), 10, digest)
    monkeypatch.setitem(OFFICIAL, "mnist", official)
    return official, arrays, source


@pytest.fixture(scope="session")
def crc_of():
    """Return a function that computes CRC-32C by the definition, one bit at a time."""

    def compute(data):
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        return crc ^ 0xFFFFFFFF

    return compute


@pytest.fixture(scope="session")
def frame(crc_of):
    """Return a function that frames one record as TFRecord does."""

    def mask(crc):
        return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")

    def make(data):
        length = len(data).to_bytes(8, "little")
        return length + mask(crc_of(length)) + data + mask(crc_of(data))

    return make
