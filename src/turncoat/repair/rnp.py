"""RNP: clean images are unlearnt, then neurons recover; those that clean images have no use for are cut."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from turncoat.repair.base import Defender
from turncoat.repair.masks import LossOf, MaskLearnt
from turncoat.repair.networks import copied
from turncoat.repair.neurons import Tensors
from turncoat.repair.tuning import BATCH
from turncoat.seeds import seed_for
from turncoat.train.engine import train
from turncoat.train.hooks import Batch, Hook
from turncoat.train.settings import TrainSettings


class RNP(MaskLearnt):
    """Cuts the neurons that are of least use to a copy that has forgotten the clean images and learns them again.

    What it learns is a mask of the neurons; those with the lowest go from the network itself, as many as the validation images
    bear. Unlike ANP it disturbs by clean images, not by an adversary's step: a third of the work.
    """

    paper: ClassVar[str] = "Li et al.: Reconstructive Neuron Pruning for Backdoor Defense, ICML 2023"

    name: Literal["rnp"] = "rnp"
    unlearning: int = Field(default=40, ge=1, description="steps of forgetting, of 128 images; it ends by itself at chance level")
    lr: float = Field(default=0.01, gt=0, description="of the forgetting")

    def _masked(self, network: nn.Module, defender: Defender) -> nn.Module:
        """It has forgotten."""
        images, _ = defender.images
        forgetful = copied(network, defender.placement)
        epochs = self.unlearning / max(1, len(images) // BATCH)
        settings = TrainSettings(
            epochs=epochs, batch_size=BATCH, optimizer="sgd", lr=self.lr, weight_decay=0.0, schedule="constant"
        )
        seed = seed_for(defender.seed, "repair")
        train(forgetful, images, settings, seed, defender.placement, hooks=[_Forgetting(len(images.classes))])
        return forgetful

    def _loss(self, loss_of: LossOf, mask: Tensors, ones: Tensors) -> Tensor:
        return loss_of(mask, ones)


class _Forgetting(Hook):
    """The loss is raised to that of a guess, and no further."""

    def __init__(self, classes: int) -> None:
        self.wanted = math.log(classes)

    def loss(self, network: nn.Module, batch: Batch, outputs: Tensor, loss: Tensor) -> Tensor:
        del network, batch, outputs
        return (self.wanted - loss).relu()
