"""Sets made in Python, and the tables that scikit-learn carries."""

import numpy as np
import pytest
import sklearn.datasets

import regjax
from regjax.data import DataError, load_dataset, make_dataset, split_rows
from regjax.data.base import digest_arrays

X = np.linspace(-1, 1, 12).reshape(6, 2)
Y = [5, -1, 5, 9, -1, 5]


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("breast_cancer", (569, 30), 2), ("wine", (178, 13), 3), ("diabetes", (442, 10), 0)],
)
def test_tables(name, shape, classes):
    """The tables have raw features, as float32, and no official parts."""
    found = load_dataset(name)

    assert found.x.shape == shape
    assert (found.x.dtype, found.num_classes, found.peak, found.parts) == (np.float32, classes, 1.0, {})
    assert found.y.dtype == (np.int32 if classes else np.float32)
    assert np.abs(found.x).max() > 100


def test_diabetes_is_raw():
    """The features of diabetes are ages in years and sexes 1 and 2, not those scaled over all rows."""
    found, scaled = load_dataset("diabetes"), sklearn.datasets.load_diabetes()

    assert (found.x[:, 0].min(), found.x[:, 0].max()) == (19, 79)
    assert np.unique(found.x[:, 1]).tolist() == [1, 2]
    np.testing.assert_array_equal(found.y, scaled.target)
    for column in range(10):
        np.testing.assert_allclose(np.corrcoef(found.x[:, column], scaled.data[:, column])[0, 1], 1, atol=1e-6)


def test_own_labels():
    """Lists become a checked data set: labels numbered in sorted order, float32 inputs, a digest of the contents."""
    found = regjax.make_dataset("own", X.tolist(), Y, parts={"test": [5], "train": [0, 1, 2]})

    assert (found.name, found.num_classes, found.num_outputs, found.peak) == ("own", 3, 3, 1.0)
    assert found.y.tolist() == [1, 0, 1, 2, 0, 1]
    assert (found.x.dtype, found.y.dtype, found.parts["test"].dtype) == (np.float32, np.int32, np.int32)
    assert list(found.parts) == ["train", "test"]
    assert found.digest == digest_arrays(X.astype(np.float32), found.y, found.parts)
    assert make_dataset("other", X, Y, parts={"train": [0, 1, 2], "test": [5]}).digest == found.digest


def test_own_values_and_images():
    """Floats are the values of a regression; uint8 images keep their type and may have a peak of their own."""
    values = make_dataset("own", X, np.array(Y, np.float64)[:, None])
    images = make_dataset("own", np.ones((6, 3, 3), np.uint8), np.array(Y, np.int8), peak=np.float32(16))

    assert (values.num_classes, values.num_outputs, values.y.shape, values.y.dtype) == (0, 1, (6, 1), np.float32)
    assert (images.x.dtype, images.peak, images.num_classes) == (np.uint8, 16.0, 3)
    assert make_dataset("own", np.ones((6, 3), np.uint8), Y).peak == 255.0


def test_digest_tells_labels_from_values():
    """Labels 0 and 1 and the values 0.0 and 1.0 are different data."""
    labels, values = (make_dataset("own", X, np.array([0, 1, 0, 1, 0, 1], kind)) for kind in (np.int32, np.float32))
    assert labels.digest != values.digest


def test_splits_of_a_regression():
    """Rows of a regression are split as any others, pooled or with official parts."""
    pooled = split_rows(load_dataset("diabetes"), split_seed=1, train_size=100)
    official = make_dataset("own", X, np.arange(6.0), parts={"train": [0, 1, 2, 3, 4], "test": [5]})

    assert [len(part) for part in pooled] == [100, 88, 88]
    assert len(set(np.concatenate(pooled))) == 276
    assert split_rows(official, validation={"count": 2, "take": "last"}).validation.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "the name of a data set is ''"),
        ({"name": "a\nb"}, "expected one line of text"),
        ({"name": 3}, "the name of a data set is 3"),
        ({"x": X[:, 0]}, r"own: x has shape \(6,\), expected \[rows, features"),
        ({"x": X.astype(str)}, "own: x has type <U"),
        ({"x": [[1], [1, 2]]}, "own: x is no array"),
        ({"x": np.where(X > 0.9, np.inf, X)}, "own: x is not finite as float32 in 1 of 6 rows, first in row 5"),
        ({"x": X[:5]}, "own: x has 5 rows and y has 6"),
        ({"y": [1] * 6}, r"own: y holds one class only \(1\)"),
        ({"y": [1.5] * 6}, r"own: y holds one value only \(1\.5\)"),
        ({"y": [1.0, np.nan, 1, 2, 3, 4]}, "own: y is not finite as float32 in 1 of 6 rows, first in row 1"),
        ({"y": [None, "a", "b", "a", "b", "a"]}, "own: y has type object"),
        ({"y": np.zeros((6, 2), int)}, "several values per row are targets of a regression: give floats"),
        ({"y": []}, r"own: y has shape \(0,\)"),
        ({"parts": {"train": [0]}}, r"own: parts has the keys \['train'\], expected train and test"),
        ({"parts": {"train": [0, 1], "test": []}}, r"own: parts\['test'\] is float64 \(0,\), expected a list of row"),
        ({"parts": {"train": [0, 1], "test": [6]}}, r"reaches from 6 to 6, expected rows 0 to 5"),
        ({"parts": {"train": [0, -1], "test": [2]}}, r"reaches from -1 to 0"),
        ({"parts": {"train": [0, 1], "test": [1]}}, "holds row 1 more than once"),
        ({"parts": {"train": [0.0], "test": [1]}}, r"own: parts\['train'\] is float64"),
        ({"peak": 0}, "own: peak is 0, expected a number > 0"),
        ({"peak": "255"}, "own: peak is '255'"),
        ({"peak": float("inf")}, "own: peak is inf"),
    ],
)
def test_refusals(change, message):
    """What cannot be trained on is refused with the argument, what was got and what was expected."""
    arguments = {"name": "own", "x": X, "y": Y, **change}
    with pytest.raises(DataError, match=message):
        make_dataset(arguments.pop("name"), arguments.pop("x"), arguments.pop("y"), **arguments)


def test_custom_needs_the_data_itself():
    """The name "custom" alone says that the data set is given from Python."""
    with pytest.raises(DataError, match=r"regjax\.run\(study, out, data=make_dataset\(\.\.\.\)\)"):
        load_dataset("custom")


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("digits", {"x": "a"}, r"data\.x: is for 'arrays' and 'tfds:' sets, not for 'digits'"),
        ("custom", {"y": "a"}, r"data\.y: is for 'arrays' and 'tfds:' sets"),
    ],
)
def test_keys_of_other_sets(name, keys, message):
    """A key that only other data sets know is refused."""
    with pytest.raises(DataError, match=message):
        load_dataset(name, **keys)
