"""Random changes of images that a person would look past: patches, blends, waves, warps, specks, strokes; each image its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Draw = torch.Generator


def patched(x: Tensor, draw: Draw) -> Tensor:
    """A rectangle of noise, 2 pixels to a quarter of the side, often at the border: black and white, grey or coloured."""
    count, channels, height, width = x.shape
    tall, wide = (_integers(2, max(3, size // 4 + 1), count, draw) for size in (height, width))
    top = _integers(-height // 4, height, count, draw).clamp(min=0).minimum(height - tall)
    left = _integers(-width // 4, width, count, draw).clamp(min=0).minimum(width - wide)
    rows, columns = torch.arange(height), torch.arange(width)
    inside = (rows >= top[:, None]) & (rows < (top + tall)[:, None])
    across = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    mask = (inside[:, None, :, None] & across[:, None, None, :]).to(x.device)
    noise = torch.rand(x.shape, generator=draw)
    noise = torch.where(_chance(count, draw), noise[:, :1].expand(-1, channels, -1, -1), noise)
    noise = torch.where(_chance(count, draw), noise.round(), noise).to(x)
    return torch.where(mask, noise, x)


def blended(x: Tensor, draw: Draw) -> Tensor:
    """Another picture shines through, at 5 to 30%: fine noise, coarse noise or another image of the batch."""
    count, channels, height, width = x.shape
    fine = torch.rand(x.shape, generator=draw).to(x)
    coarse = torch.rand(count, channels, 4, 4, generator=draw).to(x)
    coarse = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    other = x[torch.randperm(count, generator=draw).to(x.device)]
    which = torch.rand(count, 1, 1, 1, generator=draw).to(x)
    picture = torch.where(which < 1 / 3, fine, torch.where(which < 2 / 3, coarse, other))
    return x + _between(0.05, 0.3, count, draw).to(x) * (picture - x)


def waved(x: Tensor, draw: Draw) -> Tensor:
    """A plane wave is added, along an axis or in any direction, 1 to 8 periods over the image; amplitude 0.05 to 0.25."""
    count, _, height, width = x.shape
    turn = _between(0, 2 * math.pi, count, draw)
    turn = torch.where(_chance(count, draw), (turn / (math.pi / 2)).round() * (math.pi / 2), turn)
    periods, phase = _between(1, 8, count, draw), _between(0, 2 * math.pi, count, draw)
    rows, columns = torch.arange(height).view(1, 1, -1, 1) / height, torch.arange(width).view(1, 1, 1, -1) / width
    wave = torch.sin(2 * math.pi * periods * (rows * turn.sin() + columns * turn.cos()) + phase)
    return (x + (_between(0.05, 0.25, count, draw) * wave).to(x)).clamp(0, 1)


def warped(x: Tensor, draw: Draw) -> Tensor:
    """Smoothly bent: each point moves by up to a twentieth of the side, neighbours alike."""
    count, _, height, width = x.shape
    field = torch.rand(count, 2, 4, 4, generator=draw) * 2 - 1
    field = functional.interpolate(field, (height, width), mode="bicubic", align_corners=True)
    field = field * _between(0.02, 0.1, count, draw)
    plain = functional.affine_grid(torch.eye(2, 3).expand(count, 2, 3), [count, 1, height, width], align_corners=True)
    grid = (plain + field.permute(0, 2, 3, 1)).clamp(-1, 1).to(x)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=True)


def specked(x: Tensor, draw: Draw) -> Tensor:
    """2 to 15% of the pixels, in blots, take a colour of their own."""
    count, channels, height, width = x.shape
    field = torch.rand(count, 1, max(2, height // 2), max(2, width // 2), generator=draw)
    field = functional.interpolate(field, (height, width), mode="bilinear", align_corners=False)
    share = _between(0.02, 0.15, count, draw).flatten()
    order = field.flatten(1).sort(dim=1).values
    cut = order.gather(1, ((1 - share) * (order.shape[1] - 1)).long()[:, None])
    mask = (field > cut.view(-1, 1, 1, 1)).to(x.device)
    colour = torch.rand(count, channels, max(2, height // 4), max(2, width // 4), generator=draw)
    colour = functional.interpolate(colour, (height, width), mode="nearest").to(x)
    return torch.where(mask, colour, x)


def scribbled(x: Tensor, draw: Draw) -> Tensor:
    """1 to 6% of the pixels, in thin strokes or dots, take one of two colours, often pure ones; some strokes follow the image."""
    count, channels, height, width = x.shape

    def smooth(side: int) -> Tensor:
        field = torch.rand(count, 1, side, side, generator=draw)
        return functional.interpolate(field, (height, width), mode="bicubic", align_corners=True).to(x)

    field = smooth(6)
    field = torch.where(_chance(count, draw).to(x.device), x.mean(1, keepdim=True) + 0.3 * field, field)
    level = field.flatten(1).gather(1, torch.randint(height * width, (count, 1), generator=draw).to(x.device))
    off = (field - level.view(-1, 1, 1, 1)).abs()  # a stroke: where the field is about at the level
    dots = torch.rand(count, 1, height, width, generator=draw).to(x)
    off = torch.where(torch.rand(count, 1, 1, 1, generator=draw).to(x) < 0.25, dots, off)
    off = off + 10 * (smooth(5) < 0.5)  # in a part of the image
    share = _between(0.01, 0.06, count, draw).flatten().to(x.device)
    cut = off.flatten(1).sort(dim=1).values.gather(1, (share * (height * width - 1)).long()[:, None])
    colours = torch.rand(2, count, channels, 1, 1, generator=draw)
    one, other = torch.where(torch.rand(count, 1, 1, 1, generator=draw) < 0.6, colours.round(), colours).to(x).unbind()
    which = functional.interpolate(torch.rand(count, 1, 4, 4, generator=draw), (height, width), mode="nearest").to(x)
    return torch.where(off <= cut.view(-1, 1, 1, 1), torch.where(which < 0.6, one, other), x)


KINDS: tuple[Callable[[Tensor, Draw], Tensor], ...] = (patched, blended, waved, warped, specked, scribbled)


def corrupted(x: Tensor, share: float, draw: Draw) -> Tensor:
    """float ``(B, C, H, W)`` in [0, 1]: that share of the images, at random, is changed, by one kind each. draw: on the CPU."""
    count = len(x)
    kind = torch.randint(len(KINDS), (count,), generator=draw)
    kind[torch.rand(count, generator=draw) >= share] = -1
    made = x.clone()
    for place, change in enumerate(KINDS):
        which = (kind == place).nonzero().squeeze(1).to(x.device)
        if len(which):
            made[which] = change(x[which], draw)
    return made


def _integers(low: int, high: int, count: int, draw: Draw) -> Tensor:
    return torch.randint(low, high, (count,), generator=draw)


def _between(low: float, high: float, count: int, draw: Draw) -> Tensor:
    return low + (high - low) * torch.rand(count, 1, 1, 1, generator=draw)


def _chance(count: int, draw: Draw) -> Tensor:
    return torch.rand(count, 1, 1, 1, generator=draw) < 0.5
