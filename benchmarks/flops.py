"""Counted floating-point operations of a training step."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def training_flops(network: nn.Module, shape: tuple[int, int, int], batch: int = 8) -> float:
    """FLOPs of forward and backward for one image, as counted by torch (two for each multiply-add)."""
    network = network.cpu().float().train()
    with FlopCounterMode(display=False) as counter:
        network(torch.rand(batch, *shape)).sum().backward()
    network.zero_grad(set_to_none=True)
    return counter.get_total_flops() / batch
