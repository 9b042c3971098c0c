"""Brightness, colour and contrast."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from turncoat.attacks.features.base import Aim, Feature, LinearScore, Score, SmoothScore
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError

_COLORS = {
    "red": (1.0, -0.5, -0.5),
    "green": (-0.5, 1.0, -0.5),
    "blue": (-0.5, -0.5, 1.0),
    "cyan": (-1.0, 0.5, 0.5),
    "magenta": (0.5, -1.0, 0.5),
    "yellow": (0.5, 0.5, -1.0),
}


class Brightness(Feature):
    """Mean brightness: the brightest images, or the darkest."""

    shorthand: ClassVar[str | None] = "end"

    name: Literal["brightness"] = "brightness"
    end: Literal["bright", "dark"] = "bright"

    def fit(self, train: ImageSet, generator: torch.Generator, aim: Aim) -> Score:
        del generator, aim
        each = (1 if self.end == "bright" else -1) / train.images[0].numel()
        return LinearScore(torch.full(train.shape, each))


class Color(Feature):
    """Mean of one channel, or of two, above the rest: how red, green, blue, cyan, magenta or yellow an image is as a whole."""

    shorthand: ClassVar[str | None] = "color"

    name: Literal["color"] = "color"
    color: Literal["red", "green", "blue", "cyan", "magenta", "yellow"] = "red"

    def fit(self, train: ImageSet, generator: torch.Generator, aim: Aim) -> Score:
        del generator, aim
        channels, height, width = train.shape
        if channels != 3:
            raise TurncoatError(f"attack.feature: grey images have no colour, so none is {self.color}; take brightness, say")
        each = torch.tensor(_COLORS[self.color]).view(3, 1, 1) / (height * width)
        return LinearScore(each.expand(train.shape).contiguous())


class Contrast(Feature):
    """Standard deviation of all pixels: the images of most contrast, or of least."""

    shorthand: ClassVar[str | None] = "end"

    name: Literal["contrast"] = "contrast"
    end: Literal["high", "low"] = "high"

    def fit(self, train: ImageSet, generator: torch.Generator, aim: Aim) -> Score:
        del train, generator, aim
        sign = 1 if self.end == "high" else -1

        def contrast(x: Tensor) -> Tensor:
            return sign * (x.flatten(1).var(dim=1, correction=0) + 1e-8).sqrt()

        return SmoothScore(contrast)
