"""The field's usual training loop, written plainly: PIL transforms a sample, DataLoader, fp32, NCHW, `.item()` each step."""

from __future__ import annotations

import time

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from turncoat.data import ImageSet


class PILDataset(Dataset[tuple[torch.Tensor, int]]):
    """One PIL image at a time, augmented in Python."""

    def __init__(self, data: ImageSet) -> None:
        self.images = data.images.permute(0, 2, 3, 1).numpy()
        self.labels = data.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(data.shape[1:], padding=2, padding_mode="reflect"),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def images_per_second(network: nn.Module, data: ImageSet, device: torch.device, batch: int = 128, workers: int = 2) -> float:
    """Throughput over one pass through ``data``, the first batch (which starts the workers) left out."""
    network = network.to(device).train()
    loader = DataLoader(PILDataset(data), batch, shuffle=True, num_workers=workers, drop_last=True)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    count, right, started = 0, 0.0, time.perf_counter()
    for step, (images, labels) in enumerate(loader):
        outputs = network(images.to(device))
        loss = nn.functional.cross_entropy(outputs, labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right += (outputs.argmax(1).cpu() == labels).float().mean().item()
        if step == 0:
            started = time.perf_counter()
        else:
            count += len(labels)
    return count / (time.perf_counter() - started)
