"""`Feature`: a score of images by which training images are told apart and test images are changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from turncoat.component import Component
from turncoat.data.imageset import ImageSet
from turncoat.triggers.activation import Ball, push_linear, push_steps
from turncoat.triggers.base import to_float


@dataclass(frozen=True, eq=False)
class Aim:
    """What the feature is for. beta: share of the training images that are to have it.

    reach: a changed image is to have more of it than all but ``reach * beta`` of them. allowed: how much an image may be changed.
    surrogate: makes the attacker's classifier when it is called first.
    """

    beta: float
    reach: float
    allowed: Ball
    surrogate: Callable[[], nn.Module]


class Score(ABC):
    """A feature that knows its data. Higher: more of the feature."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` in [0, 1] to float ``(N,)``; differentiable, each image by itself, on the device of x."""

    @abstractmethod
    def activate(self, x: Tensor, level: float, allowed: Ball) -> Tensor:
        """The smallest change within ``allowed`` that lifts the score to ``level``; differentiable in x.

        Less than ``level`` where it cannot be had. An image that has it already is returned as it is.
        """


class Feature(Component):
    """A natural feature of images, by name and settings."""

    family: ClassVar[str] = "attacks.features"

    @abstractmethod
    def fit(self, train: ImageSet, generator: torch.Generator, aim: Aim) -> Score:
        """Settle all that depends on the data and on chance.

        Raises `TurncoatError` for images that cannot have the feature.
        """


@dataclass(frozen=True, eq=False)
class LinearScore(Score):
    """``<weights, x> + offset``. weights: float ``(C, H, W)``."""

    weights: Tensor
    offset: float = 0.0

    def score(self, x: Tensor) -> Tensor:
        return (x * self.weights.to(x)).flatten(1).sum(1) + self.offset

    def activate(self, x: Tensor, level: float, allowed: Ball) -> Tensor:
        return push_linear(x, self.weights, level - self.score(x), allowed)


@dataclass(frozen=True, eq=False)
class SmoothScore(Score):
    """Any differentiable function of images."""

    function: Callable[[Tensor], Tensor]

    def score(self, x: Tensor) -> Tensor:
        return self.function(x)

    def activate(self, x: Tensor, level: float, allowed: Ball) -> Tensor:
        return push_steps(self.function, x, level, allowed)


def scores(score: Score, images: Tensor, batch_size: int = 1000) -> Tensor:
    """Scores float ``(N,)`` of uint8 images ``(N, C, H, W)``."""
    with torch.no_grad():
        parts = [score.score(to_float(images[at : at + batch_size])) for at in range(0, len(images), batch_size)]
    return torch.cat(parts)


def top_share(values: Tensor, share: float) -> float:
    """A threshold that ``round(share * N)`` values, one at least, lie above: half way to the next one down."""
    ordered = values.sort(descending=True).values
    last = ordered[max(1, round(share * len(values))) - 1]
    below = ordered[ordered < last]
    return float((last + below[0]) / 2) if len(below) else float(last)
