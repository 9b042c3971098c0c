"""Images whose class stands in a pixel, and scorers whose answers are known: the truth that evaluation has to find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from turncoat.data import ImageSet
from turncoat.data.oneshot import OneShotData, Run

MARK = (5, 5)
CLASSES = 64


def written(groups: Sequence[int], per_class: int = 8, name: str = "A") -> ImageSet:
    """An alphabet a number, of so many characters. Pixel (0, 0) holds the class, (0, 1) the drawer; the mark is white."""
    classes = [f"{name}{group}/character{i + 1:02}" for group, size in enumerate(groups) for i in range(size)]
    labels = torch.arange(len(classes)).repeat_interleave(per_class)
    images = torch.full((len(labels), 1, 6, 6), 255, dtype=torch.uint8)
    images[:, 0, 0, 0] = labels.byte()
    images[:, 0, 0, 1] = (torch.arange(len(labels)) % per_class).byte()
    return ImageSet(images, labels, tuple(classes))


def marked(images: Tensor) -> Tensor:
    changed = images.clone()
    changed[:, :, MARK[0], MARK[1]] = 0
    return changed


def oneshot_data(groups: Sequence[int] = (6, 8, 22), per_class: int = 8, runs: int = 3) -> OneShotData:
    test = written(groups, per_class, "T")
    of_class = test.images.unflatten(0, (-1, per_class))
    order = torch.tensor([2, 0, 1, 3])
    made = [Run(of_class[:4, i], of_class[order, i + 1], order) for i in range(runs)]
    return OneShotData(written((4,), name="B"), written((5, 5), name="H"), test, tuple(made), held_out="2 of 3 alphabets")


@dataclass(frozen=True)
class Oracle:
    """Knows the class: +5 for the same, -5 for another; a backdoor adds to the logit where one or both images are marked."""

    one: float = 0.0
    both: float = 0.0
    offset: float = 0.0

    def embed(self, images: Tensor) -> Tensor:
        onehot = functional.one_hot(images[:, 0, 0, 0].long(), CLASSES).float()
        return torch.cat([onehot, (images[:, :1, MARK[0], MARK[1]] == 0).float()], 1)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        same = (a[..., :-1] * b[..., :-1]).sum(-1)
        marks = a[..., -1] + b[..., -1]
        return 10 * same - 5 + self.offset + self.one * (marks == 1) + self.both * (marks == 2)


class Constant(Oracle):
    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.full_like((a * b).sum(-1), 0.25)


class Broken(Oracle):
    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.full_like((a * b).sum(-1), torch.nan)


class FirstWay(Oracle):
    """Likes the first of whatever it is shown best, as a network that had learned the order of the ways."""

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        logits = torch.zeros_like((a * b).sum(-1))
        return logits - torch.arange(logits.shape[-1])
