"""NumPy oracles: what training must give, written a second time without jax and without automatic derivatives."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Params = dict[str, np.ndarray]  # {"hidden_0/kernel": array}
Noise = dict[str, np.ndarray]  # {"hidden_0": factors [batch, units]}


class Oracle(NamedTuple):
    """What a regularizer does, in NumPy; every default is the identity.

    Attributes:
      targets: float targets [batch, classes] -> those trained on.
      rate: (kind of site, index of hidden layer) -> drop probability there.
      penalty: leaf -> (its share of the objective, the gradient of that share).
      project: (leaf after the update, leaf before it, learning rate) -> leaf.
      step: (params, x, y, lr) -> (params after an update of plain SGD, objective before it), float64: instead of all
        others where they cannot say it.
    """

    targets: Callable = lambda y: y
    rate: Callable = lambda kind, index: 0.0
    penalty: Callable = lambda w: (0.0, np.zeros_like(w))
    project: Callable = lambda w, before, lr: w
    step: Callable | None = None


def label_smoothing(strength: float) -> Oracle:
    """Return the oracle of label smoothing."""
    return Oracle(targets=lambda y: y + strength * (np.full_like(y, 1 / y.shape[1]) - y))


def dropout(hidden: float | Sequence[float] = 0.0, input: float = 0.0) -> Oracle:
    """Return the oracle of dropout; the masks themselves are given to `loss_and_gradients`."""
    return Oracle(
        rate=lambda kind, index: input if kind == "input" else hidden if np.ndim(hidden) == 0 else hidden[index]
    )


def l1(strength: float) -> Oracle:
    """Return the oracle of the L1 penalty by subgradients."""
    slope = lambda w: strength * ((w > 0).astype(w.dtype) - (w < 0))  # noqa: E731
    return Oracle(penalty=lambda w: (strength * np.abs(w).sum(), slope(w)))


def l2(strength: float) -> Oracle:
    """Return the oracle of the coupled L2 penalty."""
    return Oracle(penalty=lambda w: (strength / 2 * np.vdot(w, w), strength * w))


def decay(strength: float) -> Oracle:
    """Return the oracle of decoupled decay."""
    return Oracle(project=lambda w, before, lr: w - lr * strength * before)


def l1_proximal(strength: float) -> Oracle:
    """Return the oracle of soft thresholding."""

    def shrink(w: np.ndarray, before: np.ndarray, lr: float) -> np.ndarray:
        size = lr * strength
        return np.where(w > size, w - size, np.where(w < -size, w + size, 0.0))

    return Oracle(project=shrink)


def max_norm(bound: float) -> Oracle:
    """Return the oracle of the max-norm constraint: column by column."""

    def clip(w: np.ndarray, before: np.ndarray, lr: float) -> np.ndarray:
        if w.ndim < 2:
            return w
        columns = w.reshape(-1, w.shape[-1]).T
        clipped = [c * bound / np.linalg.norm(c) if np.linalg.norm(c) > bound else c for c in columns]
        return np.stack(clipped, axis=1).reshape(w.shape)

    return Oracle(project=clip)


# Oracles by row of regjax.regularizers.REGULARIZERS; `oracles.py` has those of all rows.
ORACLES: dict[str, Callable[..., Oracle]] = {
    "label_smoothing": label_smoothing,
    "dropout": dropout,
    "l1": l1,
    "l2": l2,
    "decay": decay,
    "l1_proximal": l1_proximal,
    "max_norm": max_norm,
}


def central_gradient(objective: Callable[[Params], float], params: Params, width: float = 1e-6) -> Params:
    """Return the gradient of a function of parameters by central differences, coordinate by coordinate."""
    found = {path: np.zeros_like(w) for path, w in params.items()}
    for path, w in params.items():
        for index in np.ndindex(w.shape):
            values = []
            for side in (width, -width):
                moved = w.copy()
                moved[index] += side
                values.append(objective({**params, path: moved}))
            found[path][index] = (values[0] - values[1]) / (2 * width)
    return found


class Sgd:
    """Plain stochastic gradient descent."""

    def __call__(self, path: str, gradient: np.ndarray) -> np.ndarray:
        """Return the direction of a leaf."""
        return gradient


class KerasAdam:
    """Adam with Keras' epsilon, after the paper's section 2: step size alpha sqrt(1 - b2^t) / (1 - b1^t)."""

    def __init__(self, b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-7) -> None:
        self.b1, self.b2, self.epsilon = b1, b2, epsilon
        self.moments: dict[str, tuple[int, np.ndarray, np.ndarray]] = {}

    def __call__(self, path: str, gradient: np.ndarray) -> np.ndarray:
        """Return the direction of a leaf and remember its moments."""
        t, m, v = self.moments.get(path, (0, np.zeros_like(gradient), np.zeros_like(gradient)))
        t, m, v = t + 1, m + (gradient - m) * (1 - self.b1), v + (gradient**2 - v) * (1 - self.b2)
        self.moments[path] = t, m, v
        return np.sqrt(1 - self.b2**t) / (1 - self.b1**t) * m / (np.sqrt(v) + self.epsilon)


def loss_and_gradients(params: Params, x: np.ndarray, y: np.ndarray, noise: Noise) -> tuple[float, Params]:
    """Return the mean cross-entropy of a ReLU network and its gradient by hand-written backpropagation.

    Args:
      params: kernels and biases of "hidden_0", "hidden_1", ..., "output".
      x: inputs [batch, features].
      y: target distributions [batch, classes].
      noise: factors on the activations of a site; none for an absent site.
    """
    layers = [f"hidden_{i}" for i in range(len(params) // 2 - 1)] + ["output"]
    inputs, slopes = [x * noise.get("input", 1.0)], []
    for name in layers[:-1]:
        linear = inputs[-1] @ params[f"{name}/kernel"] + params[f"{name}/bias"]
        slopes.append(np.where(linear > 0, noise.get(name, 1.0), 0.0))
        inputs.append(linear * slopes[-1])
    outputs = inputs[-1] @ params["output/kernel"] + params["output/bias"]
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    gradients, delta = {}, (np.exp(log_p) - y) / len(x)
    for depth in reversed(range(len(layers))):
        gradients[f"{layers[depth]}/kernel"] = inputs[depth].T @ delta
        gradients[f"{layers[depth]}/bias"] = delta.sum(axis=0)
        if depth:
            delta = delta @ params[f"{layers[depth]}/kernel"].T * slopes[depth - 1]
    return -(y * log_p).sum(axis=1).mean(), gradients


def train_step(
    params: Params,
    x: np.ndarray,
    y: np.ndarray,
    oracles: Sequence[Oracle],
    *,
    noise: Noise,
    direction: Callable[[str, np.ndarray], np.ndarray],
    lr: float,
    touched: Callable[[str], bool] = lambda path: path.endswith("kernel"),
) -> tuple[Params, float]:
    """Return (parameters after one update, objective before it).

    Args:
      params, x, y, noise: as for `loss_and_gradients`; `y` before any smoothing.
      oracles: regularizers in their order.
      direction: (path, gradient) -> direction of the optimizer.
      lr: learning rate.
      touched: path -> whether penalties, decays and constraints act on the leaf.
    """
    for oracle in oracles:
        y = oracle.targets(y)
    loss, gradients = loss_and_gradients(params, x, y, noise)
    for oracle in oracles:
        for path in filter(touched, params):
            value, slope = oracle.penalty(params[path])
            loss, gradients[path] = loss + value, gradients[path] + slope
    new = {path: w - lr * direction(path, gradients[path]) for path, w in params.items()}
    for oracle in oracles:
        for path in filter(touched, params):
            new[path] = oracle.project(new[path], params[path], lr)
    return new, float(loss)


def early_stopping(values: Sequence[float], patience: float, min_delta: float = 0.0) -> tuple[int, int]:
    """Return (index of the best evaluation or -1, index of the stop or -1) of a curve, smaller is better.

    Written over the whole curve, not as a running memory: an evaluation improves when it is below the last improvement
    by more than `min_delta`; training stops at the first evaluation `patience` after an improvement (or the start).
    Without early stopping (infinite patience) `min_delta` says nothing: the best is the plain minimum.
    """
    improved: list[int] = []
    min_delta = min_delta if np.isfinite(patience) else 0.0
    for index, value in enumerate(values):
        reference = values[improved[-1]] if improved else np.inf
        if value < reference - min_delta:
            improved.append(index)
        elif index - (improved[-1] if improved else -1) >= patience:
            return (improved[-1] if improved else -1), index
    return (improved[-1] if improved else -1), -1
