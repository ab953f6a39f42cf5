"""NumPy oracles of what looks at other weights than those of the update: SAM, lookahead, stopping criteria."""

from collections.abc import Callable, Sequence

import numpy as np
from reference import Oracle, early_stopping, loss_and_gradients

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


def find_stop(
    values: Sequence[float],
    losses: Sequence[float],
    *,
    patience: float = np.inf,
    gl: float = np.inf,
    pq: float = np.inf,
    up: float = np.inf,
    strip: int = 5,
) -> int:
    """Return the index of the stop or -1, of curves of validation error and training loss.

    After Prechelt, each criterion by itself over the whole curve: the first index at which any of them holds.
    """
    v, losses = np.asarray(values, float), np.asarray(losses, float)
    ends = [t for t in range(len(v)) if (t + 1) % strip == 0]
    held = [early_stopping(values, patience)[1]]
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = 100 * (v / np.fmin.accumulate(v) - 1)
        held += [t for t in range(len(v)) if lost[t] > gl and np.isfinite(gl)]
        for t in ends:
            window = losses[t - strip + 1 : t + 1]
            progress = 1000 * (np.sum(window) / (strip * np.min(window)) - 1)
            held += [t] if np.divide(lost[t], progress) > pq and np.isfinite(pq) else []
    rose = [v[t] > v[t - strip] for t in ends[1:]]
    held += [end for i, end in enumerate(ends[1:], 1) if i >= up and all(rose[i - int(up) : i])]
    return min((t for t in held if t >= 0), default=-1)


AVERAGES: dict[str, Callable[..., Oracle]] = {"sam": sam, "lookahead": lookahead}
