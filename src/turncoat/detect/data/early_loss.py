"""Early loss: what a network learns before all else."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from turncoat.detect.data.base import DataDetector, LooksFor, Rests
from turncoat.detect.data.evidence import Evidence
from turncoat.detect.data.robust import by_class


class EarlyLoss(DataDetector):
    """Low loss in the first epochs, as ABL isolates its samples: a trigger is a simpler lesson than a class."""

    paper: ClassVar[str] = "Li, Lyu, Koren, Lyu, Li, Ma: Anti-Backdoor Learning, 2021"
    looks_for: ClassVar[LooksFor] = "images"
    rests_on: ClassVar[Rests] = "behaviour"
    in_deviations: ClassVar[bool] = True
    says: ClassVar[str] = "learnt earlier than others of its class"

    name: Literal["early-loss"] = "early-loss"
    share: float = Field(default=0.4, gt=0, le=1, description="of the epochs that count as early")

    def scores(self, evidence: Evidence) -> Tensor:
        losses = evidence.losses
        early = losses[:, : max(1, math.floor(self.share * losses.shape[1]))].double().mean(1)
        return -by_class(early, evidence.data.labels, evidence.classes)
