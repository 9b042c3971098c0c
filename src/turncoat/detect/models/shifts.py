"""The smallest shift, one for all images, towards each class, in a space: the pixels, or a hidden layer's channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from turncoat.data.imageset import ImageSet
from turncoat.detect.models.halves import cut_at
from turncoat.train.placement import Placement
from turncoat.triggers.base import to_float

_GOAL = 0.8
_RATE, _TURN, _MEMORY = 0.25, 0.3, 0.9
_VALUES = 2**21
_FAR = 1000.0  # times the first radius: a class that is never reached
_REACHED = 0.5
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)

Shifted = Callable[[Tensor, Tensor], Tensor]
"""Images ``(B, C, H, W)`` and shifts ``(J, *shape)`` to logits ``(J * B, classes)``, in the order of the shifts."""


@dataclass(frozen=True, eq=False)
class Space:
    """Where images are shifted. shape: of a shift. start: its first radius, in which nothing should reach a class."""

    name: str
    shape: tuple[int, ...]
    start: float
    shifted: Shifted


def pixels(network: nn.Module, shape: tuple[int, int, int], placement: Placement) -> Space:
    """Shifts are added to the images, which stay in [0, 1]; radii are L2 norms. Finds blended patterns."""

    def shifted(x: Tensor, shifts: Tensor) -> Tensor:
        shown = (x.unsqueeze(0) + shifts.unsqueeze(1)).clamp(0, 1).flatten(0, 1)
        with placement.autocast():
            return cast(Tensor, network(shown.contiguous(memory_format=torch.channels_last))).float()

    return Space("pixels", shape, 0.005 * torch.Size(shape).numel() ** 0.5, shifted)


def channels(network: nn.Module, images: Tensor, placement: Placement) -> Space:
    """Shifts are added to each channel of the first hidden layer that can be cut, the same at every place, in units of the
    channel's standard deviation over ``images``. Finds what leaves traces everywhere: a warp, a filter, a texture.
    """
    halves = cut_at(network, images[:4], placement, _PLACES)
    seen = halves.front(images)
    axis = seen.dim() - 1 if seen.dim() == 3 else 1  # tokens hold their channels last
    unit = seen.transpose(1, axis).transpose(0, 1).flatten(1).std(1)
    tail = (1,) * (seen.dim() - axis - 1)
    head = (1,) * (axis - 1)

    def shifted(x: Tensor, shifts: Tensor) -> Tensor:
        by = (shifts * unit).view(len(shifts), 1, *head, -1, *tail)
        return halves.behind((halves.front(x).unsqueeze(0) + by).flatten(0, 1), x[:1])

    return Space("channels", (len(unit),), 0.1 * len(unit) ** 0.5, shifted)


@dataclass(frozen=True, eq=False)
class Radii:
    """What the search found of each class. logs: float64 ``(K,)``, the logarithm of the radius at which 80% of the images of
    other classes are taken for it. shifts: float32 ``(K, *shape)``, the last ones. reached: bool ``(K,)``, False where
    the radius grew to its bound. start: the first radius. passes: images that went through the network.
    """

    logs: Tensor
    shifts: Tensor
    reached: Tensor
    start: float
    passes: int

    @property
    def telling(self) -> bool:
        """False where half of the classes or more are not reached, which says little of what is usual; but for a class that is
        reached by what nothing should be.
        """
        return float(self.reached.float().mean()) > _REACHED or float(self.logs.min()) < math.log(self.start)


@dataclass(frozen=True, eq=False)
class Search:
    """Its randomness, its steps, and the images a step and class."""

    generator: torch.Generator
    steps: int
    batch: int


def smallest_shifts(space: Space, clean: ImageSet, classes: int, placement: Placement, search: Search) -> Radii:
    """One shift a class, all as one batch: its direction follows the gradient on the sphere, its radius climbs or falls with the
    share of the batch that it takes to the class, as a psychophysical staircase does. The last third of the steps is averaged.
    """
    steps, device = search.steps, placement.device
    flat = (classes, *(1 for _ in space.shape))
    unit = functional.normalize(torch.randn(classes, *space.shape, generator=search.generator).flatten(1)).view(
        classes, *space.shape
    )
    unit, memory = unit.to(device), torch.zeros(classes, *space.shape, device=device)
    radius = torch.full((classes,), space.start, dtype=torch.float64)
    visited = list[Tensor]()
    for step in range(steps):
        rows = torch.randint(len(clean), (search.batch,), generator=search.generator)
        x, labels = to_float(clean.images[rows]).to(device), clean.labels[rows]
        slope, success = _slope(space, x, labels, radius.to(torch.float32).view(flat).to(device) * unit)
        left = 1 - 0.8 * step / steps
        memory = _MEMORY * memory + functional.normalize(slope.flatten(1), eps=1e-20).view_as(slope)
        unit = unit - _TURN * left * functional.normalize(memory.flatten(1), eps=1e-20).view_as(unit)
        unit = functional.normalize(unit.flatten(1)).view_as(unit)
        visited.append(radius.log())
        radius = radius * torch.exp(-_RATE * left * (success.double() - _GOAL) / _GOAL)
        radius = radius.clamp(max=_FAR * space.start)
    logs = torch.stack(visited[-max(1, steps // 3) :]).mean(0)
    shifts = (logs.exp().float().view(flat).to(device) * unit).cpu()
    return Radii(logs, shifts, radius < _FAR * space.start, space.start, classes * search.batch * steps)


def _slope(space: Space, x: Tensor, labels: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients ``(K, *shape)`` of the mean cross-entropy towards each class over the images of others; the share taken ``(K,)``.
    A class whose batch holds no other neither moves nor counts.
    """
    slopes, successes = list[Tensor](), list[Tensor]()
    size = max(1, _VALUES // x.numel())
    for start in range(0, len(shifts), size):
        part = shifts[start : start + size].detach().requires_grad_()
        with torch.enable_grad():
            logits = space.shifted(x, part).view(len(part), len(x), -1)
        wanted = torch.arange(start, start + len(part)).unsqueeze(1).expand(-1, len(x))
        others = (labels.unsqueeze(0) != wanted).to(x.device)
        wanted = wanted.to(x.device)
        loss = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").view_as(others)
        count = others.sum(1).clamp_min(1)
        slopes.append(torch.autograd.grad(((loss * others).sum(1) / count).sum(), part)[0])
        taken = ((logits.argmax(2) == wanted) & others).sum(1) / count
        successes.append(torch.where(others.any(1), taken, _GOAL).cpu())
    return torch.cat(slopes), torch.cat(successes)
