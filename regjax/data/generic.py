"""Any data set that TFDS prepared, by what its own description says of it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from regjax.data import cache
from regjax.data.base import Dataset, make_dataset, make_parts
from regjax.data.checks import DataError
from regjax.data.features import Feature, list_features, parse_examples
from regjax.data.memory import check_size
from regjax.data.official import online_command
from regjax.data.prepared import (
    Prepared,
    check_shards,
    default_folder,
    describe,
    fingerprint,
    read_json,
    read_records,
)
from regjax.files import expand_home

PREFIX = "tfds:"
# Nothing here can leave the data folder: a config begins with a letter or digit.
NAME = re.compile(r"tfds:(?P<name>[A-Za-z]\w*)(/(?P<config>\w[\w.+-]*))?(:(?P<version>\d+\.\d+\.\d+))?", re.ASCII)
VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


class Choice(NamedTuple):
    """What of a prepared set is used: features of the inputs, the target, splits in order, and whether they are
    official parts, train and test; `note` says what a reader should know of that."""  # fmt: skip

    inputs: list[Feature]
    target: Feature
    splits: list[str]
    official: bool
    note: str


def load_generic(name: str, folder: Path | None = None, x: str | None = None, y: str | None = None) -> Dataset:
    """Return a data set that TFDS prepared, in the order of its record files. No network is used.

    Args:
      name: "tfds:<name>[/config][:version]"; without a config the only one there is, without a version the newest.
      folder: data folder of TFDS; None for its default.
      x: the feature that is the input, a name under which several lie, or several with commas between them; None for
        what the set's makers name, else the only one it can be.
      y: the feature that is the target, likewise.

    Returns:
      x: an image uint8 [N, height, width, channels], or one feature of numbers [N, ...], or several joined as float32
      columns [N, F] in the order of their names, class labels among them as one column per class. y: labels (classes
      that occur nowhere are left out) or the values of a regression. "train" and "test" are the official parts;
      "validation" where there is no test part; without either all rows are one.

    Raises:
      DataError: it is not prepared, damaged, or a feature cannot be read (names it and its kind) or is not named.
    """
    prepared = describe(find_folder(name, folder or default_folder()))
    chosen = choose(prepared, x, y)
    check_shards(prepared, chosen.splits)
    keys = [feature.name for feature in (*chosen.inputs, chosen.target)]
    source = fingerprint(prepared, chosen.splits, *keys)
    counts = [prepared.counts[split] for split in chosen.splits]

    def make(inputs: np.ndarray, targets: np.ndarray) -> Dataset:
        # A description may count 10^12 examples; the row numbers of a part take memory too.
        if sum(counts) != len(targets):
            raise DataError(
                f"{prepared.folder} counts {sum(counts)} examples and holds {len(targets)}; prepare it anew"
            )
        parts = make_parts(*counts) if chosen.official else {}
        return make_dataset(name, inputs, targets, parts=parts, note=chosen.note)

    places = cache.list_places(prepared.folder, re.sub(r"\W+", "-", name, flags=re.ASCII))
    dataset = cache.load_cached(places, source, make)
    return dataset or cache.save_cached(places, source, make(*_read(prepared, chosen)))


def find_folder(name: str, folder: Path) -> Path:
    """Return the prepared folder of a name "tfds:<name>[/config][:version]" below a data folder of TFDS.

    Raises:
      DataError: the name is none, nothing of it is prepared, or it has several configs.
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise DataError(f'data.name: got {name!r}, expected "tfds:<name>[/config][:version]", such as "tfds:cifar10"')
    base = expand_home(folder) / found["name"]
    if found["config"]:
        base /= found["config"]
    version = found["version"]
    versions = _list_versions(base, version)
    if not versions and not found["config"] and base.is_dir():
        configs = [path for path in sorted(base.iterdir()) if path.is_dir() and _list_versions(path, version)]
        if len(configs) > 1:
            names = ", ".join(f"tfds:{found['name']}/{path.name}" for path in configs)
            raise DataError(f"data.name: {name!r} is prepared in several configs, expected one of {names}")
        versions = _list_versions(configs[0], version) if configs else []
    if not versions:
        command = online_command(name.removeprefix(PREFIX), folder)
        raise DataError(
            f"{name} is not prepared: no {base}/{version or '<version>'}/dataset_info.json. Prepare it {command}\n"
            "If it is prepared elsewhere, name that data folder in data.folder or TFDS_DATA_DIR."
        )
    return versions[-1]


def _list_versions(base: Path, version: str | None) -> list[Path]:
    """Return the prepared versions in a folder, the newest last."""
    if not base.is_dir():
        return []
    found = [path for path in base.iterdir() if VERSION.fullmatch(path.name) and version in (None, path.name)]
    described = [path for path in found if (path / "dataset_info.json").is_file()]
    return sorted(described, key=lambda path: [int(number) for number in path.name.split(".")])


def choose(prepared: Prepared, x: str | None, y: str | None) -> Choice:
    """Return what of a prepared set is used; arguments and errors as `load_generic`."""
    path = prepared.folder / "features.json"
    described = read_json(path)
    try:
        features = list_features(described)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path} is no description of features: {error!r}; prepare the data anew") from error
    supervised = prepared.supervised or ([], "")
    target = _choose_target(features, y or supervised[1])
    inputs = _choose_inputs(features, x.split(",") if x else supervised[0], target)
    return Choice(inputs, target, *_choose_splits(prepared))


def _choose_target(features: Sequence[Feature], name: str) -> Feature:
    labels = [feature for feature in features if feature.kind == "label"]
    found = _select("data.y", features, [name]) if name else labels
    if len(found) != 1:
        what = f"{name!r} names {len(found)} features" if name else f"{len(labels)} features are labels"
        raise DataError(f"data.y: {what}, expected one; set data.y to one of: {_list(features)}")
    (target,) = found
    if target.problem or target.kind == "image" or len(target.shape) > 1:
        why = target.problem or "expected a label, a number or a vector of numbers"
        raise DataError(f"data.y: feature {target.name!r} is {_name_kind(target)}; {why}")
    if len(target.shape) == 1 and np.dtype(target.dtype).kind != "f":
        raise DataError(f"data.y: feature {target.name!r} is a vector of {target.dtype}, expected floats or one label")
    return target


def _choose_inputs(features: Sequence[Feature], names: Sequence[str], target: Feature) -> list[Feature]:
    others = [feature for feature in features if feature != target]
    found = _select("data.x", features, names) if names else [f for f in others if f.kind == "image"] or others
    if not names and len(found) != 1:
        raise DataError(f"data.x: which feature is the input is not said; set data.x to one of: {_list(others)}")
    for feature in found:
        if feature == target:
            raise DataError(f"data.x: feature {feature.name!r} is the target too, expected others")
        if feature.problem:
            raise DataError(f"data.x: feature {feature.name!r} is {_name_kind(feature)}; {feature.problem}")
    if len(found) > 1 and any(feature.kind == "image" for feature in found):
        raise DataError(f"data.x: got an image beside other features ({_list(found)}), expected one image or numbers")
    return found


def _select(place: str, features: Sequence[Feature], names: Sequence[str]) -> list[Feature]:
    """Return the features of these names, or that lie under them, sorted by name, none twice."""
    found = []
    for name in (name.strip() for name in names):
        matching = [feature for feature in features if feature.name == name or feature.name.startswith(f"{name}/")]
        if not matching:
            raise DataError(f"{place}: no feature {name!r}, expected one of: {_list(features)}")
        found += matching
    return sorted(set(found), key=lambda feature: feature.name)


def _list(features: Sequence[Feature]) -> str:
    return ", ".join(f"{feature.name} ({_name_kind(feature)})" for feature in features) or "none"


def _name_kind(feature: Feature) -> str:
    return f"{feature.dtype} {list(feature.shape)}" if feature.kind == "numbers" else feature.kind


def _choose_splits(prepared: Prepared) -> tuple[list[str], bool, str]:
    counts = {split: count for split, count in prepared.counts.items() if count}
    test = next((split for split in ("test", "validation") if split in counts), None)
    if "train" not in counts or test is None:
        if not counts:
            raise DataError(f"{prepared.folder} holds no examples; prepare the data anew")
        return sorted(counts), False, f"no official test part: {' and '.join(sorted(counts))} is split at random"
    unread = sorted(set(counts) - {"train", test})
    said = [] if test == "test" else ["its official validation part is the test part"]
    said += [f"its official {' and '.join(unread)} part is not used"] if unread else []
    return ["train", test], True, "; ".join(said)


def _read(prepared: Prepared, chosen: Choice) -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = [], []
    for split in chosen.splits:
        values = parse_examples(read_records(prepared, split), [*chosen.inputs, chosen.target])
        targets.append(values[chosen.target.name])
        inputs.append(_join_inputs([values[feature.name] for feature in chosen.inputs], chosen.inputs))
    return np.concatenate(inputs), np.concatenate(targets)


def _join_inputs(values: list[np.ndarray], features: Sequence[Feature]) -> np.ndarray:
    if len(features) == 1 and features[0].kind != "label":
        return values[0] if values[0].ndim > 1 else values[0][:, None]
    for column, feature in zip(values, features, strict=True):
        # A label becomes one column per class, by way of a square of the classes.
        width = feature.num_classes if feature.kind == "label" else column[:1].size
        rows = len(column) + (width if feature.kind == "label" else 0)
        check_size(f"feature {feature.name!r} as {width} columns", 4 * rows * width)
    columns = [
        np.eye(feature.num_classes, dtype=np.float32)[column]
        if feature.kind == "label"
        else column.reshape(len(column), -1).astype(np.float32)
        for column, feature in zip(values, features, strict=True)
    ]
    return np.concatenate(columns, axis=1)
