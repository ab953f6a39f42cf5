"""What is trained: networks, data and their count of floating-point operations."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NUM_CLASSES = 10
# regjax wants validation and test examples: so few that evaluating them is no part of the timing.
SPARE = 20
KERNEL = 3


class Trainer(NamedTuple):
    """`train()` makes one round, waits for its end and returns the model-updates made; `words` say how.

    Of one model `parameters` are learned; 0 where nothing compares them.
    """

    train: Callable[[], int]
    members: int
    words: str
    parameters: int = 0


@dataclasses.dataclass(frozen=True)
class Workload:
    """A network, its data and a round.

    Attributes:
      name, title: for people.
      source: "blobs" (generated) or "digits" (of scikit-learn).
      shape: of one example, height x width x channels.
      num_examples: an epoch; a multiple of `batch_size`.
      batch_size: examples per update.
      epochs: of one model in a round.
      channels: of the 3x3 "SAME" convolutions, each followed by ReLU and 2x2 max pooling.
      dense: widths of the hidden dense layers.
      dropout: drop probability after each hidden dense layer.
      norm: whether each hidden dense layer has batch norm before its ReLU.
      model: settings of a regjax model, in place of the four above; for the systems of `benchmark_models.py` only.
    """

    name: str
    title: str
    source: str
    shape: tuple[int, int, int]
    num_examples: int
    batch_size: int
    epochs: int
    channels: tuple[int, ...] = ()
    dense: tuple[int, ...] = ()
    dropout: float = 0.0
    norm: bool = False
    model: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def updates(self) -> int:
        """Updates of one model in a round."""
        return self.epochs * self.num_examples // self.batch_size


@dataclasses.dataclass(frozen=True)
class Lattice:
    """A whole study on digits: dropout x L2 x batch norm x label smoothing, each off and on, times `seeds`.

    Attributes:
      train, validation: examples; the other digits test.
      evaluate_epochs: epochs between two evaluations of all three parts.
      sample: seeds that a peer trains which would take minutes for all.
    """

    name: str = "lattice"
    title: str = "(e) 2^4 regularizers x 10 seeds on digits, 64-128-128-10, 60 epochs of 500, batch 32: the whole study"
    seeds: int = 10
    sample: int = 2
    dense: tuple[int, ...] = (128, 128)
    train: int = 500
    validation: int = 300
    batch_size: int = 32
    epochs: int = 60
    evaluate_epochs: int = 5
    dropout: float = 0.5
    l2: float = 1e-3
    smoothing: float = 0.1

    @property
    def num_runs(self) -> int:
        """Runs of the study."""
        return 16 * self.seeds


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("mlp", "(a) MLP 784-512-512-10, dropout 0.5, batch 128, 48000 examples",
                 "blobs", (28, 28, 1), 48_000, 128, 1, dense=(512, 512), dropout=0.5),
        Workload("digits", "(b) MLP 64-128-128-10, dropout 0.5, batch 32, 1024 digits",
                 "digits", (8, 8, 1), 1024, 32, 20, dense=(128, 128), dropout=0.5),
        Workload("cnn", "(c) CNN 32-64 3x3, dense 256, 28x28x1, batch 128, 1280 examples",
                 "blobs", (28, 28, 1), 1280, 128, 1, channels=(32, 64), dense=(256,)),
        Workload("norm", "(d) the MLP of (a) with batch norm",
                 "blobs", (28, 28, 1), 48_000, 128, 1, dense=(512, 512), dropout=0.5, norm=True),
    )
}  # fmt: skip
LATTICE = Lattice()


def shrink(workload: Workload) -> Workload:
    """Return the workload at a size that trains in moments, to try the benchmark itself."""
    return dataclasses.replace(
        workload,
        title=workload.title + " (tiny: --quick)",
        num_examples=2 * workload.batch_size,
        epochs=1,
        channels=tuple(4 for _ in workload.channels),
        dense=tuple(8 for _ in workload.dense),
    )


def shrink_lattice(lattice: Lattice) -> Lattice:
    """Return the lattice at a size that trains in moments."""
    return dataclasses.replace(
        lattice, title=lattice.title + " (tiny: --quick)", seeds=1, sample=1, dense=(8,), train=64, epochs=2,
        evaluate_epochs=1,
    )  # fmt: skip


def from_json(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a workload's fields with the tuples that JSON made lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def count_flops(workload: Workload) -> int:
    """Return the floating-point operations of the matmuls and convolutions of one update of one model.

    A product [m, k] x [k, n] takes 2mnk forward and 4mnk backward, the first layer's 2mnk, since no gradient of the
    inputs is needed. A convolution is the product of its patches: m = batch x positions, k = 9 x channels, padding
    included.

    >>> count_flops(Workload("", "", "", (1, 1, 3), 2, 2, 1, dense=(5,)))  # 4 * 2*3*5 + 6 * 2*5*10
    720
    """
    height, width, depth = workload.shape
    products = []
    for channels in workload.channels:
        products.append(height * width * KERNEL**2 * depth * channels)
        height, width, depth = height // 2, width // 2, channels
    sizes = (height * width * depth, *workload.dense, NUM_CLASSES)
    products += [k * n for k, n in itertools.pairwise(sizes)]
    return workload.batch_size * (6 * sum(products) - 2 * products[0])


def make_arrays(workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 inputs [num_examples + SPARE, *shape] and int32 labels; the same in every process."""
    count = workload.num_examples + SPARE
    if workload.source == "digits":
        x, y = digits()
        return x[:count], y[:count]
    generator = np.random.default_rng(0)
    labels = np.arange(count, dtype=np.int32) % NUM_CLASSES
    centres = generator.integers(40, 216, size=(NUM_CLASSES, *workload.shape))
    noise = generator.integers(-40, 40, size=(count, *workload.shape))
    return (centres[labels] + noise).astype(np.uint8), labels


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the digits of scikit-learn, x [1797, 8, 8, 1] uint8 stretched to 0..255, y int32."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images[..., None] * (255 / 16)).round().astype(np.uint8), found.target.astype(np.int32)


def save_arrays(workload: Workload, path: Path) -> None:
    """Write the arrays of a workload for all workers."""
    x, y = make_arrays(workload)
    np.savez(path, x=x, y=y)


def read_floats(workload: Workload, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return an epoch's examples in [0, 1], float32, and their labels, int32."""
    with np.load(path, allow_pickle=False) as file:
        x, y = file["x"], file["y"]
    return x[: workload.num_examples].astype(np.float32) / 255, y[: workload.num_examples]


def lattice_cells(lattice: Lattice) -> list[dict[str, Any]]:
    """Return the sixteen cells as {"dropout", "norm", "l2", "smoothing"}."""
    return [
        {"dropout": dropout, "norm": norm, "l2": l2, "smoothing": smoothing}
        for norm in (False, True)
        for dropout in (0.0, lattice.dropout)
        for l2 in (0.0, lattice.l2)
        for smoothing in (0.0, lattice.smoothing)
    ]


def lattice_parts(lattice: Lattice, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (x, y) of train, validation and test of a seed: a random split of the digits, float32 in [0, 1]."""
    x, y = digits()
    order = np.random.default_rng(seed).permutation(len(y))
    ends = [lattice.train, lattice.train + lattice.validation]
    return [(x[rows].astype(np.float32) / 255, y[rows]) for rows in np.split(order, ends)]
