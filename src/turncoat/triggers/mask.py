"""Signs: where a patterned mask of small offsets, added to every image, is brighter and where darker."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from turncoat.component import Component
from turncoat.triggers.patterns import Shape


class Signs(Component):
    """The pattern of a mask, by name and settings; in a configuration also ``checker:4`` or ``random:7``."""

    family: ClassVar[str] = "triggers"

    @abstractmethod
    def render(self, shape: Shape) -> Tensor:
        """For images of ``shape`` (C, H, W): float32 of that shape, each value -1 or 1."""


class Checker(Signs):
    """Squares brighter and darker in turn, alike in all channels."""

    shorthand: ClassVar[str | None] = "square"

    name: Literal["checker"] = "checker"
    square: int = Field(default=2, ge=1, description="side of a square in pixels")

    def render(self, shape: Shape) -> Tensor:
        rows, columns = (torch.arange(side) // self.square for side in shape[1:])
        odd = (rows[:, None] + columns[None, :]) % 2
        return (1.0 - 2.0 * odd).expand(shape).clone()


class Stripes(Signs):
    """Columns brighter and darker in turn, alike in all channels."""

    shorthand: ClassVar[str | None] = "width"

    name: Literal["stripes"] = "stripes"
    width: int = Field(default=2, ge=1, description="of a stripe in pixels")

    def render(self, shape: Shape) -> Tensor:
        odd = torch.arange(shape[2]) // self.width % 2
        return (1.0 - 2.0 * odd).expand(shape).clone()


class RandomSigns(Signs):
    """Each value brighter or darker at random, the same for the same seed and shape, whatever the trial's seed."""

    shorthand: ClassVar[str | None] = "seed"

    name: Literal["random"] = "random"
    seed: int = Field(default=0, ge=0, lt=2**63)

    def render(self, shape: Shape) -> Tensor:
        draw = torch.Generator().manual_seed(self.seed)
        return 2.0 * torch.randint(0, 2, shape, generator=draw) - 1.0
