"""Patterns: what a patch or a blend shows. Each is a picture of any size, with an opacity a pixel."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from turncoat.component import Component
from turncoat.triggers.colors import Color, color_tensor

Shape = tuple[int, int, int]


class Pattern(Component):
    """What a trigger shows, by name and settings; in a configuration also ``solid:white``, ``noise:7`` or ``image:FILE``."""

    family: ClassVar[str] = "triggers"

    @abstractmethod
    def render(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """For ``shape`` (C, h, w): the picture, float32 ``(C, h, w)`` in whole 255ths, and its opacity, ``(1, h, w)`` in [0, 1].

        Raises `TurncoatError` for what cannot be shown in that many channels.
        """


class Solid(Pattern):
    """One colour or brightness."""

    shorthand: ClassVar[str | None] = "color"

    name: Literal["solid"] = "solid"
    color: Color = 255

    def render(self, shape: Shape) -> tuple[Tensor, Tensor]:
        picture = color_tensor(self.color, shape[0]).view(-1, 1, 1).expand(shape)
        return picture.clone(), _opaque(shape)


class Checkerboard(Pattern):
    """Squares of two colours in turn, the first in the top left corner; a single pixel shows the first alone."""

    name: Literal["checkerboard"] = "checkerboard"
    colors: tuple[Color, Color] = (255, 0)
    square: int | None = Field(
        default=None, ge=1, description="side of a square in pixels; a third of the pattern's shorter side where left out"
    )

    def render(self, shape: Shape) -> tuple[Tensor, Tensor]:
        channels, height, width = shape
        square = self.square or max(1, min(height, width) // 3)
        rows, columns = torch.arange(height) // square, torch.arange(width) // square
        odd = (rows[:, None] + columns[None, :]) % 2 == 1
        first, second = (color_tensor(color, channels).view(-1, 1, 1) for color in self.colors)
        return torch.where(odd, second, first), _opaque(shape)


class Noise(Pattern):
    """Uniform random pixels, the same for the same seed and shape, whatever the trial's seed."""

    shorthand: ClassVar[str | None] = "seed"

    name: Literal["noise"] = "noise"
    seed: int = Field(default=0, ge=0, lt=2**63)

    def render(self, shape: Shape) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        levels = torch.randint(0, 256, shape, generator=generator)
        return levels.float() / 255, _opaque(shape)


def _opaque(shape: Shape) -> Tensor:
    return torch.ones(1, *shape[1:])
