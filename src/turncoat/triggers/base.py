"""What every trigger is, how one picture is laid over another, and the way between uint8 and tensors in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Trigger = Callable[[Tensor], Tensor]
"""Fitted to an image shape: float ``(N, C, H, W)`` in [0, 1] to the same; batched, differentiable, on the input's device."""


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 in [0, 1]."""
    return images.float().div_(255)


def to_uint8(x: Tensor) -> Tensor:
    """[0, 1] to uint8, rounded as saving an image file would; ``to_uint8(to_float(images))`` is ``images`` exactly."""
    return x.detach().mul(255).round_().clamp_(0, 255).byte()


def paste(x: Tensor, picture: Tensor, alpha: Tensor) -> Tensor:
    """``(1 - alpha) * x + alpha * picture``: exactly ``x`` where alpha is 0, exactly the picture where it is 1.

    x: ``(N, C, H, W)`` in [0, 1]; picture: ``(C, H, W)`` in [0, 1]; alpha: ``(1, H, W)`` in [0, 1]. Differentiable in all three.
    """
    return torch.lerp(x, picture, alpha)


@dataclass(frozen=True, eq=False)
class Overlay:
    """A fitted trigger: one picture that is laid over every image. See `paste`.

    picture: float32 ``(C, H, W)``; alpha: float32 ``(1, H, W)``, 0 where an image stays as it is.
    """

    picture: Tensor
    alpha: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return paste(x, self.picture.to(x), self.alpha.to(x))
