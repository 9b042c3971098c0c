"""NAD: the backdoored network learns to look where a fine-tuned copy of it looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from turncoat.repair.base import Defender, Repaired
from turncoat.repair.tuning import TrainedOn
from turncoat.train.hooks import Batch, Hook
from turncoat.train.layers import for_one_pass, hidden_layers


def attention(values: Tensor, power: float) -> Tensor:
    """Where a layer looks: the sum over channels of \\|value\\|^power, as a vector of length 1.

    values: ``(B, C, H, W)``, or ``(B, tokens, C)``. Returns float32 ``(B, places)``.
    """
    over = 1 if values.ndim == 4 else -1
    return functional.normalize(values.float().abs().pow(power).sum(over).flatten(1), dim=1)


class NAD(TrainedOn):
    """Fine-tunes a copy as a teacher, then the network itself so that its attention in every stage becomes the teacher's."""

    paper: ClassVar[str] = (
        "Li et al.: Neural Attention Distillation: Erasing Backdoor Triggers from Deep Neural Networks, ICLR 2021"
    )

    name: Literal["nad"] = "nad"
    beta: tuple[float, float] = Field(default=(500.0, 1000.0), description="weight of the first stage and of those after it")
    power: float = Field(default=2.0, gt=0)

    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        teacher = self.tuned(network, defender).network.requires_grad_(False)
        return self.tuned(network, defender, lambda student, _: [_Distilling(self, teacher, student)]).told()


class _Distilling(Hook):
    def __init__(self, settings: NAD, teacher: nn.Module, student: nn.Module) -> None:
        self.settings, self.teacher = settings, teacher
        self.stages, self.wanted = hidden_layers(student), hidden_layers(teacher)
        self.seen: dict[int, Tensor] = {}

    def batch(self, network: nn.Module, batch: Batch) -> Batch:
        self.seen = {}
        for_one_pass(network, [stage.register_forward_hook(_keeper(self.seen, i)) for i, stage in enumerate(self.stages)])
        return batch

    def loss(self, network: nn.Module, batch: Batch, outputs: Tensor, loss: Tensor) -> Tensor:
        del network, outputs
        wanted: dict[int, Tensor] = {}
        for_one_pass(self.teacher, [stage.register_forward_hook(_keeper(wanted, i)) for i, stage in enumerate(self.wanted)])
        with torch.no_grad(), batch.autocast():
            self.teacher(batch.images)
        first, later = self.settings.beta
        for place, values in self.seen.items():
            if place in wanted and values.ndim >= 3:
                look, aim = (attention(each, self.settings.power) for each in (values, wanted[place]))
                loss = loss + (later if place else first) * functional.mse_loss(look, aim)
        self.seen = {}
        return loss


def _keeper(seen: dict[int, Tensor], place: int) -> Callable[[nn.Module, Any, Any], None]:
    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            seen[place] = output

    return keep
