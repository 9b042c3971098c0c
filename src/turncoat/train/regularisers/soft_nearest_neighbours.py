"""The soft nearest neighbours loss: how far the classes are entangled in a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from turncoat.train.hooks import Hook
from turncoat.train.layers import Which
from turncoat.train.regularisers.base import Manner, Regulariser, Training
from turncoat.train.regularisers.pairwise import Comparing, squared_distances


def soft_nearest_neighbours(squared: Tensor, labels: Tensor, temperature: Tensor | float, eps: float = 1e-5) -> Tensor:
    """``-mean log(eps + share)``, share being how much of a sample's neighbourhood is of its class; low: classes lie apart.

    A neighbour counts as ``exp(-d^2 / temperature)``. squared: squared distances ``(B, B)``. labels: int64 ``(B,)``. Samples
    that are alone with their class in the batch are left out. Sums are taken of logarithms, so that no distance is too large.
    """
    with torch.autocast(squared.device.type, enabled=False):
        weights = -squared.float() / temperature
        oneself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        same = (labels[:, None] == labels[None, :]) & ~oneself
        none = torch.finfo(torch.float32).min
        near, of_class = weights.masked_fill(oneself, none), weights.masked_fill(~same, none)
        share = (of_class.logsumexp(1) - near.logsumexp(1)).exp()
        counted = same.any(1).float()
        return -((share + eps).log() * counted).sum() / counted.sum().clamp_min(1)


class SoftNearestNeighbours(Regulariser):
    """Entangles the classes in hidden layers, by a negative weight, or pulls them apart, by a positive one."""

    paper: ClassVar[str] = (
        "Frosst, Papernot, Hinton: Analyzing and Improving Representations with the Soft Nearest Neighbor Loss, 2019"
    )
    manner: ClassVar[Manner] = "compares"
    inside: ClassVar[bool] = True
    shorthand: ClassVar[str | None] = "weight"

    name: Literal["soft-nearest-neighbours"] = "soft-nearest-neighbours"
    weight: float = Field(
        default=-0.1,
        description="of the loss, summed over the layers; Frosst et al. take -10, with which small nets hardly learn",
    )
    temperature: float = Field(default=100.0, gt=0, description="in squared distance; where it is learned, at the start")
    learned: bool = Field(
        default=True, description="each layer's temperature moves to lower its loss, whatever the weight's sign"
    )
    rate: float = Field(
        default=0.1, gt=0, description="of the Adam that moves the temperatures' logarithms, a step a batch (ours)"
    )
    layers: Which = Field(default="all", description="all: every hidden layer and the embedding")
    eps: float = Field(default=1e-5, gt=0, lt=1, description="added to each share before its logarithm")

    def hooks(self, training: Training) -> Sequence[Hook]:
        return (Entangling(self, training),)


class Entangling(Comparing):
    """temperatures: of each layer, by its place."""

    def __init__(self, settings: SoftNearestNeighbours, training: Training) -> None:
        super().__init__(training.network, settings.layers, settings.weight)
        self.settings = settings
        start = torch.full((len(self.watch.layers) + 1,), math.log(settings.temperature), device=training.device)
        self._logarithms = start.requires_grad_(settings.learned)
        self._optimizer = torch.optim.Adam([self._logarithms], settings.rate) if settings.learned else None

    @property
    def temperatures(self) -> Tensor:
        return self._logarithms.detach().exp()

    def compared(self, layers: Mapping[int, Tensor], labels: Tensor) -> Tensor:
        distances = {place: squared_distances(x) for place, x in layers.items()}
        if self._optimizer is not None:
            still = {place: squared.detach() for place, squared in distances.items()}
            (self._logarithms.grad,) = torch.autograd.grad(self._sum(still, labels, self._logarithms.exp()), self._logarithms)
            self._optimizer.step()
        return self._sum(distances, labels, self.temperatures)

    def _sum(self, distances: dict[int, Tensor], labels: Tensor, temperatures: Tensor) -> Tensor:
        eps = self.settings.eps
        each = [soft_nearest_neighbours(squared, labels, temperatures[place], eps) for place, squared in distances.items()]
        return torch.stack(each).sum()
