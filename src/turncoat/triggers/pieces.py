"""Pieces: masks that show random parts of a trigger."""

from __future__ import annotations

import torch
from torch import Tensor


def random_pieces(count: int, pieces: int, shown: float, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Masks bool ``(count, 1, H, W)``, one an image: of ``pieces`` x ``pieces`` equal parts of ``size`` (H, W), some are True.

    ``round(shown * pieces**2)`` of them, at least one, at random; where the side is no multiple, parts differ by one pixel.
    """
    height, width = size
    total = pieces**2
    order = torch.rand(count, total, generator=generator).argsort(dim=1)
    open_parts = order < max(1, round(shown * total))
    rows, columns = torch.arange(height) * pieces // height, torch.arange(width) * pieces // width
    part = rows[:, None] * pieces + columns[None, :]
    return open_parts[:, part].unsqueeze(1)
