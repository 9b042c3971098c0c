"""ASR towards each target, for attacks whose trigger tells the target: is every class reached?"""

from __future__ import annotations

import torch
from torch import nn

from turncoat.attacks.base import FittedAttack
from turncoat.attacks.manytargets import ManyTargets
from turncoat.attacks.triggered import triggered
from turncoat.data.imageset import ImageSet
from turncoat.evaluate.intervals import wilson
from turncoat.evaluate.predict import predict
from turncoat.evaluate.rows import Row
from turncoat.seeds import generator
from turncoat.train.placement import Placement

_MOST, _FEWEST, _IN_ALL = 1000, 50, 20_000
"""Test images for each target, and for all together."""


def to_class(name: str) -> str:
    """The group of a row that tells the ASR towards one target."""
    return f"to {name}"


def evaluate_targets(
    network: nn.Module, test: ImageSet, fitted: FittedAttack, seed: int, placement: Placement, *, method: str
) -> list[Row]:
    """Metric ``asr``, group ``to CLASS``: the share of images of all other classes called CLASS under a trigger that asks for it.

    Empty where the goal is not many-targets. Up to 1,000 test images a target, drawn at random, the same for every network.
    """
    goal = fitted.goal
    if not isinstance(goal, ManyTargets):
        return []
    targets = [int(target) for target in goal.indices()]
    most = min(_MOST, max(_FEWEST, _IN_ALL // len(targets)))
    draw, rows = generator(seed, "test"), list[Row]()
    for target in targets:
        others = (test.labels != target).nonzero().squeeze(1)
        sample = test.subset(others[torch.randperm(len(others), generator=draw)[:most]])
        wanted = torch.full_like(sample.labels, target)
        shown = triggered(fitted, sample.images, sample.labels, wanted, draw)
        hits, n = int((predict(network, shown, placement).argmax(1) == target).sum()), len(sample)
        low, high = wilson(hits, n)
        rows.append(Row("evaluate", method, "asr", hits / n if n else float("nan"), to_class(test.classes[target]), low, high, n))
    return rows
