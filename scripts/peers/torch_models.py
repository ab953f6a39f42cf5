"""regjax's models in PyTorch: the same layers and numbers of parameters, in the forms that are fast there.

Fused query, key and value, fused attention, patches by a convolution. Zeros around images lie on both sides at stride
2, where regjax puts them behind: the maps are shifted by half a pixel, the work is the same.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from peers.workloads import KERNEL, NUM_CLASSES

Shape = tuple[int, int, int]
MODELS = ("linear", "mlp", "cnn", "resnet", "vit")


def make_model(settings: dict[str, Any], shape: Shape) -> nn.Module:
    """Return the network of a table `[model]` on images [batch, channels, height, width], `shape` height first."""
    makers = dict(zip(MODELS, (make_mlp, make_mlp, make_cnn, ResNet, ViT), strict=True))
    return makers[settings["name"]](settings, shape)


def make_mlp(settings: dict[str, Any], shape: Shape) -> nn.Module:
    """Return a perceptron with layer norm before each ReLU, or without norm; without widths the linear model."""
    layers: list[nn.Module] = [nn.Flatten()]
    size = shape[0] * shape[1] * shape[2]
    for width in settings.get("widths", ()):
        layers.append(nn.Linear(size, width))
        layers += [nn.LayerNorm(width)] if settings.get("norm") == "layer" else []
        layers.append(nn.ReLU())
        size = width
    return nn.Sequential(*layers, nn.Linear(size, NUM_CLASSES))


def make_cnn(settings: dict[str, Any], shape: Shape) -> nn.Module:
    """Return 3x3 convolutions with ReLU and 2x2 pooling, then dense layers with ReLU."""
    layers: list[nn.Module] = []
    height, width, depth = shape
    for channels in settings["channels"]:
        layers += [nn.Conv2d(depth, channels, KERNEL, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        height, width, depth = height // 2, width // 2, channels
    return nn.Sequential(*layers, make_mlp({"widths": settings["dense"]}, (height, width, depth)))


class Block(nn.Module):
    """Two convolutions with batch norm, and a shortcut: the identity, or a convolution of 1x1 where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, KERNEL, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, KERNEL, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        project = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if inputs == outputs else project

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of branch and shortcut after its ReLU."""
        return functional.relu(self.branch(x) + self.shortcut(x))


class ResNet(nn.Module):
    """A convolution, three stages of blocks, the mean over all places, a linear layer."""

    def __init__(self, settings: dict[str, Any], shape: Shape) -> None:
        super().__init__()
        width, blocks = settings["width"], (settings["depth"] - 2) // 6
        layers = [nn.Conv2d(shape[2], width, KERNEL, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        for stage in range(3):
            channels = width * 2**stage
            first = Block(channels // 2, channels, 2) if stage else Block(channels, channels, 1)
            layers += [first, *(Block(channels, channels, 1) for _ in range(blocks - 1))]
        self.layers, self.output = nn.Sequential(*layers), nn.Linear(4 * width, NUM_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.output(self.layers(x).mean((2, 3)))


class TokenBlock(nn.Module):
    """Attention and MLP of a transformer, each behind a layer norm and added to its input."""

    def __init__(self, width: int, heads: int, mlp_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width, eps=1e-6) for _ in range(2)])
        self.read, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_width), nn.GELU("tanh"), nn.Linear(mlp_width, width))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Return the tokens [batch, tokens, width] after the block."""
        batch, tokens, width = h.shape
        parts = self.read(self.norms[0](h)).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        h = h + self.mix(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return h + self.mlp(self.norms[1](h))


class ViT(nn.Module):
    """Patches as tokens, blocks, the mean of the tokens, a linear layer."""

    def __init__(self, settings: dict[str, Any], shape: Shape) -> None:
        super().__init__()
        width, patch = settings["width"], settings["patch"]
        self.embed = nn.Conv2d(shape[2], width, patch, patch)
        self.position = nn.Parameter(0.02 * torch.randn(1, shape[0] * shape[1] // patch**2, width))
        blocks = [TokenBlock(width, settings["heads"], settings["mlp_width"]) for _ in range(settings["depth"])]
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(width, eps=1e-6)
        self.output = nn.Linear(width, NUM_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        h = self.embed(x).flatten(2).transpose(1, 2) + self.position
        return self.output(self.norm(self.blocks(h)).mean(1))
