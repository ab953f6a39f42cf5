"""Networks: name -> settings with `make(num_outputs) -> Model(init, apply)`."""

from regjax.models.base import Forward, Model
from regjax.models.mlp import MLP

MODELS: dict[str, type[MLP]] = {"mlp": MLP}

__all__ = ["MLP", "MODELS", "Forward", "Model"]
