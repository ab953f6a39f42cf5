"""Preparing an official data set from local IDX files: the official TFDS builder, without tensorflow."""

import hashlib
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from regjax.data.checks import DataError
from regjax.data.idx import read_idx
from regjax.data.official import IDX_FILES, OFFICIAL, Official, load_official
from regjax.data.png import encode_png
from regjax.data.prepared import default_folder, quiet
from regjax.files import expand_home

# Classes of tensorflow_datasets.image_classification.mnist whose sets are published as four IDX files.
PARENTS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}


def prepare(name: str, source: Path, folder: Path | None = None) -> Path:
    """Prepare an official data set from its published IDX files and return the prepared folder.

    The files are compared with the SHA-256 that TFDS registers for them, written by the official TFDS builder in the
    array_record format, and read back once, which compares all pixels and labels and leaves an array cache. A folder
    that is prepared already is verified and returned. No network is used.

    Args:
      name: "mnist", "fashion_mnist" or "kmnist".
      source: folder with the four .gz files.
      folder: data folder of TFDS; None for its default.

    Raises:
      DataError: a file is missing or another than the official one (names it, with both checksums), the data folder
        cannot be written, or what is prepared there already is incomplete or damaged.
    """
    if name not in PARENTS:
        why = "TFDS prepares it online" if name in OFFICIAL else "other data needs no preparation"
        raise DataError(f"got {name!r}, expected one of {', '.join(PARENTS)}; {why}")
    official = OFFICIAL[name]
    folder = expand_home(folder or default_folder()).resolve()
    prepared = folder / official.path
    try:
        if not prepared.exists():
            _build(official, expand_home(source).resolve(), folder)
        elif not (prepared / "dataset_info.json").is_file():
            # TFDS takes any folder of this name for a prepared one and would silently do nothing.
            raise DataError(f"{prepared} is no prepared data (no dataset_info.json in it); delete it and try again")
        load_official(official, folder)
    except OSError as error:
        raise DataError(f"{name} cannot be prepared: {error}; name other folders") from error
    return prepared


def _build(official: Official, source: Path, folder: Path) -> None:
    with quiet():
        import tensorflow_datasets as tfds

        builder = _make_builder(official, folder)
    check_files(source, {info.filename: info.checksum for info in builder.url_infos.values()})
    # A file found in the download folder is taken on trust by TFDS, so this one is new and empty.
    with tempfile.TemporaryDirectory() as downloads, quiet():
        config = tfds.download.DownloadConfig(manual_dir=source, try_download_gcs=False)
        try:
            builder.download_and_prepare(download_dir=downloads, download_config=config)
        except OSError as error:
            raise DataError(f"{folder} cannot be written: {error}; name another data folder") from error


def check_files(source: Path, checksums: dict[str, str]) -> None:
    """Raise DataError unless the folder holds these files with these SHA-256 sums; names every one that is wrong."""
    problems = []
    for name, expected in sorted(checksums.items()):
        path = source / name
        if not path.is_file():
            problems.append(f"{path} is missing")
            continue
        with path.open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        if got != expected:
            problems.append(f"{path} is not the official file: sha256 {got}, expected {expected}")
    if problems:
        raise DataError("\n".join(problems))


def _make_builder(official: Official, folder: Path) -> Any:
    from tensorflow_datasets.core import registered
    from tensorflow_datasets.image_classification import mnist

    parent = getattr(mnist, PARENTS[official.name])

    def split_generators(self: Any, manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        # `download`, not `download_and_extract`: extraction needs tensorflow, and extracted names of two sets collide.
        urls = {part: [parent.URL + name for name in names] for part, names in IDX_FILES.items()}
        return {
            part: self._generate_examples(part, *(Path(path) for path in paths))
            for part, paths in manager.download(urls).items()
        }

    def generate_examples(self: Any, part: str, images: Path, labels: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        count = official.counts[part]
        pixels, targets = read_idx(images, (count, *official.shape[:2])), read_idx(labels, (count,))
        # The builder's own encoder needs tensorflow; bytes of a PNG are stored as they are.
        for index, (image, label) in enumerate(zip(pixels, targets, strict=True)):
            yield index, {"image": BytesIO(encode_png(image)), "label": int(label)}

    methods = {"_split_generators": split_generators, "_generate_examples": generate_examples}
    names = {"name": official.name, "VERSION": parent.VERSION, "__module__": parent.__module__}
    with registered.skip_registration():
        made = type(parent.__name__, (parent,), {**names, **methods})
    return made(data_dir=folder, file_format="array_record")
