"""The only maker of randomness: (seed, stream name, step) -> key.

A stream is a named source of draws. Its key depends on the seed and the name, never on the cell, the position in a
population or the device, so that all cells of one seed share initial weights, example order and dropout draws.
"""

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jax

# "dropout" is all noise inside the network, "noise" that on inputs, weights and gradients, "augment" what is done to
# examples, "labels" which of them are mislabelled.
STREAMS = ("init", "order", "dropout", "noise", "augment", "labels", "split", "subset")


def hash_name(name: str) -> int:
    """Return the 32-bit CRC of `name`; the same in every process, unlike Python's `hash`.

    >>> hash_name("dropout")
    2458513353
    """
    return zlib.crc32(name.encode())


def stream_key(seed: "int | jax.Array", stream: str) -> "jax.Array":
    """Return the key of a named stream: `fold_in(key(seed), crc32(stream))`, always threefry.

    Args:
      seed: replicate number, an integer in [0, 2**32); may be traced.
      stream: name of the source of randomness, e.g. "dropout".

    Returns:
      A typed jax key. Threefry is pinned: under `vmap` the rbg generators use one key's draws for the whole batch,
      which would break the pairing of cells.
    """
    import jax

    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), hash_name(stream))


def stream_generator(seed: int, stream: str) -> np.random.Generator:
    """Return a NumPy generator for draws made on the host (splits, subsets), fixed by seed and stream name.

    >>> a = stream_generator(3, "split").permutation(5)
    >>> b = stream_generator(3, "split").permutation(5)
    >>> (a == b).all().item()
    True
    """
    return np.random.Generator(np.random.Philox(key=[seed, hash_name(stream)]))
