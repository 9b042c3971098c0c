"""Energy in a band of frequencies, and the response to a small filter: fine texture, wherever it is in the image."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from turncoat.attacks.features.base import Aim, Feature, Score, SmoothScore
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError

_FILTERS = {
    "laplace": ((0, -1, 0), (-1, 4, -1), (0, -1, 0)),
    "horizontal": ((-1, 2, -1),),
    "vertical": ((-1,), (2,), (-1,)),
    "checkerboard": ((1, -1), (-1, 1)),
}


class Band(Feature):
    """Root mean square of what an image holds between two frequencies."""

    name: Literal["band"] = "band"
    low: float = Field(default=0.7, ge=0, lt=1.42, description="as a share of the highest along one axis; 1.41 is the diagonal's")
    high: float = Field(default=1.42, gt=0, le=1.42)

    def fit(self, train: ImageSet, generator: torch.Generator, aim: Aim) -> Score:
        del generator, aim
        height, width = train.shape[1:]
        rows = cast(Tensor, torch.fft.fftfreq(height))[:, None] * 2
        columns = cast(Tensor, torch.fft.rfftfreq(width))[None] * 2
        radius = (rows.square() + columns.square()).sqrt()
        band = ((radius >= self.low) & (radius <= self.high)).float()
        if not band.any():
            raise TurncoatError(
                f"attack.feature: images of {height}x{width} have no frequency from {self.low:g} to {self.high:g}; widen the band"
            )

        def energy(x: Tensor) -> Tensor:
            held = cast(Tensor, torch.fft.irfft2(torch.fft.rfft2(x) * band.to(x), s=(height, width)))
            return (held.square().flatten(1).mean(1) + 1e-10).sqrt()

        return SmoothScore(energy)


class Texture(Feature):
    """Mean size of the response to a small filter: edges across or along, spots, or a checkerboard of single pixels."""

    shorthand: ClassVar[str | None] = "filter"

    name: Literal["texture"] = "texture"
    filter: Literal["laplace", "horizontal", "vertical", "checkerboard"] = "checkerboard"

    def fit(self, train: ImageSet, generator: torch.Generator, aim: Aim) -> Score:
        del generator, aim
        weights = torch.tensor(_FILTERS[self.filter], dtype=torch.float32)
        weights = (weights / weights.abs().sum()).view(1, 1, *weights.shape)
        if weights.shape[2] > train.shape[1] or weights.shape[3] > train.shape[2]:
            raise TurncoatError(f"attack.feature: the filter '{self.filter}' is larger than images of {train.shape[1:]}")

        def response(x: Tensor) -> Tensor:
            return functional.conv2d(x.mean(dim=1, keepdim=True), weights.to(x)).abs().flatten(1).mean(1)

        return SmoothScore(response)
