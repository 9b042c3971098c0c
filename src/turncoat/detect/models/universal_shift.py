"""A backdoored class is reached by a smaller shift, one for all images, than any other: of the pixels, or of hidden channels."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from turncoat.data.imageset import ImageSet
from turncoat.detect.models.base import Finding, ModelDetector, Suspect, Trigger
from turncoat.detect.models.inversion import frozen, success_rate
from turncoat.detect.models.moderated import Outlier, Spread, outlier, standing
from turncoat.detect.models.shifts import Radii, Search, channels, pixels, smallest_shifts
from turncoat.errors import TurncoatError
from turncoat.seeds import generator
from turncoat.train.memory import tune_allocator
from turncoat.train.placement import to_device
from turncoat.triggers.base import to_float

CLEAN = {
    "pixels": Spread(deviation=0.16, freedom=9),
    "channels": Spread(deviation=0.2, freedom=8),
    "both": Spread(deviation=1.25, freedom=12),
}
"""Over the classes of a clean model: of the logarithms of the radii by space, and of what `together` makes of both spaces:
`docs/calibration.md`."""


def as_trigger(shift: Tensor) -> Trigger:
    """``x + shift``, but for a loss of contrast, as a blend of one strength everywhere. shift: ``(C, H, W)``."""
    strength = float((2 * shift.abs().max()).clamp(1e-6, 1))
    return Trigger(torch.full((1, *shift.shape[1:]), strength), (0.5 + shift / strength).clamp(0, 1))


@dataclass(frozen=True, eq=False)
class View:
    """One way to compare the classes. scores: float64 ``(K,)``, higher is easier to reach, with the most extreme as outlier."""

    name: str
    scores: Tensor
    outlier: Outlier


def views(found: Mapping[str, Radii]) -> list[View]:
    """The radii in pixels by themselves, and together with those in channels. Channels by themselves do not tell: in a clean
    network one class of the data can be much nearer than the others there.
    """
    seen = list[View]()
    if "pixels" in found:
        seen.append(_view("pixels", -found["pixels"].logs, telling=found["pixels"].telling))
    if "pixels" in found and "channels" in found:
        telling = all(radii.telling for radii in found.values())
        seen.append(_view("both", together({name: radii.logs for name, radii in found.items()}), telling=telling))
    return seen


def together(logs: Mapping[str, Tensor]) -> Tensor:
    """Logarithms of the radii by space to one score a class, float64 ``(K,)``: how far it stands out in each, added up; with a
    deviation of 1 over clean classes if the spaces had nothing to do with each other.
    """
    return torch.stack([standing(some, "low", CLEAN[name]) for name, some in logs.items()]).sum(0) / len(logs) ** 0.5


def _view(name: str, scores: Tensor, *, telling: bool) -> View:
    found = outlier(scores, "high", CLEAN[name])
    return View(name, scores, found if telling else replace(found, p_value=1.0, deviations=0.0))


class UniversalShift(ModelDetector):
    """The smallest shift, one for all images, towards each class: a class that needs a far smaller one is the target.

    A universal adversarial perturbation in pixels, and in the channels of the first hidden layer (the input and feature spaces of
    UNICORN, but compared between classes instead of optimised for one): neither needs a patch. The p-value is that of the pixels
    or of both spaces together, whichever is smaller, times two.
    """

    name: Literal["universal-shift"] = "universal-shift"
    version: ClassVar[int] = 3
    paper: ClassVar[str] = (
        "Moosavi-Dezfooli et al.: Universal Adversarial Perturbations, CVPR 2017; Wang et al.: UNICORN: A Unified Backdoor "
        "Trigger Inversion Framework, ICLR 2023"
    )

    steps: int = Field(default=50, ge=1, le=10_000)
    batch: int = Field(default=12, ge=1, le=10_000, description="images a step and class")

    def examine(self, suspect: Suspect) -> Finding:
        """The statistic is how far the easiest class stands from the others, in standard deviations; by the view with the
        smaller p-value. class_scores: minus the logarithm of the radius in pixels, or what `together` tells.
        """
        began = time.perf_counter()
        clean, placement = suspect.clean, suspect.placement
        if clean is None or bool((clean.labels == clean.labels[0]).all()):
            raise TurncoatError("universal-shift: expected clean images of at least two classes; give --clean DIR")
        tune_allocator()
        to_device(suspect.network, placement)
        with frozen(suspect.network):
            found = self._in_all_spaces(suspect, clean)
            seen = views(found)
            least = min(seen, key=lambda view: (view.outlier.p_value, -view.outlier.deviations))
            target = least.outlier.place
            details = {f"{name}_radius": float(radii.logs[target].exp()) for name, radii in found.items()}
            details |= {f"{name}_spread": outlier(radii.logs, "low", CLEAN[name]).spread for name, radii in found.items()}
            for view in seen:
                details |= {f"{view.name}_p": view.outlier.p_value, f"{view.name}_spread": view.outlier.spread}
            trigger = as_trigger(found["pixels"].shifts[target]) if least.name == "pixels" else None
            if trigger is not None:
                details["success"] = success_rate(suspect.network, clean, trigger, target, placement)
        return Finding(
            statistic=least.outlier.deviations,
            class_scores=tuple(cast("list[float]", least.scores.tolist())),
            p_value=min(1.0, least.outlier.p_value * len(seen)),
            target=target,
            trigger=trigger,
            passes=sum(radii.passes for radii in found.values()),
            seconds=time.perf_counter() - began,
            details=details,
        )

    def _in_all_spaces(self, suspect: Suspect, clean: ImageSet) -> dict[str, Radii]:
        """A network that cannot be cut is searched without its channels."""
        network, placement, classes = suspect.network, suspect.placement, len(suspect.classes)
        search = Search(generator(suspect.seed, "detect"), self.steps, self.batch)
        spaces = [pixels(network, suspect.shape, placement)]
        with suppress(TurncoatError):
            sample = to_float(clean.images[torch.randperm(len(clean), generator=search.generator)[:64]]).to(placement.device)
            spaces.append(channels(network, sample, placement))
        return {space.name: smallest_shifts(space, clean, classes, placement, search) for space in spaces}
