"""STRIP over a training set: images whose class survives being mixed with others."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from turncoat.detect.data.base import DataDetector, LooksFor, Rests
from turncoat.detect.data.content import content_keys
from turncoat.detect.data.evidence import Evidence
from turncoat.detect.data.robust import by_class
from turncoat.seeds import generator
from turncoat.train.placement import split, to_device
from turncoat.triggers.base import to_float


class Strip(DataDetector):
    """Low entropy of the predictions for mixtures with other images of the same set: a trigger outlives the mixing."""

    paper: ClassVar[str] = "Gao, Xu, Wang, Chen, Ranasinghe, Nepal: STRIP: A Defence Against Trojan Attacks on DNNs, 2019"
    looks_for: ClassVar[LooksFor] = "images"
    rests_on: ClassVar[Rests] = "behaviour"
    in_deviations: ClassVar[bool] = True
    says: ClassVar[str] = "keeps its class when mixed with other images"

    name: Literal["strip"] = "strip"
    overlays: int = Field(default=4, ge=1, description="images that each is mixed with; the paper's 100 cost a pass each")
    alpha: float = Field(default=0.5, gt=0, lt=1, description="share of the other image")

    def scores(self, evidence: Evidence) -> Tensor:
        data, device = evidence.data, evidence.placement.device
        draw = generator(evidence.seed, "detect")
        others = content_keys(data.images, evidence.seed).argsort()[torch.randperm(len(data), generator=draw)[: self.overlays]]
        overlays = to_float(data.images[others].to(device)) * self.alpha
        to_device(evidence.network, evidence.placement)
        training = evidence.network.training
        evidence.network.eval()
        found: list[Tensor] = []
        with torch.inference_mode(), evidence.placement.autocast():
            for batch in split(data.images, 512):
                x = to_float(batch.to(device)) * (1 - self.alpha)
                entropy: Tensor = torch.zeros(len(x), device=device)
                for overlay in overlays:
                    mixed = (x + overlay).contiguous(memory_format=torch.channels_last)
                    entropy = entropy + cast(Tensor, torch.special.entr(evidence.network(mixed).float().softmax(1))).sum(1)
                found.append(entropy.cpu())
                evidence.progress("mixing", sum(map(len, found)), len(data))
        evidence.network.train(training)
        return -by_class(torch.cat(found).double() / self.overlays, data.labels, evidence.classes)
