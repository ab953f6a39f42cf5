"""regjax: a population trained as one vmapped program over all devices."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import regjax
from peers.workloads import SPARE, Lattice, Trainer, Workload
from regjax import store
from regjax.plan import make_plan
from regjax.train.layout import make_rows
from regjax.train.population import make_mesh, place
from regjax.train.program import Compiled, make_program, place_data
from regjax.train.seats import begin, look

# The study that is timed: a two by two of cells, which differ in the learning rate only, and on a CPU as many seeds as
# make the most members that regjax trains together.
LEARNING_RATES = [1e-3, 2e-3, 3e-3, 4e-3]
SEEDS_PER_CORE, SEEDS_ON_ACCELERATOR = 16, 256
ROUNDS = 100_000


def versions() -> dict[str, str]:
    """Return the version of the package."""
    return {"regjax": regjax.__version__, "jax": jax.__version__}


def count_seeds() -> int:
    """Return the seeds of the study."""
    return SEEDS_PER_CORE * len(jax.devices()) if jax.default_backend() == "cpu" else SEEDS_ON_ACCELERATOR


def make_study(workload: Workload, path: str) -> dict[str, Any]:
    """Return the study whose population is timed, one round between two evaluations."""
    model: dict[str, Any] = {"name": "mlp", "widths": list(workload.dense)}
    if workload.channels:
        model = {"name": "cnn", "channels": list(workload.channels), "dense": list(workload.dense)}
    model["norm"] = "batch" if workload.norm else "none"
    model = workload.model or model
    interval = {"steps": workload.updates}
    return {
        "question": "How fast is a population trained?",
        "primary": {"metric": "test.nll", "at": "last"},
        "data": {
            "name": "arrays",
            "path": path,
            "split": {"train": workload.num_examples, "validation": SPARE // 2, "test": SPARE // 2},
        },
        "model": model,
        "optimizer": {"name": "adam"},
        "training": {
            "steps": ROUNDS * workload.updates,
            "batch_size": workload.batch_size,
            "evaluate_every": interval,
            "save_every": interval,
            "train_examples": SPARE // 2,
            "keep": "none",
        },
        "seeds": {"count": count_seeds(), "vary": ["init", "order", "dropout"]},
        "fixed": {"dropout.hidden": workload.dropout} if workload.dropout else {},
        "factors": {"optimizer.learning_rate": LEARNING_RATES},
    }


def prepare(workload: Workload, path: str) -> Trainer:
    """Return the population of a workload, compiled."""
    found = regjax.configure()
    study = regjax.parse_study(make_study(workload, path))
    dataset = regjax.load_dataset(**study.dataset_arguments())
    (group,) = make_plan(study, dataset).groups
    program = make_program(study, dataset, group, jax.devices())
    compiled, data, layout = Compiled(program), place_data(program), program.layout
    live = begin(program, compiled, data, make_rows(group.runs, layout.columns)[: layout.rows])

    def train() -> int:
        nonlocal live
        live, _, _ = look(program, compiled, data, live)
        # As after a save: the next look goes on.
        live.seats = live.seats._replace(since_save=np.zeros((), np.int64))
        return layout.slots * workload.updates

    words = f"{layout.slots} members ({layout.rows} x {layout.columns} cells of a seed) on {found.devices}"
    parameters = sum(leaf[0, 0].size for leaf in jax.tree.leaves(live.state.params))
    return Trainer(train, layout.slots, words, parameters)


def matmul(size: int) -> tuple[Callable[[], Any], float]:
    """Return a float32 product on every device at once, and the floating-point operations of all."""
    regjax.configure()
    mesh = make_mesh(jax.devices())
    blocks = place(mesh, jnp.ones((mesh.size, size, size)), batched=True)
    multiply = jax.jit(jax.vmap(lambda a: jnp.matmul(a, a, precision="highest")))
    return lambda: jax.block_until_ready(multiply(blocks)), mesh.size * 2.0 * size**3


def lattice_study(lattice: Lattice) -> dict[str, Any]:
    """Return the study of the lattice."""
    return {
        "question": "Which of four regularizers help a small MLP on digits?",
        "primary": {"metric": "test.accuracy", "at": "best"},
        "data": {"name": "digits", "split": {"train": lattice.train, "validation": lattice.validation, "test": "rest"}},
        "model": {"name": "mlp", "widths": list(lattice.dense)},
        "optimizer": {"name": "adam"},
        "training": {
            "epochs": lattice.epochs,
            "batch_size": lattice.batch_size,
            "evaluate_every": {"epochs": lattice.evaluate_epochs},
        },
        "seeds": {"count": lattice.seeds},
        "factors": {
            "dropout.hidden": [0.0, lattice.dropout],
            "l2.strength": [0.0, lattice.l2],
            "model.norm": ["none", "batch"],
            "label_smoothing.strength": [0.0, lattice.smoothing],
        },
    }


def compile_seconds(out: Path) -> float:
    """Return the seconds that a run directory's programs took to compile, summed; several compile at once."""
    done = list(store.iter_done(out))
    if not done:
        raise ValueError(f"{out} says of no finished runs what they cost")
    return sum(part["seconds"]["compile"] for part in done)


def run_lattice(lattice: Lattice) -> dict[str, Any]:
    """Return the seconds of `regjax.run` without its report, and those of its compiler."""
    regjax.configure()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        regjax.run(lattice_study(lattice), folder, report=False)
        seconds = time.perf_counter() - begun
        compiling = compile_seconds(Path(folder))
    words = f"compiling {compiling:.1f} s, {compiling / seconds:.0%} of the whole, several programs at once"
    return {"seconds": seconds, "runs": lattice.num_runs, "compile_seconds": compiling, "words": words}
