"""Learning a mask of a network's neurons, which tells those that can go."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from turncoat.repair.base import Defender, Repair, Repaired
from turncoat.repair.batches import batches
from turncoat.repair.networks import norms
from turncoat.repair.neurons import Tensors, cut_lowest, neurons
from turncoat.seeds import generator

LossOf = Callable[[Tensors, Tensors], Tensor]
"""The cross-entropy of a batch, with each neuron's weights and bias multiplied by these factors."""


class MaskLearnt(Repair):
    """A repair that learns a mask in [0, 1] of the neurons on clean images, from 1, and cuts those whose mask is lowest.

    As many go as the validation images bear. No weight is trained.
    """

    mask_lr: float = Field(default=0.2, gt=0, description="of the mask's SGD, momentum 0.9")
    mask_steps: int = Field(default=120, ge=1, description="that the mask is learnt over")
    batch_size: int = Field(default=128, ge=1)
    thresholds: int = Field(default=20, ge=1, description="of the mask, evenly in [0, 1), the highest tried first")

    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        mask = self._mask(network, defender)
        return cut_lowest(network, mask, defender, self.tolerance(network, defender), self.thresholds)

    def _mask(self, network: nn.Module, defender: Defender) -> dict[str, Tensor]:
        """``(neurons,)`` a layer."""
        images, _ = defender.images
        masked = self._masked(network, defender).requires_grad_(False)
        for norm in norms(masked):
            norm.train()  # by the batch's statistics a changed layer is scaled back, and only what it changes in kind counts
        parts = neurons(masked)
        ones = {name: torch.ones(len(kept), device=kept.device) for name, kept in parts.weights.items()}
        mask = {name: value.clone().requires_grad_() for name, value in ones.items()}
        optimizer = torch.optim.SGD(mask.values(), self.mask_lr, 0.9)
        draw = generator(defender.seed, "repair")
        for x, labels in batches(images, self.batch_size, self.mask_steps, defender.placement, draw):

            def loss_of(weights: Tensors, biases: Tensors, images: Tensor = x, labels: Tensor = labels) -> Tensor:
                with defender.placement.autocast():
                    logits = functional_call(masked, parts.changed(weights, biases), (images,))
                return functional.cross_entropy(logits.float(), labels)

            optimizer.zero_grad(set_to_none=True)
            self._loss(loss_of, mask, ones).backward()
            optimizer.step()
            with torch.no_grad():
                for value in mask.values():
                    value.clamp_(0, 1)
        return {name: value.detach() for name, value in mask.items()}

    @abstractmethod
    def _masked(self, network: nn.Module, defender: Defender) -> nn.Module:
        """The copy of the network that the mask is learnt on."""

    @abstractmethod
    def _loss(self, loss_of: LossOf, mask: Tensors, ones: Tensors) -> Tensor:
        """What the mask is to make small on a batch. ones: the mask that changes nothing."""
