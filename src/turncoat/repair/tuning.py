"""Training on with clean images, by the one engine: what most repairs end in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from turncoat.errors import TurncoatError
from turncoat.repair.base import Defender, Repair, Repaired
from turncoat.repair.keeping import Keeping, may_be_mirrored
from turncoat.repair.networks import between, copied, norms, renew_statistics
from turncoat.seeds import seed_for
from turncoat.train.engine import Diverged, train
from turncoat.train.hooks import Batch, Hook
from turncoat.train.regularisers.dp_sgd import with_gradients
from turncoat.train.settings import Augmentation, TrainSettings

BATCH = 128

Prepare = Callable[[nn.Module, Keeping], Sequence[Hook]]
"""What is done to a copy of the network before it is trained, and the hooks that join: after the given one, which is there."""


def plain(network: nn.Module, keeping: Keeping) -> Sequence[Hook]:
    """Nothing, and none."""
    del network, keeping
    return ()


@dataclass(frozen=True, eq=False)
class Tuned:
    """A network that was trained on at a rate, portion of the way from the former weights taken, and its validation accuracy."""

    network: nn.Module
    rate: float
    portion: float
    accuracy: float

    def told(self, **more: float) -> Repaired:
        """With the rate."""
        return Repaired(self.network, {**more, "rate": self.rate})


class TrainedOn(Repair):
    """A repair that trains on with clean images, at the highest rate that the validation accuracy bears.

    A high rate takes the weights far from what they were. So that what they knew of clean images comes along, most of the loss is
    the divergence from the former network's answers to the same images, which bear no trigger.
    """

    steady: ClassVar[bool] = True
    """Whether batch norms keep their statistics; else they use each batch's, and take those of all images at the end."""

    steps: int = Field(default=80, ge=1, description="of 128 images, or of as many as there are")
    rates: tuple[float, ...] = Field(
        default=(0.1, 0.03, 0.01, 0.003), min_length=1, description="peak rates of SGD to try, the highest first, until one fits"
    )
    keep: float = Field(default=0.9, ge=0, lt=1, description="share of the loss that keeps the former answers; 0: labels alone")

    def tuned(
        self, network: nn.Module, defender: Defender, prepare: Prepare = plain, *, portions: Sequence[float] = (1.0,)
    ) -> Tuned:
        """A copy of ``network``, trained on at the first of the rates at which its accuracy is within the margin of before; the
        most accurate one if none is. portions: of the way from the former weights to the trained ones, tried in this order
        at each rate. Raises `TurncoatError` where all diverge.
        """
        images, _ = defender.images
        former = copied(network, defender.placement).requires_grad_(False)
        tolerance = self.tolerance(former, defender)
        augmentation = augmented(former, defender)
        best: Tuned | None = None
        for rate in self.rates:
            made, keeping = copied(network, defender.placement), Keeping(former, self.keep)
            hooks = [*([Steady()] if self.steady else []), *([keeping] if self.keep else []), *prepare(made, keeping)]
            settings = TrainSettings(
                epochs=self.steps / max(1, len(images) // BATCH),
                batch_size=BATCH,
                optimizer="sgd",
                lr=rate,
                momentum=0.9,
                weight_decay=5e-4,
                schedule="one-cycle",
                warmup=0.2,
                augmentation=augmentation,
            )
            try:
                train(made, images, settings, seed_for(defender.seed, "repair"), defender.placement, hooks=hooks)
            except Diverged:
                continue
            for portion in portions:
                there = between(former, made, portion)
                if not self.steady:
                    renew_statistics(there, images.images, defender.placement)
                reached, borne = tolerance.judge(there)
                found = Tuned(there, rate, portion, reached)
                best = found if best is None or found.accuracy > best.accuracy else best
                if borne:
                    return found
        if best is None:
            raise TurncoatError(f"{self.name}: the training diverged at every rate; give it lower ones than {self.rates}")
        return best


class Steady(Hook):
    """Batch norms go on standardising by the statistics that they have: those of a few hundred images would be rougher."""

    def batch(self, network: nn.Module, batch: Batch) -> Batch:
        for norm in norms(network):
            norm.eval()
        return batch


class Bounded(Hook):
    """Shortens the loss's gradient, over all weights together, to at most ``clip``: one batch cannot throw the weights away."""

    def __init__(self, clip: float) -> None:
        self.clip = clip

    def loss(self, network: nn.Module, batch: Batch, outputs: Tensor, loss: Tensor) -> Tensor:
        del batch, outputs
        named = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        gradients = gradients_of(loss, list(named.values()))
        length = torch.stack([part.float().square().sum() for part in gradients]).sum().sqrt()
        factor = (self.clip / length.clamp_min(1e-12)).clamp_max(1)
        return with_gradients(loss, named, {name: part * factor for name, part in zip(named, gradients, strict=True)})


def gradients_of(loss: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Zeros for weights that the loss does not depend on."""
    found = cast("tuple[Tensor | None, ...]", torch.autograd.grad(loss, weights, allow_unused=True))
    return [torch.zeros_like(weight) if part is None else part for weight, part in zip(weights, found, strict=True)]


def augmented(network: nn.Module, defender: Defender) -> Augmentation:
    """Moves by a sixteenth of the side, 2 pixels at most; mirroring where that is natural: the images bear no trigger to move."""
    _, validation = defender.images
    flip = "random" if may_be_mirrored(network, validation, defender.placement) else "none"
    return Augmentation(crop=min(2, min(defender.shape[1:]) // 16), flip=flip)
