"""Triggered images as a file would hold them: the one place where triggers meet uint8 pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from turncoat.attacks.base import FittedAttack
from turncoat.triggers.base import to_float, to_uint8


def triggered(
    fitted: FittedAttack,
    images: Tensor,
    labels: Tensor,
    targets: Tensor,
    generator: torch.Generator | None = None,
    *,
    batch_size: int = 1000,
) -> Tensor:
    """Images as the attacker would present them at test time, rounded to what an image file holds. ``images`` stays as it is.

    images: uint8 ``(N, C, H, W)``; labels, targets: int64 ``(N,)``. Returns uint8 ``(N, C, H, W)``. Works in batches, so that
    memory stays low; a trigger that draws at random depends on the generator and on ``batch_size``.
    """
    changed = torch.empty_like(images)
    with torch.no_grad():
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            x = to_float(images[part])
            changed[part] = to_uint8(fitted.trigger(x, labels[part], targets[part], generator))
    return changed
