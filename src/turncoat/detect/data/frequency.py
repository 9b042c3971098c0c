"""Frequency: how much there is of each spatial frequency, whatever its phase."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from turncoat.detect.data.base import DataDetector, LooksFor, Rests
from turncoat.detect.data.cosine import bands, coefficients
from turncoat.detect.data.discriminant import peculiar
from turncoat.detect.data.evidence import Evidence


class Frequency(DataDetector):
    """Looks for a spectrum (noise, blur, a line) that images of one class share; unlike common-component whatever its phase."""

    paper: ClassVar[str] = "after Zeng, Park, Mao, Jia: Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective, 2021"
    looks_for: ClassVar[LooksFor] = "images"
    rests_on: ClassVar[Rests] = "pixels"
    floor: ClassVar[float] = 3.0
    in_deviations: ClassVar[bool] = True
    says: ClassVar[str] = "has the spectrum that images of its class share and others lack"

    name: Literal["frequency"] = "frequency"

    def scores(self, evidence: Evidence) -> Tensor:
        data = evidence.small
        cells = _cells(data.shape)

        def values(part: Tensor) -> Tensor:
            energy = coefficients(data.images[part]).square().flatten(1)
            pooled = torch.zeros(len(energy), int(cells.max()) + 1).index_add_(1, cells, energy)
            return (pooled / torch.bincount(cells) + 1e-5).log()

        kinds = torch.zeros(int(cells.max()) + 1, dtype=torch.int64)
        kinds[cells] = bands(data.shape).flatten()
        return peculiar(values, data.labels, evidence.classes, evidence.half, sample=evidence.sample, kinds=kinds)


def _cells(shape: tuple[int, int, int]) -> Tensor:
    """int64 ``(C * H * W,)``: eight by eight cells of frequencies a channel, numbered from 0 without gaps."""
    channels, height, width = shape
    rows, columns = torch.arange(height) * 8 // height, torch.arange(width) * 8 // width
    cells = rows[:, None] * 8 + columns[None, :] + 64 * torch.arange(channels)[:, None, None]
    there = torch.bincount(cells.flatten()) > 0
    return (there.long().cumsum(0) - 1)[cells.flatten()]
