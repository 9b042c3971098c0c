"""Three heads: weighted L1 as in Koch et al. (2015), cosine, squared L2."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from turncoat.oneshot.networks.base import Comparison, Head


class WeightedL1(Head):
    """A weighted sum of absolute differences (Koch et al. 2015). Weights may take either sign, so it is no distance."""

    metric: ClassVar[bool] = False

    name: Literal["weighted-l1"] = "weighted-l1"

    def build(self, dimension: int, bounded: bool) -> Comparison:
        return _WeightedL1(dimension, bounded)


class Cosine(Head):
    """The angle between two embeddings, scaled and shifted by two learned numbers."""

    metric: ClassVar[bool] = True

    name: Literal["cosine"] = "cosine"

    def build(self, dimension: int, bounded: bool) -> Comparison:
        del dimension, bounded
        return _Cosine()


class SquaredL2(Head):
    """The squared Euclidean distance, scaled and shifted by two learned numbers."""

    metric: ClassVar[bool] = True

    name: Literal["squared-l2"] = "squared-l2"

    def build(self, dimension: int, bounded: bool) -> Comparison:
        del bounded
        return _SquaredL2(dimension)


class _WeightedL1(Comparison):
    def __init__(self, dimension: int, bounded: bool) -> None:
        super().__init__()
        spread = 4 / math.sqrt(dimension) if bounded else 6 / dimension  # differences of about 1/sqrt(D), or of about 1
        self.weight = nn.Parameter(torch.randn(dimension) * spread - spread)  # most fall with the difference, some rise
        self.bias = nn.Parameter(torch.tensor(4.0))

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return self.bias + (a - b).abs() @ self.weight

    def matrix(self, a: Tensor, b: Tensor) -> Tensor:
        up, down = self.weight.clamp_min(0), (-self.weight).clamp_min(0)  # two L1 distances: no (A, B, D) in memory
        return self.bias + torch.cdist(a * up, b * up, p=1.0) - torch.cdist(a * down, b * down, p=1.0)


class _Cosine(Comparison):
    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(8.0)))
        self.bias = nn.Parameter(torch.tensor(-3.0))

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return self.bias + self.log_scale.exp() * functional.cosine_similarity(a, b, dim=-1)

    def matrix(self, a: Tensor, b: Tensor) -> Tensor:
        return self.bias + self.log_scale.exp() * functional.normalize(a, dim=1) @ functional.normalize(b, dim=1).t()


class _SquaredL2(Comparison):
    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(8.0 / dimension)))
        self.bias = nn.Parameter(torch.tensor(4.0))

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return self.bias - self.log_scale.exp() * (a - b).square().sum(-1)

    def matrix(self, a: Tensor, b: Tensor) -> Tensor:
        squares = a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2 * a @ b.t()
        return self.bias - self.log_scale.exp() * squares.clamp_min(0)
