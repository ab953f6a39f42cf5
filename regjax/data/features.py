"""What the examples of a prepared TFDS folder consist of, by its features.json, and their values as arrays."""

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from regjax.data.checks import DataError
from regjax.data.images import decode_images
from regjax.data.memory import check_size


class Feature(NamedTuple):
    """One feature of an example.

    name: its key in the example; keys of nested features are joined by "/".
    kind: "image", "label" (a class number) or "numbers"; else TFDS' name of a kind that cannot be read.
    shape: of one value.
    dtype: of one value, as NumPy names it.
    num_classes: of a label.
    encoding: of numbers: "none", or their raw bytes as "bytes" or "zlib".
    problem: why it cannot be read; "" where it can.
    """

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = "int64"
    num_classes: int = 0
    encoding: str = "none"
    problem: str = ""


def list_features(described: Mapping[str, Any], name: str = "") -> list[Feature]:
    """Return the features of a features.json, nested ones flattened, sorted by name.

    Args:
      described: its parsed content, or a part of it.
      name: key of that part.

    Raises:
      KeyError, TypeError, ValueError, AttributeError: it is no such description.
    """
    if "featuresDict" in described:
        inner = described["featuresDict"]["features"]
        return [
            leaf for key in sorted(inner) for leaf in list_features(inner[key], f"{name}/{key}" if name else str(key))
        ]
    return [_make_feature(described, name)]


def _make_feature(described: Mapping[str, Any], name: str) -> Feature:
    kind = described["pythonClassName"].rpartition(".")[2]
    if "image" in described:
        shape, dtype = _read_shape(described["image"]), described["image"].get("dtype") or "uint8"
        problem = _find_size_problem(shape) or ("" if dtype == "uint8" else f"its pixels are {dtype}, expected uint8")
        return Feature(name, "image", shape, dtype, problem=problem)
    if "classLabel" in described:
        return Feature(name, "label", num_classes=int(described["classLabel"]["numClasses"]))
    if "tensor" in described:
        tensor = described["tensor"]
        shape, dtype, encoding = _read_shape(tensor), tensor["dtype"], tensor.get("encoding") or "none"
        problem = _find_size_problem(shape) or _find_type_problem(dtype)
        return Feature(name, "numbers", shape, dtype, encoding=encoding, problem=problem)
    if "sequence" in described:
        inner = _make_feature({"pythonClassName": "", **described["sequence"]["feature"]}, name)
        length = int(described["sequence"].get("length", -1))
        if inner.kind == "numbers" and inner.encoding == "none" and length > 0:
            return inner._replace(shape=(length, *inner.shape))
        what = f"of {inner.kind or 'features'}, " + (f"{length} long" if length > 0 else "of any length")
        return Feature(name, kind, problem=f"it is a sequence {what}")
    return Feature(name, kind, problem=f"regjax reads no {kind}")


def _read_shape(described: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(size) for size in described.get("shape", {}).get("dimensions", ()))


def _find_size_problem(shape: tuple[int, ...]) -> str:
    return "" if all(size > 0 for size in shape) else f"its size varies: {list(shape)}, -1 is any"


def _find_type_problem(dtype: str) -> str:
    try:
        readable = np.dtype(dtype).kind in "buif"
    except (TypeError, ValueError, SyntaxError):
        readable = False
    return "" if readable else f"its type is {dtype}, expected numbers"


def parse_examples(records: Sequence[bytes], features: Sequence[Feature]) -> dict[str, np.ndarray]:
    """Return the values of these features in serialized `tf.train.Example` records.

    Args:
      records: one example each.
      features: which to read, all of them readable.

    Returns:
      By name: images uint8 [N, height, width, channels], labels int64 [N], numbers [N, *shape] of their type.

    Raises:
      DataError: a record is no such example or lacks a feature, an image is damaged, a label is out of range, or the
        declared shapes take more than `memory.check_size` admits (nothing is then decoded).
    """
    from google.protobuf.message import DecodeError
    from tensorflow_datasets.proto import tf_example_pb2

    for feature in features:
        size = len(records) * math.prod(feature.shape) * np.dtype(feature.dtype).itemsize
        check_size(f"feature {feature.name!r} of {len(records)} examples {list(feature.shape)}", size)
    columns: dict[str, list[Any]] = {feature.name: [] for feature in features}
    for index, record in enumerate(records):
        try:
            found = tf_example_pb2.Example.FromString(record).features.feature
        except DecodeError as error:
            raise DataError(f"record {index} is no example: {error}") from error
        for feature in features:
            try:
                columns[feature.name].append(_read_one(found[feature.name], feature))
            except (IndexError, ValueError, zlib.error) as error:
                raise DataError(f"record {index} is no example with a value of {feature.name!r}: {error}") from error
    return {feature.name: _join(columns[feature.name], feature) for feature in features}


def _read_one(entry: Any, feature: Feature) -> Any:
    if feature.kind == "image":
        return entry.bytes_list.value[0]
    dtype = np.dtype(feature.dtype)
    if feature.encoding != "none":
        content = entry.bytes_list.value[0]
        if feature.encoding == "zlib":
            # The one byte more shows that there is more; a bomb is not inflated any further.
            content = zlib.decompressobj().decompress(content, math.prod(feature.shape) * dtype.itemsize + 1)
        return np.frombuffer(content, dtype.newbyteorder("<")).reshape(feature.shape)
    values = entry.float_list.value if dtype.kind == "f" else entry.int64_list.value
    if len(values) != math.prod(feature.shape):
        raise ValueError(f"{len(values)} values, expected {math.prod(feature.shape)}")
    return values[0] if not feature.shape else np.array(values)


def _join(column: list[Any], feature: Feature) -> np.ndarray:
    if feature.kind == "image":
        height, width, channels = feature.shape
        return decode_images(column, (height, width, channels))
    joined = np.array(column) if column else np.zeros(0)
    values = joined.astype(feature.dtype).reshape(-1, *feature.shape)
    if feature.kind == "label":
        wrong = (values < 0) | (values >= feature.num_classes)
        if wrong.any():
            raise DataError(
                f"{feature.name!r} is {values[wrong][0]} in {wrong.sum()} of {len(values)} records, expected 0 to "
                f"{feature.num_classes - 1} (-1 marks examples without a label)"
            )
    return values
