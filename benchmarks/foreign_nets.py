"""Architectures as strangers write them, in plain torch, unlike the package's own. Each class is a factory for ``--arch``."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


def _plain(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]


class PlainVGG(nn.Module):
    """Convolutions, pooling and two linear layers; no normalisation, dropout before the head."""

    def __init__(self, num_classes: int = 10, in_channels: int = 3, img_size: int = 32, width: int = 32) -> None:
        super().__init__()
        layers = list[nn.Module]()
        before = in_channels
        for wide in (width, 2 * width, 4 * width):
            layers += [*_plain(before, wide), *_plain(wide, wide), nn.MaxPool2d(2)]
            before = wide
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(before * (img_size // 8) ** 2, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, num_classes)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(cast(Tensor, module.bias))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class _PreActivation(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.n1, self.c1 = nn.GroupNorm(8, inputs), nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.n2, self.c2 = nn.GroupNorm(8, outputs), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride != 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self.n1(x))
        kept = x if self.skip is None else self.skip(y)
        return kept + self.c2(functional.silu(self.n2(self.c1(y))))


class GroupNormResNet(nn.Module):
    """A pre-activation residual network with group normalisation and SiLU; its input is standardised by nothing."""

    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 32, 4, 2, 1, bias=False)
        self.stages = nn.ModuleList([_PreActivation(32, 32, 1), _PreActivation(32, 64, 2), _PreActivation(64, 128, 2)])
        self.norm = nn.GroupNorm(8, 128)
        self.output = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.output(functional.silu(self.norm(x)).mean((2, 3)))


def _separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU6(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class DepthwiseNet(nn.Module):
    """Depthwise and pointwise convolutions, as in MobileNet."""

    def __init__(self, n_classes: int = 10) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6())
        sizes = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)]
        self.blocks = nn.Sequential(*(_separable(*size) for size in sizes))
        self.fc = nn.Linear(256, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.entry(x)).mean((2, 3)))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.second(x))


class TinyViT(nn.Module):
    """A vision transformer of patches of 4x4, with a class token and learnt positions."""

    def __init__(self, num_classes: int = 10, width: int = 64, depth: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 65, width) * 0.02)
        self.blocks = nn.ModuleList([_Attention(width, 4) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.places
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens)[:, 0])


class AllConv(nn.Module):
    """Convolutions alone, dropout among them, a 1x1 convolution averaged over the image as the head; log-probabilities."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ELU()),
            *(nn.Conv2d(48, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ELU(), nn.Dropout2d(0.1)),
            *(nn.Conv2d(64, 96, 3, padding=1), nn.BatchNorm2d(96), nn.ELU()),
            *(nn.Conv2d(96, 128, 3, 2, 1), nn.BatchNorm2d(128), nn.ELU(), nn.Dropout2d(0.2)),
            nn.Conv2d(128, classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.log_softmax(self.body(x).mean((2, 3)), dim=1)


class GatedNet(nn.Module):
    """Leaky rectifiers, sigmoid gates over channels, average pooling; answers with a dictionary."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(3, 40, 5, padding=2), nn.Conv2d(40, 80, 3, padding=1), nn.Conv2d(80, 120, 3)]
        )
        self.gates = nn.ModuleList([nn.Linear(width, width) for width in (40, 80, 120)])
        self.norms = nn.ModuleList([nn.InstanceNorm2d(width, affine=True) for width in (40, 80, 120)])
        self.out = nn.Linear(120, num_classes)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for convolution, gate, norm in zip(self.convolutions, self.gates, self.norms, strict=True):
            x = functional.leaky_relu(norm(convolution(x)), 0.1)
            x = functional.avg_pool2d(x * torch.sigmoid(gate(x.mean((2, 3))))[:, :, None, None], 2)
        features = x.amax((2, 3))
        return {"features": features, "logits": self.out(features)}


class Perceptron(nn.Module):
    """Three linear layers with tanh, on 8x8 pixels; answers with logits and features."""

    def __init__(self) -> None:
        super().__init__()
        self.l1, self.l2, self.l3 = nn.Linear(64, 96), nn.Linear(96, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.tanh(self.l2(torch.tanh(self.l1(x.reshape(len(x), -1)))))
        return self.l3(features), features
