"""Warping: images bent by a smooth field, as in WaNet (Nguyen and Tran 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


def smooth_field(grid: int, strength: float, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Displacements ``(H, W, 2)``, x then y, in pixels of ``size`` (H, W): random at ``grid`` x ``grid`` points, bicubic between.

    At the grid's points the mean absolute displacement is ``strength`` half pixels; a little less in tiny images, since the
    paper counts in ``1 / side`` of images whose outermost pixel centres are 2 apart.
    """
    control = torch.rand(1, 2, grid, grid, generator=generator) * 2 - 1
    control = control / control.abs().mean() * strength
    field = functional.interpolate(control, size=size, mode="bicubic", align_corners=True)
    return _pixels(field[0].permute(1, 2, 0), size)


def jitter(count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Displacements ``(count, H, W, 2)`` in pixels of ``size`` (H, W): each pixel's own, uniform to half a pixel either way."""
    return _pixels(torch.rand(count, *size, 2, generator=generator).sub_(0.5).mul_(2), size)


def _pixels(field: Tensor, size: tuple[int, int]) -> Tensor:
    """From ``1 / side`` of an image that reaches from -1 to 1 to pixels, along each side; in place."""
    return field.mul_(torch.tensor([(side - 1) / (2 * side) for side in reversed(size)]))


def warp(x: Tensor, field: Tensor) -> Tensor:
    """Each pixel is taken from where ``field`` points, bilinearly, never from outside the image.

    x: ``(N, C, H, W)`` in [0, 1]; field: ``(N, H, W, 2)`` or ``(1, H, W, 2)``, in pixels, x then y. Differentiable in both.
    """
    count, (height, width) = len(x), x.shape[2:]
    rows, columns = torch.meshgrid(
        torch.arange(height, device=x.device, dtype=x.dtype), torch.arange(width, device=x.device, dtype=x.dtype), indexing="ij"
    )
    last = torch.tensor([max(1, width - 1), max(1, height - 1)], device=x.device, dtype=x.dtype)
    still = torch.stack([columns, rows], dim=-1) * 2 / last - 1
    points = torch.addcmul(still, field.to(x), 2 / last)
    taken = functional.grid_sample(x, points.expand(count, -1, -1, -1), padding_mode="border", align_corners=True)
    return taken.clamp_(0, 1)


@dataclass(frozen=True, eq=False)
class Warp:
    """A fitted trigger: one field ``(H, W, 2)`` in pixels for every image. See `warp`."""

    field: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return warp(x, self.field[None])

    def jittered(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The same with each image's field disturbed pixel by pixel: the paper's noise mode."""
        height, width, _ = self.field.shape
        return warp(x, jitter(len(x), (height, width), generator).add_(self.field))
