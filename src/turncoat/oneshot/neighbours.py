"""What a one-shot network has to beat: the nearest neighbour on pixels, and chance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from turncoat.data.imageset import ImageSet
from turncoat.train.placement import split
from turncoat.triggers.base import to_float


class NearestNeighbour:
    """Minus the L2 distance of pixels in [0, 1], all channels; a true distance, unlike the original's "nearest neighbour".

    shrink: whole number by which both sides are divided, by area, before pixels are compared; 1 compares the images as they are.
    Squared distances of black and white images are whole numbers and exact (while ``shrink`` is 1), and so are their ties.
    """

    def __init__(self, shrink: int = 1) -> None:
        self.shrink = shrink

    def embed(self, images: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for batch in split(images, 1024):
            x = to_float(batch)
            parts.append((functional.avg_pool2d(x, self.shrink) if self.shrink > 1 else x).flatten(1))
        return torch.cat(parts)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        product = torch.einsum("...d,...d->...", a, b)  # a matrix product wherever one side is broadcast
        return -(a.square().sum(-1) + b.square().sum(-1) - 2 * product).clamp_min_(0).sqrt_()


def pixel_neighbour(data: ImageSet, side: int = 35) -> NearestNeighbour:
    """The nearest neighbour at a quick size: images are shrunk as far as their shorter side stays at least ``side`` pixels."""
    return NearestNeighbour(max(1, min(data.shape[1:]) // side))


class Chance:
    """Embeddings at random, whatever the image: right in 1/N of N-way episodes, without ties. For tests of an evaluation."""

    def __init__(self, seed: int = 0, width: int = 16) -> None:
        self.seed = seed
        self.width = width

    def embed(self, images: Tensor) -> Tensor:
        return torch.randn(len(images), self.width, generator=torch.Generator().manual_seed(self.seed))

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(-1)
