"""What a study demands of its data and network: each check refuses what they cannot give."""

from collections.abc import Sequence

import jax

from regjax.config import CellSettings, ConfigError, Problem, Steps, find_model_problems
from regjax.data import Dataset
from regjax.grouping import Setting, measure, off
from regjax.recipe import Recipe, make_mask

MOST_WEIGHTS = 2**31 - 1

# Need of a regularizer -> what a network without such layers is, and which one has them.
LAYERS = {
    "residual": ("a network without residual branches", 'model.name = "resnet", "vit", or "mlp" with skip = true'),
    "hidden": ("a network without hidden layers", "one with hidden layers, such as mlp"),
    "channels": ("a network without convolutional layers", 'model.name = "cnn" or "resnet"'),
}


def check_inputs(cells: Sequence[CellSettings], dataset: Dataset) -> None:
    """Refuse models that cannot take the inputs of the data.

    Raises:
      ConfigError: names every setting that does not fit.
    """
    shape = dataset.x.shape[1:]
    problems = [problem for cell in cells for problem in find_model_problems(cell.model, shape)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def check_needs(cells: Sequence[CellSettings], setting: Setting) -> None:
    """Refuse regularizers that data, task or network have nothing for.

    Raises:
      ConfigError: names every such regularizer, and what it needs.
    """
    problems: dict[Problem, None] = {}
    for cell in cells:
        for name, part_class in setting.regularizers.items():
            for need in part_class.needs if not off(setting, cell, name) else ():
                got, expected = find_lack(need, cell, setting)
                if got:
                    problems[Problem(name, got, expected)] = None
    if problems:
        raise ConfigError(list(problems))


def find_lack(need: str, cell: CellSettings, setting: Setting) -> tuple[str, str]:
    """Return what there is in place of what a regularizer needs, and what it needs; two empty texts where it is."""
    shape = setting.input_shape
    if need == "images":
        lacks, got = len(shape) not in (2, 3), f"inputs of shape {list(shape)}"
        return (got, "images [height, width] or [height, width, channels]") if lacks else ("", "")
    if need == "classes":
        expected = 'task.name = "classification", for which labels must be classes'
        return ("", "") if setting.task.has_classes else ("targets that are numbers", expected)
    if need not in LAYERS:
        return f"a class with needs = {need!r}", f"needs of these: images, classes, {', '.join(LAYERS)}"
    size = measure(cell, setting)
    found = {site.kind for site, _ in size.sites} | ({"channels"} if size.has_maps else set())
    return ("", "") if need in found else LAYERS[need]


def check_weights(cells: Sequence[CellSettings], setting: Setting) -> None:
    """Refuse networks with more weights than int32 counts, which the shares of weights that are zero count in.

    Raises:
      ConfigError: names the number of weights.
    """
    most = max(measure(cell, setting).params for cell in cells)
    if most > MOST_WEIGHTS:
        raise ConfigError([Problem("model", f"a network of {most} weights", f"at most {MOST_WEIGHTS}")])


def check_warmup(cells: Sequence[CellSettings], steps: Sequence[Steps]) -> None:
    """Refuse a warm-up that does not end before the training does.

    Raises:
      ConfigError: names both lengths.
    """
    for cell, course in zip(cells, steps, strict=True):
        warmup = cell.optimizer.schedule.warmup_steps
        if warmup >= course.steps:
            expected = f"less than the {course.steps} updates of the training"
            raise ConfigError([Problem("optimizer.schedule.warmup_steps", str(warmup), expected)])


def check_snapshots(cells: Sequence[CellSettings], steps: Sequence[Steps]) -> None:
    """Refuse snapshots whose cycles do not end at evaluations, where they are taken.

    Raises:
      ConfigError: names the count and the evaluations.
    """
    for cell, course in zip(cells, steps, strict=True):
        count = int(cell.observers.get("snapshots", {}).get("count", 1))
        evaluations = course.steps // course.evaluate_steps
        if evaluations % count:
            expected = f"a divisor of the {evaluations} evaluations of the training"
            hint = "each cycle must end at an evaluation; change it or training.evaluate_every"
            raise ConfigError([Problem("snapshots.count", str(count), expected, hint)])


def check_patterns(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse patterns of `model.decay_on` that name no parameter: every penalty would silently do nothing.

    Raises:
      ConfigError: names the patterns, and the parameters that there are.
    """
    if isinstance(recipe.decay_on, str):
        return
    example = jax.ShapeDtypeStruct((1, *dataset.x.shape[1:]), "float32")
    params, _ = jax.eval_shape(recipe.model.init, jax.eval_shape(lambda: jax.random.key(0)), example)
    idle = [pattern for pattern in recipe.decay_on if not any(jax.tree.leaves(make_mask(params, (pattern,))))]
    if idle:
        paths = jax.tree_util.tree_flatten_with_path(params)[0]
        names = ", ".join(jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths)
        raise ConfigError([Problem("model.decay_on", ", ".join(idle), f"patterns that match one of: {names}")])
