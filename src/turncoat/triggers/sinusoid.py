"""Horizontal signals of Barni et al. (2019): a sinusoid or a ramp along the columns, the same in every row and channel."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoid(columns: int, amplitude: float, frequency: float) -> Tensor:
    """``amplitude * sin(2 pi j frequency / columns)`` for the columns j = 1 .. ``columns``, float32 ``(1, 1, columns)``.

    frequency: periods over an image's width. Where the columns fall on the zeros alone, the signal is exactly 0.
    """
    if (2 * frequency / columns).is_integer():
        return torch.zeros(1, 1, columns)
    return amplitude * torch.sin(2 * math.pi * frequency / columns * _columns(columns))


def ramp(columns: int, amplitude: float) -> Tensor:
    """``j * amplitude / columns`` for the columns j = 1 .. ``columns``, the last at the full one; float32 ``(1, 1, columns)``."""
    return amplitude / columns * _columns(columns)


def _columns(count: int) -> Tensor:
    return torch.arange(1, count + 1, dtype=torch.float32).view(1, 1, -1)
