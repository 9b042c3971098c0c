"""How much accuracy a repair may cost, judged on images that are few."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from turncoat.data.imageset import ImageSet
from turncoat.evaluate.predict import predict
from turncoat.train.placement import Placement


def bearable(before: Tensor, after: Tensor, margin: float) -> bool:
    """Whether no more than the margin is lost, or not by a standard error more: of 500 images, chance alone turns some six.

    before, after: bool ``(N,)``, which of the same images are right. The error is that of the paired difference.
    """
    lost = before.double() - after.double()
    error = lost.std(correction=0) / len(lost) ** 0.5
    return bool(lost.mean() - error <= margin + 1e-9)


@dataclass(frozen=True, eq=False)
class Tolerance:
    """Judges networks against one, on its validation images. right: bool ``(N,)``, which of them that one has right."""

    images: ImageSet
    placement: Placement
    margin: float
    right: Tensor

    @classmethod
    def of(cls, network: nn.Module, images: ImageSet, placement: Placement, margin: float) -> Tolerance:
        return cls(images, placement, margin, _right(network, images, placement))

    @property
    def accuracy(self) -> float:
        """Of the network that the others are judged against."""
        return float(self.right.float().mean())

    def judge(self, network: nn.Module) -> tuple[float, bool]:
        """The accuracy of a network, and whether what it lost is bearable."""
        right = _right(network, self.images, self.placement)
        return float(right.float().mean()), bearable(self.right, right, self.margin)

    def within(self, network: nn.Module) -> tuple[float, bool]:
        """The same without the allowance: for what goes on step by step until it is too far, and would use it up each time."""
        right = _right(network, self.images, self.placement)
        found = float(right.float().mean())
        return found, found >= self.accuracy - self.margin - 1e-6


@torch.no_grad()
def _right(network: nn.Module, images: ImageSet, placement: Placement) -> Tensor:
    return (predict(network, images.images, placement).argmax(1) == images.labels).cpu()
