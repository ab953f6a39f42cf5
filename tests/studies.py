"""Small studies for tests: real digits, networks of a few units, a second of training."""

import copy
from typing import Any

TINY: dict[str, Any] = {
    "question": "Does dropout help a tiny network on few digits?",
    "primary": {"metric": "test.accuracy", "at": "best", "margin": 0.01},
    "data": {"name": "digits", "split": {"train": 96, "validation": 64, "test": 128}},
    "model": {"name": "mlp", "widths": [16]},
    "optimizer": {"name": "adam", "learning_rate": 0.003},
    "training": {"epochs": 4, "batch_size": 32, "evaluate_every": {"epochs": 1}},
    "seeds": {"count": 3},
    "factors": {"dropout.hidden": [0.0, 0.5]},
}


def tiny(**changes: Any) -> dict[str, Any]:
    """Return the tiny study with dotted keys replaced, "__" for a dot: training__epochs=2."""
    study = copy.deepcopy(TINY)
    for key, value in changes.items():
        *tables, name = key.split("__")
        table = study
        for part in tables:
            table = table.setdefault(part, {})
        table[name] = value
    return study
