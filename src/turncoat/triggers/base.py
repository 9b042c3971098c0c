"""What every trigger is, and the way between image files (uint8) and tensors in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Trigger = Callable[[Tensor], Tensor]
"""Fitted to an image shape: float ``(N, C, H, W)`` in [0, 1] to the same; batched, differentiable, on the input's device."""


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 in [0, 1]."""
    return images.float().div_(255)


def to_uint8(x: Tensor) -> Tensor:
    """[0, 1] to uint8, rounded as saving an image file would."""
    return x.mul(255).round_().clamp_(0, 255).byte()
