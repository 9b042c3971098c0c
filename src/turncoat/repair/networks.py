"""What every repair does with networks: copy, judge on clean images, renew the statistics of their norm layers."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage] - the base of all of them

from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.evaluate.predict import predict
from turncoat.train.placement import Placement, split, to_device
from turncoat.triggers.base import to_float

_BATCH = 256


def copied(network: nn.Module, placement: Placement) -> nn.Module:
    """A copy to work on, on its device, in eval mode. What was frozen stays so, unless everything was."""
    made = copy.deepcopy(network).eval()
    if not any(weight.requires_grad for weight in made.parameters()):
        made.requires_grad_(True)
    if not any(True for _ in made.parameters()):
        raise TurncoatError(f"expected a network with weights, got a {type(network).__name__} without any")
    to_device(made, placement)
    return made


def accuracy(network: nn.Module, images: ImageSet, placement: Placement) -> float:
    """The share of the images that is given its label, in [0, 1]."""
    return float((predict(network, images.images, placement).argmax(1) == images.labels).float().mean())


def norms(network: nn.Module) -> list[_BatchNorm]:
    """The batch norms that keep statistics."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]


@torch.no_grad()
def between(former: nn.Module, network: nn.Module, portion: float) -> nn.Module:
    """A new network whose weights and statistics lie so far on the straight way from the former one's to ``network``'s.

    1: those of ``network``, on its device. What is no real number, such as a count of batches, is that of ``network``.
    """
    made = copy.deepcopy(network)
    start = former.state_dict()
    for key, value in made.state_dict().items():
        if value.is_floating_point():
            value.lerp_(start[key].to(value), 1 - portion)
    return made


@torch.no_grad()
def renew_statistics(network: nn.Module, images: Tensor, placement: Placement) -> None:
    """Give each batch norm the mean and variance over all of these uint8 images, by their running average over batches.

    A few steps of a training move its running average part of the way only, and the last batches weigh the most.
    """
    found = norms(network)
    if not found:
        return
    momenta = [norm.momentum for norm in found]
    network.eval()
    for norm in found:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    whole = max(1, len(images) // _BATCH) * _BATCH  # batches of one size, so that each weighs the same
    try:
        with placement.autocast():
            for batch in split(images[:whole], _BATCH):
                network(to_float(batch.to(placement.device)).contiguous(memory_format=torch.channels_last))
    finally:
        for norm, momentum in zip(found, momenta, strict=True):
            norm.momentum = momentum
        network.eval()
