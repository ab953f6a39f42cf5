"""Networks: name -> settings with `make(num_outputs) -> Model(init, apply)`."""

from regjax.models.base import Forward, Misfit, Model, Settings
from regjax.models.cnn import CNN
from regjax.models.mlp import MLP

ModelSettings = Settings
MODELS: dict[str, type[Settings]] = {"mlp": MLP, "cnn": CNN}

__all__ = ["CNN", "MLP", "MODELS", "Forward", "Misfit", "Model", "ModelSettings", "Settings"]
