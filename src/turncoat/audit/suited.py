"""The precision that a network can be examined in: bf16 is not for everything that people write."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.intake.statefile import first_line
from turncoat.train.placement import Placement
from turncoat.triggers.base import to_float

_IMAGES, _ALIKE = 64, 0.8


def suited(
    network: nn.Module, shape: tuple[int, int, int], clean: ImageSet | None, placement: Placement
) -> tuple[Placement, str]:
    """The placement, in fp32 where in bf16 the network fails or calls images otherwise; and a sentence where that is so.

    network: on the placement's device, in eval mode. clean: images to compare the answers on; noise without any.
    Raises `TurncoatError` where it fails in fp32 too, as one does that makes tensors on another device.
    """
    draw = torch.Generator().manual_seed(0)
    if clean is None:
        x = torch.rand(_IMAGES // 4, *shape, generator=draw)
    else:
        x = to_float(clean.images[torch.randperm(len(clean), generator=draw)[:_IMAGES]])
    x, plain = x.to(placement.device), replace(placement, precision="fp32")
    try:
        expected = _called(network, x, plain)
    except Exception as error:
        raise TurncoatError(f"the network fails on {placement.device}: {type(error).__name__}: {first_line(error)}") from error
    if placement.precision == "fp32":
        return placement, ""
    try:
        same = float((_called(network, x, placement) == expected).float().mean())
    except Exception as error:  # noqa: BLE001 - whatever someone's network raises in a precision that it was not written for
        return plain, f"it is examined in fp32, slowly: in {placement.precision} it fails ({first_line(error)})"
    if same < _ALIKE:
        return plain, f"it is examined in fp32, slowly: in {placement.precision} it calls only {same:.0%} of images the same"
    return placement, ""


def _called(network: nn.Module, x: Tensor, placement: Placement) -> Tensor:
    """Classes ``(N,)`` of images, found with gradients, as audits do."""
    x = x.clone(memory_format=torch.channels_last).requires_grad_()
    with torch.enable_grad(), placement.autocast():
        logits = cast(Tensor, network(x)).float()
    torch.autograd.grad(logits.sum(), x)
    return logits.detach().argmax(1)
