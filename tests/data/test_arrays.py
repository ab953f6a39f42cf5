"""A user's .npz file."""

import numpy as np
import pytest

from regjax.data import DataError, load_dataset


@pytest.fixture
def save(tmp_path):
    """Return a function that writes arrays to an .npz file and returns its path."""

    def write(**arrays):
        path = tmp_path / "own.npz"
        np.savez(path, **arrays)
        return path

    return write


X = np.linspace(-1, 1, 24).reshape(6, 2, 2)
Y = np.array([5, -1, 5, 9, -1, 5])


def test_features(save):
    """float64 becomes float32, and labels are numbered 0..K-1 in sorted order."""
    found = load_dataset("arrays", path=save(x=X, y=Y))

    assert found.x.dtype == np.float32
    np.testing.assert_array_equal(found.x, X.astype(np.float32))
    assert found.y.tolist() == [1, 0, 1, 2, 0, 1]
    assert found.y.dtype == np.int32
    assert (found.num_classes, found.peak, found.parts) == (3, 1.0, {})


def test_images(save):
    """uint8 images stay uint8 and have the peak 255; other keys are found by name."""
    images = np.arange(6 * 12, dtype=np.uint8).reshape(6, 2, 2, 3)
    found = load_dataset("arrays", path=save(signals=images, label=Y), x="signals", y="label")

    assert found.x.dtype == np.uint8
    np.testing.assert_array_equal(found.x, images)
    assert found.peak == 255.0


def test_official_test_part(save):
    """Keys that end in _test become the official test part, with labels numbered over both parts."""
    found = load_dataset("arrays", path=save(x=X, y=Y, x_test=X[:2], y_test=np.array([7, 5])))

    assert found.parts["train"].tolist() == list(range(6))
    assert found.parts["test"].tolist() == [6, 7]
    assert found.parts["test"].dtype == np.int32
    assert found.y.tolist() == [1, 0, 1, 3, 0, 1, 2, 1]
    np.testing.assert_array_equal(found.x[6:], X[:2].astype(np.float32))


def test_texts_are_labels(save):
    """Labels may be texts, numbered in sorted order over both parts."""
    names = np.array(["mid", "high", "mid", "low", "high", "mid"])
    found = load_dataset("arrays", path=save(x=X, y=names, x_test=X[:2], y_test=np.array(["lowest", "high"])))

    assert found.y.tolist() == [3, 0, 3, 1, 0, 3, 2, 0]
    assert (found.num_classes, found.y.dtype) == (4, np.int32)


def test_keys_that_name_the_training_part(save):
    """Beside x_train and y_train the official test part is x_test and y_test."""
    path = save(x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])
    found = load_dataset("arrays", path=path, x="x_train", y="y_train")

    assert found.parts["test"].tolist() == [6, 7]
    assert found.y.tolist() == [1, 0, 1, 2, 0, 1, 1, 0]


def test_floats_are_the_values_of_a_regression(save):
    """Floating y are kept as float32 [N] or [N, k], train and test rows joined, with no classes."""
    one = load_dataset("arrays", path=save(x=X, y=Y / 2, x_test=X[:2], y_test=Y[:2] / 4))
    two = load_dataset("arrays", path=save(x=X, y=np.stack([Y, -Y], 1) / 2))

    assert (one.num_classes, one.num_outputs, one.y.dtype) == (0, 1, np.float32)
    np.testing.assert_array_equal(one.y, np.concatenate([Y / 2, Y[:2] / 4]).astype(np.float32))
    assert one.parts["test"].tolist() == [6, 7]
    assert (two.num_classes, two.num_outputs, two.y.shape) == (0, 2, (6, 2))


def test_digest_is_of_contents(save, tmp_path):
    """The digest depends on what is decoded, not on the file's name or compression."""
    np.savez_compressed(tmp_path / "other.npz", a=X, b=Y)

    first = load_dataset("arrays", path=save(x=X, y=Y))
    second = load_dataset("arrays", path=tmp_path / "other.npz", x="a", y="b")

    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, r"no key 'y'; available: 'x'"),
        ({"inputs": X, "y": Y}, r"no key 'x'; available: 'inputs', 'y'; set data\.x"),
        ({"x": X, "y": Y[:5]}, r"'x' has 6 rows and 'y' has 5"),
        ({"x": np.where(X > 0.9, np.nan, X), "y": Y}, r"not finite as float32 in 1 of 6 rows, first in row 5"),
        ({"x": X * 1e300, "y": Y}, r"not finite as float32"),
        ({"x": X + 1j, "y": Y}, r"'x' has type complex128, expected numbers"),
        ({"x": X[:, 0, 0], "y": Y}, r"'x' has shape \(6,\)"),
        ({"x": X[:0], "y": Y[:0]}, r"'x' has shape \(0, 2, 2\)"),
        ({"x": X, "y": Y * 0.0 + 3}, r"'y' holds one value only \(3\)"),
        ({"x": X, "y": np.stack([Y, Y * 0], 1) * 1.0}, r"'y' holds one value only in output 1"),
        ({"x": X, "y": np.where(Y > 5, np.inf, Y)}, r"'y' is not finite as float32 in 1 of 6 rows, first in row 3"),
        ({"x": X, "y": Y.reshape(6, 1, 1) * 1.0}, r"'y' has shape \(6, 1, 1\), expected \[rows\] or \[rows, outputs\]"),
        (
            {"x": X, "y": Y, "x_test": X, "y_test": Y * 1.0},
            r"rows of 'y' are int64 .* 'y_test' float32",
        ),
        ({"x": X, "y": Y.astype(bytes)}, r"'y' has type \|S21, expected integers or texts"),
        ({"x": X, "y": Y[:, None]}, r"'y' has shape \(6, 1\)"),
        ({"x": X, "y": Y.astype(np.uint64)}, r"'y' holds integers above"),
        ({"x": X, "y": Y * 0 + 3}, r"one class only \(3\)"),
        ({"x": X, "y": Y, "x_test": X}, r"has 'x_test' alone"),
        (
            {"x": X, "y": Y, "x_test": X[:, :1], "y_test": Y},
            r"rows of 'x' are float32 \(2, 2\).*'x_test' float32 \(1, 2\)",
        ),
        ({"x": X, "y": Y, "x_test": X.astype(np.uint8), "y_test": Y}, r"'x_test' uint8"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y[:4]}, r"'x_test' has 6 rows and 'y_test' has 4"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_refusals(save, arrays, message):
    """Arrays that cannot be trained on are refused with the key, what was got and what was expected."""
    with pytest.raises(DataError, match=message):
        load_dataset("arrays", path=save(**arrays))


class Trap:
    """An object whose unpickling would leave a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (self.path.touch, ())


def test_objects_are_not_unpickled(save, tmp_path):
    """An array of pickled objects is refused without executing anything in it."""
    path = save(x=X, y=np.array([Trap(tmp_path / "sprung")] * 6, dtype=object))

    with pytest.raises(DataError, match=r"'y' cannot be read without executing"):
        load_dataset("arrays", path=path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not a zip", b"PK\x03\x04 broken", b"\x80\x04\x95 pickle"], ids=["empty", "text", "zip", "pickle"]
)
def test_other_files(tmp_path, content):
    """A file that is no .npz is refused by name."""
    path = tmp_path / "own.npz"
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"own\.npz is no readable \.npz file"):
        load_dataset("arrays", path=path)


def test_truncated_file(save):
    """A file cut short at any place is refused, never half read."""
    path = save(x=X, y=Y)
    content = path.read_bytes()

    for end in range(0, len(content), 40):
        path.write_bytes(content[:end])
        with pytest.raises(DataError):
            load_dataset("arrays", path=path)


def test_flipped_byte(save):
    """A changed byte in the values is noticed by the checksum of the zip member."""
    path = save(x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[content.index(X.tobytes()) + 5] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match="'x' cannot be read"):
        load_dataset("arrays", path=path)


def test_single_array_and_absent_file(tmp_path):
    """A .npy file and a path to nothing are refused with what to do."""
    np.save(tmp_path / "one.npy", X)

    with pytest.raises(DataError, match=r"single array; write it with np\.savez"):
        load_dataset("arrays", path=tmp_path / "one.npy")
    with pytest.raises(DataError, match="does not exist"):
        load_dataset("arrays", path=tmp_path / "absent.npz")


@pytest.mark.parametrize(
    ("name", "x", "y", "shape", "classes"),
    [
        ("madelon", "x_train", "y_train", (2000, 500), 2),
        ("colon", "x", "y", (62, 2000), 2),
        ("spambase", "x", "y", (4601, 57), 2),
    ],
)
def test_real_tables(real_data, name, x, y, shape, classes):
    """Real tables load as they are."""
    found = load_dataset("arrays", path=real_data / "tabular" / f"{name}.npz", x=x, y=y)

    assert found.x.shape == shape
    assert found.num_classes == classes
