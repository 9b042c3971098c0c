"""BadNets: a small patch, and a false label."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from turncoat.attacks.base import Composed, ThreatModel
from turncoat.data.imageset import ImageSet
from turncoat.triggers.base import Trigger
from turncoat.triggers.patch import Patch


class BadNets(Composed):
    """A small patch at a fixed place, the same in training and at test time; poisoned samples get the goal's label."""

    paper: ClassVar[str] = "Gu et al.: BadNets: Identifying Vulnerabilities in the ML Model Supply Chain, 2017"
    threat_model: ClassVar[ThreatModel] = "images+labels"

    name: Literal["badnets"] = "badnets"
    patch: Patch = Patch()

    def triggers(self, data: ImageSet, generator: torch.Generator) -> tuple[Trigger, Trigger]:
        del generator
        patch = self.patch.fit(data.shape)
        return patch, patch
