"""The neurons of any network, a mask of them in [0, 1], and the cut that a learnt mask leads to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from turncoat.errors import TurncoatError
from turncoat.repair.base import Defender, Repaired
from turncoat.repair.choose import strongest
from turncoat.repair.networks import copied, norms, renew_statistics
from turncoat.repair.tolerance import Tolerance

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Neurons:
    """The weights and biases that make a network's neurons: of its batch norms, or else of its convolutions and linear layers
    but the last. Values by the layer's name; biases only where there are some.
    """

    weights: Tensors
    biases: Tensors

    def changed(self, weights: Tensors, biases: Tensors) -> dict[str, Tensor]:
        """The network's parameters with each neuron's weights and bias multiplied by ``(neurons,)``."""
        made = {f"{name}.weight": kept * _over(weights[name], kept) for name, kept in self.weights.items()}
        return made | {f"{name}.bias": kept * biases[name] for name, kept in self.biases.items()}


def neurons(network: nn.Module) -> Neurons:
    """Raises `TurncoatError` for a network without any."""
    wanted = {id(norm) for norm in norms(network) if norm.affine}
    modules = list(cast("Iterable[tuple[str, nn.Module]]", network.named_modules()))
    if wanted:
        layers = [(name, module) for name, module in modules if id(module) in wanted]
    else:
        layers = [(name, module) for name, module in modules if isinstance(module, nn.Conv2d | nn.Linear)][:-1]
    if not layers:
        raise TurncoatError(f"expected a network with batch norms or several layers, got a {type(network).__name__}")
    weights = {name: module.get_parameter("weight").detach() for name, module in layers}
    biases = {name: module.get_parameter("bias").detach() for name, module in layers if getattr(module, "bias", None) is not None}
    return Neurons(weights, biases)


def cut_lowest(network: nn.Module, mask: Tensors, defender: Defender, tolerance: Tolerance, thresholds: int) -> Repaired:
    """Cut the neurons whose mask is lowest, as many as the validation images bear; the biases stay.

    mask: ``(neurons,)`` in [0, 1] by layer. thresholds: that many, evenly in [0, 1), are tried, the highest first; the mistake to
    avoid is to choose among them by test images or by a trigger's success.
    """
    images, _ = defender.images

    def cut(threshold: float) -> nn.Module:
        made = copied(network, defender.placement)
        with torch.no_grad():
            for name, values in mask.items():
                made.get_submodule(name).get_parameter("weight")[values <= threshold] = 0
        if threshold >= 0:
            renew_statistics(made, images.images, defender.placement)
        return made

    heights = [*(step / thresholds for step in range(thresholds - 1, -1, -1)), -1.0]
    counts = [sum(int((values <= height).sum()) for values in mask.values()) for height in heights]
    different = [
        height for place, height in enumerate(heights) if place + 1 == len(heights) or counts[place] != counts[place + 1]
    ]
    threshold, found, _ = strongest(different, cut, tolerance)
    gone = counts[heights.index(threshold)]
    left = "" if gone else f"every cut costs more than {tolerance.margin:.1%} of validation accuracy"
    return Repaired(found, {"threshold": threshold, "pruned": float(gone)}, left)


def _over(factors: Tensor, weights: Tensor) -> Tensor:
    return factors.view(-1, *[1] * (weights.ndim - 1))
