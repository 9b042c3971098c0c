"""A network trained on the audited data themselves, poison and all: small, quick, and with each sample's loss on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from turncoat.data.imageset import ImageSet
from turncoat.detect.data.content import canonical_order
from turncoat.models.base import Model, make_victim
from turncoat.models.fast_cifar import FastCIFAR
from turncoat.models.small_cnn import SmallCNN
from turncoat.progress import Progress, silent
from turncoat.seeds import seed_for
from turncoat.train.engine import train
from turncoat.train.hooks import Batch, Hook
from turncoat.train.placement import Placement, split
from turncoat.train.settings import TrainSettings

SIDE = 32
"""Larger images are shrunk to this side, in pixels."""
_STEPS = 240
"""At least as many, however small the set; half of them for tiny images."""
_PASSES = 100_000
"""No more images than that are trained on, but each at least once, however large the set."""


@dataclass(frozen=True, eq=False)
class Trained:
    """network: from images of the audited set's size to logits. losses: float32 ``(N, epochs)``, each sample's as it was trained
    on, less its batch's median.
    """

    network: nn.Module
    losses: Tensor


def train_surrogate(data: ImageSet, placement: Placement, seed: int, progress: Progress = silent) -> Trained:
    """Train on ``data``; the order of its samples does not matter."""
    order = canonical_order(data, seed)
    small = shrink(data.subset(order))
    model, settings = _choose(small)
    network = make_victim(model, small, seed_for(seed, "detect"))
    course = _Course(len(small), math.ceil(settings.epochs))
    train(network, small, settings, seed, placement, hooks=[course], progress=progress)
    losses = torch.empty_like(course.losses)
    losses[order] = course.losses
    return Trained(network if small.shape == data.shape else _Shrinking(network, small.shape[1:]), losses)


def shrink(data: ImageSet, side: int = SIDE) -> ImageSet:
    """The same images with sides of at most ``side`` pixels, by area."""
    size = min(data.shape[1], side), min(data.shape[2], side)
    if size == data.shape[1:]:
        return data
    parts = [functional.interpolate(part.float(), size=size, mode="area") for part in split(data.images, 256)]
    return ImageSet(torch.cat([part.round().byte() for part in parts]), data.labels, data.classes)


def _choose(data: ImageSet) -> tuple[Model, TrainSettings]:
    large = min(data.shape[1:]) >= 17 and len(data) >= 2000
    tiny = min(data.shape[1:]) < 17
    model = (FastCIFAR() if large else SmallCNN(width=16 if tiny else 32)).settled("quick")
    settings = model.recipe("quick")
    batch = min(settings.batch_size, max(16, len(data) // 16))
    enough = max(1.0, min(settings.epochs, _PASSES / len(data)))
    epochs = max(enough, math.ceil((_STEPS // 2 if tiny else _STEPS) / max(1, len(data) // batch)))
    return model, settings.model_copy(update={"batch_size": batch, "epochs": epochs})


class _Course(Hook):
    """Keeps each sample's loss in each epoch."""

    def __init__(self, count: int, epochs: int) -> None:
        self.losses = torch.zeros(count, epochs)

    def loss(self, network: nn.Module, batch: Batch, outputs: Tensor, loss: Tensor) -> Tensor:
        del network
        own = functional.cross_entropy(outputs.detach(), batch.labels, reduction="none").cpu()
        self.losses[batch.index, batch.epoch] = own - own.median()
        return loss


class _Shrinking(nn.Module):
    def __init__(self, network: nn.Module, size: tuple[int, ...]) -> None:
        super().__init__()
        self.size, self.network = size, network

    def forward(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` in [0, 1] of any size to logits."""
        return self.network(functional.interpolate(x, size=self.size, mode="area"))
