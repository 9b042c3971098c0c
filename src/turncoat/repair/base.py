"""`Repair`: makes a new model of one that may be backdoored; what it tunes, it tunes on the defender's own images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

from pydantic import Field
from torch import nn

from turncoat.component import Component
from turncoat.data.imageset import ImageSet
from turncoat.detect.models.base import Trigger
from turncoat.errors import TurncoatError
from turncoat.repair.networks import copied
from turncoat.repair.tolerance import Tolerance
from turncoat.train.placement import Placement


@dataclass(frozen=True, eq=False)
class Defender:
    """All that a repair sees besides the model: the defender's clean images, split, and the trigger that an audit recovered.

    train: to learn from; validation: to choose by, never learnt from; both None where there are no clean images.
    shape: (C, H, W) of an image. trigger, target: of the audit, or None.
    """

    train: ImageSet | None
    validation: ImageSet | None
    shape: tuple[int, int, int]
    placement: Placement
    seed: int
    trigger: Trigger | None = None
    target: int | None = None

    @property
    def images(self) -> tuple[ImageSet, ImageSet]:
        """Those to learn from and those to choose by. Raises `TurncoatError` where there are none."""
        if self.train is None or self.validation is None:
            raise TurncoatError("this repair needs clean images: give --clean DIR, or take one that needs none, such as clp")
        return self.train, self.validation


@dataclass(frozen=True, eq=False)
class Repaired:
    """The new network, in eval mode, and what was decided on the way to it, such as a rate or how many channels went.

    left: why the network is as it came; "" where it was repaired.
    """

    network: nn.Module
    details: Mapping[str, float] = field(default_factory=dict[str, float])
    left: str = ""


class Repair(Component):
    """A method that removes backdoors from a model, and leaves one as it came that it cannot repair within the margin."""

    family: ClassVar[str] = "repair"
    version: ClassVar[int] = 2
    paper: ClassVar[str]
    needs_images: ClassVar[bool] = True
    needs_trigger: ClassVar[bool] = False

    margin: float = Field(default=0.02, ge=0, lt=1, description="of validation accuracy that may be lost, give or take chance")

    @final
    def repair(self, network: nn.Module, defender: Defender) -> Repaired:
        """A new network; the one given is left as it is. The same input gives the same weights.

        network: from float ``(N, C, H, W)`` in [0, 1] to logits. A method's network that loses more than the margin on the
        validation images is not given out, but a copy of ``network``, with the reason. Details tell the accuracy on these images
        before, and that of the method's network. Raises `TurncoatError` for a network that it cannot repair, and for a defender
        without the images or the trigger that it needs.
        """
        made = self._repaired(network, defender)
        if defender.validation is None:
            return made
        former = copied(network, defender.placement)
        tolerance = self.tolerance(former, defender)
        after, borne = tolerance.judge(made.network)
        details = {**made.details, "validation_before": tolerance.accuracy, "validation_after": after}
        if borne:
            return Repaired(made.network, details, made.left)
        lost = f"{tolerance.accuracy:.1%} of the validation images were right before and {after:.1%} after"
        return Repaired(former, details, f"{lost}: more than {self.margin:.1%} and a standard error lost")

    def tolerance(self, network: nn.Module, defender: Defender) -> Tolerance:
        """What may become of ``network`` on the validation images."""
        return Tolerance.of(network, defender.images[1], defender.placement, self.margin)

    @abstractmethod
    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        """The method's network, whatever it costs; `repair` judges it."""
