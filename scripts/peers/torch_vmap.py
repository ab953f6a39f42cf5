"""PyTorch, an ensemble: stacked parameters, `functional_call`, `vmap(grad)`, one Adam over the stacks."""

from collections.abc import Callable
from typing import Any

import torch
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from peers.torch_eager import count_cores, make_adam, network_of, tensors, versions, wait
from peers.worker import fastest
from peers.workloads import Trainer, Workload

__all__ = ["prepare", "versions"]
MEMBERS = (2, 4, 8, 16, 32, 64)
TRIAL_UPDATES = 4
# A round makes as many model-updates as those of so many single models: an ensemble of 64 would take minutes.
ROUND_MODELS = 2


def make_train(workload: Workload, x: torch.Tensor, y: torch.Tensor, members: int, threads: int, updates: int) -> Any:
    """Return a round of an ensemble: every member has its own order of the examples."""
    # vmap cannot carry running statistics, as its documentation says: batches are normalised, nothing else is kept.
    models = [network_of(workload, track_running_stats=False) for _ in range(members)]
    params, buffers = stack_module_state(models)  # type: ignore[arg-type]
    # Without requires_grad: torch.func differentiates by itself, and nothing is recorded around it.
    params = {name: value.detach() for name, value in params.items()}
    adam = make_adam(list(params.values()))
    base = models[0]

    def loss_of(own: Any, buffers: Any, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(functional_call(base, (own, buffers), (inputs,)), labels)

    gradients = vmap(grad(loss_of), randomness="different")
    size = workload.batch_size

    def train() -> int:
        torch.set_num_threads(threads)
        done = 0
        while done < updates:
            orders = torch.stack([torch.randperm(len(y), device=y.device) for _ in range(members)])
            for rows in orders[:, : len(y) // size * size].split(size, dim=1)[: updates - done]:
                found = gradients(params, buffers, x[rows], y[rows])
                for name, value in found.items():
                    params[name].grad = value
                adam.step()
                done += 1
        wait()
        return members * updates

    return train


def prepare(workload: Workload, path: str) -> Trainer:
    """Return the ensemble that is fastest per model: its members double until it slows."""
    x, y = tensors(workload, path)

    def make(choice: tuple[int, int]) -> Callable[[], int]:
        return make_train(workload, x, y, *choice, TRIAL_UPDATES)

    threads = fastest([(MEMBERS[0], count) for count in sorted({1, count_cores()})], make)[1]
    best = MEMBERS[0]
    for members in MEMBERS[1:]:
        if fastest([(best, threads), (members, threads)], make)[0] == best:
            break
        best = members
    updates = min(workload.updates, -(-ROUND_MODELS * workload.updates // best))
    train = make_train(workload, x, y, best, threads, updates)
    return Trainer(train, best, f"{best} members, {threads} thread(s)")
