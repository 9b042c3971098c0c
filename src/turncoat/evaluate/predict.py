"""Forward passes over many images, without test-time augmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from turncoat.train.memory import tune_allocator
from turncoat.train.placement import Placement, split, to_device
from turncoat.triggers.base import to_float


def predict(network: nn.Module, images: Tensor, placement: Placement, batch_size: int = 512) -> Tensor:
    """Logits float32 ``(N, classes)`` on the CPU, of uint8 images ``(N, C, H, W)``; the network's mode is kept."""
    tune_allocator()
    to_device(network, placement)
    training = network.training
    network.eval()
    logits: list[Tensor] = []
    with torch.inference_mode(), placement.autocast():
        for batch in split(images, batch_size):
            x = to_float(batch.to(placement.device)).contiguous(memory_format=torch.channels_last)
            logits.append(network(x).float())
    network.train(training)
    return torch.cat(logits).cpu()
