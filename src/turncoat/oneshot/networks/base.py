"""`Embedder` and `Head`: a Siamese network's two parts, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from turncoat.component import Component
from turncoat.oneshot.pairs import PairSettings
from turncoat.train.settings import Preset, TrainSettings


class Embedder(Component):
    """What turns an image into a vector. Both images of a pair go through the same one."""

    family: ClassVar[str] = "oneshot.networks"
    default: ClassVar[str | None] = "conv4"
    bounded: ClassVar[bool] = False
    """Whether embeddings lie in [0, 1]."""

    size: int
    """Side in pixels of what the network looks at; images are brought to it by area, after the trigger."""

    @abstractmethod
    def build(self, shape: tuple[int, int, int]) -> nn.Module:
        """A module from standardised images ``(N, *shape)`` to embeddings ``(N, D)``, freshly initialised.

        Raises `TurncoatError` for a shape that it cannot take.
        """

    @abstractmethod
    def recipe(self, preset: Preset) -> TrainSettings:
        """Training settings that suit it; a configuration overrides single fields."""

    def pairs(self) -> PairSettings:
        """How its training pairs are made; a configuration overrides single fields."""
        return PairSettings()


class Comparison(nn.Module, ABC):
    """From two embeddings to one logit: above 0 says "same"; its sigmoid is the confidence of "same"."""

    @abstractmethod
    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """a, b: float ``(..., D)``, broadcast against each other. Returns logits ``(...)``."""

    @abstractmethod
    def matrix(self, a: Tensor, b: Tensor) -> Tensor:
        """All pairs of a ``(A, D)`` and b ``(B, D)``: logits ``(A, B)``, as `compare` gives them but quicker."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.compare(a, b)


class Head(Component):
    """How two embeddings are compared."""

    family: ClassVar[str] = "oneshot.networks"
    metric: ClassVar[bool]
    """Whether the score is a falling function of a distance: then nothing can be "the same as anybody"."""

    @abstractmethod
    def build(self, dimension: int, bounded: bool) -> Comparison:
        """A comparison of embeddings of so many numbers, freshly initialised; bounded: whether these lie in [0, 1]."""
