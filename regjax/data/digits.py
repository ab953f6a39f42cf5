"""The handwritten digits that scikit-learn carries: real images, embedded, nothing to download."""

import numpy as np

from regjax.data.base import Dataset, make_dataset


def load_digits() -> Dataset:
    """Return the 1,797 digits of scikit-learn: x [1797, 8, 8, 1] uint8 in 0..16, ten classes, no official parts.

    Reference: Alpaydin, Kaynak, "Optical recognition of handwritten digits" (UCI, 1998), test part.
    """
    from sklearn.datasets import load_digits as load

    found = load()
    return make_dataset("digits", found.images.astype(np.uint8)[..., None], found.target.astype(np.int32), peak=16.0)
