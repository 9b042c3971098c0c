"""What a network wants done to pixels in [0, 1] before it sees them; and whether, by its accuracy, that is what it gets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor, nn

from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.evaluate.intervals import wilson
from turncoat.evaluate.predict import predict
from turncoat.intake.images import as_shape
from turncoat.models.base import Normalised
from turncoat.seeds import generator
from turncoat.train.placement import Placement

Range = tuple[float, float]
Index = NDArray[np.int64]
UNIT: Range = (0.0, 1.0)

_SAMPLE = 256
_CLEAR = 0.05
"""Accuracy by which another preprocessing must at least be better."""
_SIGNIFICANT = 0.001
"""Of a test whether it is better at all; some dozens are tried."""
_WELL = 0.95
"""From this accuracy on nothing else is tried."""
_SIDES = (32, 64, 28, 48, 96, 128, 224)
"""Sizes of images that are tried on a network that takes any, with so few of them that the large ones cost little."""
_SIZED, _POOR = 96, 0.6
"""How many, and the accuracy under which it is tried."""
_ABOVE = 0.1
"""Of the way from chance to 1, up to which an accuracy is near chance."""
_PERMUTED = 0.5
"""Accuracy that the best order of classes must give to be spoken of."""


@dataclass(frozen=True)
class Preprocessing:
    """From [0, 1] to ``input_range``, then minus mean, over std: in that range's units, one number or one a channel."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    input_range: Range = UNIT

    def __post_init__(self) -> None:
        low, high = self.input_range
        if not (np.isfinite((low, high)).all() and low < high):
            raise TurncoatError(f"--input-range: expected LOW,HIGH with LOW below HIGH, such as 0,255, got {low:g},{high:g}")
        for option, values in (("--mean", self.mean), ("--std", self.std)):
            if values is not None and (len(values) not in (1, 3) or not np.isfinite(values).all()):
                raise TurncoatError(f"{option}: expected 1 number or 1 a channel, got {_numbers(values)}")
        if self.mean is not None and not low <= min(self.mean) <= max(self.mean) <= high:
            raise TurncoatError(
                f"--mean: expected numbers within --input-range, {low:g} to {high:g}, got {_numbers(self.mean)}; give both alike"
            )
        if self.std is not None and min(self.std) <= 0:
            raise TurncoatError(f"--std: expected numbers above 0, got {_numbers(self.std)}")

    def __str__(self) -> str:
        parts = [] if self.input_range == UNIT else [f"--input-range {_numbers(self.input_range)}"]
        parts += [f"--mean {_numbers(self.mean)}"] if self.mean is not None else []
        parts += [f"--std {_numbers(self.std)}"] if self.std is not None else []
        return " ".join(parts) or "plain [0, 1]"

    def around(self, network: nn.Module, channels: int) -> nn.Module:
        """The network from [0, 1]; the one given, where nothing is to be done."""
        mean, std = self._each(self.mean, 0.0, channels, "--mean"), self._each(self.std, 1.0, channels, "--std")
        low, high = self.input_range
        mean, std = (mean - low) / (high - low), std / (high - low)
        if bool((mean == 0).all() and (std == 1).all()):
            return network
        return Normalised(network, mean, std).eval()

    def _each(self, values: tuple[float, ...] | None, otherwise: float, channels: int, option: str) -> Tensor:
        given = torch.tensor(values or (otherwise,))
        if len(given) not in (1, channels):
            raise TurncoatError(f"{option}: expected 1 number or {channels}, one a channel, got {len(given)}")
        return given.expand(channels).clone()


def _numbers(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


COMMON = {
    "as pixels in [0, 1]": Preprocessing(),
    "0 to 255": Preprocessing(input_range=(0.0, 255.0)),
    "-1 to 1": Preprocessing(mean=(0.5,), std=(0.5,)),
    "ImageNet's": Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CIFAR-10's": Preprocessing((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR-100's": Preprocessing((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "MNIST's": Preprocessing((0.1307,), (0.3081,)),
    "ImageNet's, of 0 to 255": Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), (0.0, 255.0)),
}
"""What networks in the wild are given."""


class Reversed(nn.Module):
    """A network that takes its channels in the other order: BGR."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)``."""
        return self.network(x.flip(1))


@dataclass(frozen=True)
class Check:
    """accuracy: on the clean images, ``right`` of ``n``. warning: a sentence, where something looks wrong; else empty. strange:
    the network seems to get other images than in its training, so that what is found in it means nothing."""

    accuracy: float
    right: int
    n: int
    warning: str
    strange: bool = False


def check_preprocessing(
    network: nn.Module, clean: ImageSet, placement: Placement, bare: nn.Module | None = None, seed: int = 0
) -> Check:
    """How many clean images it gets right, and whether it would get clearly more of them right if it were given them otherwise:
    with other preprocessing, or of another size.

    network: float ``(N, C, H, W)`` in [0, 1] to logits. bare: what is inside its preprocessing, to try others of `COMMON` with
    on a sample of the images; None where that is not in question, as for a trial of ours.
    """
    logits = predict(network, clean.images, placement)
    right = int((logits.argmax(1) == clean.labels).sum())
    accuracy = right / len(clean)
    if accuracy >= _WELL:
        return Check(accuracy, right, len(clean), "")
    sample = clean.subset(torch.randperm(len(clean), generator=generator(seed, "detect"))[:_SAMPLE].sort().values)
    tried = {} if bare is None else _tried(bare, sample, placement)
    given = _right(network, sample, placement)
    best = max(tried, key=lambda name: int(tried[name].sum()), default="")
    if best and _clearly(tried[best], given, clean):
        told = f"{accuracy:.0%} right as given, {float(tried[best].float().mean()):.0%} with {best}"
        return Check(accuracy, right, len(clean), f"the preprocessing looks wrong: {told}", strange=True)
    few = sample.subset(torch.arange(min(_SIZED, len(sample))))
    sizes = {} if bare is None or accuracy >= _POOR else _sized(network, few, placement)
    size = max(sizes, key=lambda side: int(sizes[side].sum()), default=0)
    if size and _clearly(sizes[size], given[: len(few)], clean):
        channels, height, width = sample.shape
        told = f"{accuracy:.0%} right at {height}x{width}, {float(sizes[size].float().mean()):.0%} at {size}x{size}"
        return Check(
            accuracy, right, len(clean), f"the size of images looks wrong: {told}; give --shape {channels},{size},{size}"
        )
    other = _other_order(logits, clean)
    chance = "" if other else _by_chance(accuracy, right, clean)
    return Check(accuracy, right, len(clean), other or chance, strange=bool(chance))


def _tried(bare: nn.Module, sample: ImageSet, placement: Placement) -> dict[str, Tensor]:
    """Which images of the sample are right with each of `COMMON`, and with its channels reversed, by what to do about it."""
    channels = sample.shape[0]
    found: dict[str, Tensor] = {}
    for name, preprocessing in COMMON.items():
        if len(preprocessing.mean or ()) not in (0, 1, channels):
            continue
        network = preprocessing.around(bare, channels).eval()
        options = f"{preprocessing} ({name})" if str(preprocessing) != str(Preprocessing()) else "no --mean, --std, --input-range"
        found[options] = _right(network, sample, placement)
        if channels == 3:
            turned = f"channels in BGR order and {options}; wrap it in a factory that reverses them"
            found[turned] = _right(Reversed(network).eval(), sample, placement)
    return found


def _sized(network: nn.Module, sample: ImageSet, placement: Placement) -> dict[int, Tensor]:
    """Which images of the sample are right when resized to other sides, of those that the network takes."""
    found: dict[int, Tensor] = {}
    for side in _SIDES:
        if (side, side) == sample.shape[1:]:
            continue
        resized = ImageSet(as_shape(sample.images, (sample.shape[0], side, side)), sample.labels, sample.classes)
        with suppress(RuntimeError, ValueError, AssertionError, IndexError):  # made for one size
            found[side] = _right(network, resized, placement)
    return found


def _right(network: nn.Module, sample: ImageSet, placement: Placement) -> Tensor:
    return predict(network, sample.images, placement).argmax(1) == sample.labels


def _clearly(better: Tensor, given: Tensor, clean: ImageSet) -> bool:
    """Whether more of the same images are right, by `_CLEAR` and by McNemar's test, and more than chance would have."""
    from scipy import stats  # noqa: PLC0415 - a second to import

    won, lost, n = int((better & ~given).sum()), int((given & ~better).sum()), len(given)
    if won - lost < _CLEAR * n or wilson(int(better.sum()), n)[0] <= 1 / len(clean.classes):
        return False
    return float(stats.binomtest(won, won + lost, alternative="greater").pvalue) <= _SIGNIFICANT


def _other_order(logits: Tensor, clean: ImageSet) -> str:
    """Whether it is right if only its classes are called otherwise: named by other numbers than the folders' order."""
    classes = logits.shape[1]
    counts = torch.zeros(len(clean.classes), classes)
    confusion = counts.index_put_((clean.labels, logits.argmax(1)), torch.ones(1), accumulate=True)
    assigned = cast("tuple[Index, Index]", optimize.linear_sum_assignment(-confusion.numpy()))
    rows, columns = (list(map(int, part)) for part in assigned)
    share = float(confusion[rows, columns].sum()) / len(clean)
    given = float(confusion.diagonal().sum()) / len(clean)
    pairs = zip(rows, columns, strict=True)
    moved = [(row, column) for row, column in pairs if row != column and confusion[row, column]]
    if share < _PERMUTED or share < 2 * given or not moved:
        return ""
    row, column = moved[0]
    return (
        f"the order of classes looks wrong: {given:.0%} right as given, {share:.0%} if they are matched otherwise, "
        f"e.g. its class {column} is '{clean.classes[row]}'"
    )


def _by_chance(accuracy: float, right: int, clean: ImageSet) -> str:
    low, _ = wilson(right, len(clean))
    chance = 1 / len(clean.classes)
    if low > min(2 * chance, chance + _ABOVE * (1 - chance)):
        return ""
    return f"{accuracy:.0%} right is near chance ({chance:.0%}): was it trained on such images, with this order of classes?"
