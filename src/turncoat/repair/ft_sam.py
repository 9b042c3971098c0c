"""FT-SAM: fine-tuning that looks for flat ground, which shrinks the large weights of a backdoor."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from turncoat.repair.base import Defender, Repaired
from turncoat.repair.keeping import Keeping
from turncoat.repair.networks import norms
from turncoat.repair.tuning import TrainedOn, gradients_of
from turncoat.train.hooks import Batch, Hook
from turncoat.train.regularisers.dp_sgd import with_gradients


def uphill(weights: Sequence[Tensor], gradients: Sequence[Tensor], rho: float) -> list[Tensor]:
    """The step that raises the loss most in a ball of radius ``rho`` measured in each weight's own size: rho w^2 g / |w g|."""
    scaled = [weight.abs() * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    norm = torch.stack([part.square().sum() for part in scaled]).sum().sqrt().clamp_min(1e-12)
    return [weight.abs() * part * (rho / norm) for weight, part in zip(weights, scaled, strict=True)]


class SharpnessAware(Hook):
    """In place of the loss's gradient: that at the worst weights nearby (adaptive sharpness-aware minimisation).

    keeping: the hook before it, which the loss there is changed by, too.
    """

    def __init__(self, rho: float, keeping: Keeping | None = None) -> None:
        self.rho, self.keeping = rho, keeping

    def loss(self, network: nn.Module, batch: Batch, outputs: Tensor, loss: Tensor) -> Tensor:
        del outputs
        named = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        weights = list(named.values())
        steps = uphill([weight.detach() for weight in weights], gradients_of(loss, weights), self.rho)
        with _moved(weights, steps), _statistics_kept(network):
            with batch.autocast():
                moved = network(batch.images)
            wanted = batch.labels if batch.soft is None else batch.soft
            changed = functional.cross_entropy(moved.float(), wanted)
            if self.keeping is not None:
                changed = self.keeping.loss(network, batch, moved.float(), changed)
            there = gradients_of(changed, weights)
        return with_gradients(loss, named, dict(zip(named, there, strict=True)))


class FTSAM(TrainedOn):
    """Fine-tuning by sharpness-aware minimisation; unlike plain fine-tuning's, its steps weaken the largest weights most."""

    paper: ClassVar[str] = "Zhu et al.: Enhancing Fine-Tuning Based Backdoor Defense with Sharpness-Aware Minimization, ICCV 2023"

    steady: ClassVar[bool] = False  # with fixed statistics a step of rho 2 is too far for any network

    name: Literal["ft-sam"] = "ft-sam"
    rho: float = Field(default=2.0, gt=0, description="radius of the neighbourhood, relative to each weight")

    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        return self.tuned(network, defender, lambda _, keeping: [SharpnessAware(self.rho, keeping)]).told()


@contextmanager
def _moved(weights: Sequence[Tensor], steps: Sequence[Tensor]) -> Generator[None]:
    """The weights moved by the steps, and put back exactly."""
    kept = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight, step in zip(weights, steps, strict=True):
                weight.add_(step)
        yield
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, kept, strict=True):
                weight.copy_(old)


@contextmanager
def _statistics_kept(network: nn.Module) -> Generator[None]:
    """Batch norms standardise by the batch, and leave their running averages as they are."""
    found = norms(network)
    momenta = [norm.momentum for norm in found]
    try:
        for norm in found:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(found, momenta, strict=True):
            norm.momentum = momentum
