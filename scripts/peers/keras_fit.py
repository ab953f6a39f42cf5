"""Keras 3 on the backend that KERAS_BACKEND names: `fit` on arrays in memory."""

from collections.abc import Callable
from typing import Any

import keras

from peers.worker import fastest
from peers.workloads import KERNEL, NUM_CLASSES, Trainer, Workload, read_floats

STEPS = 32
TRIAL_UPDATES = 64


def versions() -> dict[str, str]:
    """Return the versions of Keras and of its backend."""
    name = keras.backend.backend()
    return {"keras": keras.__version__, name: __import__(name).__version__}


def make_model(workload: Workload, steps: int, jit: Any) -> Any:
    """Return the network of a workload, compiled with `steps_per_execution` and `jit_compile`."""
    layers = keras.layers
    model = keras.Sequential([keras.Input(workload.shape)])
    for width in workload.channels:
        model.add(layers.Conv2D(width, KERNEL, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    for width in workload.dense:
        model.add(layers.Dense(width, use_bias=not workload.norm))
        if workload.norm:
            model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
        if workload.dropout:
            model.add(layers.Dropout(workload.dropout))
    model.add(layers.Dense(NUM_CLASSES))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, steps_per_execution=steps, jit_compile=jit)
    return model


def prepare(workload: Workload, path: str) -> Trainer:
    """Return one model, with the options of `compile` that are fastest on it; the first are the defaults."""
    x, y = read_floats(workload, path)
    choices: list[tuple[int, Any]] = [(1, "auto"), (STEPS, "auto")]
    if keras.backend.backend() == "tensorflow":
        choices.append((STEPS, True))
    models = {choice: make_model(workload, *choice) for choice in choices}
    few = TRIAL_UPDATES * workload.batch_size

    def make(choice: tuple[int, Any]) -> Callable[[], int]:
        def trial() -> int:
            models[choice].fit(x[:few], y[:few], batch_size=workload.batch_size, verbose=0)
            return min(few, len(y)) // workload.batch_size

        return trial

    best = fastest(choices, make)

    def train() -> int:
        models[best].fit(x, y, batch_size=workload.batch_size, epochs=workload.epochs, verbose=0)
        return workload.updates

    return Trainer(train, 1, f"steps_per_execution={best[0]}, jit_compile={models[best].jit_compile}")
