"""`Scorer`: what evaluation sees of a one-shot network; images to embeddings, two embeddings to a logit of "same"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from turncoat.train.memory import tune_allocator
from turncoat.train.placement import Placement, split, to_device
from turncoat.triggers.base import to_float

_CHUNK = 2**20
"""Embedding values gathered at a time: small enough to stay near the cores, whatever the number of episodes."""


class Scorer(Protocol):
    """Anything that says how alike two images are. Embeddings are computed once an image, comparisons once a pair."""

    def embed(self, images: Tensor) -> Tensor:
        """uint8 ``(N, C, H, W)`` to float32 ``(N, D)``, both on the CPU; an image's embedding is its own affair alone."""
        ...

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Embeddings ``(..., D)``, broadcast against each other, to logits ``(...)``: > 0 says "same".

        The sigmoid of a logit is the confidence of "same".
        """
        ...


class SiameseLike(Protocol):
    """A network that is a scorer on its own device: float images in [0, 1] instead of uint8. An ``nn.Module``."""

    def embed(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` in [0, 1] to ``(N, D)``; differentiable."""
        ...

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """``(..., D)`` and ``(..., D)``, broadcast, to logits ``(...)``; differentiable."""
        ...


def as_module(network: SiameseLike) -> nn.Module:
    """The network as the ``nn.Module`` that it has to be."""
    if not isinstance(network, nn.Module):
        raise TypeError(f"expected an nn.Module with embed and compare, got {type(network).__name__}")
    return network


class NetworkScorer:
    """A Siamese network as a `Scorer`: batched, in evaluation mode (its own mode is kept), comparisons in float32."""

    def __init__(self, network: SiameseLike, placement: Placement, batch_size: int = 512) -> None:
        self.network = network
        self.module = as_module(network)
        self.placement = placement
        self.batch_size = batch_size

    def embed(self, images: Tensor) -> Tensor:
        tune_allocator()
        to_device(self.module, self.placement)
        training = self.module.training
        self.module.eval()
        parts: list[Tensor] = []
        with torch.inference_mode(), self.placement.autocast():
            for batch in split(images, self.batch_size):
                x = to_float(batch.to(self.placement.device)).contiguous(memory_format=torch.channels_last)
                parts.append(self.network.embed(x).float().cpu())
        self.module.train(training)
        return torch.cat(parts)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        device = self.placement.device
        with torch.inference_mode():
            return self.network.compare(a.to(device), b.to(device)).float().cpu()


class Cached:
    """A scorer that remembers the embeddings of the last few image tensors: the very same tensor is not embedded again."""

    def __init__(self, scorer: Scorer, keep: int = 4) -> None:
        self.scorer = scorer
        self.keep = keep
        self._known: list[tuple[Tensor, Tensor]] = []

    def embed(self, images: Tensor) -> Tensor:
        for known, embeddings in self._known:
            if known is images:
                return embeddings
        embeddings = self.scorer.embed(images)
        self._known = [*self._known, (images, embeddings)][-self.keep :]
        return embeddings

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return self.scorer.compare(a, b)


@dataclass(frozen=True)
class Chunks:
    """Slices over ``total`` items of ``each`` values, so that about a million values are at hand at a time."""

    total: int
    each: int

    def __iter__(self) -> Iterator[slice]:
        step = max(1, _CHUNK // max(1, self.each))
        for start in range(0, self.total, step):
            yield slice(start, start + step)
