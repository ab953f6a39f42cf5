"""What a group will cost before anything is compiled: memory per device and time, as estimates."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from regjax.train.evaluate import EVALUATION_BATCH
from regjax.train.inputs import seed_of
from regjax.train.layout import count_bytes, data_shapes, member_shapes
from regjax.train.population import make_mesh, place
from regjax.train.program import Program, count_params

# Share of the machine's matmul speed that training reaches, and what a step costs a member besides its matmuls (random
# draws, element-wise work, gathers): fitted to the studies in configs on two CPU cores, and within a factor of two.
EFFICIENCY = 0.9
SECONDS_PER_ELEMENT = 1.2e-10


class Estimate(NamedTuple):
    """Cost of a group: chunks of `slots` members, bytes per device, seconds without compilation."""

    chunks: int
    slots: int
    bytes_per_device: int
    seconds: float


def measure_flops(devices: list[jax.Device], seconds: float = 0.2) -> float:
    """Return the float32 matmul speed of all devices together, in floating-point operations per second."""
    mesh, size = make_mesh(devices), 512
    blocks = place(mesh, np.ones((len(devices), size, size), np.float32), batched=True)
    multiply = jax.jit(jax.vmap(lambda a: jnp.matmul(a, a, precision="highest") * (1 / size)))
    blocks = jax.block_until_ready(multiply(blocks))
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        blocks = jax.block_until_ready(multiply(blocks))
        count += 1
    return count * len(devices) * 2.0 * size**3 / (time.perf_counter() - begin)


def estimate_group(program: Program, flops_per_second: float) -> Estimate:
    """Return what the runs of a program's group will cost.

    Counted: 6 operations per parameter and training example, 2 per evaluated example, and the element-wise work on
    activations and parameters. Memory: data, states, gradients and the activations of the larger of the two batches.
    """
    group, dataset = program.group, program.dataset
    run, recipe, steps = group.runs[0], group.runs[0].recipe, group.steps
    shapes = member_shapes(recipe, seed_of(program.study, dataset, run), data_shapes(dataset))
    params = count_params(shapes.params)
    units = sum(leaf.shape[-1] for leaf in jax.tree.leaves(shapes.params) if len(leaf.shape) >= 2)
    inputs = int(np.prod(dataset.x.shape[1:]))
    counts = {**group.counts, "train": min(group.counts["train"], recipe.train_examples)}

    evaluated = sum(counts.values()) * (steps.steps // steps.evaluate_steps)
    flops = 6.0 * params * recipe.batch_size * steps.steps + 2.0 * params * evaluated
    elements = steps.steps * (recipe.batch_size * (inputs + 8 * units) + 12 * params)
    num_devices = program.mesh.size
    seconds = len(group.runs) * (flops / (flops_per_second * EFFICIENCY) + elements * SECONDS_PER_ELEMENT / num_devices)

    batch = max(3 * recipe.batch_size, min(EVALUATION_BATCH, max(counts.values())))
    member = program.state_bytes + 2 * count_bytes(shapes.params) + 4 * batch * (inputs + units)
    return Estimate(
        chunks=-(-len(group.runs) // program.slots),
        slots=program.slots,
        bytes_per_device=dataset.x.nbytes + dataset.y.nbytes + member * program.slots // num_devices,
        seconds=seconds,
    )
