"""NumPy oracles of the penalties on weights, activations and slopes, of proximal steps, constraints and clipping."""

from collections.abc import Callable

import jax
import numpy as np
from reference import Oracle, Params, central_gradient, loss_and_gradients

from regjax.keys import hash_name, stream_key
from regjax.regularizers.draws import draw_half_words


def run_network(params: Params, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return (activations of the hidden layers, outputs) of a ReLU network."""
    hidden, h = [], x
    for index in range(len(params) // 2 - 1):
        h = np.maximum(h @ params[f"hidden_{index}/kernel"] + params[f"hidden_{index}/bias"], 0)
        hidden.append(h)
    return hidden, h @ params["output/kernel"] + params["output/bias"]


def pull_back(params: Params, hidden: list[np.ndarray], slope: np.ndarray) -> np.ndarray:
    """Return slopes by the inputs [batch, features] of slopes by the outputs [batch, outputs]."""
    slope = slope @ params["output/kernel"].T
    for index in reversed(range(len(hidden))):
        slope = (slope * (hidden[index] > 0)) @ params[f"hidden_{index}/kernel"].T
    return slope


def softmax(outputs: np.ndarray) -> np.ndarray:
    """Return class probabilities."""
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def descend(penalty: Callable[[Params, np.ndarray, np.ndarray], float]) -> Oracle:
    """Return the oracle of a penalty (params, x, y) -> number, its gradient by differences."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        objective = lambda p: loss_and_gradients(p, x, y, {})[0] + penalty(p, x, y)  # noqa: E731
        slopes = central_gradient(objective, params)
        return {path: w - lr * slopes[path] for path, w in params.items()}, float(objective(params))

    return Oracle(step=step)


def change(alter: Callable[[str, np.ndarray, Params], np.ndarray]) -> Oracle:
    """Return the oracle of what (path, gradient of the leaf, all gradients) -> gradient does."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        loss, slopes = loss_and_gradients(params, x, y, {})
        return {path: w - lr * alter(path, slopes[path], slopes) for path, w in params.items()}, float(loss)

    return Oracle(step=step)


def l2_sp(strength: float) -> Oracle:
    """Return the oracle of the first update: the weights are still the initial ones."""
    return Oracle()


def orthogonality(strength: float) -> Oracle:
    """Return the oracle of soft orthogonality, by the singular values s: 1/2 sum (s^2 - 1)^2."""

    def penalty(w: np.ndarray) -> tuple[float, np.ndarray]:
        left, s, right = np.linalg.svd(w, full_matrices=False)
        return strength / 2 * np.sum((s**2 - 1) ** 2), strength * 2 * (left * (s * (s**2 - 1))) @ right

    return Oracle(penalty=penalty)


def spectral_norm(strength: float) -> Oracle:
    """Return the oracle of the first update: one power iteration from equal entries."""

    def penalty(w: np.ndarray) -> tuple[float, np.ndarray]:
        u = w.T @ w @ np.ones(w.shape[1])
        u /= np.linalg.norm(u)
        return strength / 2 * np.linalg.norm(w @ u) ** 2, strength * np.outer(w @ u, u)

    return Oracle(penalty=penalty)


def activation_l1(strength: float) -> Oracle:
    """Return the oracle of the L1 penalty on activations."""
    return descend(lambda p, x, y: strength * sum(np.abs(h).sum(axis=1).mean() for h in run_network(p, x)[0]))


def activation_l2(strength: float) -> Oracle:
    """Return the oracle of the L2 penalty on activations."""
    return descend(lambda p, x, y: strength / 2 * sum((h**2).sum(axis=1).mean() for h in run_network(p, x)[0]))


def kl_sparsity(strength: float, target: float = 0.05) -> Oracle:
    """Return the oracle of KL sparsity."""

    def penalty(params: Params, x: np.ndarray, y: np.ndarray) -> float:
        total = 0.0
        for h in run_network(params, x)[0]:
            q = (h.mean(axis=0) + 1e-4) / (1 + h.mean(axis=0) + 1e-4)
            total += np.sum(target * np.log(target / q) + (1 - target) * np.log((1 - target) / (1 - q)))
        return strength * total

    return descend(penalty)


def confidence_penalty(strength: float) -> Oracle:
    """Return the oracle of the confidence penalty."""

    def penalty(params: Params, x: np.ndarray, y: np.ndarray) -> float:
        p = softmax(run_network(params, x)[1])
        return strength * np.mean(np.sum(p * np.log(p), axis=1))

    return descend(penalty)


def draw_signs(name: str, shape: tuple[int, ...], seed: int = 3, step: int = 0) -> np.ndarray:
    """Return the signs of a projection, its key derived by hand; the contract's update is the first of seed 3."""
    key = jax.random.fold_in(jax.random.fold_in(stream_key(seed, "noise"), step), hash_name(name))
    return np.where(np.asarray(draw_half_words(key, shape)) < 2**15, 1.0, -1.0)


def jacobian(strength: float) -> Oracle:
    """Return the oracle of Jacobian regularization with one projection."""

    def penalty(params: Params, x: np.ndarray, y: np.ndarray) -> float:
        slopes = pull_back(params, run_network(params, x)[0], draw_signs("jacobian_0", y.shape))
        return strength / 2 * np.mean(np.sum(slopes**2, axis=1))

    return descend(penalty)


def gradient_penalty(strength: float) -> Oracle:
    """Return the oracle of double backpropagation."""

    def penalty(params: Params, x: np.ndarray, y: np.ndarray) -> float:
        hidden, outputs = run_network(params, x)
        slopes = pull_back(params, hidden, softmax(outputs) - y)
        return strength / 2 * np.mean(np.sum(slopes**2, axis=1))

    return descend(penalty)


def clip_norm(bound: float) -> Oracle:
    """Return the oracle of clipping by the global norm."""

    def alter(path: str, g: np.ndarray, everything: Params) -> np.ndarray:
        norm = np.linalg.norm(np.concatenate([leaf.ravel() for leaf in everything.values()]))
        return g * min(1, bound / norm)

    return change(alter)


def clip_value(bound: float) -> Oracle:
    """Return the oracle of clipping by value."""
    return change(lambda path, g, everything: np.where(np.abs(g) > bound, np.sign(g) * bound, g))


def gradient_noise(scale: float) -> Oracle:
    """Return the oracle of gradient noise at the first update of seed 3, where its variance is the scale."""

    def alter(path: str, g: np.ndarray, everything: Params) -> np.ndarray:
        key = jax.random.fold_in(jax.random.fold_in(stream_key(3, "noise"), 0), hash_name(f"gradient/{path}"))
        return g + scale**0.5 * np.asarray(jax.random.normal(key, g.shape, g.dtype))

    return change(alter)


def elastic_net(strength: float, l1_ratio: float = 0.5) -> Oracle:
    """Return the oracle of the elastic net's proximal step."""

    def shrink(w: np.ndarray, before: np.ndarray, lr: float) -> np.ndarray:
        first, second = lr * strength * l1_ratio, lr * strength * (1 - l1_ratio)
        return (w - np.clip(w, -first, first)) / (1 + second)

    return Oracle(project=shrink)


def group_lasso(strength: float) -> Oracle:
    """Return the oracle of the group lasso on rows of the first kernel."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        loss, slopes = loss_and_gradients(params, x, y, {})
        new = {path: w - lr * slopes[path] for path, w in params.items()}
        for row in new["hidden_0/kernel"]:
            threshold = lr * strength * len(row) ** 0.5
            row *= 0 if np.linalg.norm(row) <= threshold else 1 - threshold / np.linalg.norm(row)
        return new, float(loss)

    return Oracle(step=step)


def non_negativity(share: float) -> Oracle:
    """Return the oracle of the non-negativity constraint."""
    return Oracle(project=lambda w, before, lr: np.maximum(w, 0) + (1 - share) * np.minimum(w, 0))


def unit_norm(share: float) -> Oracle:
    """Return the oracle of the unit-norm constraint: column by column."""

    def scale(w: np.ndarray, before: np.ndarray, lr: float) -> np.ndarray:
        return np.stack([(1 - share) * c + share * c / np.linalg.norm(c) for c in w.T], axis=1)

    return Oracle(project=scale)


PENALTY_ORACLES: dict[str, Callable[..., Oracle]] = {
    make.__name__: make
    for make in (
        l2_sp, orthogonality, spectral_norm, activation_l1, activation_l2, kl_sparsity, confidence_penalty, jacobian,
        gradient_penalty, clip_norm, clip_value, gradient_noise, elastic_net, group_lasso, non_negativity, unit_norm,
    )
}  # fmt: skip
