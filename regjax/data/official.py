"""MNIST and Fashion-MNIST as TFDS prepares them: what is known of them, and reading what is prepared."""

import contextlib
import io
import json
import logging
import os
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from regjax.data import cache
from regjax.data.base import DataError, Dataset, make_dataset, make_parts
from regjax.data.png import decode_pngs
from regjax.data.records import parse_examples, read_tfrecords, restore_order


class Official(NamedTuple):
    """An official data set: grey images of one size, a train and a test part.

    digest: that of the arrays in IDX order; whatever is read must have it.
    """

    name: str
    version: str
    counts: dict[str, int]
    shape: tuple[int, int]
    digest: str


MNIST_COUNTS = {"train": 60_000, "test": 10_000}
OFFICIAL = {
    official.name: official
    for official in (
        Official("mnist", "3.0.1", MNIST_COUNTS, (28, 28), "d0ebaa5750e6081b"),
        Official("fashion_mnist", "3.0.1", MNIST_COUNTS, (28, 28), "2e66befab3f3fe3b"),
    )
}
IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def default_folder() -> Path:
    """Return where TFDS keeps prepared data: $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path("~/tensorflow_datasets")).expanduser()


def load_official(official: Official, folder: Path | None = None) -> Dataset:
    """Return an official data set from its array cache, or else from the record files that TFDS prepared.

    The first read of record files writes the cache, beside them or in the user's cache folder. No network is used.

    Args:
      official: which one.
      folder: data folder of TFDS; None for its default.

    Returns:
      x [N, height, width, 1] uint8 (memory-mapped, read-only, where a cache could be kept), train rows first, both
      parts in the order of the published IDX files whatever the source.

    Raises:
      DataError: nothing is prepared, files are missing or damaged, or the arrays are not the official ones.
    """
    prepared = (folder or default_folder()).expanduser() / official.name / official.version
    places = cache.list_places(prepared, f"{official.name}-{official.version}")
    parts = make_parts(official.counts["train"], official.counts["test"])
    count = len(parts["train"]) + len(parts["test"])
    dtype = cache.make_dtype((count, *official.shape, 1), np.dtype(np.uint8), (count,), np.dtype(np.int32))
    for place in places:
        found = cache.load_arrays(place, dtype)
        if found is not None:
            dataset = make_dataset(official.name, *found, parts=parts)
            if dataset.digest == official.digest:
                return dataset
    dataset = make_dataset(official.name, *read_prepared(official, prepared), parts=parts)
    check_digest(official, dataset.digest, prepared)
    cached = cache.save_arrays(places, dtype, dataset.x, dataset.y)
    return dataset if cached is None else dataset._replace(x=cached[0], y=cached[1])


def check_digest(official: Official, digest: str, where: Path) -> None:
    """Raise DataError unless `digest` is that of the official arrays; names the set whose arrays they are instead."""
    if digest == official.digest:
        return
    others = [name for name, other in OFFICIAL.items() if other.digest == digest]
    found = f"the arrays of {others[0]}" if others else f"arrays with digest {digest}"
    raise DataError(
        f"{where} holds {found}, expected those of {official.name} (digest {official.digest}); delete that folder and "
        f"prepare it anew: {prepare_command(official)}"
    )


def read_prepared(official: Official, prepared: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return x [N, height, width, 1] uint8 and y [N] int32 of a folder that TFDS prepared, in IDX order.

    Args:
      official: which data set.
      prepared: folder <data folder>/<name>/<version>, in array_record or TFRecord format.

    Raises:
      DataError: as `load_official`, except that pixels and labels are not compared with the official ones.
    """
    shards, file_format = list_shards(official, prepared)
    images, labels = [], []
    for part, count in official.counts.items():
        if file_format == "tfrecord":
            records = [record for path in shards[part] for record in read_tfrecords(path)]
        else:
            records = _read_array_records(official, prepared, part)
        if len(records) != count:
            raise DataError(f"{prepared} has {len(records)} {part} records, expected {count}; prepare it anew")
        encoded, targets = parse_examples(records)
        images.append(restore_order(part, decode_pngs(encoded, *official.shape)))
        labels.append(restore_order(part, targets))
    return np.concatenate(images)[..., None], np.concatenate(labels)


def list_shards(official: Official, prepared: Path) -> tuple[dict[str, list[Path]], str]:
    """Return {part: record files} and the file format of a prepared folder.

    Raises:
      DataError: nothing is prepared there (names the ways out), the format is another, shards are missing (names
        them), or the counts are not the official ones.
    """
    described = prepared / "dataset_info.json"
    if not described.is_file():
        raise DataError(explain_unprepared(official, prepared))
    try:
        info = json.loads(described.read_text(encoding="utf-8"))
        file_format = info.get("fileFormat", "tfrecord")  # as TFDS itself reads folders older than this field
        lengths = {split["name"]: [int(n) for n in split["shardLengths"]] for split in info["splits"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{described} cannot be read: {error!r}; remove that folder and prepare the data anew"
        ) from error
    if file_format not in ("array_record", "tfrecord"):
        raise DataError(
            f"{prepared} is in the format {file_format!r}; regjax reads array_record and tfrecord. Use another data "
            f"folder: {prepare_command(official)}"
        )
    if {part: sum(of_part) for part, of_part in lengths.items()} != official.counts:
        raise DataError(
            f"{described} counts {lengths}, expected {official.counts}; remove that folder and prepare the data anew"
        )
    shards = {
        part: [
            prepared / f"{official.name}-{part}.{file_format}-{index:05d}-of-{len(of_part):05d}"
            for index in range(len(of_part))
        ]
        for part, of_part in lengths.items()
    }
    missing = [path.name for paths in shards.values() for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{prepared} is incomplete; missing: {', '.join(missing)}. Copy them there, or delete that folder and run "
            f"{prepare_command(official)}"
        )
    return shards, file_format


def prepare_command(official: Official) -> str:
    """Return the command that prepares the data set from local files."""
    return f"`regjax data prepare {official.name} --from DIR`"


def explain_unprepared(official: Official, prepared: Path) -> str:
    """Return what to do where a data set is not prepared: from local files, or online."""
    files = ", ".join(name for names in IDX_FILES.values() for name in names)
    code = (
        f"import tensorflow_datasets as tfds; tfds.builder({json.dumps(official.name)}, "
        f'data_dir={json.dumps(str(prepared.parent.parent))}, file_format="array_record").download_and_prepare()'
    )
    return (
        f"{official.name} is not prepared: {prepared} does not exist or holds no dataset_info.json. Two ways out:\n"
        f"  1. with the four published files ({files}) in a folder DIR: {prepare_command(official)}\n"
        f"  2. online, where tensorflow is installed (TFDS needs it to download): python -c {shlex.quote(code)}\n"
        "If it is prepared elsewhere, name that data folder in TFDS_DATA_DIR."
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what TFDS prints, logs, warns about and draws as progress bars."""
    disabled = logging.root.manager.disable
    silent = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)


def _read_array_records(official: Official, prepared: Path, part: str) -> list[Any]:
    try:
        with quiet():
            import tensorflow_datasets as tfds

            source = tfds.data_source(
                f"{official.name}:{official.version}",
                split=part,
                data_dir=prepared.parent.parent,
                download=False,
                deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
            )
            return list(source.__getitems__(range(len(source))))
    # What array_record and TFDS raise at damaged files is not documented and differs between versions.
    except Exception as error:
        raise DataError(f"the {part} records in {prepared} cannot be read: {error}; prepare it anew") from error
