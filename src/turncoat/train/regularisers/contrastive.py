"""The contrastive loss over all pairs of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from turncoat.train.hooks import Hook
from turncoat.train.layers import Which
from turncoat.train.regularisers.base import Manner, Regulariser, Training
from turncoat.train.regularisers.pairwise import Comparing, squared_distances


def contrastive_loss(features: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Mean over all pairs of ``d^2 / 2`` where both are of one class and of ``max(0, margin - d)^2 / 2`` where not.

    features: ``(B, D)``, at least two samples, d their Euclidean distances. labels: int64 ``(B,)``.
    """
    first, second = cast("tuple[Tensor, Tensor]", tuple(torch.triu_indices(len(labels), len(labels), 1, device=labels.device)))
    squared = squared_distances(features)[first, second]
    short = (margin - squared.clamp_min(1e-12).sqrt()).clamp_min(0)  # a root has no slope at 0
    return torch.where(labels[first] == labels[second], squared, short.square()).mean() / 2


class Contrastive(Regulariser):
    """Pulls embeddings of one class together and pushes those of two apart, up to a margin."""

    paper: ClassVar[str] = "Hadsell, Chopra, LeCun: Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006"
    manner: ClassVar[Manner] = "compares"
    inside: ClassVar[bool] = True
    shorthand: ClassVar[str | None] = "weight"

    name: Literal["contrastive"] = "contrastive"
    weight: float = Field(default=1.0, description="of the loss, added to the cross-entropy; the mean over layers")
    margin: float = Field(default=1.0, gt=0)
    layers: Which = Field(default="penultimate", description="all: every hidden layer and the embedding")
    normalise: bool = Field(default=True, description="each vector to length 1, so that one margin suits every layer (ours)")

    def hooks(self, training: Training) -> Sequence[Hook]:
        return (_Contrasting(self, training),)


class _Contrasting(Comparing):
    def __init__(self, settings: Contrastive, training: Training) -> None:
        super().__init__(training.network, settings.layers, settings.weight)
        self.settings = settings

    def compared(self, layers: Mapping[int, Tensor], labels: Tensor) -> Tensor:
        each = [functional.normalize(x) if self.settings.normalise else x for x in layers.values()]
        return torch.stack([contrastive_loss(x, labels, self.settings.margin) for x in each]).mean()
