"""Official data sets: prepared from IDX files, read from record files, cached."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from regjax.data import DataError, load_dataset, make_dataset, prepare
from regjax.data.cache import list_places, save_cached
from regjax.data.idx import read_idx
from regjax.data.official import IDX_FILES, OFFICIAL, check_digest, read_prepared
from regjax.data.prepared import default_folder
from regjax.data.records import read_array_records

CACHE = "regjax-arrays.npy"


def assert_is_tiny(dataset, arrays):
    """Assert that a data set holds the arrays of the small IDX files in their order."""
    images, labels = (np.concatenate([arrays[part][i] for part in ("train", "test")]) for i in (0, 1))
    np.testing.assert_array_equal(images[..., None], dataset.x)
    np.testing.assert_array_equal(labels, dataset.y)
    assert (dataset.x.dtype, dataset.y.dtype) == (np.uint8, np.int32)
    assert (dataset.num_classes, dataset.peak) == (10, 255.0)
    assert {part: len(rows) for part, rows in dataset.parts.items()} == {"train": 23, "test": 9}


@pytest.fixture
def write_tfrecords(frame):
    """Return a function that writes a folder as tensorflow would: shards in TFDS' shuffled order, PNGs by pillow."""
    from io import BytesIO

    from PIL import Image
    from tensorflow_datasets.core.hashing import Hasher
    from tensorflow_datasets.proto import tf_example_pb2

    def make_record(image, label):
        example, png = tf_example_pb2.Example(), BytesIO()
        Image.fromarray(image).save(png, "png")
        example.features.feature["image"].bytes_list.value.append(png.getvalue())
        example.features.feature["label"].int64_list.value.append(int(label))
        return frame(example.SerializeToString())

    def write(folder, arrays, official, *, shards=2):
        prepared = folder / official.name / official.version
        prepared.mkdir(parents=True)
        splits = []
        for part, (images, labels) in arrays.items():
            order = sorted(range(len(labels)), key=Hasher(part).hash_key)
            lengths = []
            for index, piece in enumerate(np.array_split(order, shards)):
                name = f"{official.name}-{part}.tfrecord-{index:05d}-of-{shards:05d}"
                (prepared / name).write_bytes(b"".join(make_record(images[i], labels[i]) for i in piece))
                lengths.append(str(len(piece)))
            splits.append({"name": part, "shardLengths": lengths})
        info = {"name": official.name, "fileFormat": "tfrecord", "splits": splits}
        (prepared / "dataset_info.json").write_text(json.dumps(info))
        return prepared

    return write


def test_prepare_and_load(tiny, tmp_path, no_network, capfd):
    """Preparing from IDX files and loading gives their arrays in their order, without a word and without network."""
    _, arrays, source = tiny
    prepared = prepare("mnist", source, tmp_path / "data")

    assert prepared == tmp_path / "data" / "mnist" / "3.0.1"
    assert list(prepared.glob("mnist-train.array_record-*"))
    assert_is_tiny(load_dataset("mnist", folder=tmp_path / "data"), arrays)
    (prepared / CACHE).unlink()
    assert_is_tiny(load_dataset("mnist", folder=tmp_path / "data"), arrays)
    assert capfd.readouterr() == ("", "")


def test_prepare_is_idempotent(tiny, tmp_path):
    """Preparing again returns the folder, needs no source and writes nothing."""
    _, _, source = tiny
    prepared = prepare("mnist", source, tmp_path / "data")
    before = {path: path.stat().st_mtime_ns for path in prepared.iterdir()}

    assert prepare("mnist", tmp_path / "gone", tmp_path / "data") == prepared
    assert {path: path.stat().st_mtime_ns for path in prepared.iterdir()} == before


def test_default_folder(tiny, tmp_path, monkeypatch):
    """Data lie in TFDS_DATA_DIR, or else where TFDS itself looks."""
    _, arrays, source = tiny
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "named"))
    prepare("mnist", source)

    assert_is_tiny(load_dataset("mnist"), arrays)
    assert (tmp_path / "named" / "mnist").is_dir()
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / "tensorflow_datasets"


def test_an_unknown_home_is_a_folder_without_data(tiny, tmp_path, monkeypatch):
    """A ~ of a user that there is not stands as it is, in data folders, source and cache, and holds nothing."""
    monkeypatch.chdir(tmp_path)
    for folder in (None, Path("~nosuchuser")):
        monkeypatch.setenv("TFDS_DATA_DIR", "~nosuchuser")
        for name in ("mnist", "tfds:iris"):
            with pytest.raises(DataError, match=f"^{name} is not prepared: .*~nosuchuser"):
                load_dataset(name, folder=folder)
    with pytest.raises(DataError, match=r"~nosuchuser/train-images-idx3-ubyte\.gz is missing"):
        prepare("mnist", Path("~nosuchuser"), tmp_path / "data")
    monkeypatch.setenv("XDG_CACHE_HOME", "~nosuchuser")
    assert list_places(tmp_path, "mnist") == (tmp_path / CACHE,)
    assert not (tmp_path / "~nosuchuser").exists()


def test_a_name_that_no_folder_can_have(tiny, tmp_path):
    """A source or a data folder whose name is too long is one clear error."""
    with pytest.raises(DataError, match=r"mnist cannot be prepared: .* too long"):
        prepare("mnist", tmp_path / ("x" * 300), tmp_path / "data")


def test_wrong_and_missing_files(tiny, tmp_path):
    """A changed file is refused with both checksums, a missing one by name, both at once; nothing is written."""
    _, _, source = tiny
    images, labels = (source / name for name in IDX_FILES["train"])
    content = bytearray(images.read_bytes())
    content[-20] ^= 1
    images.write_bytes(content)
    labels.unlink()

    with pytest.raises(
        DataError, match=rf"{images.name} is not the official file: sha256 \w{{64}}, expected \w{{64}}"
    ) as caught:
        prepare("mnist", source, tmp_path / "data")
    assert f"{labels} is missing" in str(caught.value)
    assert not (tmp_path / "data" / "mnist" / "3.0.1").exists()


def test_prepare_other_names(tmp_path):
    """Only official sets can be prepared."""
    with pytest.raises(DataError, match="got 'digits', expected one of mnist, fashion_mnist, kmnist; other"):
        prepare("digits", tmp_path)


def test_prepare_into_foreign_folder(tiny, tmp_path):
    """A folder of that name without prepared data is refused, where TFDS would silently do nothing."""
    (tmp_path / "data" / "mnist" / "3.0.1").mkdir(parents=True)

    with pytest.raises(DataError, match="delete it and try again"):
        prepare("mnist", tiny[2], tmp_path / "data")


def test_prepare_unwritable(tiny, tmp_path):
    """A data folder that cannot be written is one clear error."""
    (tmp_path / "file").touch()

    with pytest.raises(DataError, match="cannot be written"):
        prepare("mnist", tiny[2], tmp_path / "file")


@pytest.mark.parametrize("shards", [1, 2])
def test_tfrecord_folder(tiny, tmp_path, write_tfrecords, no_network, shards):
    """A TFRecord folder, of one shard or several, gives the IDX order as well."""
    official, arrays, _ = tiny
    prepared = write_tfrecords(tmp_path, arrays, official, shards=shards)

    assert_is_tiny(load_dataset("mnist", folder=tmp_path), arrays)
    assert (prepared / CACHE).is_file()
    assert prepare("mnist", tmp_path / "gone", tmp_path) == prepared


def test_missing_shards(tiny, tmp_path, write_tfrecords):
    """A partly copied folder is refused with the names of the missing shards, by prepare as well."""
    official, arrays, source = tiny
    prepared = write_tfrecords(tmp_path, arrays, official)
    for index in (0, 1):
        (prepared / f"mnist-train.tfrecord-0000{index}-of-00002").unlink()
    message = r"missing: mnist-train\.tfrecord-00000-of-00002, mnist-train\.tfrecord-00001-of-00002"

    with pytest.raises(DataError, match=message):
        load_dataset("mnist", folder=tmp_path)
    with pytest.raises(DataError, match=message):
        prepare("mnist", source, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"tfrecord"', '"parquet"', r"format 'parquet'; regjax reads array_record and tfrecord"),
        ('"11"', '"12"', r"counts .*expected \{'train': 23, 'test': 9\}"),
        ('"shardLengths"', '"lengths"', r"cannot be read: KeyError"),
        ("{", "[", r"cannot be read: JSONDecodeError"),
        ('"11"', '"many"', r"cannot be read: ValueError"),
    ],
)
def test_damaged_description(tiny, tmp_path, write_tfrecords, old, new, message):
    """A dataset_info.json of another format, with other counts or damaged is refused."""
    described = write_tfrecords(tmp_path, tiny[1], tiny[0]) / "dataset_info.json"
    described.write_text(described.read_text().replace(old, new))

    with pytest.raises(DataError, match=message):
        load_dataset("mnist", folder=tmp_path)


def test_record_count(tiny, tmp_path, write_tfrecords):
    """Fewer records than the description counts are noticed."""
    official, arrays, _ = tiny
    prepared = write_tfrecords(tmp_path, arrays, official)
    (prepared / "mnist-test.tfrecord-00001-of-00002").write_bytes(b"")

    with pytest.raises(DataError, match="has 5 test records, expected 9"):
        load_dataset("mnist", folder=tmp_path)


def test_unshuffled_order_is_noticed(tiny, tmp_path, write_tfrecords):
    """Records in another order than TFDS' own are refused: "the last 12,000" would be other rows."""
    official, arrays, _ = tiny
    turned = {part: (images[::-1], labels[::-1]) for part, (images, labels) in arrays.items()}
    write_tfrecords(tmp_path, turned, official)

    with pytest.raises(
        DataError, match=f"holds arrays with digest .*expected those of mnist .digest {official.digest}"
    ):
        load_dataset("mnist", folder=tmp_path)


def test_two_sets_with_one_digest(tiny, tmp_path, write_tfrecords):
    """fashion_mnist prepared with the pixels of mnist, as TFDS can do silently, is refused by name."""
    official, arrays, _ = tiny
    write_tfrecords(tmp_path, arrays, official._replace(name="fashion_mnist", builder="fashion_mnist"))
    shape = {"counts": official.counts, "shape": official.shape}

    with pytest.raises(DataError, match="holds the arrays of mnist, expected those of fashion_mnist"):
        check_digest(OFFICIAL["fashion_mnist"], official.digest, tmp_path)
    assert (
        len(read_prepared(OFFICIAL["fashion_mnist"]._replace(**shape), tmp_path / "fashion_mnist" / "3.0.1")[0]) == 32
    )
    known = [of.digest for of in OFFICIAL.values() if of.digest]
    assert len(set(known)) == len(known)


def test_damaged_array_records(tiny, tmp_path):
    """A cut array_record file is an error that names the folder, not a crash."""
    prepared = prepare("mnist", tiny[2], tmp_path / "data")
    (prepared / CACHE).unlink()
    path = next(prepared.glob("mnist-test.array_record-*"))
    path.write_bytes(path.read_bytes()[:70_000])

    with pytest.raises(DataError, match=r"the test records in .* cannot be read: .*; prepare it anew"):
        load_dataset("mnist", folder=tmp_path / "data")


@pytest.mark.parametrize("size", [0, 1000, 65_536, 70_000])
def test_cut_array_record_file(tiny, tmp_path, size):
    """A file cut anywhere, also between its blocks of 64 KiB, is refused by name and never read as an empty one."""
    path = next(prepare("mnist", tiny[2], tmp_path / "data").glob("mnist-test.array_record-*"))
    assert len(read_array_records(path)) == 9
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(DataError, match=rf"{path.name} cannot be read: \w"):
        read_array_records(path)


def test_consistent_cache_of_other_arrays(tiny, tmp_path, write_tfrecords):
    """A cache that is whole but holds other arrays than the official ones is not believed."""
    official, arrays, _ = tiny
    prepared = write_tfrecords(tmp_path, arrays, official)
    found = load_dataset("mnist", folder=tmp_path)
    other = make_dataset("mnist", found.x[::-1].copy(), found.y[::-1].copy(), parts=found.parts)
    save_cached([prepared / CACHE], official.digest, other)

    assert_is_tiny(load_dataset("mnist", folder=tmp_path), arrays)


def test_cache_is_used(tiny, tmp_path, write_tfrecords):
    """After the first read the arrays come from the cache, memory-mapped and read-only, without the record files."""
    official, arrays, _ = tiny
    prepared = write_tfrecords(tmp_path, arrays, official)
    first = load_dataset("mnist", folder=tmp_path)
    for path in prepared.glob("*tfrecord*"):
        path.unlink()
    second = load_dataset("mnist", folder=tmp_path)

    assert_is_tiny(second, arrays)
    assert first.digest == second.digest == official.digest
    for dataset in (first, second):
        assert not dataset.x.flags.writeable
        assert not dataset.x.flags.owndata


def damage_last_byte(content):
    """Return the content with its last byte changed."""
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-1], damage_last_byte])
def test_bad_cache_is_rebuilt(tiny, tmp_path, write_tfrecords, damage):
    """An empty, cut or altered cache is not believed but written anew."""
    official, arrays, _ = tiny
    path = write_tfrecords(tmp_path, arrays, official) / CACHE
    load_dataset("mnist", folder=tmp_path)
    good = path.read_bytes()
    path.write_bytes(damage(good))

    assert_is_tiny(load_dataset("mnist", folder=tmp_path), arrays)
    assert path.read_bytes() == good


def test_cache_of_another_kind_is_rebuilt(tiny, tmp_path, write_tfrecords):
    """A .npy of another type or shape, or with pickled objects, under the cache's name is not believed."""
    official, arrays, _ = tiny
    path = write_tfrecords(tmp_path, arrays, official) / CACHE
    for other in (
        np.zeros(3),
        np.zeros(1),
        np.zeros(1, [("x", "u1", 4), ("y", "i4", 4)]),
        np.array([{}], dtype=object),
    ):
        np.save(path, other, allow_pickle=True)

        assert_is_tiny(load_dataset("mnist", folder=tmp_path), arrays)


def test_cache_falls_back(tiny, tmp_path, write_tfrecords, monkeypatch):
    """Where the data folder cannot be written the user's cache folder serves, and where neither can, none."""
    official, arrays, _ = tiny
    prepared = write_tfrecords(tmp_path, arrays, official)
    (prepared / CACHE / "occupied").mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert_is_tiny(load_dataset("mnist", folder=tmp_path), arrays)
    own = tmp_path / "cache" / "regjax" / "mnist-3.0.1.npy"
    assert own.is_file()

    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").touch()
    found = load_dataset("mnist", folder=tmp_path)

    assert_is_tiny(found, arrays)
    assert found.x.flags.writeable


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_unprepared(tmp_path, no_network, name):
    """Offline and unprepared, one error at once names both ways out, and nothing is written."""
    start = time.perf_counter()
    with pytest.raises(DataError, match=f"{name} is not prepared") as caught:
        load_dataset(name, folder=tmp_path)

    assert time.perf_counter() - start < 1
    assert f"`regjax data prepare {name} --from DIR`" in str(caught.value)
    assert f'tfds.builder("{name}", data_dir="{tmp_path}", file_format="array_record").download_and_prepare()' in str(
        caught.value
    )
    assert all(file in str(caught.value) for files in IDX_FILES.values() for file in files)
    assert not list(tmp_path.iterdir())


def test_official_facts():
    """Names, versions, shapes and file names are those of the TFDS builders."""
    from tensorflow_datasets.image_classification import mnist

    for official, builder in ((OFFICIAL["mnist"], mnist.MNIST), (OFFICIAL["fashion_mnist"], mnist.FashionMNIST)):
        assert str(builder.VERSION) == official.version
        assert builder.name == official.name
        assert official.shape == mnist.MNIST_IMAGE_SHAPE
        assert {info.filename for info in builder.url_infos.values()} == {n for ns in IDX_FILES.values() for n in ns}


def test_fixture_is_incomplete(real_data):
    """The fixture folder, which holds the test shard only, is refused with the name of the missing one."""
    folder = real_data / "tfds_tfrecord_fixture"
    if not folder.is_dir():
        pytest.skip("no TFRecord fixture among the real data files")

    with pytest.raises(DataError, match=r"missing: mnist-train\.tfrecord-00000-of-00001"):
        load_dataset("mnist", folder=folder)


def test_real_mnist(real_mnist, real_data):
    """The real MNIST, prepared by the official builder, comes back in the order of its IDX files."""
    found = load_dataset("mnist", folder=real_mnist)
    counts = {"train": 60_000, "test": 10_000}

    assert found.digest == OFFICIAL["mnist"].digest
    for part, count in counts.items():
        images, labels = (real_data / "mnist" / name for name in IDX_FILES[part])
        np.testing.assert_array_equal(read_idx(images, (count, 28, 28)), found.x[found.parts[part], :, :, 0])
        np.testing.assert_array_equal(read_idx(labels, (count,)), found.y[found.parts[part]])


def test_real_fashion_mnist_digest(real_data):
    """The digest of the real Fashion-MNIST is the one that loading insists on."""
    from regjax.data.base import digest_arrays, make_parts

    counts, folder = OFFICIAL["fashion_mnist"].counts, real_data / "fashion_mnist"
    images = [read_idx(folder / IDX_FILES[part][0], (count, 28, 28)) for part, count in counts.items()]
    labels = [read_idx(folder / IDX_FILES[part][1], (count,)) for part, count in counts.items()]
    x, y = np.concatenate(images)[..., None], np.concatenate(labels).astype(np.int32)

    assert digest_arrays(x, y, make_parts(60_000, 10_000)) == OFFICIAL["fashion_mnist"].digest
