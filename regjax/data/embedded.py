"""Data sets that scikit-learn carries: real, small, nothing to download."""

import numpy as np

from regjax.data.base import Dataset, make_dataset


def load_digits() -> Dataset:
    """Return the 1,797 digits of scikit-learn: x [1797, 8, 8, 1] uint8 in 0..16, ten classes, no official parts.

    Reference: Alpaydin, Kaynak, "Optical recognition of handwritten digits" (UCI, 1998), test part.
    """
    from sklearn.datasets import load_digits as load

    found = load()
    return make_dataset("digits", found.images.astype(np.uint8)[..., None], found.target.astype(np.int32), peak=16.0)


def load_breast_cancer() -> Dataset:
    """Return 569 tumours as x [569, 30] float32, measures of cell nuclei; class 0 malignant, 1 benign.

    Reference: Wolberg, Mangasarian, Street, Street, "Breast cancer Wisconsin (diagnostic)" (UCI, 1995).
    """
    from sklearn.datasets import load_breast_cancer as load

    found = load()
    return make_dataset("breast_cancer", found.data, found.target.astype(np.int32))


def load_wine() -> Dataset:
    """Return 178 wines as x [178, 13] float32, chemical measures; three classes, the cultivars.

    Reference: Aeberhard, Forina, "Wine" (UCI, 1991).
    """
    from sklearn.datasets import load_wine as load

    found = load()
    return make_dataset("wine", found.data, found.target.astype(np.int32))


def load_diabetes() -> Dataset:
    """Return 442 patients as x [442, 10] float32 in their own units; y [442] float32, progression after one year.

    The features are the raw ones (age in years, sex as 1 and 2, body mass index, ...), not those that scikit-learn
    scales over all rows: a scale that has seen the test rows would leak.

    Reference: Efron, Hastie, Johnstone, Tibshirani, "Least angle regression" (2004).
    """
    from sklearn.datasets import load_diabetes as load

    found = load(scaled=False)
    return make_dataset("diabetes", found.data, found.target.astype(np.float32))


EMBEDDED = {
    "digits": load_digits,
    "breast_cancer": load_breast_cancer,
    "wine": load_wine,
    "diabetes": load_diabetes,
}
