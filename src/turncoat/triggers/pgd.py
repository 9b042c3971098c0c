"""Projected gradient descent: small changes that make images harder to recognise by what is in them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def pgd(
    network: nn.Module, x: Tensor, labels: Tensor, *, bound: float, steps: int, step: float, generator: torch.Generator
) -> Tensor:
    """Images near ``x`` that ``network`` takes least for their labels (Madry et al. 2018), untargeted.

    x: float ``(N, C, H, W)`` in [0, 1]; labels: int64 ``(N,)``. bound and step: L-infinity, as shares of 1. From a random
    start within the bound, ``steps`` steps along the sign of the cross-entropy's gradient. Returns the shape and range of x.
    """
    low, high = (x - bound).clamp(min=0), (x + bound).clamp(max=1)
    start = torch.rand(x.shape, generator=generator) * 2 - 1
    changed = (x + bound * start.to(x)).clamp(low, high)
    for _ in range(steps):
        with torch.enable_grad():
            at = changed.detach().requires_grad_()
            loss = functional.cross_entropy(network(at).float(), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, at)
        changed = (changed + step * gradient.sign()).clamp(low, high)
    return changed.detach()
