"""NumPy oracles of noise, augmentation, mixing, mislabelling and adversarial training: whole updates, draws by hand.

Every oracle is of the first update (step 0) of seed 3, on inputs [batch, 8] that are images of two rows.
"""

from collections.abc import Callable

import jax
import numpy as np
from jax.extend.random import threefry_2x32
from reference import Oracle, Params, Sgd, central_gradient, loss_and_gradients, train_step
from scipy.special import ndtri

from regjax.keys import hash_name, stream_key
from regjax.regularizers.draws import draw_half_words

SEED, IMAGE = 3, (2, 4)


def words(stream: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the half words of a place in the first update, as float64."""
    key = jax.random.fold_in(jax.random.fold_in(stream_key(SEED, stream), 0), hash_name(name))
    return np.asarray(draw_half_words(key, shape)).astype(np.float64)


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the uniform draws of what is done to examples."""
    return (words("augment", name, shape) + 0.5) / 65536


def normal(stream: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return normal draws: quantiles of the half words."""
    return ndtri((words(stream, name, shape) + 0.5) / 65536)


def keep(stream: str, name: str, shape: tuple[int, ...], rate: float) -> np.ndarray:
    """Return a mask, True with probability 1 - rate."""
    return words(stream, name, shape) < round((1 - rate) * 65536)


def on_batch(change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Oracle:
    """Return the oracle of what changes inputs [batch, 2, 4] and targets."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        images, targets = change(x.reshape(-1, *IMAGE).copy(), y.copy())
        return train_step(params, images.reshape(len(x), -1), targets, [], noise={}, direction=Sgd(), lr=lr)

    return Oracle(step=step)


def on_forward(outputs: Callable[[Params, np.ndarray], np.ndarray]) -> Oracle:
    """Return the oracle of what changes the forward pass, its gradient by differences."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        objective = lambda p: cross_entropy(outputs(p, x), y)  # noqa: E731
        slopes = central_gradient(objective, params)
        return {path: w - lr * slopes[path] for path, w in params.items()}, objective(params)

    return Oracle(step=step)


def cross_entropy(outputs: np.ndarray, y: np.ndarray) -> float:
    """Return the mean cross-entropy of logits."""
    return float(np.mean(np.log(np.exp(outputs).sum(axis=1)) - (y * outputs).sum(axis=1)))


def layer(params: Params, name: str, h: np.ndarray) -> np.ndarray:
    """Return a linear layer."""
    return h @ params[f"{name}/kernel"] + params[f"{name}/bias"]


def relu(h: np.ndarray) -> np.ndarray:
    """Return ReLU, flat beyond zero by more than the differences are wide: where all is dropped, its slope is 0."""
    return np.where(h > 1e-5, h, 0.0)


def label_noise(rate: float) -> Oracle:
    """Return the oracle of label noise: every row's block of the generator on its own."""
    key = jax.random.key_data(jax.random.fold_in(stream_key(SEED, "labels"), hash_name("label_noise")))

    def change(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for row in range(len(y)):
            chance, other = (int(w) for w in threefry_2x32(key, np.array([row, 0], np.uint32)))
            if chance < rate * 2**32:
                y[row] = np.roll(y[row], 1 + other % (y.shape[1] - 1))
        return x, y

    return on_batch(change)


def augment(flip: float = 0.0, shift: float = 0.0) -> Oracle:
    """Return the oracle of flips and shifts, pixel by pixel."""

    def change(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flipped = words("augment", "flip", (len(x),)) < flip * 65536
        by = np.floor(uniform("shift", (2, len(x))) * (2 * shift + 1)).astype(int) - int(shift)
        for i, image in enumerate(x):
            old, image[:] = (image[:, ::-1] if flipped[i] else image).copy(), 0
            for r, c in np.ndindex(image.shape):
                to = r + by[0, i], c + by[1, i]
                if 0 <= to[0] < IMAGE[0] and 0 <= to[1] < IMAGE[1]:
                    image[to] = old[r, c]
        return x, y

    return on_batch(change)


def box(centre: np.ndarray, sides: tuple[int, int]) -> tuple[slice, slice]:
    """Return the slices of a rectangle around a centre, cut at the border."""
    starts = [int(u * n) - side // 2 for u, n, side in zip(centre, IMAGE, sides, strict=True)]
    low, high = (slice(max(s, 0), max(s + side, 0)) for s, side in zip(starts, sides, strict=True))
    return low, high


def cutout(size: float) -> Oracle:
    """Return the oracle of cutout by slices."""

    def change(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for image, centre in zip(x, uniform("cutout", (2, len(x))).T, strict=True):
            image[box(centre, (int(size), int(size)))] = 0
        return x, y

    return on_batch(change)


def random_erasing(rate: float) -> Oracle:
    """Return the oracle of random erasing by slices, at the default areas and shapes."""

    def change(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for image, (chance, a, shape, down, right) in zip(x, uniform("random_erasing", (5, len(x))).T, strict=True):
            area, aspect = 8 * (0.02 + 0.38 * a), 0.3 + shape * (1 / 0.3 - 0.3)
            height, width = min(round((area * aspect) ** 0.5), 2), min(round((area / aspect) ** 0.5), 4)
            top, left = int(down * (3 - height)), int(right * (5 - width))
            if chance < rate:
                image[top : top + height, left : left + width] = 0
        return x, y

    return on_batch(change)


def beta(name: str, alpha: float) -> float:
    """Return the beta draw of a place, from Student's t by the polar method."""
    high, low, turn, side = words("augment", name, (4,))
    freedom = 2 * alpha
    t = np.sqrt(freedom * (((high * 65536 + low) / 2**32) ** (-2 / freedom) - 1)) * np.cos(
        (turn + 0.5) / 65536 * np.pi / 2
    )
    return 0.5 * (1 + (-1 if side < 32768 else 1) * t / np.sqrt(freedom + t * t))


def mixup(alpha: float) -> Oracle:
    """Return the oracle of mixup, example by example."""
    own = max(beta("mixup", alpha), 1 - beta("mixup", alpha))

    def blend(v: np.ndarray) -> np.ndarray:
        return np.stack([own * v[i] + (1 - own) * v[(i + 1) % len(v)] for i in range(len(v))])

    return on_batch(lambda x, y: (blend(x), blend(y)))


def cutmix(alpha: float) -> Oracle:
    """Return the oracle of CutMix by slices."""
    root = np.sqrt(1 - beta("cutmix", alpha))
    place = box(uniform("cutmix_place", (2,)), (round(root * IMAGE[0]), round(root * IMAGE[1])))

    def change(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        others = x[[*range(1, len(x)), 0]]
        share = others[0][place].size / 8
        for image, other in zip(x, others, strict=True):
            image[place] = other[place]
        return x, y * (1 - share) + y[[*range(1, len(y)), 0]] * share

    return on_batch(change)


def input_noise(scale: float) -> Oracle:
    """Return the oracle of noise on the inputs."""
    return on_batch(lambda x, y: (x + scale * normal("noise", "input_noise", x.shape), y))


def on_kernels(noise: Callable[[str, tuple[int, ...]], tuple[np.ndarray, np.ndarray]]) -> Oracle:
    """Return the oracle of kernels w -> factor w + offset, `noise(path, shape)` gives both."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        drawn = {path: noise(path, w.shape) for path, w in params.items() if path.endswith("kernel")}
        used = {path: w * drawn[path][0] + drawn[path][1] if path in drawn else w for path, w in params.items()}
        loss, slopes = loss_and_gradients(used, x, y, {})
        return {p: w - lr * slopes[p] * (drawn[p][0] if p in drawn else 1) for p, w in params.items()}, float(loss)

    return Oracle(step=step)


def dropconnect(rate: float) -> Oracle:
    """Return the oracle of DropConnect."""
    return on_kernels(lambda path, shape: (keep("noise", f"dropconnect_{path}", shape, rate) / (1 - rate), np.zeros(1)))


def weight_noise(scale: float) -> Oracle:
    """Return the oracle of noise on the weights."""
    return on_kernels(lambda path, shape: (np.ones(1), scale * normal("noise", f"weight_noise_{path}", shape)))


def gaussian_dropout(hidden: float = 0.0, input: float = 0.0) -> Oracle:
    """Return the oracle of Gaussian dropout."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        sizes = {"input": (input, x.shape[1]), "hidden_0": (hidden, 12), "hidden_1": (hidden, 10)}
        noise = {
            site: 1 + np.sqrt(rate / (1 - rate)) * normal("dropout", f"gaussian_{site}", (len(x), width))
            for site, (rate, width) in sizes.items()
        }
        return train_step(params, x, y, [], noise=noise, direction=Sgd(), lr=lr)

    return Oracle(step=step)


def alpha_dropout(rate: float) -> Oracle:
    """Return the oracle of alpha dropout; lambda and alpha of SELU as its paper gives them."""
    limit = -1.0507009873554805 * 1.6732632423543772
    a = ((1 - rate) + limit**2 * (1 - rate) * rate) ** -0.5

    def outputs(params: Params, x: np.ndarray) -> np.ndarray:
        for name in ("hidden_0", "hidden_1"):
            x = relu(layer(params, name, x))
            kept = keep("dropout", f"alpha_{name}", x.shape, rate)
            x = a * (x * kept + limit * (1 - kept)) - a * rate * limit
        return layer(params, "output", x)

    return on_forward(outputs)


def on_blocks(maps: Callable[[np.ndarray], np.ndarray], branch: Callable[[int, np.ndarray], np.ndarray]) -> Oracle:
    """Return the oracle of what acts on the maps [batch, 2, 2, 3] or the branches [batch, 12] of the tiny network."""

    def outputs(params: Params, x: np.ndarray) -> np.ndarray:
        h = maps(relu(layer(params, "hidden_0", x)).reshape(-1, 2, 2, 3)).reshape(-1, 12)
        for index in range(2):
            h = h + branch(index, relu(layer(params, f"branch_{index}", h)))
        return layer(params, "output", h)

    return on_forward(outputs)


def spatial_dropout(rate: float) -> Oracle:
    """Return the oracle of dropout of whole channels."""
    factor = lambda h: keep("dropout", "spatial_hidden_0", (len(h), 1, 1, 3), rate) / (1 - rate)  # noqa: E731
    return on_blocks(lambda h: h * factor(h), lambda index, h: h)


def stochastic_depth(rate: float) -> Oracle:
    """Return the oracle of stochastic depth: the first of two branches has half of the rate."""

    def branch(index: int, h: np.ndarray) -> np.ndarray:
        drop = (rate / 2, rate)[index]
        return h * keep("dropout", f"depth_branch_{index}", (len(h), 1), drop) / (1 - drop)

    return on_blocks(lambda h: h, branch)


def fgsm(share: float, radius: float = 0.1) -> Oracle:
    """Return the oracle of adversarial training; the slope of each input by differences."""

    def step(params: Params, x: np.ndarray, y: np.ndarray, lr: float) -> tuple[Params, float]:
        slope = central_gradient(lambda p: loss_and_gradients(params, p["x"], y, {})[0], {"x": x})["x"]
        near, far = (loss_and_gradients(params, v, y, {}) for v in (x, x + radius * np.sign(slope)))
        new = {p: w - lr * ((1 - share) * near[1][p] + share * far[1][p]) for p, w in params.items()}
        return new, float((1 - share) * near[0] + share * far[0])

    return Oracle(step=step)


NOISE_ORACLES: dict[str, Callable[..., Oracle]] = {
    "label_noise": label_noise,
    "augment": augment,
    "random_erasing": random_erasing,
    "cutout": cutout,
    "mixup": mixup,
    "cutmix": cutmix,
    "input_noise": input_noise,
    "dropconnect": dropconnect,
    "weight_noise": weight_noise,
    "gaussian_dropout": gaussian_dropout,
    "alpha_dropout": alpha_dropout,
    "spatial_dropout": spatial_dropout,
    "stochastic_depth": stochastic_depth,
    "fgsm": fgsm,
}
