"""Sets that TFDS prepared: the known image sets beside MNIST, and any other by its description."""

import json

import numpy as np
import pytest
from prepared_folders import encode, make_images, write_folder

from regjax.data import DATASETS, DataError, load_dataset
from regjax.data.official import OFFICIAL, _make_table


def write_official(monkeypatch, folder, name, labels, frame=None, extra=None):
    """Write a small set under an official name, its counts made to fit; return images and labels by split."""
    official = OFFICIAL[name]
    images = {split: make_images(len(of), official.shape, seed) for seed, (split, of) in enumerate(labels.items())}
    rows = {
        split: [
            {"image": encode(image), "label": int(label), **(extra or {})}
            for image, label in zip(images[split], of, strict=True)
        ]
        for split, of in labels.items()
    }

    def features(tfds):
        found = {"image": tfds.Image(shape=official.shape), "label": tfds.ClassLabel(num_classes=official.num_classes)}
        found |= {"id": tfds.Text()} if extra and "id" in extra else {}
        return found | ({"coarse_label": tfds.ClassLabel(num_classes=20)} if extra and "coarse_label" in extra else {})

    builder, _, config = official.builder.partition("/")
    write_folder(folder, builder, features, rows, config=config, version=official.version, frame=frame)
    counts = {split: len(of) for split, of in labels.items() if split in ("train", "test")}
    monkeypatch.setitem(OFFICIAL, name, official._replace(counts=counts))
    return images


@pytest.mark.parametrize("tensorflow", [False, True], ids=["array_record", "tfrecord"])
@pytest.mark.parametrize(
    ("name", "extra"),
    [("kmnist", {}), ("cifar10", {"id": "a"}), ("cifar100", {"id": "a", "coarse_label": 3})],
)
def test_known_sets(monkeypatch, tmp_path, no_network, frame, name, extra, tensorflow):
    """Known image sets come back in the order in which their builders number the examples, from either format."""
    labels = {"train": np.arange(37) % 10, "test": np.arange(11) % 7}
    images = write_official(monkeypatch, tmp_path, name, labels, frame if tensorflow else None, extra)

    for _ in range(2):  # the second time from the cache
        found = load_dataset(name, folder=tmp_path)
        np.testing.assert_array_equal(np.concatenate([images["train"], images["test"]]), found.x)
        np.testing.assert_array_equal(np.concatenate([labels["train"], labels["test"]]), found.y)
        assert (found.x.dtype, found.y.dtype, found.num_classes, found.peak) == (np.uint8, np.int32, 10, 255.0)
        assert found.parts["test"].tolist() == list(range(37, 48))
        assert not found.x.flags.writeable


def test_emnist_letters_count_from_zero(monkeypatch, tmp_path):
    """EMNIST letters declares 37 classes and uses 1 to 26: they become 0 to 25."""
    labels = {"train": 1 + np.arange(60) % 26, "test": 1 + np.arange(9) % 26}
    write_official(monkeypatch, tmp_path, "emnist/letters", labels)
    found = load_dataset("emnist/letters", folder=tmp_path)

    assert found.num_classes == 26
    np.testing.assert_array_equal(np.concatenate([labels["train"], labels["test"]]) - 1, found.y)


def test_the_extra_part_of_svhn_is_left_alone(monkeypatch, tmp_path):
    """SVHN is read from svhn_cropped, its parts train and test only."""
    labels = {"train": np.arange(20) % 10, "test": np.arange(5), "extra": np.arange(8)}
    images = write_official(monkeypatch, tmp_path, "svhn", labels, extra={"id": "a"})
    found = load_dataset("svhn", folder=tmp_path)

    np.testing.assert_array_equal(np.concatenate([images["train"], images["test"]]), found.x)
    assert (tmp_path / "svhn_cropped" / "3.1.0").is_dir()


def test_unshuffled_records_keep_their_order(monkeypatch, tmp_path):
    """Where the description says that the records were not shuffled they are not put into another order."""
    labels = {"train": np.arange(20) % 10, "test": np.arange(5)}
    images = write_official(monkeypatch, tmp_path, "kmnist", labels)
    path = tmp_path / "kmnist" / "3.0.1" / "dataset_info.json"
    shuffled = load_dataset("kmnist", folder=tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "disableShuffling": True}))
    kept = load_dataset("kmnist", folder=tmp_path)

    np.testing.assert_array_equal(images["train"], shuffled.x[:20])
    assert not np.array_equal(shuffled.x, kept.x)
    np.testing.assert_array_equal(np.sort(shuffled.x[:20].sum((1, 2, 3))), np.sort(kept.x[:20].sum((1, 2, 3))))


def test_a_known_set_needs_no_description_of_its_features(monkeypatch, tmp_path):
    """What a known set consists of is known: its records are enough, and when they change is seen."""
    labels = {"train": np.arange(20) % 10, "test": np.arange(5)}
    images = write_official(monkeypatch, tmp_path, "kmnist", labels)
    (tmp_path / "kmnist" / "3.0.1" / "features.json").unlink()

    np.testing.assert_array_equal(load_dataset("kmnist", folder=tmp_path).x[:20], images["train"])


def test_wrong_counts_and_labels(monkeypatch, tmp_path):
    """A known set with other counts than the official ones, or a label it cannot have, is refused."""
    labels = {"train": np.arange(20) % 10, "test": np.arange(5)}
    write_official(monkeypatch, tmp_path, "cifar10", labels)
    right = OFFICIAL["cifar10"]
    monkeypatch.setitem(OFFICIAL, "cifar10", right._replace(counts={"train": 20, "test": 6}))
    with pytest.raises(DataError, match=r"counts \{'train': 20, 'test': 5\}, expected \{'train': 20, 'test': 6\}"):
        load_dataset("cifar10", folder=tmp_path)
    monkeypatch.setitem(OFFICIAL, "cifar10", right._replace(num_classes=9))
    with pytest.raises(DataError, match=r"'label' is 9 in 2 of 20 records, expected 0 to 8"):
        load_dataset("cifar10", folder=tmp_path)


def test_a_known_set_is_not_taken_for_another(monkeypatch, tmp_path):
    """A set whose own digest is not known is still refused where it has the arrays of one whose digest is."""
    labels = {"train": np.arange(20) % 10, "test": np.arange(5)}
    write_official(monkeypatch, tmp_path, "kmnist", labels)
    digest = load_dataset("kmnist", folder=tmp_path).digest
    (tmp_path / "kmnist" / "3.0.1" / "regjax-arrays.npy").unlink()
    monkeypatch.setitem(OFFICIAL, "mnist", OFFICIAL["mnist"]._replace(digest=digest))

    with pytest.raises(DataError, match="holds the arrays of mnist, expected those of kmnist; delete that folder"):
        load_dataset("kmnist", folder=tmp_path)


@pytest.mark.parametrize("name", ["emnist/balanced", "cifar10", "svhn", "tfds:iris", "tfds:emnist/digits:3.1.0"])
def test_unprepared(tmp_path, no_network, name):
    """What is not prepared is one error with the command that prepares it online."""
    builder = {"svhn": "svhn_cropped"}.get(name, name.removeprefix("tfds:"))
    with pytest.raises(DataError, match=f"{name} is not prepared") as caught:
        load_dataset(name, folder=tmp_path)

    assert f'tfds.builder("{builder}", data_dir="{tmp_path}", file_format="array_record")' in str(caught.value)


def test_facts_of_the_known_sets():
    """Versions, counts, shapes and classes of the known sets are those of the TFDS builders."""
    from tensorflow_datasets.core import registered
    from tensorflow_datasets.image_classification import cifar, mnist

    for official in _make_table().values():
        assert official.name in DATASETS
        builder, _, config = official.builder.partition("/")
        if builder != "svhn_cropped":
            found = registered.imported_builder_cls(builder)
            assert str(found.VERSION) == official.version
            assert found.__module__ in (mnist.__name__, cifar.__name__)
        if config:
            (of,) = (c for c in mnist.EMNIST.BUILDER_CONFIGS if c.name == config)
            assert (of.class_number, of.train_examples, of.test_examples) == (
                official.num_classes, official.counts["train"], official.counts["test"],
            )  # fmt: skip


RNG = np.random.default_rng(3)
VECTORS = RNG.normal(size=(40, 3)).astype(np.float32)
VALUES = RNG.normal(size=40).astype(np.float32)


def rows_of(count, start=0):
    """Return examples with features of many kinds."""
    image = make_images(1, (8, 6, 3))[0]
    return [
        {
            "image": encode(image + np.uint8(index)),
            "label": index % 3,
            "other": index % 2,
            "vector": VECTORS[index],
            "value": float(VALUES[index]),
            "score": index % 4,
            "pair": [float(index), 1.0],
            "ragged": [1.0] * (index % 3),
            "packed": np.full((2, 2), index, np.float32),
            "bare": np.full((2, 2), index, np.int16),
            "counts": [index, 1],
            "text": "a",
            "table": {"kind": index % 2, "size": float(index), "wide": [1.0, index / 2]},
            "any": encode(image),
            "flag": index % 2 == 0,
            "box": (0.0, 0.0, 1.0, 1.0),
            "deep": encode(image[..., 0]),
        }
        for index in range(start, start + count)
    ]


def many(tfds):
    """Return features of many kinds."""
    return {
        "image": tfds.Image(shape=(8, 6, 3)),
        "label": tfds.ClassLabel(num_classes=5),
        "other": tfds.ClassLabel(num_classes=2),
        "vector": tfds.Tensor(shape=(3,), dtype=np.float32),
        "value": np.float64,
        "score": np.int32,
        "pair": tfds.Sequence(np.float32, length=2),
        "ragged": tfds.Sequence(np.float32),
        "packed": tfds.Tensor(shape=(2, 2), dtype=np.float32, encoding="zlib"),
        "bare": tfds.Tensor(shape=(2, 2), dtype=np.int16, encoding="bytes"),
        "counts": tfds.Tensor(shape=(2,), dtype=np.int32),
        "text": tfds.Text(),
        "table": {
            "kind": tfds.ClassLabel(num_classes=2),
            "size": np.float32,
            "wide": tfds.Tensor(shape=(2,), dtype=np.float32),
        },
        "any": tfds.Image(),
        "flag": np.bool_,
        "box": tfds.Tensor(shape=(None,), dtype=np.float32),
        "deep": tfds.Image(shape=(8, 6, 1), dtype=np.uint16),
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, frame):
    """Return a data folder with sets of many features: both formats, configs, versions, and other splits."""
    folder = tmp_path_factory.mktemp("many")

    def both():  # anew for each: the writer reads the opened images to their end
        return {"train": rows_of(12), "test": rows_of(5, 12)}

    write_folder(folder, "many", many, both(), supervised=("image", "label"))
    write_folder(folder, "framed", many, both(), supervised=("image", "label"), frame=frame)
    write_folder(folder, "mute", many, both(), config="first")
    write_folder(folder, "mute", many, both(), config="second")
    one = {"x": np.float32, "y": np.float32}
    row = [{"x": float(i), "y": float(-i)} for i in range(9)]
    write_folder(folder, "plain", lambda _: one, {"train": row[:2], "test": row[2:5]}, version="1.9.0")
    write_folder(folder, "plain", lambda _: one, {"train": row[:6], "validation": row[6:]}, version="1.10.0")
    write_folder(folder, "whole", lambda _: one, {"train": row}, config="only", supervised=("x", "y"))
    write_folder(folder, "nested", lambda _: one, {"train": row}, supervised=("x", {"a": "y"}))
    write_folder(folder, "unsaid", lambda tfds: one | {"z": np.float32, "l": tfds.ClassLabel(num_classes=3)},
                 {"train": [{**r, "z": 1.0, "l": -1 if i else 0} for i, r in enumerate(row)]},
                 supervised=({"x": "x", "z": "z"}, "y"))  # fmt: skip
    return folder


@pytest.mark.parametrize("name", ["many", "framed"])
def test_supervised_keys(prepared, no_network, name):
    """Without x and y the features are those that the set's makers name; unused classes are left out."""
    found = load_dataset(f"tfds:{name}", folder=prepared)

    image = make_images(1, (8, 6, 3))[0]
    assert (found.name, found.x.shape, found.x.dtype, found.num_classes) == (f"tfds:{name}", (17, 8, 6, 3), "uint8", 3)
    numbers = (found.x - image)[:, 0, 0, 0]
    np.testing.assert_array_equal(found.x, image + numbers[:, None, None, None])
    np.testing.assert_array_equal(numbers % 3, found.y)
    assert sorted(numbers[found.parts["train"]]) == list(range(12))
    assert sorted(numbers[found.parts["test"]]) == list(range(12, 17))
    assert found.note == ""


@pytest.mark.parametrize(
    ("x", "y", "shape", "expected"),
    [
        ("vector", "value", (3,), lambda i: VECTORS[i]),
        ("pair", "value", (2,), lambda i: [i, 1]),
        ("packed", "value", (2, 2), lambda i: np.full((2, 2), i)),
        ("bare", "value", (2, 2), lambda i: np.full((2, 2), i)),
        ("score", "value", (1,), lambda i: [i % 4]),
        ("flag", "value", (1,), lambda i: [i % 2 == 0]),
        ("table", "value", (5,), lambda i: [i % 2 == 0, i % 2 == 1, i, 1, i / 2]),
        ("table/size", "value", (1,), lambda i: [i]),
        ("other, score", "value", (3,), lambda i: [i % 2 == 0, i % 2 == 1, i % 4]),
        ("table", "vector", (5,), lambda i: [i % 2 == 0, i % 2 == 1, i, 1, i / 2]),
        ("packed", "flag", (2, 2), lambda i: np.full((2, 2), i)),
        ("packed", "score", (2, 2), lambda i: np.full((2, 2), i)),
    ],
)  # fmt: skip
def test_features_of_numbers(prepared, x, y, shape, expected):
    """Vectors, scalars, packed arrays and tables of features are inputs; floats, flags and integers are targets."""
    found = load_dataset("tfds:framed", folder=prepared, x=x, y=y)
    index = load_dataset("tfds:framed", folder=prepared, x="table/size", y="label").x[:, 0].astype(int)
    targets = {"value": VALUES[index], "vector": VECTORS[index], "flag": index % 2 == 0, "score": index % 4}[y]

    assert found.x.shape == (17, *shape)
    assert found.x.dtype == np.float32
    np.testing.assert_array_equal(np.array([expected(i) for i in index], np.float32), found.x)
    np.testing.assert_array_equal(targets, found.y)
    assert found.num_classes == {"flag": 2, "score": 4}.get(y, 0)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ("text", None, r"data\.x: feature 'text' is Text; regjax reads no Text"),
        ("any", None, r"data\.x: feature 'any' is image; its size varies: \[-1, -1, 3\]"),
        ("deep", None, r"data\.x: feature 'deep' is image; its pixels are uint16, expected uint8"),
        ("ragged", None, r"data\.x: feature 'ragged' is Sequence; it is a sequence of numbers, of any length"),
        ("box", None, r"data\.x: feature 'box' is float32 \[-1\]; its size varies"),
        ("imag", None, r"data\.x: no feature 'imag', expected one of: any \(image\), bare .*vector \(float32 \[3\]\)"),
        ("image,vector", None, r"data\.x: got an image beside other features"),
        ("label", "label", r"data\.x: feature 'label' is the target too"),
        (None, "text", r"data\.y: feature 'text' is Text"),
        (None, "image", r"data\.y: feature 'image' is image; expected a label, a number or a vector"),
        (None, "table", r"data\.y: 'table' names 3 features, expected one"),
        (None, "counts", r"data\.y: feature 'counts' is a vector of int32, expected floats or one label"),
        (None, "packed", r"data\.y: feature 'packed' is float32 \[2, 2\]"),
    ],
)
def test_unfit_features(prepared, x, y, message):
    """A feature that cannot be read, or is not there, is named with its kind."""
    with pytest.raises(DataError, match=message):
        load_dataset("tfds:many", folder=prepared, x=x, y=y)


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("tfds:mute/first", {}, r"data\.y: 3 features are labels, expected one"),
        ("tfds:mute/first", {"y": "label", "x": "vector, score, text"}, "regjax reads no Text"),
        ("tfds:mute/second", {"y": "label"}, r"data\.x: which feature is the input is not said; .* any \(image\)"),
        ("tfds:mute", {}, r"prepared in several configs, expected one of tfds:mute/first, tfds:mute/second"),
        ("tfds:plain", {}, r"data\.y: 0 features are labels, expected one; set data\.y to one of: x .*, y"),
        ("tfds:nested", {}, r"data\.y: 0 features are labels, expected one; set data\.y to one of: x .*, y"),
        ("tfds:plain:2.0.0", {}, r"not prepared: no .*/plain/2\.0\.0/dataset_info\.json"),
        ("tfds:unsaid", {"y": "l"}, r"'l' is -1 in 8 of 9 records, expected 0 to 2 \(-1 marks"),
        ("tfds:", {}, r"expected \"tfds:<name>"),
        ("tfds:../many", {}, r"expected \"tfds:<name>"),
        ("tfds:many/..", {}, r"expected \"tfds:<name>"),
        ("tfds:many/../many:1.0.0", {}, r"expected \"tfds:<name>"),
    ],
)
def test_names_and_choices(prepared, name, keys, message):
    """What is not said or not there is asked for: the target, the input, the config, the version, a name."""
    with pytest.raises(DataError, match=message):
        load_dataset(name, folder=prepared, **keys)


def test_versions_and_parts(prepared):
    """Without a version the newest is read; a validation part stands in for a missing test part, with a note."""
    newest = load_dataset("tfds:plain", folder=prepared, y="y")
    named = load_dataset("tfds:plain:1.9.0", folder=prepared, x="x", y="y")

    assert {part: len(rows) for part, rows in newest.parts.items()} == {"train": 6, "test": 3}
    assert newest.note == "its official validation part is the test part"
    assert {part: len(rows) for part, rows in named.parts.items()} == {"train": 2, "test": 3}
    np.testing.assert_array_equal(newest.x[:, 0], -newest.y)


def test_one_split_is_no_official_part(prepared):
    """A set of one split has no official parts: all rows are divided at random, and a note says so."""
    found = load_dataset("tfds:whole", folder=prepared)

    assert found.parts == {}
    assert found.note == "no official test part: train is split at random"
    assert sorted(found.x[:, 0]) == list(range(9))
    assert load_dataset("tfds:unsaid", folder=prepared).x.shape == (9, 2)


def test_the_cache_follows_the_choice_and_the_files(prepared, tmp_path, frame):
    """Another choice of features, or records prepared anew, are not answered from the cache of the former ones."""
    rows = [{"x": float(i), "y": float(-i), "z": float(i * i)} for i in range(9)]

    def features(_):
        return dict.fromkeys("xyz", np.float32)

    path = write_folder(tmp_path, "own", features, {"train": rows})
    first, second = (load_dataset("tfds:own", folder=tmp_path, x=x, y="y") for x in "xz")
    assert not np.array_equal(first.x, second.x)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    write_folder(tmp_path, "own", features, {"train": [{**row, "z": -1.0 * i} for i, row in enumerate(rows)]})
    third = load_dataset("tfds:own", folder=tmp_path, x="z", y="y")

    np.testing.assert_array_equal(third.x[:, 0], third.y)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "features.json").unlink(), r"features\.json cannot be read"),
        (lambda p: (p / "features.json").write_text("[1]"), r"features\.json is no description of features"),
        (lambda p: (p / "features.json").write_text('{"type": "x", "content": "{}"}'), "no description of features"),
        (lambda p: next(p.glob("own-train*")).unlink(), r"missing: own-train\.array_record-00000-of-00001"),
        (
            lambda p: (p / "dataset_info.json").write_text(
                (p / "dataset_info.json").read_text().replace("{DATASET}", "../{DATASET}")
            ),
            r"cannot be read: ValueError.*is no file name",
        ),
        (
            lambda p: (p / "dataset_info.json").write_text(
                json.dumps({**json.loads((p / "dataset_info.json").read_text()), "splits": []})
            ),
            r"own/1\.0\.0 holds no examples; prepare the data anew",
        ),
    ],
)
def test_damaged_folders(tmp_path, damage, message):
    """Missing or strange descriptions and records are refused; no file outside the folder is ever read."""
    rows = [{"x": float(i), "y": float(i)} for i in range(3)]
    path = write_folder(tmp_path, "own", lambda _: dict.fromkeys("xy", np.float32), {"train": rows})
    damage(path)

    with pytest.raises(DataError, match=message):
        load_dataset("tfds:own", folder=tmp_path, x="x", y="y")
