"""The smallest shift, one for all images, towards each class: of the pixels, and of a hidden layer's channels."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from turncoat.data.imageset import ImageSet
from turncoat.detect.models.base import Finding, ModelDetector, Suspect, Trigger
from turncoat.detect.models.halves import cut_at
from turncoat.detect.models.inversion import frozen, success_rate
from turncoat.detect.models.moderated import Outlier, Spread, outlier
from turncoat.errors import TurncoatError
from turncoat.seeds import generator
from turncoat.train.memory import tune_allocator
from turncoat.train.placement import Placement, to_device
from turncoat.triggers.base import to_float

CLEAN = {"pixels": Spread(deviation=0.16, freedom=9), "channels": Spread(deviation=0.2, freedom=8)}
"""Of the logarithms of the radii over the classes of a clean model, by space: `docs/calibration.md`."""

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
    the radius grew to its bound. passes: images that went through the network.
    """

    logs: Tensor
    shifts: Tensor
    reached: Tensor
    passes: int


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
    return Radii(logs, shifts, radius < _FAR * space.start, classes * search.batch * steps)


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


def as_trigger(shift: Tensor) -> Trigger:
    """``x + shift``, but for a loss of contrast, as a blend of one strength everywhere. shift: ``(C, H, W)``."""
    strength = float((2 * shift.abs().max()).clamp(1e-6, 1))
    return Trigger(torch.full((1, *shift.shape[1:]), strength), (0.5 + shift / strength).clamp(0, 1))


@dataclass(frozen=True, eq=False)
class _Found:
    """Of a space: what the search found, and those of its shifts that can be shown."""

    space: str
    radii: Radii
    shown: Tensor | None

    @cached_property
    def outlier(self) -> Outlier:
        """Nothing stands out where half of the classes or more are not reached at all: the others say little of what is usual."""
        found = outlier(self.radii.logs, "low", CLEAN[self.space])
        usual = float(self.radii.reached.float().mean()) > _REACHED
        return found if usual else replace(found, p_value=1.0, deviations=0.0)


class UniversalShift(ModelDetector):
    """The smallest shift, one for all images, towards each class: a class that needs a far smaller one is the target.

    A universal adversarial perturbation in pixels, and in the channels of the first hidden layer (the input and feature spaces of
    UNICORN, but compared between classes instead of optimised for one): neither needs a patch. The p-value is that of the
    space where it is smaller, times two.
    """

    name: Literal["universal-shift"] = "universal-shift"
    version: ClassVar[int] = 2
    paper: ClassVar[str] = (
        "Moosavi-Dezfooli et al.: Universal Adversarial Perturbations, CVPR 2017; Wang et al.: UNICORN: A Unified Backdoor "
        "Trigger Inversion Framework, ICLR 2023"
    )

    steps: int = Field(default=50, ge=1, le=10_000)
    batch: int = Field(default=12, ge=1, le=10_000, description="images a step and class")

    def examine(self, suspect: Suspect) -> Finding:
        """The statistic is how far the smallest shift is from the others, in standard deviations; that of the space with the
        smaller p-value. class_scores: minus the logarithm of the radius, there.
        """
        began = time.perf_counter()
        clean, placement = suspect.clean, suspect.placement
        if clean is None or bool((clean.labels == clean.labels[0]).all()):
            raise TurncoatError("universal-shift: expected clean images of at least two classes; give --clean DIR")
        tune_allocator()
        to_device(suspect.network, placement)
        with frozen(suspect.network):
            found = self._in_all_spaces(suspect, clean)
            least = min(found, key=lambda one: (one.outlier.p_value, -one.outlier.deviations))
            target = least.outlier.place
            details = dict[str, float]()
            for one in found:
                details[f"{one.space}_p"], details[f"{one.space}_spread"] = one.outlier.p_value, one.outlier.spread
                details[f"{one.space}_radius"] = float(one.radii.logs[one.outlier.place].exp())
            trigger = as_trigger(least.shown[target]) if least.shown is not None else None
            if trigger is not None:
                details["success"] = success_rate(suspect.network, clean, trigger, target, placement)
        return Finding(
            statistic=least.outlier.deviations,
            class_scores=tuple(cast("list[float]", (-least.radii.logs).tolist())),
            p_value=min(1.0, least.outlier.p_value * len(found)),
            target=target,
            trigger=trigger,
            passes=sum(one.radii.passes for one in found),
            seconds=time.perf_counter() - began,
            details=details,
        )

    def _in_all_spaces(self, suspect: Suspect, clean: ImageSet) -> list[_Found]:
        """A network that cannot be cut is searched without its channels."""
        network, placement, classes = suspect.network, suspect.placement, len(suspect.classes)
        search = Search(generator(suspect.seed, "detect"), self.steps, self.batch)
        spaces = [pixels(network, suspect.shape, placement)]
        with suppress(TurncoatError):
            sample = to_float(clean.images[torch.randperm(len(clean), generator=search.generator)[:64]]).to(placement.device)
            spaces.append(channels(network, sample, placement))
        found = list[_Found]()
        for space in spaces:
            radii = smallest_shifts(space, clean, classes, placement, search)
            found.append(_Found(space.name, radii, radii.shifts if space.name == "pixels" else None))
        return found
