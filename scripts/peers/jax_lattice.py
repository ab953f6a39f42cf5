"""The lattice with Flax and Optax: a whole run with its evaluations as one program, one run at a time per device."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from peers.jax_loop import Network, State, batches, init_state, update
from peers.workloads import NUM_CLASSES, Lattice, lattice_cells, lattice_parts

Parts = list[tuple[Any, Any]]


def evaluate(network: Network, state: State, parts: Parts) -> jax.Array:
    """Return accuracy and loss [parts, 2] of train, validation and test."""
    found = []
    for x, y in parts:
        logits: Any = network.apply({"params": state.params, "batch_stats": state.stats}, x, False)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
        found.append(jnp.stack([(logits.argmax(-1) == y).mean(), loss]))
    return jnp.stack(found)


def make_run(lattice: Lattice, dropout: float, norm: bool) -> Any:
    """Return the jitted (seed, l2, smoothing, parts) -> records [evaluations, parts, 2] of one run.

    Strengths are arguments, so that four programs serve the sixteen cells.
    """
    network = Network((), lattice.dense, dropout, norm)

    def run(seed: jax.Array, l2: jax.Array, smoothing: jax.Array, parts: Parts) -> jax.Array:
        x, y = parts[0]
        targets = (1 - smoothing) * jax.nn.one_hot(y, NUM_CLASSES) + smoothing / NUM_CLASSES
        key = jax.random.key(seed)

        def epoch(state: State, number: jax.Array) -> tuple[State, None]:
            own = jax.random.fold_in(key, number)
            rows = batches(own, len(y), lattice.batch_size)

            def one(state: State, each: tuple) -> tuple[State, None]:
                return update(network, state, x[each[0]], targets[each[0]], each[1], l2), None

            return jax.lax.scan(one, state, (rows, jax.random.split(own, len(rows))))[0], None

        def interval(state: State, numbers: jax.Array) -> tuple[State, jax.Array]:
            state = jax.lax.scan(epoch, state, numbers)[0]
            return state, evaluate(network, state, parts)

        numbers = jnp.arange(1, lattice.epochs + 1).reshape(-1, lattice.evaluate_epochs)
        return jax.lax.scan(interval, init_state(network, key, x[:1]), numbers)[1]

    return jax.jit(run)


def run_lattice(lattice: Lattice) -> dict[str, Any]:
    """Return the seconds of all runs, compilation included; each device takes its share of them."""
    begin = time.perf_counter()
    devices = jax.devices()
    seeds = [lattice_parts(lattice, seed) for seed in range(lattice.seeds)]
    programs: dict[tuple, list[dict[str, Any]]] = {}
    for cell in lattice_cells(lattice):
        programs.setdefault((cell["dropout"], cell["norm"]), []).append(cell)
    # Programs with batch norm come last: dealt out in turn, every device has some of them.
    shares = [list(programs.items())[index :: len(devices)] for index in range(len(devices))]

    def work(device: jax.Device, share: list) -> float:
        compiling = 0.0
        for (dropout, norm), cells in share:
            run = make_run(lattice, dropout, norm)
            started = time.perf_counter()
            given = jax.device_put((np.uint32(0), np.float32(0), np.float32(0), seeds[0]), device)
            compiled = run.lower(*given).compile()
            compiling += time.perf_counter() - started
            for cell in cells:
                for seed, parts in enumerate(seeds):
                    strengths = (np.uint32(seed), np.float32(cell["l2"]), np.float32(cell["smoothing"]), parts)
                    jax.device_get(compiled(*jax.device_put(strengths, device)))
        return compiling

    with ThreadPoolExecutor(len(devices)) as threads:
        compiling = sum(threads.map(work, devices, shares))
    seconds = time.perf_counter() - begin
    words = f"compiling {compiling:.1f} s, {compiling / seconds:.0%} of the whole, {len(programs)} programs"
    return {"seconds": seconds, "runs": lattice.num_runs, "compile_seconds": compiling, "words": words}
