"""NumPy: a large product only, one of the candidates for the machine's peak."""

from collections.abc import Callable
from typing import Any

import numpy as np


def versions() -> dict[str, str]:
    """Return the version of the library."""
    return {"numpy": np.__version__}


def matmul(size: int) -> tuple[Callable[[], Any], float]:
    """Return a float32 product of two square matrices, and its floating-point operations."""
    a, out = np.ones((size, size), np.float32), np.empty((size, size), np.float32)
    return lambda: np.matmul(a, a, out=out), 2.0 * size**3
