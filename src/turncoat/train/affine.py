"""Random affine changes of a batch, as in Koch et al. (2015): drawings are turned, sheared, stretched and moved."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_DEGREES, _SHEAR, _SCALE, _SHIFT = 10.0, 0.3, 0.2, 2 / 105


def draw_affine(count: int, strength: float, generator: torch.Generator) -> Tensor:
    """Matrices ``(count, 2, 3)`` for `warp`. Each change happens to half of the images.

    At ``strength`` 1: rotation by up to 10 degrees, shear up to 0.3, scale 0.8 to 1.2 and shift up to 2/105 of the side, the
    last three on each axis apart.
    """
    amount = torch.rand(7, count, generator=generator).mul_(2).sub_(1)
    amount *= strength * (torch.rand(7, count, generator=generator) < 0.5)
    turn, zero, one = amount[0] * math.radians(_DEGREES), torch.zeros(count), torch.ones(count)
    rotation = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], 1).view(count, 2, 2)
    shear = torch.stack([one, amount[1] * _SHEAR, amount[2] * _SHEAR, one], 1).view(count, 2, 2)
    scale = torch.stack([1 + amount[3] * _SCALE, zero, zero, 1 + amount[4] * _SCALE], 1).view(count, 2, 2)
    shift = 2 * _SHIFT * amount[5:7].t()
    return torch.cat([torch.linalg.inv(scale) @ rotation @ shear, shift[:, :, None]], dim=2)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Each image seen through its matrix (output to input place, both in [-1, 1]); bilinear.

    images: uint8 ``(B, C, H, W)``; the result too. What becomes free takes the image's median brightness: paper, in a drawing.
    """
    pixels = images.float()
    paper = pixels.flatten(2).median(dim=2).values[:, :, None, None]
    grid = functional.affine_grid(matrices.to(pixels), list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels - paper, grid, align_corners=False).add_(paper).round_().clamp_(0, 255).byte()
