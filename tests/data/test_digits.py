"""The embedded digits."""

import numpy as np
import pytest

from regjax.data import DATASETS, DataError, load_dataset


def test_facts():
    """The digits are 1,797 images of 8 x 8 pixels from 0 to 16 in ten classes without official parts."""
    digits = load_dataset("digits")

    assert digits.x.shape == (1797, 8, 8, 1)
    assert digits.x.dtype == np.uint8
    assert (digits.x.min(), digits.x.max(), digits.peak) == (0, 16, 16.0)
    assert digits.y.dtype == np.int32
    assert np.unique(digits.y).tolist() == list(range(10))
    assert digits.num_classes == 10
    assert digits.parts == {}


def test_digest_repeats():
    """Loading twice gives one digest, and one changed pixel another."""
    digits = load_dataset("digits")
    changed = digits.x.copy()
    changed[7, 3, 3, 0] ^= 1

    from regjax.data.base import digest_arrays

    assert load_dataset("digits").digest == digits.digest
    assert len(digits.digest) == 16
    assert digest_arrays(changed, digits.y, {}) != digits.digest


def test_digest_knows_parts_and_types():
    """The digest tells apart official parts and types of equal values."""
    from regjax.data.base import digest_arrays, make_parts

    x, y = np.ones((4, 2), np.uint8), np.zeros(4, np.int32)
    digests = {
        digest_arrays(x, y, {}),
        digest_arrays(x, y, make_parts(3, 1)),
        digest_arrays(x, y, make_parts(2, 2)),
        digest_arrays(x.view(np.int8), y, {}),
        digest_arrays(x.reshape(2, 4), y, {}),
    }

    assert len(digests) == 5


def test_unknown_name():
    """An unknown data set is refused with the known names and the nearest one."""
    with pytest.raises(DataError, match=r"got 'fashon_mnist'.*did you mean 'fashion_mnist'") as caught:
        load_dataset("fashon_mnist")

    assert all(name in str(caught.value) for name in DATASETS)


def test_path_belongs_to_arrays(tmp_path):
    """A path is needed for "arrays" and refused for every other data set."""
    with pytest.raises(DataError, match=r"data\.path: needs"):
        load_dataset("arrays")
    with pytest.raises(DataError, match=r"data\.path: is for 'arrays' only"):
        load_dataset("digits", path=tmp_path / "a.npz")
