"""Which bits depend on what: the same runs in other layouts and on other numbers of devices, compared record by record.

    python scripts/determinism.py --updates 400

Simulates up to four CPU devices in one process. The reference is one device with two rows of four slots (a row holds
the cells of a seed, a slot one run). Each line is another way to train the same 32 runs: how many have every record
equal bit for bit, and how far the others are from the reference at the last update.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

REFERENCE = (1, 2, 4)
# Devices, rows of slots per device, slots per row. "again" is the reference a second time, compiled anew.
WAYS = {
    "again": REFERENCE,
    "2 devices, equal slots each": (2, 2, 4),
    "4 devices, equal slots each": (4, 2, 4),
    "1 row of slots": (1, 1, 4),
    "4 rows": (1, 4, 4),
    "8 rows": (1, 8, 4),
    "2 devices, 4 rows each": (2, 4, 4),
    "8 rows of one slot": (1, 8, 1),
    "1 slot": (1, 1, 1),
}
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"name": "mlp", "widths": [64, 64]},
    "mlp, batch norm": {"name": "mlp", "widths": [64, 64], "norm": "batch"},
    "mlp, ELU": {"name": "mlp", "widths": [64, 64], "activation": "elu"},
    "cnn": {"name": "cnn", "channels": [8], "dense": [32]},
}


class Found(NamedTuple):
    """How runs compare: how many are equal in every bit of every record, and largest differences at the last update.

    `nll` is relative, `accuracy` and `mean` (of the accuracies of a cell) are shares.
    """

    runs: int
    equal: int
    nll: float
    accuracy: float
    mean: float


def make_study(model: dict[str, Any], updates: int, seeds: int = 8) -> dict[str, Any]:
    """Return a study of dropout and L2 off and on, trained by Adam."""
    return {
        "question": "Which bits depend on what?",
        "primary": {"metric": "test.accuracy", "at": "last"},
        "data": {"name": "digits", "split": {"train": 800, "validation": 400, "test": "rest"}},
        "model": model,
        "optimizer": {"name": "adam", "learning_rate": 0.003},
        "training": {"steps": updates, "batch_size": 32, "evaluate_every": {"steps": updates // 4}, "keep": "none"},
        "measure": {"predictions": "none"},
        "seeds": {"count": seeds},
        "factors": {"dropout.hidden": [0.0, 0.3], "l2.strength": [0.0, 0.001]},
    }


def train(study: dict[str, Any], devices: int, per_device: int, columns: int) -> pd.DataFrame:
    """Return all records of a study's runs, trained in this layout; by cell, seed and step."""
    import jax

    import regjax
    from regjax.execute import look_table
    from regjax.plan import make_plan
    from regjax.train.layout import Layout, make_rows
    from regjax.train.program import Compiled, make_program, place_data
    from regjax.train.seats import begin, look, refill

    parsed = regjax.parse_study(study)
    dataset = regjax.load_dataset(**parsed.dataset_arguments())
    (group,) = make_plan(parsed, dataset).groups
    layout = Layout(devices * per_device, columns, 1)
    program = make_program(parsed, dataset, group, jax.devices()[:devices], layout)
    functions, data = Compiled(program), place_data(program)
    live = begin(program, functions, data, make_rows(group.runs, columns))
    tables = []
    while live.seats.living.any():
        before = live.seats
        live, arrays, intervals = look(program, functions, data, live)
        tables.append(look_table(program, live, before, arrays, intervals))
        live.seats = live.seats._replace(since_save=live.seats.since_save % program.segment)
        live = refill(program, functions, data, live)
    places = pd.DataFrame([(run.id, run.cell, run.seed) for run in group.runs], columns=["run", "cell", "seed"])
    records = pd.concat(tables).drop(columns="seconds").merge(places, on="run").drop(columns="run")
    return records.set_index(["cell", "seed", "step"]).sort_index()


def compare(found: pd.DataFrame, reference: pd.DataFrame) -> Found:
    """Return how the records of the same runs compare."""
    same = ((found == reference) | (found.isna() & reference.isna())).all(axis=1)
    equal = same.groupby(["cell", "seed"]).all()
    last = found.index.get_level_values("step").max()
    ends = [frame.xs(last, level="step") for frame in (found, reference)]
    nll, accuracy = ([end[name] for end in ends] for name in ("test.nll", "test.accuracy"))
    means = [values.groupby("cell").mean() for values in accuracy]
    return Found(
        runs=len(equal),
        equal=int(equal.sum()),
        nll=float((nll[0] / nll[1] - 1).abs().max()),
        accuracy=float((accuracy[0] - accuracy[1]).abs().max()),
        mean=float((means[0] - means[1]).abs().max()),
    )


def measure(models: Sequence[str], updates: int, seeds: int = 8) -> Iterator[tuple[str, str, Found]]:
    """Yield (model, way, comparison with the reference) of every model and way."""
    for model in models:
        study = make_study(MODELS[model], updates, seeds)
        reference = train(study, *REFERENCE)
        for way, layout in WAYS.items():
            yield model, way, compare(train(study, *layout), reference)


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    chosen = parser.parse_args(arguments)
    import jax

    import regjax

    jax.config.update("jax_num_cpu_devices", 4)
    regjax.configure()
    print("| network | trained on | runs equal in every bit | test nll, relative | test accuracy | mean of a cell |")
    print("|---|---|---|---|---|---|")
    for model, way, found in measure(chosen.models, chosen.updates):
        apart = (f"{found.nll:.1e}", f"{100 * found.accuracy:.2f} pp", f"{100 * found.mean:.2f} pp")
        words = apart if found.equal < found.runs else ("-",) * 3
        print(f"| {model} | {way} | {found.equal} of {found.runs} | {' | '.join(words)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
