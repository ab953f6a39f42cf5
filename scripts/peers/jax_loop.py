"""Flax and Optax, one run at a time per device: a whole epoch as one jitted `lax.scan`, its state donated."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from peers.workloads import KERNEL, NUM_CLASSES, Trainer, Workload, read_floats

# float32 as everywhere in this benchmark; an accelerator would round the factors.
jax.config.update("jax_default_matmul_precision", "highest")


class State(NamedTuple):
    """What an update changes."""

    params: Any
    stats: Any
    opt: Any


class Network(nn.Module):
    """The network of a workload."""

    channels: tuple[int, ...]
    dense: tuple[int, ...]
    dropout: float
    norm: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Return the logits."""
        for width in self.channels:
            x = nn.max_pool(nn.relu(nn.Conv(width, (KERNEL, KERNEL))(x)), (2, 2), strides=(2, 2))
        x = x.reshape(len(x), -1)
        for width in self.dense:
            x = nn.Dense(width, use_bias=not self.norm)(x)
            if self.norm:
                x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
            x = nn.relu(x)
            if self.dropout:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(NUM_CLASSES)(x)


OPTIMIZER = optax.adam(1e-3)


def versions() -> dict[str, str]:
    """Return the versions of the libraries."""
    return {"jax": jax.__version__, "flax": flax.__version__, "optax": optax.__version__}


def devices() -> list[str]:
    """Return the kinds of the devices."""
    return sorted({device.device_kind for device in jax.devices()})


def init_state(network: Network, key: jax.Array, x: jax.Array) -> State:
    """Return the state before the first update."""
    variables = network.init(key, x, False)
    return State(variables["params"], variables.get("batch_stats", {}), OPTIMIZER.init(variables["params"]))


def update(network: Network, state: State, x: jax.Array, targets: jax.Array, key: jax.Array, l2: Any = None) -> State:
    """Return the state after an update on one batch; `targets` are rows of probabilities, `l2` a strength or None."""

    def objective(params: Any) -> tuple[jax.Array, Any]:
        variables = {"params": params, "batch_stats": state.stats}
        logits, new = network.apply(variables, x, True, rngs={"dropout": key}, mutable=["batch_stats"])
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        if l2 is not None:
            loss += 0.5 * l2 * sum(jnp.sum(w**2) for w in jax.tree.leaves(params) if w.ndim > 1)
        return loss, new.get("batch_stats", {})

    gradients, stats = jax.grad(objective, has_aux=True)(state.params)
    updates, opt = OPTIMIZER.update(gradients, state.opt, state.params)
    return State(optax.apply_updates(state.params, updates), stats, opt)


def batches(key: jax.Array, count: int, size: int) -> jax.Array:
    """Return the rows [updates, size] of an epoch in a random order."""
    return jax.random.permutation(key, count)[: count // size * size].reshape(-1, size)


def make_epoch(network: Network, size: int, form: str) -> Callable[..., State]:
    """Return (state, key, x, y) -> state after one epoch: a "scan" over its updates or a "loop" of jitted updates."""

    def one(state: State, rows: jax.Array, key: jax.Array, x: jax.Array, y: jax.Array) -> State:
        return update(network, state, x[rows], jax.nn.one_hot(y[rows], NUM_CLASSES), key)

    def scan(state: State, key: jax.Array, x: jax.Array, y: jax.Array) -> State:
        rows = batches(key, len(y), size)
        keys = jax.random.split(key, len(rows))
        return jax.lax.scan(lambda s, each: (one(s, *each, x, y), None), state, (rows, keys))[0]

    order, step = jax.jit(batches, static_argnums=(1, 2)), jax.jit(one, donate_argnums=0)

    def loop(state: State, key: jax.Array, x: jax.Array, y: jax.Array) -> State:
        rows = order(key, len(y), size)
        for picked, own in zip(rows, jax.random.split(key, len(rows)), strict=True):
            state = step(state, picked, own, x, y)
        return state

    return jax.jit(scan, donate_argnums=0) if form == "scan" else loop


def make_train(workload: Workload, network: Network, arrays: list[tuple], form: str) -> Callable[[], int]:
    """Return a round: `epochs` of one run on every device, all devices at once."""
    epoch = make_epoch(network, workload.batch_size, form)
    key = jax.random.key(0)
    first = jax.jit(lambda k, x: init_state(network, k, x))
    states = [first(jax.device_put(key, x.device), x[:1]) for x, _ in arrays]
    threads = ThreadPoolExecutor(len(arrays))

    def advance(index: int) -> None:
        nonlocal key
        x, y = arrays[index]
        for number in range(workload.epochs):
            states[index] = epoch(states[index], jax.device_put(jax.random.fold_in(key, number), x.device), x, y)
        jax.block_until_ready(states[index])

    def train() -> int:
        list(threads.map(advance, range(len(arrays))))
        return len(arrays) * workload.updates

    return train


def prepare(workload: Workload, path: str) -> Trainer:
    """Return one run per device."""
    network = Network(workload.channels, workload.dense, workload.dropout, workload.norm)
    data = read_floats(workload, path)
    arrays = [tuple(jax.device_put(array, device) for array in data) for device in jax.devices()]
    # Inside of a scan, XLA's convolutions on a CPU are some twenty times slower than in a program of their own.
    form = "loop" if workload.channels and jax.default_backend() == "cpu" else "scan"
    train = make_train(workload, network, arrays, form)
    return Trainer(train, len(arrays), f"one run on each of {len(arrays)} device(s), {form}")


def matmul(size: int) -> tuple[Callable[[], Any], float]:
    """Return a float32 product on the first device, and its floating-point operations."""
    a = jnp.ones((size, size))
    multiply = jax.jit(lambda a: jnp.matmul(a, a))
    return lambda: jax.block_until_ready(multiply(a)), 2.0 * size**3


def run_lattice(lattice: Any) -> dict[str, Any]:
    """Return the seconds of the whole study, run after run."""
    from peers import jax_lattice

    return jax_lattice.run_lattice(lattice)
