"""Random changes of a batch, on the device: one gather does crop and flip together."""

from __future__ import annotations

import torch
from torch import Tensor

from turncoat.train.affine import draw_affine, warp
from turncoat.train.settings import Augmentation


def shift_and_flip(images: Tensor, down: Tensor, right: Tensor, flip: Tensor) -> Tensor:
    """Move each image and mirror it, with its border reflected into what becomes free.

    images: ``(B, C, H, W)`` of any type. down, right: int64 ``(B,)`` in pixels, smaller than the image. flip: bool ``(B,)``.
    Returns the same shape in channels-last memory.
    """
    height, width = images.shape[2:]
    rows = _reflect(torch.arange(height, device=images.device) - down[:, None], height)
    columns = _reflect(torch.arange(width, device=images.device) - right[:, None], width)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    each = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def cut_out(images: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
    """Blank a square of mid grey in each image (DeVries and Taylor 2017). top, left: int64 ``(B,)``, may reach outside."""
    rows = torch.arange(images.shape[2], device=images.device) - top[:, None]
    columns = torch.arange(images.shape[3], device=images.device) - left[:, None]
    inside = ((rows >= 0) & (rows < side))[:, None, :, None] & ((columns >= 0) & (columns < side))[:, None, None, :]
    return images.masked_fill(inside, 128)


class Augmenter:
    """Draws and applies the changes. Its generator is its own, so that victim and twin see the same ones."""

    def __init__(self, settings: Augmentation, count: int, generator: torch.Generator) -> None:
        self._settings = settings
        self._generator = generator
        self._parity = torch.rand(count, generator=generator) < 0.5

    def __call__(self, images: Tensor, index: Tensor, epoch: int) -> Tensor:
        """images: uint8 ``(B, C, H, W)``; index: their positions in the training set, on the CPU; epoch from 0."""
        settings, batch = self._settings, len(index)
        height, width = images.shape[2:]
        if settings.crop or settings.flip != "none":
            reach = min(settings.crop, height - 1, width - 1)
            shifts = torch.randint(-reach, reach + 1, (2, batch), generator=self._generator)
            flip = self._flips(index, epoch)
            down, right = shifts[0].to(images.device), shifts[1].to(images.device)
            images = shift_and_flip(images, down, right, flip.to(images.device))
        if settings.cutout:
            reach = settings.cutout // 2
            top = torch.randint(-reach, height - reach, (batch,), generator=self._generator)
            left = torch.randint(-reach, width - reach, (batch,), generator=self._generator)
            images = cut_out(images, top.to(images.device), left.to(images.device), settings.cutout)
        if settings.affine:
            images = warp(images, draw_affine(batch, settings.affine, self._generator).to(images.device))
        return images

    def _flips(self, index: Tensor, epoch: int) -> Tensor:
        if self._settings.flip == "alternate":
            return self._parity[index] ^ (epoch % 2 == 1)
        if self._settings.flip == "random":
            return torch.rand(len(index), generator=self._generator) < 0.5
        return torch.zeros(len(index), dtype=torch.bool)


def _reflect(position: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - position.abs()).abs()
