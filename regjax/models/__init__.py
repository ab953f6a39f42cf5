"""Networks: name -> settings with `make(num_outputs) -> Model(init, apply)`."""

from regjax.models.base import Forward, Misfit, Model, Settings
from regjax.models.cnn import CNN
from regjax.models.linear import Linear
from regjax.models.mlp import MLP
from regjax.models.resnet import ResNet
from regjax.models.vit import ViT

ModelSettings = Settings
MODELS: dict[str, type[Settings]] = {"linear": Linear, "mlp": MLP, "cnn": CNN, "resnet": ResNet, "vit": ViT}

__all__ = ["CNN", "MLP", "MODELS", "Forward", "Linear", "Misfit", "Model", "ModelSettings", "ResNet", "Settings", "ViT"]
