"""What happens between input and output: how units go together, and what becomes of a network that is damaged."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from regjax.claims.measures.base import Measure
from regjax.claims.measures.inputs import Inputs, find_recipe, run_inputs
from regjax.claims.measures.networks import load_networks
from regjax.claims.options import Count, NotNegative, Number, Where
from regjax.config.base import choice
from regjax.config.fields import words
from regjax.models import Model
from regjax.results import Results
from regjax.tasks import Task

DAMAGES = ("units", "important_units", "weights")
Damage = Annotated[str, choice(*DAMAGES), Field(description=words(DAMAGES))]


class Kept(NamedTuple):
    """A network that a run keeps: the model as functions, parameters, batch statistics."""

    model: Model
    params: Any
    stats: Any


def pick_cells(results: Results, where: Mapping[str, Any] | None) -> list[int]:
    """Return the indices of the cells that have these levels, or one of a list of them; all without `where`."""
    wanted = {path: level if isinstance(level, list) else [level] for path, level in (where or {}).items()}
    return [
        cell["index"]
        for cell in results.plan["cells"]
        if all(cell["levels"].get(path) in levels for path, levels in wanted.items())
    ]


def unit_correlation(results: Results, where: Where = None) -> np.ndarray:
    """Return the mean absolute correlation of two units of a hidden layer over test examples, [cell, seed].

        mean over layers of the mean over pairs i < j of |corr(h_i, h_j)|

    Units that are the same for all examples have no correlation and are left out. Of the kept networks, without noise.

    Args:
      results: of a study that keeps parameters.
      where: levels of the cells that are looked at; the others are NaN.
    """

    def one(kept: Kept, inputs: Inputs) -> float:
        return float(np.mean([correlate_units(np.asarray(h)) for h in _hidden(*kept, inputs.x_test)]))

    return _over_runs(results, where, one)


def correlate_units(h: np.ndarray) -> float:
    """Return the mean absolute correlation of pairs of columns of `h` [examples, units] that vary; NaN of none.

    >>> x = np.array([0.0, 1.0, 3.0])
    >>> round(correlate_units(np.stack([x, -x, np.ones(3)], axis=1)), 12)
    1.0
    """
    h = h.reshape(-1, h.shape[-1]).astype(np.float64)
    h = h[:, h.std(axis=0) > 0]
    if h.shape[1] < 2:
        return math.nan
    return float(np.abs(np.corrcoef(h.T)[np.triu_indices(h.shape[1], 1)]).mean())


def accuracy_lost(
    results: Results, damage: Damage, amount: NotNegative, draws: Count = 20, where: Where = None
) -> np.ndarray:
    """Return by how much damage lowers the test accuracy of the kept networks, [cell, seed], as a share.

        accuracy - mean over the draws of the accuracy of the damaged network

    Args:
      results: of a study that keeps parameters, for a task with classes.
      damage: "units": each unit of a hidden layer is removed with probability `amount`, the others are divided by
        1 - amount as dropout would; "important_units": the share `amount` of each hidden layer with the largest
        mean |h_j| times the norm of the weights that read it is removed, nothing is divided; "weights": each matrix
        has normal noise added whose SD is `amount` times the matrix's own root mean square.
      amount: see there.
      draws: of the damage; one suffices for important units.
      where: levels of the cells that are looked at; the others are NaN.

    Raises:
      ValueError: `amount` is no share of units, importance is asked of a network that is no `mlp`, or there are no
        classes.
    """
    if (damage != "weights" and amount > 1) or (damage == "units" and amount == 1):
        raise ValueError(f"got amount = {amount:g} of {damage}, expected a share of them, and a unit that is left")
    task = find_class_task(results)

    def one(kept: Kept, inputs: Inputs) -> float:
        gates = _open_gates(kept, inputs.x_test)
        hurt = []
        for key in jax.random.split(jax.random.key(0), 1 if damage == "important_units" else draws):
            params, closed = kept.params, gates
            if damage == "units":
                closed = _remove_units(key, gates, amount)
            elif damage == "weights":
                params = _shake(key, kept.params, amount)
            else:
                closed = _remove_important(_hidden(*kept, inputs.x_train), kept.params, amount)
            outputs = _outputs(kept.model, params, kept.stats, inputs.x_test, closed)
            hurt.append(_score(task, "accuracy", outputs, inputs.y_test))
        whole = _outputs(*kept, inputs.x_test, gates)
        return _score(task, "accuracy", whole, inputs.y_test) - float(np.mean(hurt))

    return _over_runs(results, where, one)


def scaling_cost(results: Results, factor: Number, where: Where = None) -> np.ndarray:
    """Return what scaling weights at inference costs: the rise of the test nll in nats, [cell, seed].

    All weights that read hidden units are multiplied by `factor`; biases stay. Below 0 the scaling helps.

    Args:
      results: of a study that keeps parameters, for a task with classes.
      factor: of the weights.
      where: levels of the cells that are looked at; the others are NaN.

    Raises:
      ValueError: there are no classes.
    """
    task = find_class_task(results)

    def one(kept: Kept, inputs: Inputs) -> float:
        gates = _open_gates(kept, inputs.x_test)
        scaled = [np.float32(factor) * gate for gate in gates]
        outputs = (_outputs(*kept, inputs.x_test, g) for g in (gates, scaled))
        before, after = (_score(task, "nll", each, inputs.y_test) for each in outputs)
        return after - before

    return _over_runs(results, where, one)


def find_class_task(results: Results) -> Task:
    """Return the task of a study, by whose own metrics its networks are judged.

    Raises:
      ValueError: it has values in place of classes.
    """
    task: Task = find_recipe(results, 0).task
    if "accuracy" not in task.batch_names:
        raise ValueError(f"got the task {type(task).__name__.lower()}, expected one with classes")
    return task


def _over_runs(results: Results, where: Mapping[str, Any] | None, one: Callable[[Kept, Inputs], float]) -> np.ndarray:
    """Return `one(network, examples)` of the chosen cells' runs that keep a network, [cell, seed]; else NaN."""
    values = np.full((len(results.plan["cells"]), len(results.plan["seeds"])), math.nan)
    for cell in pick_cells(results, where):
        found, model = load_networks(results, cell), find_recipe(results, cell).model
        for index, (seed, place) in enumerate(zip(found.seeds, found.places, strict=True)):
            params, stats = jax.tree.map(lambda leaf, i=index: leaf[i], (found.params, found.stats))
            values[cell, place] = one(Kept(model, params, stats), run_inputs(results, cell, int(seed)))
    return values


@functools.partial(jax.jit, static_argnums=0)
def _hidden(model: Model, params: Any, stats: Any, x: Any) -> list[jax.Array]:
    """Return what the hidden sites of a network hold, a list of [examples, ..., units]."""
    seen: list[jax.Array] = []

    def tap(site: Any, h: jax.Array) -> jax.Array:
        seen.extend([h] if site.kind == "hidden" else [])
        return h

    model.apply(params, stats, x, tap, False)
    return seen


@functools.partial(jax.jit, static_argnums=0)
def _outputs(model: Model, params: Any, stats: Any, x: Any, gates: Sequence[Any]) -> jax.Array:
    """Return outputs [examples, outputs], the units of hidden layer l times gates[l] [units]."""

    def tap(site: Any, h: jax.Array) -> jax.Array:
        return h * gates[site.index].reshape(*[1] * (h.ndim - 1), -1) if site.kind == "hidden" else h

    return model.apply(params, stats, x, tap, False).outputs


def _open_gates(kept: Kept, x: np.ndarray) -> list[np.ndarray]:
    layers = jax.eval_shape(functools.partial(_hidden, kept.model), kept.params, kept.stats, x)
    return [np.ones(h.shape[-1], np.float32) for h in layers]


def _remove_units(key: jax.Array, gates: Sequence[np.ndarray], rate: float) -> list[np.ndarray]:
    """Return gates with each unit closed at this rate, the others divided by 1 - rate."""
    keys = jax.random.split(key, len(gates))
    kept = [np.asarray(jax.random.bernoulli(k, 1 - rate, gate.shape)) for k, gate in zip(keys, gates, strict=True)]
    return [np.asarray(gate * k / (1 - rate), np.float32) for gate, k in zip(gates, kept, strict=True)]


def _remove_important(layers: Sequence[Any], params: dict[str, Any], share: float) -> list[np.ndarray]:
    """Return gates that close the most important units of each layer, by these activations [examples, units]."""
    readers = [f"hidden_{index}" for index in range(1, len(layers))] + ["output"]
    gates = []
    for h, name in zip(layers, readers, strict=True):
        kernel = np.asarray(params.get(name, {}).get("kernel", np.zeros(0)))
        if h.ndim != 2 or kernel.ndim != 2 or len(kernel) != h.shape[1]:
            raise ValueError(f"got no weights {name!r} that read each hidden unit, expected a network 'mlp'")
        importance = np.abs(np.asarray(h)).mean(axis=0) * np.sqrt(np.square(kernel).sum(axis=1))
        rank = (-importance).argsort(kind="stable").argsort()
        gates.append((rank >= round(share * len(rank))).astype(np.float32))
    return gates


def _shake(key: jax.Array, params: Any, scale: float) -> Any:
    """Return parameters whose matrices have normal noise, its SD `scale` times their own root mean square."""
    leaves, tree = jax.tree.flatten(params)

    def one(key: jax.Array, w: np.ndarray) -> np.ndarray:
        if w.ndim < 2:
            return w
        noise = np.asarray(jax.random.normal(key, w.shape))
        return np.asarray(w + scale * np.sqrt(np.square(w).mean()) * noise, np.float32)

    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [one(k, np.asarray(w)) for k, w in zip(keys, leaves, strict=True)])


def _score(task: Task, name: str, outputs: jax.Array, y: np.ndarray) -> float:
    """Return the mean of a metric of single examples, as training records it, over these labels."""
    return float(np.asarray(task.batch_metrics(outputs, jnp.asarray(y))[name], np.float64).mean())


WHERE = "`where` names levels of the cells that are looked at"
MEASURES: dict[str, Measure] = {
    "unit_correlation": Measure(unit_correlation, f"mean absolute correlation of two units of a hidden layer; {WHERE}"),
    "accuracy_lost": Measure(
        accuracy_lost,
        "share of test examples that damage costs: `damage` of "
        f"{', '.join(DAMAGES)}, by `amount`, mean of `draws`; {WHERE}",
    ),
    "scaling_cost": Measure(
        scaling_cost, f"rise of the test nll, in nats, when weights that read hidden units are times `factor`; {WHERE}"
    ),
}
