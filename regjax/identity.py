"""The identity of a run: all that its numbers depend on, and nothing else."""

import ast
import dataclasses
import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regjax.config import CellSettings, Steps, Study, plain
from regjax.data import Dataset
from regjax.files import digest
from regjax.observers import OBSERVERS, EarlyStopping
from regjax.parts import is_off
from regjax.regularizers.schedule import TIMES

# Files whose code decides the numbers of every run, beside the modules of the parts that a run uses.
ENGINE = (
    "keys.py", "recipe.py", "tasks.py", "regularizers/base.py", "regularizers/draws.py", "regularizers/schedule.py",
    "observers/__init__.py", "observers/averages.py", "models/base.py", "models/layers.py", "models/conv.py",
    "data/splits.py", "data/scaling.py", "train/inputs.py", "train/records.py", "train/state.py", "train/step.py",
    "train/evaluate.py", "train/population.py", "train/stream.py",
)  # fmt: skip


# Streams of every run; of the others only those that an active part draws from.
ALWAYS = ("init", "order", "dropout", "split", "subset")


def describe_run(
    study: Study, dataset: Dataset, cell: CellSettings, steps: Steps, streams: Mapping[str, int]
) -> dict[str, Any]:
    """Return all that a run's numbers depend on, as plain JSON; its digest is the run's identity.

    What is off is left out, since off equals absent: adding a factor to a study keeps its old runs.
    """
    tables = {**study.regularizers, **OBSERVERS}
    chosen = {**cell.regularizers, **cell.observers}
    active = {name: values for name, values in chosen.items() if not is_off(tables[name], values)}
    # A list, since the order of application counts.
    described = [[name, _describe_values(values)] for name, values in active.items()]
    drawn = {stream for name in active for stream in getattr(tables[name], "streams", ())}
    training = cell.training
    modules = [type(cell.model), type(cell.optimizer), EarlyStopping, *(tables[name] for name in active)]
    data = study.data.model_dump(exclude_none=True)
    return plain(
        {
            "model": _describe_part(cell.model),
            "optimizer": _describe_part(cell.optimizer),
            "decay_on": cell.decay_on,
            "active": described,
            "training": {
                "batch_size": training.batch_size,
                "steps": steps.steps,
                "evaluate_steps": steps.evaluate_steps,
                "monitor": training.monitor,
                "train_examples": training.train_examples,
                "precision": training.precision,
                "keep": training.keep,
            },
            "predictions": study.primary.at if study.measure.predictions else None,
            "data": {
                "digest": dataset.digest,
                "peak": dataset.peak,
                "train_size": cell.data["train_size"],
                **{key: data.get(key) for key in ("validation", "split", "scale")},
            },
            "streams": {name: seed for name, seed in streams.items() if name in ALWAYS or name in drawn},
            "code": code_digest(tuple(sorted({module.__module__ for module in modules}))),
        }
    )


def _describe_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hypers and settings of a part; times that are the whole training are left out."""
    whole = {key: values[key] for key in TIMES if key in values} == {"begin": 0.0, "end": 1.0}
    return {key: _collapse(value) for key, value in values.items() if not (whole and key in TIMES)}


def _collapse(value: Any) -> Any:
    """Return one value for a list of equal ones: a rate for all layers is the same run as that rate for each."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _describe_part(value: Any) -> dict[str, Any]:
    return {"kind": type(value).__name__, **dataclasses.asdict(value)}


@functools.cache
def code_digest(modules: tuple[str, ...]) -> str:
    """Return a digest of the code of the engine and of these modules; comments and docstrings do not count."""
    here = Path(__file__).parent
    paths = [here / name for name in ENGINE] + [Path(str(sys.modules[name].__file__)) for name in modules]
    return digest("".join(_strip(path.read_text(encoding="utf-8")) for path in paths))


def _strip(source: str) -> str:
    """Return Python source without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
