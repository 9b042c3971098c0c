"""The network of Koch, Zemel and Salakhutdinov (2015)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from turncoat.errors import TurncoatError
from turncoat.oneshot.networks.base import Embedder
from turncoat.oneshot.pairs import PairSettings
from turncoat.train.settings import Augmentation, Preset, TrainSettings


class Koch2015(Embedder):
    """The convolutional network of Koch et al. (2015): 38,951,745 parameters with its weighted L1, 105x105 pixels; for a GPU.

    Siamese Neural Networks for One-shot Image Recognition, ICML Deep Learning Workshop 2015.
    """

    bounded: ClassVar[bool] = True

    name: Literal["koch2015"] = "koch2015"
    size: Literal[105] = 105

    def build(self, shape: tuple[int, int, int]) -> nn.Module:
        channels, height, width = shape
        if (height, width) != (self.size, self.size):
            raise TurncoatError(f"network: koch2015 takes images of 105x105 pixels, got {height}x{width}; give data.size=105")
        network = nn.Sequential(
            nn.Conv2d(channels, 64, 10),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 7),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(128, 128, 4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(128, 256, 4),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.Sigmoid(),
        )
        network.apply(_initialise)
        return network

    def recipe(self, preset: Preset) -> TrainSettings:
        return TrainSettings(
            preset=preset,
            epochs=150 if preset == "full" else 30,  # of 16,000 drawings or so: 90,000 steps of 32 pairs are about 350
            batch_size=64,
            optimizer="adamw",
            lr=6e-5,
            weight_decay=1e-2,
            schedule="cosine",
            warmup=0.0,
            augmentation=Augmentation(affine=1.0),
        )

    def pairs(self) -> PairSettings:
        return PairSettings(sampling="drawn", hard=0.0, new_classes="none")


def _initialise(layer: nn.Module) -> None:
    """As in the paper: weights from normal distributions, biases around one half."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.normal_(layer.weight, 0, 0.01 if isinstance(layer, nn.Conv2d) else 0.2)
        _bias(layer.bias)


def _bias(bias: Tensor | None) -> None:
    if bias is not None:
        nn.init.normal_(bias, 0.5, 0.01)
