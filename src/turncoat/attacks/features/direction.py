"""A direction in a surrogate's embedding along which images of one class differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from turncoat.attacks.features.base import Aim, Feature, Score
from turncoat.attacks.surrogate import embedding
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.train.placement import split
from turncoat.triggers.activation import Ball, push_steps
from turncoat.triggers.base import to_float

_MOST = 5000


@dataclass(frozen=True, eq=False)
class DirectionScore(Score):
    """``<direction, embedding>``; computed on the CPU, where the surrogate is. direction: float ``(D,)`` of length 1."""

    surrogate: nn.Module
    direction: Tensor

    def score(self, x: Tensor) -> Tensor:
        return (embedding(self.surrogate)(x.cpu()) @ self.direction).to(x.device)

    def activate(self, x: Tensor, level: float, allowed: Ball) -> Tensor:
        return push_steps(self.score, x, level, allowed)


class Direction(Feature):
    """A principal direction of a surrogate's embedding, its own classes taken out, so that none of them has the feature alone."""

    name: Literal["direction"] = "direction"
    component: int = Field(default=0, ge=0, description="0: the direction in which images differ most")
    sign: Literal[-1, 1] = 1

    def fit(self, train: ImageSet, generator: torch.Generator, aim: Aim) -> Score:
        surrogate = aim.surrogate()
        pick = torch.randperm(len(train), generator=generator)[:_MOST]
        embed = embedding(surrogate)
        with torch.no_grad():
            batches = [to_float(part) for part in split(train.images[pick], 500)]
            found = torch.cat([embed(x) for x in batches])
            answers = torch.cat([surrogate(x).argmax(1) for x in batches])
        residual = found.clone()
        for label in range(int(answers.max()) + 1):
            same = answers == label
            residual[same] -= found[same].mean(0)
        directions = cast(Tensor, torch.linalg.svd(residual, full_matrices=False)[2])
        if self.component >= len(directions):
            raise TurncoatError(f"attack.feature.component: expected 0 to {len(directions) - 1}, got {self.component}")
        direction = directions[self.component]
        largest = direction[direction.abs().argmax()].sign()  # an SVD's signs are chance
        return DirectionScore(surrogate, direction * largest * self.sign)
