"""The identity of a run: all that its numbers depend on, and nothing else."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax

from regjax.codes import code_digest, is_own
from regjax.config import CellSettings, Steps, Study, plain
from regjax.data import Dataset
from regjax.files import canonical, digest
from regjax.models import Settings
from regjax.models.custom import Given, describe_model
from regjax.observers import OBSERVERS, EarlyStopping
from regjax.parts import is_off
from regjax.regularizers.schedule import TIMES
from regjax.tasks import default_task

# Streams of every run, drawn from or not (runs that are stored have them); of the others only those that an active part
# draws from.
ALWAYS = ("init", "order", "dropout", "split", "subset")


# Settings of jax that change numbers, with what they are unless someone sets them.
JAX = {
    "jax_enable_x64": False,
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
}


def describe_run(
    study: Study, dataset: Dataset, cell: CellSettings, steps: Steps, streams: Mapping[str, int]
) -> dict[str, Any]:
    """Return all that a run's numbers depend on, as plain JSON; its digest is the run's identity.

    What is off is left out, since off equals absent: adding a factor to a study keeps its old runs.
    """
    tables = {**study.parts.regularizers, **OBSERVERS}
    chosen = {**cell.regularizers, **cell.observers}
    active = {name: values for name, values in chosen.items() if not is_off(tables[name], values)}
    # A list, since the order of application counts.
    described = [[name, _describe_values(values)] for name, values in active.items()]
    drawn = {stream for name in active for stream in getattr(tables[name], "streams", ())}
    training = cell.training
    classes = (type(cell.model), type(cell.optimizer), EarlyStopping, *(tables[name] for name in active))
    data = study.data.model_dump(exclude_none=True)
    return plain(
        {
            "model": _describe_model(cell.model, dataset),
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
            # Kept of themselves ("auto") they change nothing of a run: old runs that have none stay as they are.
            "predictions": study.primary.at if study.measure.predictions == "test" else None,
            "data": {
                "digest": dataset.digest,
                "peak": dataset.peak,
                "train_size": cell.data["train_size"],
                "replicates": study.seeds.replicates,
                **{key: data.get(key) for key in ("validation", "split", "scale")},
            },
            **_describe_task(study, dataset),
            "streams": {name: seed for name, seed in streams.items() if name in ALWAYS or name in drawn},
            "code": code_digest(classes),
            **_describe_jax(),
        }
    )


def _describe_jax() -> dict[str, Any]:
    """Return the settings of jax that are not what they are by default and change numbers, {} for none."""
    changed = {name: getattr(jax.config, name, usual) for name, usual in JAX.items()}
    changed = {name: value for name, value in changed.items() if value != JAX[name]}
    return {"jax": changed} if changed else {}


def _describe_task(study: Study, dataset: Dataset) -> dict[str, Any]:
    """Return what a study says of its task beyond what its data suggests, {} for nothing."""
    said = study.task.model_dump(exclude_defaults=True)
    if said.get("name") == default_task(dataset.num_classes):
        del said["name"]
    return {"task": said} if said else {}


def _describe_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hypers and settings of a part; times that are the whole training are left out."""
    whole = {key: values[key] for key in TIMES if key in values} == {"begin": 0.0, "end": 1.0}
    return {key: _collapse(value) for key, value in values.items() if not (whole and key in TIMES)}


def _collapse(value: Any) -> Any:
    """Return one value for a list of equal ones: a rate for all layers is the same run as that rate for each."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _describe_part(value: Any) -> dict[str, Any]:
    return {"kind": type(value).__name__, **dataclasses.asdict(value)}


def _describe_model(settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """Return what tells a network from others: its settings, and of one given from Python what it computes."""
    found = _describe_part(settings)
    if is_own(type(settings)) and not isinstance(settings, Given):
        return found
    return found | {"given": digest(canonical(_trace_model(settings, dataset.num_classes, dataset.x.shape[1:])))}


@functools.cache
def _trace_model(settings: Settings, num_outputs: int, input_shape: tuple[int, ...]) -> dict[str, Any]:
    return describe_model(settings.make(num_outputs), input_shape)
