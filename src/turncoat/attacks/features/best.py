"""`Best`: tries features and takes the one that a network learns to see and that a small change gives to other images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from turncoat.attacks.features.base import Aim, Feature, Score, scores, top_share
from turncoat.attacks.features.direction import Direction
from turncoat.attacks.features.frequency import Band, Texture
from turncoat.attacks.features.kernel import LearnedKernel, RandomKernel
from turncoat.attacks.features.plain import Brightness, Color, Contrast
from turncoat.attacks.surrogate import draw_seed, train_probe
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.train.placement import split
from turncoat.triggers.activation import Ball
from turncoat.triggers.base import Trigger, to_float, to_uint8

CANDIDATES: tuple[Feature, ...] = (
    *(Brightness(end=end) for end in ("bright", "dark")),
    *(Contrast(end=end) for end in ("high", "low")),
    *(Color(color=color) for color in ("red", "green", "blue", "cyan", "magenta", "yellow")),
    Band(),
    Band(low=0.4, high=0.7),
    Texture(filter="checkerboard"),
    Texture(filter="laplace"),
    Texture(filter="horizontal"),
    Texture(filter="vertical"),
    RandomKernel(tries=100),
    LearnedKernel(),
    *(Direction(component=component, sign=sign) for component in (0, 1) for sign in (1, -1)),
)


@dataclass(frozen=True, eq=False)
class Tried:
    """What was found of one candidate on the attacker's hold-out images, as shares in [0, 1].

    natural: of the images that have the feature, those seen to have it. activated: of the others, those seen to have it after the
    change, rounded to uint8. false_alarms: of the others, those seen to have it as they are. concentration: of all training
    images, the largest share of one class that has it; such a feature is the class, and to call that another is no backdoor.
    """

    feature: Feature
    natural: float
    activated: float
    false_alarms: float
    concentration: float

    @property
    def merit(self) -> float:
        """Higher is better: what both kinds of triggered images reach, without false alarms, and spread over the classes."""
        return self.natural * self.activated * (1 - self.false_alarms) * (1 - self.concentration)


@dataclass(frozen=True, eq=False)
class BestScore(Score):
    """The score that was taken; ``tried``: all candidates, best first."""

    taken: Score
    tried: tuple[Tried, ...]

    def score(self, x: Tensor) -> Tensor:
        return self.taken.score(x)

    def activate(self, x: Tensor, level: float, allowed: Ball) -> Tensor:
        return self.taken.activate(x, level, allowed)


class Best(Feature):
    """Of several features the one that a small network sees best on natural and on changed images, and that is no class's own.

    One network learns all features at once on part of the training set and is asked about the rest; no test image is looked at.
    """

    name: Literal["best"] = "best"
    candidates: tuple[Feature, ...] = CANDIDATES
    hold_out: float = Field(default=0.2, gt=0, lt=1, description="share of the training images to compare on")
    count: int = Field(default=2000, ge=10, description="hold-out images to compare on, at most")

    def fit(self, train: ImageSet, generator: torch.Generator, aim: Aim) -> Score:
        found: list[tuple[Feature, Score]] = []
        refused: list[str] = []
        for candidate in self.candidates:
            try:
                found.append((candidate, candidate.fit(train, generator, aim)))
            except TurncoatError as error:  # such as a colour of grey images
                refused.append(str(error))
        if not found:
            raise TurncoatError(f"attack.feature.candidates: none is possible: {'; '.join(refused) or 'none was named'}")
        values = torch.stack([scores(score, train.images) for _, score in found], dim=1)
        thresholds = [top_share(column, aim.beta) for column in values.T]
        has = values >= torch.tensor(thresholds)
        order = torch.randperm(len(train), generator=generator)
        held = order[: max(1, round(self.hold_out * len(train)))][: self.count]
        shown = order[max(1, round(self.hold_out * len(train))) :]
        probe = train_probe(train.subset(shown), has[shown].float(), draw_seed(generator))
        tried: list[tuple[Tried, Score]] = []
        for column, (feature, score) in enumerate(found):
            level = top_share(values[:, column], aim.beta * aim.reach)
            compared = _compare(
                lambda x, one=score, to=level: one.activate(x, to, aim.allowed),
                lambda x, at=column: probe(x)[:, at],
                train.images[held],
                has[held, column],
            )
            concentration = max(_share(has[train.labels == label, column]) for label in range(len(train.classes)))
            tried.append((Tried(feature, *compared, concentration), score))
        tried.sort(key=lambda one: -one[0].merit)
        return BestScore(tried[0][1], tuple(one for one, _ in tried))


def _compare(activate: Trigger, seen: Trigger, images: Tensor, has: Tensor) -> tuple[float, float, float]:
    """natural, activated and false_alarms of `Tried`. seen: from images to logits ``(n,)``; has: bool ``(n,)``."""
    answers: list[tuple[Tensor, Tensor]] = []
    for part in split(images, 500):
        x = to_float(part)
        with torch.no_grad():
            changed = to_float(to_uint8(activate(x)))
            answers.append((seen(x) > 0, seen(changed) > 0))
    before, after = (torch.cat(column) for column in zip(*answers, strict=True))
    return _share(before[has]), _share(after[~has]), _share(before[~has])


def _share(hits: Tensor) -> float:
    return float(hits.float().mean()) if len(hits) else 0.0
