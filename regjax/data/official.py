"""Image sets as TFDS prepares them, MNIST and others: what is known of them, and reading what is prepared."""

import json
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np

from regjax.data import cache
from regjax.data.base import Dataset, make_dataset, make_parts
from regjax.data.checks import DataError
from regjax.data.features import Feature, parse_examples
from regjax.data.prepared import Prepared, check_shards, default_folder, describe, fingerprint, read_records
from regjax.data.records import restore_order
from regjax.files import expand_home


class Official(NamedTuple):
    """An official data set: images of one size, a train and a test part.

    name: in a study.
    builder: of TFDS, with its config: "emnist/balanced".
    version: of the builder.
    counts: examples of the train and the test part.
    shape: [height, width, channels].
    num_classes: that its labels may have; some may occur nowhere.
    digest: that of the arrays in their published order, which whatever is read must have; "" where it is not known.
    """

    name: str
    builder: str
    version: str
    counts: dict[str, int]
    shape: tuple[int, int, int]
    num_classes: int
    digest: str = ""

    @property
    def path(self) -> Path:
        """Its prepared folder below the data folder."""
        return Path(self.builder) / self.version


def _make_table() -> dict[str, Official]:
    mnist = ({"train": 60_000, "test": 10_000}, (28, 28, 1), 10)
    cifar = {"train": 50_000, "test": 10_000}
    table = [
        Official("mnist", "mnist", "3.0.1", *mnist, "d0ebaa5750e6081b"),
        Official("fashion_mnist", "fashion_mnist", "3.0.1", *mnist, "2e66befab3f3fe3b"),
        Official("kmnist", "kmnist", "3.0.1", *mnist),
        Official("cifar10", "cifar10", "3.0.2", cifar, (32, 32, 3), 10),
        Official("cifar100", "cifar100", "3.0.2", cifar, (32, 32, 3), 100),
        Official("svhn", "svhn_cropped", "3.1.0", {"train": 73_257, "test": 26_032}, (32, 32, 3), 10),
    ]
    emnist = (
        ("byclass", 697_932, 116_323, 62),
        ("bymerge", 697_932, 116_323, 47),
        ("balanced", 112_800, 18_800, 47),
        ("letters", 88_800, 14_800, 37),
        ("digits", 240_000, 40_000, 10),
        ("mnist", 60_000, 10_000, 10),
    )
    for config, train, test, classes in emnist:
        name = f"emnist/{config}"
        table.append(Official(name, name, "3.1.0", {"train": train, "test": test}, (28, 28, 1), classes))
    return {official.name: official for official in table}


OFFICIAL = _make_table()
IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
FROM_IDX = ("mnist", "fashion_mnist", "kmnist")


def load_official(official: Official, folder: Path | None = None) -> Dataset:
    """Return an official data set from its array cache, or else from the record files that TFDS prepared.

    The first read of record files writes the cache, beside them or in the user's cache folder. No network is used.

    Args:
      official: which one.
      folder: data folder of TFDS; None for its default.

    Returns:
      x [N, height, width, channels] uint8 (memory-mapped, read-only, where a cache could be kept), train rows first,
      both parts in the order of the published files whatever the source. Labels that occur nowhere are left out and
      the others numbered anew: EMNIST letters has the classes 0..25 for its labels 1..26.

    Raises:
      DataError: nothing is prepared, files are missing or damaged, or the arrays are not the official ones.
    """
    prepared = expand_home(folder or default_folder()) / official.path
    places = cache.list_places(prepared, f"{official.name.replace('/', '-')}-{official.version}")
    parts = make_parts(official.counts["train"], official.counts["test"])

    def make(x: np.ndarray, y: np.ndarray) -> Dataset:
        return make_dataset(official.name, x, y, parts=parts)

    # With a known digest a cache needs nothing beside it.
    source = official.digest or fingerprint(find_prepared(official, prepared), list(official.counts))
    dataset = cache.load_cached(places, source, make)
    if dataset is not None and official.digest in ("", dataset.digest):
        return dataset
    dataset = make(*read_prepared(official, prepared))
    check_digest(official, dataset.digest, prepared)
    return cache.save_cached(places, source, dataset)


def check_digest(official: Official, digest: str, where: Path) -> None:
    """Raise DataError where `digest` is not that of the official arrays; names the set whose arrays they are instead.

    Of a set whose digest is not known it says only that it is not that of another one.
    """
    others = [name for name, other in OFFICIAL.items() if other.digest == digest and name != official.name]
    if digest == official.digest or not (official.digest or others):
        return
    found = f"the arrays of {others[0]}" if others else f"arrays with digest {digest}"
    wanted = f" (digest {official.digest})" if official.digest else ""
    raise DataError(
        f"{where} holds {found}, expected those of {official.name}{wanted}; delete that folder and prepare it anew: "
        f"{prepare_command(official)}"
    )


def find_prepared(official: Official, folder: Path) -> Prepared:
    """Return what the description of a prepared folder says.

    Raises:
      DataError: nothing is prepared there (names the ways out), the format is another, shards are missing (names
        them), or the counts are not the official ones. Splits beside train and test do not count.
    """
    if not (folder / "dataset_info.json").is_file():
        raise DataError(explain_unprepared(official, folder))
    prepared = describe(folder)
    counts = {split: count for split, count in prepared.counts.items() if split in official.counts}
    if counts != official.counts:
        raise DataError(
            f"{folder / 'dataset_info.json'} counts {counts}, expected {official.counts}; remove that folder and "
            "prepare the data anew"
        )
    check_shards(prepared, list(official.counts))
    return prepared


def read_prepared(official: Official, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return x [N, height, width, channels] uint8 and y [N] int64 of a prepared folder, in the published order.

    Args:
      official: which data set.
      folder: <data folder>/<name>/<version>, in array_record or TFRecord format.

    Raises:
      DataError: as `load_official`, except that pixels and labels are not compared with the official ones.
    """
    prepared = find_prepared(official, folder)
    features = (
        Feature("image", "image", official.shape, "uint8"),
        Feature("label", "label", num_classes=official.num_classes),
    )
    images, labels = [], []
    for part in official.counts:
        values = parse_examples(read_records(prepared, part), features)
        # All these builders number the examples of a part from 0 in the order of the published files.
        images.append(restore_order(part, values["image"]) if prepared.shuffled else values["image"])
        labels.append(restore_order(part, values["label"]) if prepared.shuffled else values["label"])
    return np.concatenate(images), np.concatenate(labels)


def prepare_command(official: Official) -> str:
    """Return the command that prepares the data set: from local files where regjax can, else online."""
    return f"`regjax data prepare {official.name} --from DIR`" if official.name in FROM_IDX else "TFDS does it online"


def explain_unprepared(official: Official, prepared: Path) -> str:
    """Return what to do where a data set is not prepared: from local files, or online."""
    files = ", ".join(name for names in IDX_FILES.values() for name in names)
    data_dir = Path(str(prepared).removesuffix(str(official.path)))
    ways = [online_command(official.builder, data_dir)]
    if official.name in FROM_IDX:
        ways.insert(0, f"with the four published files ({files}) in a folder DIR: {prepare_command(official)}")
    return (
        f"{official.name} is not prepared: {prepared} does not exist or holds no dataset_info.json. "
        f"{'Two ways' if len(ways) == 2 else 'One way'} out:\n"
        + "".join(f"  {number}. {way}\n" for number, way in enumerate(ways, 1))
        + "If it is prepared elsewhere, name that data folder in TFDS_DATA_DIR."
    )


def online_command(builder: str, folder: Path) -> str:
    """Return words with the command that prepares a data set of TFDS online, where tensorflow is installed."""
    code = (
        f"import tensorflow_datasets as tfds; tfds.builder({json.dumps(builder)}, "
        f'data_dir={json.dumps(str(folder))}, file_format="array_record").download_and_prepare()'
    )
    return f"online, where tensorflow is installed (TFDS needs it to download): python -c {shlex.quote(code)}"
