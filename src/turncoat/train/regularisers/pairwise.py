"""What the losses have in common that compare all samples of a batch by what layers give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from turncoat.train.hooks import Batch, Hook
from turncoat.train.layers import Watch, Which


class Comparing(Hook, ABC):
    """Adds a loss over the pairs of a batch. watch: the layers that it is taken in."""

    def __init__(self, network: nn.Module, which: Which, weight: float) -> None:
        self.watch, self.weight = Watch(network, which), weight

    def batch(self, network: nn.Module, batch: Batch) -> Batch:
        del network
        self.watch.arm()
        return batch

    def loss(self, network: nn.Module, batch: Batch, outputs: Tensor, loss: Tensor) -> Tensor:
        del network, outputs
        layers = self.watch.taken()
        if len(batch.labels) < 2 or not layers:
            return loss
        return loss + self.weight * self.compared(layers, batch.labels)

    @abstractmethod
    def compared(self, layers: Mapping[int, Tensor], labels: Tensor) -> Tensor:
        """The scalar to add, before its weight. layers: by place, float32 ``(B, D)``; at least two samples."""


def squared_distances(features: Tensor) -> Tensor:
    """features: ``(B, D)``. Returns squared Euclidean distances ``(B, B)``, in float32 also under autocast."""
    with torch.autocast(features.device.type, enabled=False):
        x = features.float()
        x = x - x.mean(0, keepdim=True).detach()  # distances stay, and less is lost where large numbers are subtracted
        norms = x.square().sum(1)
        return (norms[:, None] + norms[None, :] - 2 * (x @ x.T)).clamp_min(0)
