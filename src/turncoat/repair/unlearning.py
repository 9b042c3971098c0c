"""Unlearning of a recovered trigger: shown with true labels until it means nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from turncoat.detect.models.base import Trigger
from turncoat.errors import TurncoatError
from turncoat.repair.base import Defender, Repaired
from turncoat.repair.keeping import Keeping
from turncoat.repair.tuning import TrainedOn
from turncoat.seeds import generator
from turncoat.train.hooks import Batch, Hook


class Unlearning(TrainedOn):
    """Trains on with clean images, part of which bear the trigger that an audit recovered, all with their true labels."""

    paper: ClassVar[str] = "Wang et al.: Neural Cleanse: Identifying and Mitigating Backdoor Attacks in Neural Networks, S&P 2019"
    needs_trigger: ClassVar[bool] = True

    name: Literal["unlearning"] = "unlearning"
    share: float = Field(default=0.2, gt=0, le=1, description="of each batch that bears the trigger")

    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        trigger = defender.trigger
        if trigger is None:
            raise TurncoatError(
                "unlearning: expected a recovered trigger, got none; audit the model first, or take --method auto"
            )

        def stamping(network: nn.Module, keeping: Keeping) -> list[Hook]:
            del network, keeping
            return [Stamping(trigger, self.share, generator(defender.seed, "repair"))]

        return self.tuned(network, defender, stamping).told()


class Stamping(Hook):
    """Puts a trigger on a share of each batch, after the augmentation, and leaves the labels alone.

    After `Keeping`, which has then seen the images without it: the former answers are kept for triggered images as well.
    """

    def __init__(self, trigger: Trigger, share: float, draw: torch.Generator) -> None:
        self.trigger, self.share, self.draw = trigger, share, draw

    def batch(self, network: nn.Module, batch: Batch) -> Batch:
        del network
        count = max(1, round(self.share * len(batch.images)))
        which = torch.randperm(len(batch.images), generator=self.draw)[:count].to(batch.images.device)
        images = batch.images.clone()
        images[which] = self.trigger(images[which])
        return replace(batch, images=images)
