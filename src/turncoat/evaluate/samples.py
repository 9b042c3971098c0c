"""A few test images, clean and triggered, with what victim and twin say of them: for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from turncoat.attacks.base import FittedAttack
from turncoat.attacks.triggered import triggered
from turncoat.data.imageset import ImageSet
from turncoat.evaluate.predict import predict
from turncoat.seeds import generator
from turncoat.train.placement import Placement


@dataclass(frozen=True)
class Samples:
    """images: ``clean`` and ``triggered``, uint8 ``(k, C, H, W)``. records: one an image, in that order."""

    images: dict[str, np.ndarray[Any, np.dtype[np.uint8]]]
    records: list[dict[str, Any]]


def collect_samples(
    fitted: FittedAttack,
    test: ImageSet,
    victim: nn.Module,
    twin: nn.Module | None,
    *,
    seed: int,
    placement: Placement,
    count: int = 24,
) -> Samples:
    """Up to ``count`` images that the ASR counts, drawn at random: never chosen by how well the attack works on them."""
    draw = generator(seed, "test")
    natural, counted = fitted.natural(test.images), fitted.goal.counted(test.labels)
    pool = (counted if natural is None else counted & ~natural).nonzero().squeeze(1)
    sample = test.subset(pool[torch.randperm(len(pool), generator=draw)[:count]])
    targets = fitted.goal.targets(sample.labels, len(sample.classes), draw)
    shown = triggered(fitted, sample.images, sample.labels, targets, draw)
    records: list[dict[str, Any]] = [
        {"label": int(label), "target": int(target)} for label, target in zip(sample.labels, targets, strict=True)
    ]
    for method, network in (("victim", victim), ("clean-twin", twin)):
        if network is not None:
            clean = _answers(network, sample.images, placement)
            changed = _answers(network, shown, placement)
            for record, before, after in zip(records, clean, changed, strict=True):
                record[method] = {"clean": before, "triggered": after}
    return Samples({"clean": sample.images.numpy(), "triggered": shown.numpy()}, records)


def _answers(network: nn.Module, images: Tensor, placement: Placement) -> list[tuple[int, float]]:
    confidence, predicted = predict(network, images, placement).softmax(1).max(1)
    return [(int(label), round(float(share), 4)) for label, share in zip(predicted, confidence, strict=True)]
