"""ANP: neurons that a small adversarial change of weights turns against clean images are found and cut."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from turncoat.repair.base import Defender
from turncoat.repair.masks import LossOf, MaskLearnt
from turncoat.repair.networks import copied
from turncoat.repair.neurons import Tensors


class ANP(MaskLearnt):
    """Cuts the neurons that are of least use once the worst small change of the weights is made.

    A mask of all neurons is learnt that keeps clean images right under that change; those with the lowest mask go, as many as the
    validation images bear. No weight is trained.
    """

    paper: ClassVar[str] = "Wu and Wang: Adversarial Neuron Pruning Purifies Backdoored Deep Models, NeurIPS 2021"

    name: Literal["anp"] = "anp"
    eps: float = Field(default=0.4, gt=0, description="the relative change of weights and biases")
    alpha: float = Field(default=0.2, gt=0, le=1, description="weight of the loss without the change")
    mask_steps: int = Field(default=250, ge=1, description="paper: 2000, which take longer than the training of a small network")
    batch_size: int = Field(default=64, ge=1, description="paper: 128")

    def _masked(self, network: nn.Module, defender: Defender) -> nn.Module:
        return copied(network, defender.placement)

    def _loss(self, loss_of: LossOf, mask: Tensors, ones: Tensors) -> Tensor:
        noise, shift = self._worst(loss_of, mask, ones)
        moved = loss_of({name: mask[name] + noise[name] for name in mask}, shift)
        return self.alpha * loss_of(mask, ones) + (1 - self.alpha) * moved

    def _worst(self, loss_of: LossOf, mask: Tensors, ones: Tensors) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The change of weights (to be added to the mask) and of biases (a factor) that one signed step uphill finds."""
        noise = {name: torch.zeros_like(value, requires_grad=True) for name, value in ones.items()}
        shift = {name: value.clone().requires_grad_() for name, value in ones.items()}
        loss = loss_of({name: mask[name].detach() + noise[name] for name in mask}, shift)
        found = torch.autograd.grad(loss, [*noise.values(), *shift.values()], allow_unused=True)
        over = [*ones.values(), *ones.values()]
        steps = [self._signed(part, one) for part, one in zip(found, over, strict=True)]
        up, aside = steps[: len(ones)], steps[len(ones) :]
        return dict(zip(ones, up, strict=True)), {name: 1 + step for name, step in zip(ones, aside, strict=True)}

    def _signed(self, gradient: Tensor | None, like: Tensor) -> Tensor:
        return torch.zeros_like(like) if gradient is None else gradient.sign() * self.eps
