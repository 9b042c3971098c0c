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
    """``<direction, embedding>``, counted within the class that the surrogate sees; computed on the CPU, where that is.

    direction: float ``(D,)`` of length 1. means, deviations: of the same product within each class, ``(classes,)``; an image
    between classes has the mixture of theirs.
    """

    surrogate: nn.Module
    direction: Tensor
    means: Tensor
    deviations: Tensor

    def score(self, x: Tensor) -> Tensor:
        on_cpu = x.cpu()
        along = embedding(self.surrogate)(on_cpu) @ self.direction
        classes = self.surrogate(on_cpu).softmax(1)
        return ((along - classes @ self.means) / (classes @ self.deviations)).to(x.device)

    def activate(self, x: Tensor, level: float, allowed: Ball) -> Tensor:
        return push_steps(self.score, x, level, allowed)


class Direction(Feature):
    """A principal direction of a surrogate's embedding, counted within each of its classes: images of all have the feature."""

    name: Literal["direction"] = "direction"
    component: int = Field(default=0, ge=0, description="0: the direction in which images of a class differ most")
    sign: Literal[-1, 1] = 1

    def fit(self, train: ImageSet, generator: torch.Generator, aim: Aim) -> Score:
        surrogate = aim.surrogate()
        pick = torch.randperm(len(train), generator=generator)[:_MOST]
        embed = embedding(surrogate)
        with torch.no_grad():
            batches = [to_float(part) for part in split(train.images[pick], 500)]
            found = torch.cat([embed(x) for x in batches])
            logits = torch.cat([surrogate(x) for x in batches])
        answers, classes = logits.argmax(1), logits.shape[1]
        residual = found.clone()
        for label in range(classes):
            same = answers == label
            residual[same] -= found[same].mean(0)
            residual[same] /= residual[same].square().sum(1).mean().sqrt().clamp_min(1e-6)
        directions = cast(Tensor, torch.linalg.svd(residual, full_matrices=False)[2])
        if self.component >= len(directions):
            raise TurncoatError(f"attack.feature.component: expected 0 to {len(directions) - 1}, got {self.component}")
        direction = directions[self.component]
        direction = direction * direction[direction.abs().argmax()].sign() * self.sign  # an SVD's signs are chance
        along = found @ direction
        means, deviations = torch.full((classes,), float(along.mean())), torch.full((classes,), float(along.std()) + 1e-6)
        for label in range(classes):
            own = along[answers == label]
            if len(own) > 1:
                means[label], deviations[label] = own.mean(), own.std() + 1e-6
        return DirectionScore(surrogate, direction, means, deviations)
