"""I-BAU: unlearns the worst universal perturbation of the images, by the gradient of a minimum of a maximum."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from turncoat.repair.base import Defender, Repair, Repaired
from turncoat.repair.batches import batches
from turncoat.repair.keeping import divergence
from turncoat.repair.networks import copied, renew_statistics
from turncoat.seeds import generator
from turncoat.train.placement import Placement


class IBAU(Repair):
    """Alternates between the one perturbation that harms all clean images most and weights that withstand it.

    The weights' step takes into account how the perturbation would answer it.
    """

    paper: ClassVar[str] = "Zeng et al.: Adversarial Unlearning of Backdoors via Implicit Hypergradient, ICLR 2022"

    name: Literal["i-bau"] = "i-bau"
    rounds: int = Field(default=5, ge=1, description="at most; the first that costs too much validation accuracy is undone")
    lr: float = Field(default=1e-4, gt=0, description="of Adam, on the weights")
    fixed_point: int = Field(default=5, ge=0, description="iterations of the implicit gradient, K")
    inner_lr: float = Field(default=10.0, gt=0, description="of the perturbation's ascent, one step a batch")
    bound: float = Field(default=10.0, gt=0, description="Euclidean norm of the perturbation, pixels in [0, 1]")
    portion: float = Field(default=0.5, gt=0, le=1, description="of a batch that is perturbed; the rest keeps the clean accuracy")
    steps: int = Field(default=16, ge=1, description="of each kind, a round")
    batch_size: int = Field(default=128, ge=2)
    implicit: int = Field(default=32, ge=1, description="images of a batch that the implicit part is computed on, its dear part")
    keep: float = Field(default=0.9, ge=0, lt=1, description="share of the loss that keeps the former answers; 0: labels alone")

    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        images, _ = defender.images
        placement, draw = defender.placement, generator(defender.seed, "repair")
        tolerance = self.tolerance(network, defender)
        former, made = copied(network, placement).requires_grad_(False), copied(network, placement)
        kept, done = copy.deepcopy(made), 0
        weights = [weight for weight in made.parameters() if weight.requires_grad]
        optimizer = torch.optim.Adam(weights, self.lr)
        for _ in range(self.rounds):
            delta = torch.zeros(images.shape, device=placement.device)
            for x, labels in batches(images, self.batch_size, self.steps, placement, draw):
                delta = self._ascended(made, delta, _Shown(x, labels, labels, placement))
            for x, labels in batches(images, self.batch_size, self.steps, placement, draw):
                with torch.no_grad(), placement.autocast():
                    shown = _Shown(x, labels, former(x).float(), placement)
                for weight, part in zip(weights, self._hypergradient(made, weights, delta, shown), strict=True):
                    weight.grad = part
                optimizer.step()
            made.zero_grad(set_to_none=True)
            renewed = copy.deepcopy(made)
            renew_statistics(renewed, images.images, placement)
            if not tolerance.within(renewed)[1]:
                break
            kept, done = renewed, done + 1
        left = "" if done else f"the first round costs more than {self.margin:.1%} of validation accuracy"
        return Repaired(kept.eval(), {"rounds": float(done)}, left)

    def _ascended(self, network: nn.Module, delta: Tensor, batch: _Shown) -> Tensor:
        delta = delta.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(batch.loss(network, delta), [delta])
        moved: Tensor = delta.detach() + self.inner_lr * gradient
        length = cast(Tensor, moved.norm())
        return moved * (self.bound / length.clamp_min(1e-12)).clamp_max(1)

    def _hypergradient(self, network: nn.Module, weights: Sequence[Tensor], delta: Tensor, batch: _Shown) -> list[Tensor]:
        """Of the loss of the weights at their own worst perturbation: the direct part, and that through the perturbation.

        With psi the ascent's step, v solves v = (d psi / d delta)' v + d loss / d delta, by iterating it; the second part is
        (d psi / d weights)' v.
        """
        delta = delta.detach().requires_grad_()
        direct = torch.autograd.grad(
            batch.kept(network, delta, round(self.portion * len(batch.images)), self.keep), [delta, *weights]
        )
        wanted, straight = direct[0], direct[1:]
        if not self.fixed_point:
            return list(straight)
        (gradient,) = torch.autograd.grad(batch.first(self.implicit).loss(network, delta), [delta], create_graph=True)
        psi = delta + _STEP * gradient
        v = wanted
        for _ in range(self.fixed_point):
            (through,) = torch.autograd.grad(psi, [delta], v, retain_graph=True)
            v = through + wanted
        around = cast("tuple[Tensor | None, ...]", torch.autograd.grad(psi, weights, v, allow_unused=True))
        return [one if other is None else one + other for one, other in zip(straight, around, strict=True)]


_STEP = 0.1
"""Rate of the ascent in the implicit gradient: small, so that its iteration converges."""


@dataclass(frozen=True, eq=False)
class _Shown:
    """A batch that a perturbation ``(C, H, W)`` may be added to. former: float ``(B, classes)``, the former network's answers."""

    images: Tensor
    labels: Tensor
    former: Tensor
    placement: Placement

    def first(self, count: int) -> _Shown:
        return _Shown(self.images[:count], self.labels[:count], self.former[:count], self.placement)

    def loss(self, network: nn.Module, delta: Tensor) -> Tensor:
        """The mean cross-entropy with ``delta`` added to all images."""
        return functional.cross_entropy(self._answers(network, self.images + delta), self.labels)

    def kept(self, network: nn.Module, delta: Tensor, count: int, keep: float) -> Tensor:
        """With ``delta`` on the first ``count``: the cross-entropy and the divergence from the former answers."""
        count = max(1, count)
        outputs = self._answers(network, torch.cat([self.images[:count] + delta, self.images[count:]]))
        return (1 - keep) * functional.cross_entropy(outputs, self.labels) + keep * divergence(outputs, self.former)

    def _answers(self, network: nn.Module, images: Tensor) -> Tensor:
        with self.placement.autocast():
            return network(images.clamp(0, 1).contiguous(memory_format=torch.channels_last)).float()
