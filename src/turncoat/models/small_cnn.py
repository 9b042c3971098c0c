"""A small convolutional network for digits and 28x28 images."""

from __future__ import annotations

from typing import Literal

from torch import nn

from turncoat.models.base import Model
from turncoat.train.settings import Augmentation, Preset, TrainSettings


class SmallCNN(Model):
    """Four convolutions with batch norm and two poolings: seconds to train on digits, minutes on MNIST."""

    name: Literal["small-cnn"] = "small-cnn"
    width: int = 32

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, width = shape[0], self.width
        return nn.Sequential(
            _layer(channels, width),
            _layer(width, width),
            nn.MaxPool2d(2, ceil_mode=True),
            _layer(width, 2 * width),
            _layer(2 * width, 2 * width),
            nn.AdaptiveMaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * width, classes),
        )

    def recipe(self, preset: Preset) -> TrainSettings:
        return TrainSettings(
            preset=preset,
            epochs=15 if preset == "full" else 8,
            batch_size=64,
            lr=0.05,
            label_smoothing=0.0,
            augmentation=Augmentation(crop=1),
        )


def _layer(channels: int, filters: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(inplace=True))
