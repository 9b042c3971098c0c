"""Consistency: the answer to a changed image becomes the former answer to the image as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from turncoat.repair.base import Defender, Repaired
from turncoat.repair.corruptions import corrupted
from turncoat.repair.keeping import Keeping
from turncoat.repair.tuning import Bounded, TrainedOn
from turncoat.seeds import generator
from turncoat.train.hooks import Batch, Hook


class Consistency(TrainedOn):
    """Wants, under random patches, blends, waves, warps and specks, the former answer to each clean image without them.

    What is laid over an image, thin strokes too, may then no longer decide. Unlike in DeepSweep the changes are drawn, of all
    kinds that triggers are made of, and the former answers are kept. The weights then go a part of the way back to the former
    ones, which gives back more accuracy than backdoor (as in Wortsman et al.: Robust Fine-Tuning of Zero-Shot Models, CVPR 2022).
    """

    paper: ClassVar[str] = (
        "after Qiu et al.: DeepSweep: An Evaluation Framework for Mitigating DNN Backdoor Attacks using Data Augmentation, "
        "AsiaCCS 2021"
    )

    name: Literal["consistency"] = "consistency"
    steps: int = Field(default=220, ge=1, description="of 128 images, or of as many as there are")
    rates: tuple[float, ...] = Field(
        default=(0.07, 0.05, 0.02, 0.005),
        min_length=1,
        description="peak rates of SGD to try, the highest first, until one fits",
    )
    clip: float = Field(
        default=5.0, gt=0, description="the longest a batch's gradient may be: a change that is a trigger gives one of hundreds"
    )
    portions: tuple[float, ...] = Field(
        default=(0.85, 0.75, 0.65),
        min_length=1,
        description="of the way from the former weights to the trained ones, tried in turn at each rate",
    )
    share: float = Field(
        default=0.6, gt=0, le=1, description="of the images that are changed; the others keep the clean accuracy"
    )

    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        def corrupting(network: nn.Module, keeping: Keeping) -> list[Hook]:
            del network, keeping
            return [_Corrupting(self.share, generator(defender.seed, "repair")), Bounded(self.clip)]

        tuned = self.tuned(network, defender, corrupting, portions=self.portions)
        return tuned.told(portion=tuned.portion)


class _Corrupting(Hook):
    """After `Keeping`, which has then seen the images as they were."""

    def __init__(self, share: float, draw: torch.Generator) -> None:
        self.share, self.draw = share, draw

    def batch(self, network: nn.Module, batch: Batch) -> Batch:
        del network
        images = corrupted(batch.images, self.share, self.draw)
        return replace(batch, images=images.contiguous(memory_format=torch.channels_last))
