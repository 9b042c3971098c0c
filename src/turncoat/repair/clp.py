"""CLP: channels that could amplify a small change of the image far more than their neighbours are cut; no image is needed."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from turncoat.repair.base import Defender, Repair, Repaired
from turncoat.repair.channels import Channels, channels
from turncoat.repair.networks import copied


def lipschitz_bounds(layer: Channels) -> Tensor:
    """Float ``(C,)``: how far a channel's filter, its batch norm folded in, can stretch its input: its largest singular value."""
    filters = layer.conv.weight.detach().float().flatten(2)
    bounds = cast(Tensor, torch.linalg.matrix_norm(filters, 2))
    norm = layer.norm
    if norm is None or norm.running_var is None:
        return bounds
    factor = (norm.running_var + norm.eps).rsqrt()
    return bounds * (factor * norm.weight.detach().abs() if norm.affine else factor)


def outlying(bounds: Tensor, sigmas: float) -> Tensor:
    """Bool ``(C,)``: above the mean by more than so many standard deviations."""
    return bounds > bounds.mean() + sigmas * bounds.std(correction=0)


class CLP(Repair):
    """Silences the channels whose Lipschitz bound stands out in their layer. The only one that needs no image."""

    paper: ClassVar[str] = "Zheng et al.: Data-Free Backdoor Removal Based on Channel Lipschitzness, ECCV 2022"
    needs_images: ClassVar[bool] = False

    name: Literal["clp"] = "clp"
    sigmas: float = Field(default=3.0, gt=0, description="standard deviations above the layer's mean from which a channel goes")

    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        made = copied(network, defender.placement)
        pruned = 0
        for layer in channels(made, defender.shape, defender.placement):
            gone = outlying(lipschitz_bounds(layer), self.sigmas)
            layer.silence(gone)
            pruned += int(gone.sum())
        return Repaired(made, {"pruned": float(pruned)}, "" if pruned else "no channel stands out")
