"""`PatchGenerator`: a small network from noise, and a target class perhaps, to a patch (Salem et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call  # pyright: ignore[reportPrivateImportUsage]
from torch.nn import functional

from turncoat.triggers.patterns import Shape

NOISE = 100
"""Numbers of noise, each uniform in [0, 1]."""


class PatchGenerator(nn.Module):
    """Noise to 64 features, a one-hot target to 64 more, then layers of 128 and 128, and a sigmoid a pixel.

    shape: (C, h, w) of the patch. classes: how many targets it tells apart; 0 makes patches that know no target (BaN).

    One that tells targets apart starts with patches that differ much (ours): those of torch's own weights are all one grey, which
    a victim learns to ignore first. One that does not keeps these weights: there only the place tells, and noise hides it.
    """

    def __init__(self, shape: Shape, classes: int = 0) -> None:
        super().__init__()
        channels, height, width = shape
        self.shape, self.classes = shape, classes
        self.of_noise = nn.Linear(NOISE, 64)
        self.of_target = nn.Linear(classes, 64) if classes else None
        self.body = nn.Sequential(
            *(nn.Linear(128 if classes else 64, 128), nn.ReLU()),
            *(nn.Linear(128, 128), nn.ReLU()),
            *(nn.Linear(128, channels * height * width), nn.Sigmoid()),
        )
        if self.of_target is not None:
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight)
                    nn.init.zeros_(layer.bias)
            nn.init.normal_(self.of_target.weight)  # one input of it is 1, the others 0

    def forward(self, noise: Tensor, targets: Tensor) -> Tensor:
        """noise: float ``(N, NOISE)``; targets: int64 ``(N,)``. Returns patches ``(N, C, h, w)`` in [0, 1]."""
        features = functional.relu(self.of_noise(2 * noise - 1))
        if self.of_target is not None:
            wanted = functional.relu(self.of_target(functional.one_hot(targets, self.classes).to(noise)))
            features = torch.cat([features, wanted], dim=1)
        return self.body(features).view(-1, *self.shape)


def make_generator(shape: Shape, classes: int, seed: int) -> PatchGenerator:
    """A `PatchGenerator` with weights from ``seed`` alone; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PatchGenerator(shape, classes)


def apply_on_device(network: nn.Module, *inputs: Tensor) -> Tensor:
    """``network(*inputs)`` on the device of the inputs, the network's own weights staying where they are."""
    device = inputs[0].device
    weights = {name: value.to(device) for name, value in network.state_dict().items()}
    return functional_call(network, weights, inputs)
