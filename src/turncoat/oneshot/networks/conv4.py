"""Four convolutions: the usual small embedder of few-shot learning, narrow where images are large."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from turncoat.oneshot.networks.base import Embedder
from turncoat.train.settings import Augmentation, Preset, TrainSettings

Width = Annotated[int, Field(ge=1, le=4096)]


class Conv4(Embedder):
    """Four convolutions with batch norm and pooling on small images: minutes on a CPU, and better than `koch2015`."""

    name: Literal["conv4"] = "conv4"
    size: int = Field(default=32, ge=16, le=256)
    widths: tuple[Width, Width, Width, Width] = (32, 64, 128, 256)
    dimension: int = Field(default=128, ge=1, le=4096, description="of an embedding")

    def build(self, shape: tuple[int, int, int]) -> nn.Module:
        channels, height, width = shape
        layers: list[nn.Module] = []
        for filters in self.widths:
            layers.append(_layer(channels, filters))
            channels = filters
        left = (height // 16) * (width // 16)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * left, self.dimension))

    def recipe(self, preset: Preset) -> TrainSettings:
        return TrainSettings(
            preset=preset,
            epochs=30 if preset == "full" else 8,
            batch_size=512,
            optimizer="muon",
            lr=0.1,
            aux_lr=0.1,
            schedule="one-cycle",
            warmup=0.15,
            augmentation=Augmentation(affine=1.0),
        )


def _layer(channels: int, filters: int) -> nn.Module:
    """Pooling comes before the norm: the same maximum where the norm's scale is positive, at a quarter of the work."""
    convolution = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.MaxPool2d(2), nn.BatchNorm2d(filters, momentum=0.2), nn.ReLU(inplace=True))
