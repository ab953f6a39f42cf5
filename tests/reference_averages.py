"""NumPy oracles of what looks at other weights than those of the update: SAM, lookahead, stopping criteria."""

from collections.abc import Callable

import numpy as np
from reference import Oracle, loss_and_gradients

Params = dict[str, np.ndarray]


def sam(radius: float) -> Oracle:
    """Return the oracle of sharpness-aware minimization: two hand-written gradients."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        loss, gradients = loss_and_gradients(params, x, y, {})
        length = np.linalg.norm(np.concatenate([g.ravel() for g in gradients.values()]))
        place = {path: w + radius / length * gradients[path] for path, w in params.items()}
        _, gradients = loss_and_gradients(place, x, y, {})
        return {path: w - lr * gradients[path] for path, w in params.items()}, loss

    return Oracle(step=step)


def lookahead(alpha: float) -> Oracle:
    """Return the oracle of lookahead after every update, `steps = 1`."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        loss, gradients = loss_and_gradients(params, x, y, {})
        return {path: w - alpha * lr * gradients[path] for path, w in params.items()}, loss

    return Oracle(step=step)


AVERAGES: dict[str, Callable[..., Oracle]] = {"sam": sam, "lookahead": lookahead}
