"""A folder that TFDS prepared, in either of its two common formats, read without tensorflow."""

import contextlib
import hashlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from regjax.data.checks import DataError
from regjax.data.memory import check_size
from regjax.data.records import read_array_records, read_tfrecords
from regjax.files import expand_home

LARGEST_JSON = 2**24  # bytes; what TFDS writes has some thousands
READERS = {"array_record": read_array_records, "tfrecord": read_tfrecords}
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


class Prepared(NamedTuple):
    """What the dataset_info.json of a prepared folder says.

    folder: <data folder>/<name>[/<config>]/<version>.
    file_format: "array_record" or "tfrecord".
    lengths: {split: examples of each record file}.
    shards: {split: record files}, in order.
    shuffled: whether TFDS shuffled the examples by their keys.
    supervised: names of the features that its makers take as inputs, and the one they take as target; or None.
    """

    folder: Path
    file_format: str
    lengths: dict[str, list[int]]
    shards: dict[str, list[Path]]
    shuffled: bool
    supervised: tuple[list[str], str] | None

    @property
    def counts(self) -> dict[str, int]:
        """Examples of each split."""
        return {split: sum(lengths) for split, lengths in self.lengths.items()}


def default_folder() -> Path:
    """Return where TFDS keeps prepared data: $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return expand_home(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of a prepared folder; DataError where it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_JSON + 1)
        if len(content) > LARGEST_JSON:
            raise ValueError(f"more than {LARGEST_JSON} bytes")
        return json.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error!r}; remove that folder and prepare the data anew") from error


def describe(folder: Path) -> Prepared:
    """Return what the dataset_info.json of a prepared folder says.

    Raises:
      DataError: it cannot be read, or the record files are in another format.
    """
    path = folder / "dataset_info.json"
    info = read_json(path)
    try:
        file_format = str(info.get("fileFormat", "tfrecord"))  # as TFDS itself reads folders older than this field
        lengths = {split["name"]: [int(n) for n in split["shardLengths"]] for split in info["splits"]}
        shards = {split["name"]: _name_shards(folder, info["name"], file_format, split) for split in info["splits"]}
        supervised = _read_supervised(info.get("supervisedKeys"))
        shuffled = not info.get("disableShuffling", False)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} cannot be read: {error!r}; remove that folder and prepare the data anew") from error
    if file_format not in READERS:
        raise DataError(
            f"{folder} is in the format {file_format!r}; regjax reads {' and '.join(READERS)}. Prepare the data anew "
            "in another data folder"
        )
    return Prepared(folder, file_format, lengths, shards, shuffled, supervised)


def _name_shards(folder: Path, name: str, file_format: str, split: Mapping[str, Any]) -> list[Path]:
    count = len(split["shardLengths"])
    names = []
    for index in range(count):
        made = split.get("filepathTemplate") or TEMPLATE
        values = {"DATASET": name, "SPLIT": split["name"], "FILEFORMAT": file_format}
        values |= {"SHARD_INDEX": f"{index:05d}", "NUM_SHARDS": f"{count:05d}"}
        values |= {"SHARD_X_OF_Y": f"{index:05d}-of-{count:05d}"}
        for key, value in values.items():
            made = made.replace(f"{{{key}}}", value)
        if Path(made).name != made:
            raise ValueError(f"{made!r} is no file name")
        names.append(made)
    return [folder / made for made in names]


def _read_supervised(keys: Mapping[str, Any] | None) -> tuple[list[str], str] | None:
    if not keys or len(keys.get("tuple", {}).get("items", ())) < 2:
        return None
    inputs, target = keys["tuple"]["items"][:2]
    if "featureKey" not in target:
        return None
    if "featureKey" in inputs:
        return [inputs["featureKey"]], target["featureKey"]
    named = inputs.get("dict", {}).get("dict", {})
    found = sorted(value["featureKey"] for value in named.values() if "featureKey" in value)
    return (found, target["featureKey"]) if found else None


def check_shards(prepared: Prepared, splits: list[str]) -> None:
    """Raise DataError where record files of these splits are missing; names them."""
    missing = [path.name for split in splits for path in prepared.shards[split] if not path.is_file()]
    if missing:
        raise DataError(
            f"{prepared.folder} is incomplete; missing: {', '.join(missing)}. Copy them there, or delete that folder "
            "and prepare the data anew"
        )


def read_records(prepared: Prepared, split: str) -> list[bytes]:
    """Return the records of a split in their order on disk.

    Raises:
      DataError: a file is damaged, or there are more or fewer records than the description counts.
    """
    read = READERS[prepared.file_format]
    sizes = [path.stat().st_size for path in prepared.shards[split]]
    check_size(f"the {split} records in {prepared.folder}", sum(sizes))
    try:
        records = [record for path in prepared.shards[split] for record in read(path)]
    except DataError as error:
        raise DataError(f"the {split} records in {prepared.folder} cannot be read: {error}; prepare it anew") from error
    count = prepared.counts[split]
    if len(records) != count:
        raise DataError(f"{prepared.folder} has {len(records)} {split} records, expected {count}; prepare it anew")
    return records


def fingerprint(prepared: Prepared, splits: list[str], *chosen: str) -> str:
    """Return 16 hex digits that change where record files or descriptions are replaced, or other features chosen."""
    hasher = hashlib.sha256(repr((splits, chosen)).encode())
    described = [prepared.folder / "dataset_info.json", prepared.folder / "features.json"]
    for path in [*described, *(path for split in splits for path in prepared.shards[split])]:
        if path.is_file():
            found = path.stat()
            hasher.update(f"{path.name}:{found.st_size}:{found.st_mtime_ns};".encode())
    return hasher.hexdigest()[:16]


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
