"""How members are laid out: how many slots, which runs train together, what is stacked on the member axis."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from regjax.data import Dataset
from regjax.plan import Run
from regjax.recipe import Recipe
from regjax.train.state import Data, Seed, init_state

# On a CPU a chunk whose state leaves the last-level cache gets slower; measured best between 2 members (784-512-512-10)
# and some 40 (64-128-128-10), both near this size per device.
CPU_STATE_BYTES = 24 * 2**20
MAX_SLOTS = 64
# An accelerator's memory also holds activations, gradients and the data.
ACCELERATOR_SHARE = 0.4
FALLBACK_MEMORY = 4 * 2**30


class Chunk(NamedTuple):
    """Runs that train together in `slots` slots (a multiple of the devices); unfilled slots repeat the last run."""

    runs: tuple[Run, ...]
    slots: int


def member_shapes(recipe: Recipe, seed: Seed, data: Data) -> Any:
    """Return the shapes of one member's state, without computing it."""
    return jax.eval_shape(init_state, recipe, seed, data)


def count_bytes(tree: Any) -> int:
    """Return the bytes of a tree of arrays or shapes."""
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def choose_slots(num_runs: int, member_bytes: int, devices: Sequence[jax.Device]) -> int:
    """Return the number of slots of every chunk of a group, a multiple of the devices.

    The fewest chunks that fit, then as few slots as those chunks need, so that little is padded. Depends on the number
    of planned runs, not of missing ones: a continued group keeps its layout, and with it its bits.

    Args:
      num_runs: runs of the group.
      member_bytes: bytes of one member's state.
      devices: over which the slots are spread evenly.
    """
    if devices[0].platform == "cpu":
        room = max(1, min(MAX_SLOTS, CPU_STATE_BYTES // member_bytes))
    else:
        memory = (devices[0].memory_stats() or {}).get("bytes_limit", FALLBACK_MEMORY)
        room = max(1, int(ACCELERATOR_SHARE * memory) // (2 * member_bytes))
    num_chunks = -(-num_runs // (room * len(devices)))
    per_chunk = -(-num_runs // num_chunks)
    return -(-per_chunk // len(devices)) * len(devices)


def make_chunks(runs: Sequence[Run], slots: int) -> tuple[Chunk, ...]:
    """Return the runs in chunks of `slots`, in their order; the last may be shorter."""
    return tuple(Chunk(tuple(runs[i : i + slots]), slots) for i in range(0, len(runs), slots))


def fill(items: Sequence[Any], slots: int) -> list[Any]:
    """Return `slots` items, the last repeated where there are fewer.

    >>> fill([1, 2], 4)
    [1, 2, 2, 2]
    """
    return [*items, *[items[-1]] * (slots - len(items))]


def data_shapes(dataset: Dataset) -> Data:
    """Return the shapes of a data set's arrays, to trace with."""
    return Data(*(cast(jax.Array, jax.ShapeDtypeStruct(array.shape, array.dtype)) for array in (dataset.x, dataset.y)))
