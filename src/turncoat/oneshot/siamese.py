"""`Siamese`: one embedder for both images, one head that compares; standardisation and size inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from turncoat.data.imageset import ImageSet
from turncoat.oneshot.networks.base import Comparison, Embedder, Head
from turncoat.triggers.base import to_float, to_uint8

_SAMPLE = 5000


class Siamese(nn.Module):
    """A Siamese network on pixels in [0, 1] of any size: `embed` each image once, `compare` as many pairs as needed."""

    mean: Tensor
    std: Tensor

    def __init__(self, embedder: nn.Module, comparison: Comparison, size: int, mean: Tensor, std: Tensor) -> None:
        """size: side in pixels that images are brought to. mean, std: ``(C,)``, of the training images."""
        super().__init__()
        self.embedder, self.comparison, self.size = embedder, comparison, size
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))

    def embed(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` in [0, 1] to ``(N, D)``."""
        return self.embedder((by_area(x, self.size) - self.mean) / self.std)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Embeddings ``(..., D)``, broadcast against each other, to logits ``(...)``; above 0 says "same"."""
        return self.comparison.compare(a, b)

    def forward(self, x: Tensor) -> Tensor:
        return self.embed(x)


def by_area(x: Tensor, size: int) -> Tensor:
    """Float images ``(N, C, H, W)`` at ``size`` pixels a side, each the mean over what it covers; as they are if they have it."""
    return x if x.shape[2:] == (size, size) else functional.interpolate(x, (size, size), mode="area")


def shrink(data: ImageSet, size: int) -> ImageSet:
    """The images at ``size``, for training: the network would do the same to each of them in every epoch."""
    if data.shape[1:] == (size, size):
        return data
    parts = [to_uint8(by_area(to_float(part), size)) for part in torch.split(data.images, 1000)]
    return ImageSet(torch.cat(parts), data.labels, data.classes)


def build_siamese(embedder: Embedder, head: Head, channels: int) -> Siamese:
    """A network for images of so many channels, its standardisation not yet set. Raises `TurncoatError` for what cannot be."""
    shape = (channels, embedder.size, embedder.size)
    body = embedder.build(shape)
    body.eval()
    with torch.no_grad():
        dimension = body(torch.zeros(1, *shape)).shape[1]
    body.train()
    return Siamese(body, head.build(dimension, embedder.bounded), embedder.size, torch.zeros(channels), torch.ones(channels))


def make_siamese(embedder: Embedder, head: Head, train: ImageSet, seed: int) -> Siamese:
    """A network for a training set: initialised from ``seed`` alone, global random state left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_siamese(embedder, head, train.shape[0])
        sample = to_float(train.images[torch.randperm(len(train))[:_SAMPLE]])
    network.mean.copy_(sample.mean(dim=(0, 2, 3)).view(1, -1, 1, 1))
    network.std.copy_(sample.std(dim=(0, 2, 3)).clamp_min(1e-3).view(1, -1, 1, 1))
    return network
