"""Neural Cleanse, all classes at once: a backdoored class can be reached by a far smaller patch than any other."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from turncoat.detect.models.base import Finding, ModelDetector, Suspect, Trigger
from turncoat.detect.models.inversion import Patches, frozen, invert, success_rate
from turncoat.detect.models.moderated import Spread, moderated_p
from turncoat.errors import TurncoatError
from turncoat.seeds import generator

_CONTEST = 20
"""Classes that are searched to the end, with equal effort; what a class that dropped out would have reached is estimated."""

CLEAN = Spread(deviation=0.23, freedom=11)
"""Of the logarithms of the sizes in clean models: `docs/calibration.md`."""

_NOTHING = 0.1
"""Added to a size in pixels, so that a class which needs no patch has a logarithm; a trigger's own may be a single pixel."""


class NeuralCleanse(ModelDetector):
    """The smallest patch towards each class, all classes as one batch; a class that needs a far smaller one is the target."""

    paper: ClassVar[str] = (
        "Wang et al.: Neural Cleanse: Identifying and Mitigating Backdoor Attacks in Neural Networks, IEEE S&P 2019"
    )
    log_scores: ClassVar[bool] = True
    version: ClassVar[int] = 2

    name: Literal["neural-cleanse"] = "neural-cleanse"
    starts: int = Field(default=2, ge=1, description="random starts a class; the better one goes on")
    rung: int = Field(default=40, ge=1, description="steps between two halvings")
    last: int = Field(default=80, ge=1, description="steps of the classes that are left, at most 20")
    polish: int = Field(default=60, ge=0, description="steps more for the smallest patch, which is then shown")
    batch: int = Field(default=16, ge=1, description="images a step and candidate")

    def examine(self, suspect: Suspect) -> Finding:
        """The statistic is how many times smaller, as a logarithm, the smallest patch is than the median one.

        class_scores: minus the logarithm of the patch's size in pixels (plus a tenth).
        """
        started = time.perf_counter()
        clean = suspect.clean
        if clean is None or bool((clean.labels == clean.labels[0]).all()):
            raise TurncoatError("neural-cleanse: expected clean images of at least two classes; give --clean DIR")
        search = _Search(self, suspect, generator(suspect.seed, "detect"))
        with frozen(suspect.network):
            sizes = search.all_classes()
            logs = (sizes + _NOTHING).log().double()
            target, p_value = moderated_p(logs, "low", CLEAN)
            trigger, success = search.polished(target)
        return Finding(
            statistic=float(logs.median() - logs[target]),
            class_scores=tuple(cast("list[float]", (-logs).tolist())),
            p_value=p_value,
            target=target,
            trigger=trigger,
            passes=search.passes,
            seconds=time.perf_counter() - started,
            details={"size": float(trigger.mask.sum()), "success": success},
        )


@dataclass(eq=False)
class _Search:
    detector: NeuralCleanse
    suspect: Suspect
    draw: torch.Generator
    passes: int = 0

    def all_classes(self) -> Tensor:
        """Sizes of the smallest patches in pixels, ``(K,)``, by successive halving over starts, then over classes."""
        detector, classes = self.detector, len(self.suspect.classes)
        patches = Patches.start([*range(classes)] * detector.starts, self.suspect.shape, self.draw)
        patches = self._further(patches, detector.rung)
        patches = patches.keep(_best_start(patches, classes))
        sizes = torch.zeros(classes)
        while len(patches) > _CONTEST:
            before = _reach(patches)
            keep = before.argsort()[: max(_CONTEST, math.ceil(len(patches) / 2))].sort().values
            sizes[patches.targets] = before
            patches = self._further(patches.keep(keep), detector.rung)
            sizes = _shrunk(sizes, patches, before[keep])
        before = _reach(patches)
        patches = self._further(patches, detector.last)
        self.found = patches
        return _shrunk(sizes, patches, before)

    def polished(self, target: int) -> tuple[Trigger, float]:
        """The target's patch after some steps more, and its success on all clean images.

        The smallest was judged while it shrank, on few images: where the last one does better, it is taken.
        """
        suspect = self.suspect
        assert suspect.clean is not None
        own = self._further(self.found.keep(torch.nonzero(self.found.targets == target)[:, 0]), self.detector.polish)
        both = Trigger(own.best_masks[0], own.best_patterns[0]), Trigger(own.masks[0], own.patterns[0])
        rates = [success_rate(suspect.network, suspect.clean, one, target, suspect.placement) for one in both]
        better = int(rates[1] > rates[0])
        return both[better], rates[better]

    def _further(self, patches: Patches, steps: int) -> Patches:
        suspect, batch = self.suspect, self.detector.batch
        assert suspect.clean is not None
        self.passes += steps * batch * len(patches)
        return invert(
            suspect.network, suspect.clean, patches, steps=steps, batch=batch, placement=suspect.placement, draw=self.draw
        )


def _reach(patches: Patches) -> Tensor:
    """How far a search has come: the smallest patch that works, or the present one where none did yet."""
    return torch.minimum(patches.best, patches.masks.sum((1, 2, 3)).clamp_min(1e-3) / patches.success.clamp_min(1e-3))


def _best_start(patches: Patches, classes: int) -> Tensor:
    starts = _reach(patches).view(-1, classes)
    return starts.argmin(0) * classes + torch.arange(classes)


def _shrunk(sizes: Tensor, patches: Patches, before: Tensor) -> Tensor:
    """With what the classes in the contest have reached; the others' sizes shrink by as much as theirs did in the median."""
    factor = float((patches.best / before).median())
    after = sizes * factor
    after[patches.targets] = patches.best
    return after
