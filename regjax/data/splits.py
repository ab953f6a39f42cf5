"""Which rows train, which validate, which test."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from regjax.data.base import DataError, Dataset, Rows
from regjax.keys import stream_generator

PARTS = ("train", "validation", "test")
DEFAULT_VALIDATION = {"fraction": 0.2, "take": "random"}
DEFAULT_SPLIT = {"train": 0.6, "validation": 0.2, "test": 0.2}


def split_rows(
    dataset: Dataset,
    *,
    validation: Mapping[str, Any] | None = None,
    split: Mapping[str, Any] | None = None,
    train_size: int | None = None,
    replicates: Mapping[str, Any] | None = None,
    split_seed: int = 0,
    subset_seed: int = 0,
) -> Rows:
    """Return the rows of the three parts.

    Args:
      dataset: what to split.
      validation: for a data set with official parts: {"count": n} or {"fraction": f} of the official train rows, with
        "take" = "last" (their last rows in order, as Keras' validation_split) or "random" (the default).
      split: {"train": a, "validation": b, "test": c} of all rows pooled, at random: integers are counts, numbers
        between 0 and 1 fractions (rounded down), one may be "rest". Rows that nothing claims stay unused, except that
        those lost to rounding go to "train" where three fractions sum to one.
      train_size: how many of the train rows to keep; None for all. Of one `subset_seed` the smaller subset is the
        beginning of the larger.
      replicates: {"kind": "disjoint", "parts": k} or {"kind": "bootstrap"}, see `take_replicate`; `train_size` is then
        taken from the beginning of the replicate. None for all train rows.
      split_seed: fixes random splits.
      subset_seed: fixes subsets and replicates.

    Returns:
      Disjoint parts, none empty; only rows of a bootstrap come more than once. "last" and official parts keep their
      order, random ones that of the draw.
      Without `validation` and `split`: {"fraction": 0.2, "take": "random"} of the official train part, or where there
      is none 0.6, 0.2 and 0.2 of all rows.

    Raises:
      DataError: the settings contradict each other or ask for more rows than there are.
    """
    if validation is not None and split is not None:
        raise DataError(
            "data.validation and data.split are both set, expected one: validation divides the official train part, "
            "split all rows pooled"
        )
    if validation is not None and not dataset.parts:
        raise DataError(f"data.validation needs official parts, which {dataset.name!r} has not; set data.split instead")
    if split is None and dataset.parts:
        rows = _split_official(dataset, DEFAULT_VALIDATION if validation is None else validation, split_seed)
    else:
        rows = _split_pooled(len(dataset.y), DEFAULT_SPLIT if split is None else split, split_seed)
    if replicates is not None:
        train = take_replicate(rows.train, replicates.get("parts"), subset_seed)
        # A replicate lies in random order, so its beginning is a random subset.
        return rows._replace(train=train if train_size is None else train[: _check_size(train_size, len(train))])
    return rows if train_size is None else rows._replace(train=take_subset(rows.train, train_size, subset_seed))


def take_replicate(rows: np.ndarray, parts: int | None, seed: int) -> np.ndarray:
    """Return the training set of one seed.

    Args:
      rows: train rows.
      parts: k for part `seed % k` of permutation number `seed // k` of the rows, cut into k parts of len(rows) // k
        (what is left over is not used); None for a bootstrap: len(rows) rows drawn with replacement.
      seed: replicate number.

    Raises:
      DataError: there are fewer rows than parts.

    >>> rows = np.arange(7, dtype=np.int32)
    >>> sorted(np.concatenate([take_replicate(rows, 7, seed) for seed in range(7)]).tolist())
    [0, 1, 2, 3, 4, 5, 6]
    """
    if parts is None:
        return rows[stream_generator(seed, "subset").integers(len(rows), size=len(rows))]
    size, part = len(rows) // parts, seed % parts
    if size < 1:
        raise DataError(f"seeds.replicates.parts: got {parts}, expected at most the {len(rows)} train rows there are")
    order = stream_generator(seed // parts, "subset").permutation(len(rows))
    return rows[order[part * size : (part + 1) * size]]


def take_subset(rows: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return `size` of the rows at random, int32; for one seed the smaller subset is the beginning of the larger.

    >>> rows = np.arange(9, dtype=np.int32)
    >>> (take_subset(rows, 3, seed=1) == take_subset(rows, 7, seed=1)[:3]).all().item()
    True
    """
    return rows[stream_generator(seed, "subset").permutation(len(rows))[: _check_size(size, len(rows))]]


def _check_size(size: Any, available: int) -> int:
    if not _is_count(size) or not 1 <= size <= available:
        raise DataError(
            f"data.train_size: got {size!r}, expected an integer from 1 to {available}, the train rows there are"
        )
    return int(size)


def _split_official(dataset: Dataset, validation: Mapping[str, Any], seed: int) -> Rows:
    unknown = set(validation) - {"count", "fraction", "take"}
    if unknown or {"count", "fraction"} <= set(validation):
        raise DataError(f"data.validation: got {dict(validation)}, expected count or fraction, and take")
    take = validation.get("take", DEFAULT_VALIDATION["take"])
    if take not in ("last", "random"):
        raise DataError(f"data.validation.take: got {take!r}, expected 'last' or 'random'")
    rows = dataset.parts["train"]
    num_train = len(rows) - _count_validation(validation, len(rows))
    if take == "random":
        rows = rows[stream_generator(seed, "split").permutation(len(rows))]
    return Rows(rows[:num_train], rows[num_train:], dataset.parts["test"])


def _count_validation(validation: Mapping[str, Any], available: int) -> int:
    where = f"of the {available} official train rows"
    if "count" in validation:
        count = validation["count"]
        if not _is_count(count) or not 1 <= count < available:
            raise DataError(
                f"data.validation.count: got {count!r}, expected an integer from 1 to {available - 1} {where}"
            )
        return count
    fraction = validation.get("fraction", DEFAULT_VALIDATION["fraction"])
    if not _is_fraction(fraction):
        raise DataError(f"data.validation.fraction: got {fraction!r}, expected a number between 0 and 1")
    # The rounding is Keras' own: it keeps int(N (1 - fraction)) rows for training.
    num_train = int(available * (1 - fraction))
    if not 1 <= num_train < available:
        raise DataError(f"data.validation.fraction: {fraction!r} {where} leaves a part empty")
    return available - num_train


def _split_pooled(available: int, split: Mapping[str, Any], seed: int) -> Rows:
    counts = _count_parts(available, split)
    order = stream_generator(seed, "split").permutation(available).astype(np.int32)
    ends = np.cumsum(counts)
    return Rows(*(order[end - count : end] for count, end in zip(counts, ends, strict=True)))


def _count_parts(available: int, split: Mapping[str, Any]) -> list[int]:
    if set(split) != set(PARTS):
        raise DataError(f"data.split: got {dict(split)}, expected the keys {', '.join(PARTS)}")
    counts = {part: _count_part(part, split[part], available) for part in PARTS if split[part] != "rest"}
    if len(counts) < 2:
        raise DataError(f'data.split: got {dict(split)}, expected "rest" at most once')
    left = available - sum(counts.values())
    for part in set(PARTS) - set(counts):
        counts[part] = left
    shares = [split[part] for part in PARTS if _is_fraction(split[part])]
    if len(shares) == len(PARTS):
        if sum(shares) > 1 + 1e-9:
            raise DataError(f"data.split: the fractions {shares} sum to {sum(shares):g}, expected at most 1")
        counts["train"] += left if math.isclose(sum(shares), 1, abs_tol=1e-9) else 0
    if left < 0 or min(counts.values()) < 1:
        raise DataError(
            f"data.split: {dict(split)} gives {counts} of {available} rows; no part may be empty or too large"
        )
    return [counts[part] for part in PARTS]


def _count_part(part: str, value: Any, available: int) -> int:
    if _is_count(value) and value >= 1:
        return int(value)
    if _is_fraction(value):
        # 0.29 * 100 is 28.999999999999996 in binary.
        return math.floor(available * value + 1e-9)
    raise DataError(
        f'data.split.{part}: got {value!r}, expected a count of at least 1, a fraction between 0 and 1, or "rest" '
        f"({available} rows available)"
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_fraction(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1
