"""The identity of a run: all that its numbers depend on, and nothing else."""

import ast
import dataclasses
import functools
import inspect
import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regjax.config import CellSettings, ConfigError, Problem, Steps, Study, plain
from regjax.data import Dataset
from regjax.files import canonical, digest
from regjax.models import Settings
from regjax.models.custom import Given, describe_model
from regjax.observers import OBSERVERS, EarlyStopping
from regjax.parts import is_off
from regjax.regularizers.schedule import TIMES
from regjax.tasks import default_task

# Files whose code decides the numbers of every run, beside the modules of the parts that a run uses.
ENGINE = (
    "keys.py", "recipe.py", "metrics.py", "tasks/base.py", "tasks/classes.py", "tasks/regression.py",
    "regularizers/base.py", "regularizers/draws.py", "regularizers/schedule.py",
    "observers/__init__.py", "observers/averages.py",
    "models/base.py", "models/layers.py", "models/conv.py", "models/norms.py", "models/pool.py",
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
        }
    )


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


def is_own(part_class: type) -> bool:
    """Return whether a part is one of regjax, not given from Python."""
    return part_class.__module__.split(".")[0] == __package__


@functools.cache
def code_digest(classes: tuple[type, ...]) -> str:
    """Return a digest of the code of the engine and of these parts; comments and docstrings do not count.

    The code of a part of regjax is its module. Of one given from Python it is the class alone: what that calls outside
    of itself is not seen, for which a user changes the class, too (a `version` in it will do).
    """
    here = Path(__file__).parent
    modules = sorted({part_class.__module__ for part_class in classes if is_own(part_class)})
    paths = [here / name for name in ENGINE] + [Path(str(sys.modules[name].__file__)) for name in modules]
    given = sorted({_read_source(part_class) for part_class in classes if not is_own(part_class)})
    return digest("".join([*(_strip(path.read_text(encoding="utf-8")) for path in paths), *map(_strip, given)]))


def _read_source(part_class: type) -> str:
    """Return the source of a class given from Python: its name, fields and methods.

    Python finds no source of a class that was written in a notebook, but that of its methods.

    Raises:
      ConfigError: there is none, so that its runs could not be told from those of another class.
    """
    own = [known for known in part_class.__mro__ if known is not object and not is_own(known)]
    values = [value for known in own for value in vars(known).values()]
    written: list[Any] = [inspect.unwrap(value) for value in values if inspect.isfunction(value)]
    written += [value.fget for value in values if isinstance(value, property)]
    written = [method for method in written if method.__code__.co_filename != "<string>"]  # those of the dataclass
    fields = [f"{f.name} = {f.default!r}, {dict(f.metadata)!r}" for f in dataclasses.fields(part_class)]
    head = json.dumps([part_class.__qualname__, *fields])
    try:
        return "\n".join([head, *(textwrap.dedent(inspect.getsource(method)) for method in written)])
    except (OSError, TypeError) as error:
        expected = "a class whose source Python can find: in a file or in a notebook's cell"
        raise ConfigError([Problem(part_class.__qualname__, str(error), expected)]) from error


def _strip(source: str) -> str:
    """Return Python source without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
