"""PyTorch, eager: batches indexed out of a tensor, no DataLoader, the fastest Adam and number of threads."""

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from peers.torch_models import make_model
from peers.worker import fastest
from peers.workloads import KERNEL, NUM_CLASSES, Lattice, Trainer, Workload, lattice_cells, lattice_parts, read_floats

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# float32 as everywhere in this benchmark.
torch.backends.cudnn.allow_tf32 = False
TRIAL_UPDATES = 30


def versions() -> dict[str, str]:
    """Return the version of the library."""
    return {"torch": torch.__version__}


def wait() -> None:
    """Wait until the device has done what was asked of it."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_network(
    shape: tuple[int, ...],
    channels: tuple[int, ...],
    dense: tuple[int, ...],
    dropout: float,
    norm: bool,
    **options: Any,
) -> nn.Sequential:
    """Return the network of a workload; `options` go to batch norm."""
    layers: list[nn.Module] = []
    height, width, depth = shape
    for wide in channels:
        layers += [nn.Conv2d(depth, wide, KERNEL, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
        height, width, depth = height // 2, width // 2, wide
    layers.append(nn.Flatten())
    size = height * width * depth
    for wide in dense:
        layers.append(nn.Linear(size, wide, bias=not norm))
        layers += [nn.BatchNorm1d(wide, **options)] if norm else []
        layers += [nn.ReLU(), nn.Dropout(dropout)] if dropout else [nn.ReLU()]
        size = wide
    return nn.Sequential(*layers, nn.Linear(size, NUM_CLASSES)).to(DEVICE)


def network_of(workload: Workload, **options: Any) -> nn.Module:
    """Return the network of a workload."""
    w = workload
    if w.model:
        return make_model(w.model, w.shape).to(DEVICE)
    return make_network(w.shape, w.channels, w.dense, w.dropout, w.norm, **options)


def tensors(workload: Workload, path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an epoch's examples [N, channels, height, width] and labels on the device."""
    x, y = read_floats(workload, path)
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).to(DEVICE), torch.from_numpy(y).long().to(DEVICE)


def make_adam(params: Any) -> torch.optim.Adam:
    """Return Adam as one fused kernel, which was faster than the form over lists of tensors on every network here."""
    return torch.optim.Adam(params, lr=1e-3, fused=True)


def train_updates(model: Any, adam: Any, x: torch.Tensor, y: torch.Tensor, size: int, updates: int) -> int:
    """Make so many updates, epoch after epoch in a new order; return their number."""
    loss_of, done = nn.CrossEntropyLoss(), 0
    while done < updates:
        for rows in torch.randperm(len(y), device=DEVICE)[: len(y) // size * size].split(size)[: updates - done]:
            adam.zero_grad(set_to_none=True)
            loss_of(model(x[rows]), y[rows]).backward()
            adam.step()
            done += 1
    wait()
    return done


def prepare(workload: Workload, path: str, most_threads: int | None = None) -> Trainer:
    """Return one model, with the number of threads (by default up to all cores) and the memory format fastest on it."""
    x, y = tensors(workload, path)
    parts = list(network_of(workload).modules())
    convolves = any(isinstance(part, nn.Conv2d) for part in parts)
    layouts = [torch.contiguous_format, torch.channels_last] if convolves else [torch.contiguous_format]
    choices = [(threads, layout) for threads in sorted({1, most_threads or count_cores()}) for layout in layouts]

    def make(choice: tuple, updates: int = min(TRIAL_UPDATES, workload.updates)) -> Callable[[], int]:
        threads, layout = choice
        model = network_of(workload).to(memory_format=layout)
        adam, inputs = make_adam(model.parameters()), x.contiguous(memory_format=layout)

        def train() -> int:
            torch.set_num_threads(threads)
            return train_updates(model, adam, inputs, y, workload.batch_size, updates)

        return train

    best = fastest(choices, make)
    form = f", {name(best[1])}" if len(layouts) > 1 else ""
    parameters = sum(part.numel() for part in parts[0].parameters())
    return Trainer(make(best, workload.updates), 1, f"{best[0]} thread(s), fused Adam{form}", parameters)


def name(layout: Any) -> str:
    """Return the short name of a memory format."""
    return str(layout).removeprefix("torch.")


def matmul(size: int) -> tuple[Callable[[], Any], float]:
    """Return a float32 product with all threads, and its floating-point operations."""
    threads = torch.get_num_threads()
    a = torch.ones(size, size, device=DEVICE)

    def multiply() -> None:
        torch.set_num_threads(count_cores())
        torch.mm(a, a)
        wait()
        torch.set_num_threads(threads)

    return multiply, 2.0 * size**3


def train_run(lattice: Lattice, cell: dict[str, Any], seed: int) -> list[float]:
    """Train one run of the lattice; return its test accuracy at every evaluation."""
    torch.manual_seed(seed)
    parts = [(torch.from_numpy(x).flatten(1).to(DEVICE), torch.from_numpy(y).long().to(DEVICE))
             for x, y in lattice_parts(lattice, seed)]  # fmt: skip
    model = make_network((1, 1, parts[0][0].shape[1]), (), lattice.dense, cell["dropout"], cell["norm"])
    matrices = [w for w in model.parameters() if w.ndim > 1]
    adam = make_adam(model.parameters())
    loss_of, plain = nn.CrossEntropyLoss(label_smoothing=cell["smoothing"]), nn.CrossEntropyLoss()
    (x, y), size, found = parts[0], lattice.batch_size, []
    for epoch in range(1, lattice.epochs + 1):
        model.train()
        for rows in torch.randperm(len(y), device=DEVICE)[: len(y) // size * size].split(size):
            adam.zero_grad(set_to_none=True)
            loss = loss_of(model(x[rows]), y[rows])
            if cell["l2"]:
                loss = loss + 0.5 * cell["l2"] * sum(w.square().sum() for w in matrices)
            loss.backward()
            adam.step()
        if epoch % lattice.evaluate_epochs == 0:
            model.eval()
            with torch.inference_mode():
                outputs = [(model(inputs), labels) for inputs, labels in parts]
                records = [((o.argmax(1) == t).float().mean().item(), plain(o, t).item()) for o, t in outputs]
            found.append(records[2][0])
    return found


def run_lattice(lattice: Lattice) -> dict[str, Any]:
    """Return the seconds of a sample of the runs: every cell, the first seeds; one thread is fastest here."""
    torch.set_num_threads(1)
    cells = lattice_cells(lattice)
    train_run(Lattice(seeds=1, epochs=1, evaluate_epochs=1), cells[-1], 0)
    begin = time.perf_counter()
    for cell in cells:
        for seed in range(lattice.sample):
            train_run(lattice, cell, seed)
    return {
        "seconds": time.perf_counter() - begin,
        "runs": len(cells) * lattice.sample,
        "words": "1 thread, fused Adam",
    }
