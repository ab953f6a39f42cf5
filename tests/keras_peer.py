"""A program apart: Keras on jax, in float64. Its backend, precision and devices must not leak into the tests' process.

python keras_peer.py losses FOLDER      in.npz: weights, x [steps, batch, features], y -> out.npz: losses, weights
python keras_peer.py stopping FOLDER    in.npz: curves, patience, min_delta -> out.npz: stopped, best
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np


def ask(task: str, folder: Path, **arrays: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays that Keras answers with, from a process of its own."""
    np.savez(folder / "in.npz", **arrays)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, __file__, task, str(folder)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "out.npz", allow_pickle=False) as found:
        return dict(found)


def losses(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the loss of every update of a ReLU network under Keras' Adam, and its weights at the end."""
    import keras

    keras.config.set_floatx("float64")
    weights = [given[f"w{i}"] for i in range(sum(name.startswith("w") for name in given))]
    widths = [bias.size for bias in weights[1::2]]
    layers = [keras.layers.Dense(width, activation="relu") for width in widths[:-1]]
    model = keras.Sequential([keras.Input((weights[0].shape[0],)), *layers, keras.layers.Dense(widths[-1])])
    model.set_weights(weights)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=1e-3, epsilon=1e-7),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    found = []
    for x, y in zip(given["x"], given["y"], strict=True):
        model.reset_metrics()  # train_on_batch answers with a running mean
        found.append(float(model.train_on_batch(x.astype("float64") / 255, y)))
    return {"losses": np.array(found), **{f"w{i}": np.asarray(w) for i, w in enumerate(model.get_weights())}}


def stopping(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return for each curve the evaluation (from 1) at which EarlyStopping stopped, -1 for never, and its best one."""
    import keras

    class Model:
        """What the callback looks at: a flag and weights, here the number of the evaluation."""

        stop_training, epoch = False, 0

        def get_weights(self) -> int:
            return self.epoch

        def set_weights(self, weights: int) -> None:
            self.epoch = weights

    stopped, best = [], []
    for curve, patience, min_delta in zip(given["curves"], given["patience"], given["min_delta"], strict=True):
        callback = keras.callbacks.EarlyStopping(
            "val_loss", patience=int(patience), min_delta=float(min_delta), mode="min", restore_best_weights=True
        )
        model = Model()
        callback.set_model(model)
        callback.on_train_begin()
        stop = -1
        for epoch, value in enumerate(curve):
            model.epoch = epoch + 1
            callback.on_epoch_end(epoch, {"val_loss": float(value)})
            if model.stop_training:
                stop = epoch + 1
                break
        callback.on_train_end()
        stopped.append(stop)
        best.append(model.epoch)
    return {"stopped": np.array(stopped), "best": np.array(best)}


if __name__ == "__main__":
    task, folder = {"losses": losses, "stopping": stopping}[sys.argv[1]], Path(sys.argv[2])
    with np.load(folder / "in.npz", allow_pickle=False) as file:
        answer = task(dict(file))
    np.savez(folder / "out.npz", **answer)
