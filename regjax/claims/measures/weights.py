"""What the weights of kept networks look like, and how fast the function that they make changes."""

import functools
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np

from regjax.claims.measures.base import Measure
from regjax.claims.measures.inputs import find_recipe, run_inputs
from regjax.claims.measures.networks import Networks, iter_networks
from regjax.claims.options import Count
from regjax.config.base import choice
from regjax.results import Results

FUNCTIONS = ("outputs", "probabilities")
Function = Annotated[str, choice(*FUNCTIONS)]


def per_run(results: Results, number: Callable[[Networks], np.ndarray]) -> np.ndarray:
    """Return numbers of runs [cell, seed] from those of each cell's kept networks; NaN where a run has none.

    Args:
      results: of a study that keeps parameters.
      number: networks of a cell -> [found], one for each.
    """
    made = np.full((len(results.plan["cells"]), len(results.plan["seeds"])), np.nan)
    for networks in iter_networks(results):
        made[networks.cell, networks.places] = number(networks)
    return made


def gini(results: Results) -> np.ndarray:
    """Return how unequal the sizes of the weights of a matrix are, [cell, seed], in [0, 1).

        G = sum_i (2 i - n - 1) |w|_(i) / (n sum_i |w|_(i)),   |w|_(1) <= ... <= |w|_(n)

    0 where all are of one size, 1 - 1 / n where one alone is not zero; the mean over the matrices, each counted by its
    weights. Scaling a matrix changes nothing.

    Reference: Hurley, Rickard, "Comparing measures of sparsity" (2009).
    """
    return per_run(results, lambda networks: _mean_over_matrices(networks.params, gini_index))


def gini_index(values: np.ndarray) -> np.ndarray:
    """Return the Gini index of the sizes along the last axis; NaN where all are zero.

    >>> gini_index(np.array([[1.0, -1.0], [0.0, 4.0]])).tolist()
    [0.0, 0.5]
    """
    size = np.sort(np.abs(values.astype(np.float64)), axis=-1)
    n = size.shape[-1]
    with np.errstate(invalid="ignore"):
        return size @ (2.0 * np.arange(1, n + 1) - n - 1) / (n * size.sum(axis=-1))


def iter_matrices(tree: dict[str, Any]) -> Iterator[np.ndarray]:
    """Yield the leaves [networks, ...] that are a matrix, or a kernel of more axes, of each network."""
    for node in tree.values():
        if isinstance(node, dict):
            yield from iter_matrices(node)
        elif node.ndim >= 3:
            yield node


def copies_apart(results: Results, copies: Count = 2) -> np.ndarray:
    """Return which share of the first layer's norm lies in differences between copies of a feature, [cell, seed].

        sqrt( sum_jc |w_jc - mean_c w_jc|^2 / sum_jc |w_jc|^2 ),   w_jc the weights of copy c of feature j

    0 where copies share their weight evenly; 1 where their weights cancel.

    Args:
      results: of a study on features that stand in x `copies` times, one block after the other.
      copies: C.
    """

    def number(networks: Networks) -> np.ndarray:
        kernel = first_kernel(networks.params)
        blocks = kernel.reshape(len(kernel), copies, -1).astype(np.float64)
        apart = blocks - blocks.mean(axis=1, keepdims=True)
        return np.sqrt((apart**2).sum(axis=(1, 2)) / (blocks**2).sum(axis=(1, 2)))

    return per_run(results, number)


def first_kernel(params: dict[str, Any]) -> np.ndarray:
    """Return the weights of the inputs [networks, features, units], of a model whose first layer is dense.

    Raises:
      ValueError: the first layer is a convolution, or other layers than those of an `mlp` come before the dense ones.
    """
    odd = [name for name in params if name.partition("_")[0] not in ("hidden", "norm", "output")]
    kernel = np.asarray(params.get("hidden_0", params.get("output", {})).get("kernel", np.zeros(0)))
    if odd or kernel.ndim != 3:
        got = f"a network with a layer {odd[0]!r}" if odd else f"a first layer with weights {kernel.shape[1:]}"
        raise ValueError(f'got {got}, expected "mlp" or "linear", whose first layer has [features, units]')
    return kernel


def jacobian_norm(results: Results, of: Function = "outputs", examples: Count = 200) -> np.ndarray:
    """Return how fast a network's function changes around the test examples, [cell, seed].

        sqrt( mean over x of sum_ki (d f_k / d x_i)^2 ),   x scaled as the network sees it

    Args:
      results: of a study that keeps parameters.
      of: f: "outputs", before softmax, or "probabilities".
      examples: the first so many test examples of a run.

    Reference: Sokolic, Giryes, Sapiro, Rodrigues, "Robust large margin deep neural networks" (2017), for the outputs;
    Novak, Bahri, Abolafia, Pennington, Sohl-Dickstein, "Sensitivity and generalization in neural networks" (2018), for
    the probabilities.
    """

    def number(networks: Networks) -> np.ndarray:
        recipe = find_recipe(results, networks.cell)
        x = np.stack([run_inputs(results, networks.cell, int(seed)).x_test[:examples] for seed in networks.seeds])
        measure = _make_jacobian_norm(recipe.model, recipe.task, of)
        return np.asarray(measure(networks.params, networks.stats, x))

    return per_run(results, number)


@functools.lru_cache(maxsize=8)
def _make_jacobian_norm(model: Any, task: Any, of: str) -> Callable[..., Any]:
    """Return (params, stats, x) [networks, ...] -> norms [networks]; compiled once for the cells of one network."""
    import jax
    import jax.numpy as jnp

    from regjax.tasks import NO_FIT

    def norm(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        def function(example: jax.Array) -> jax.Array:
            outputs = model.apply(params, stats, example[None], lambda site, h: h, False).outputs
            return (outputs if of == "outputs" else task.predict(outputs, NO_FIT))[0]

        rows = jax.vmap(jax.jacrev(function))(x)
        return jnp.sqrt(jnp.mean(jnp.sum(rows.reshape(len(x), -1) ** 2, axis=1)))

    return jax.jit(lambda *stacked: jax.lax.map(lambda one: norm(*one), stacked))


def _mean_over_matrices(params: dict[str, Any], index: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    flat = [matrix.reshape(len(matrix), -1) for matrix in iter_matrices(params)]
    return np.average([index(matrix) for matrix in flat], axis=0, weights=[matrix.shape[1] for matrix in flat])


MEASURES: dict[str, Measure] = {
    "gini": Measure(gini, "Gini index of the sizes of the weights: 0 all alike, 1 one has all"),
    "copies_apart": Measure(copies_apart, "share of the weights' norm in differences between copies of a feature"),
    "jacobian_norm": Measure(jacobian_norm, "norm of the derivative of the network by its inputs, at test examples"),
}
