"""What a method's scores come to: a probability for every sample, and the classes that stand out, each by its own null.

Of a method that looks for images, the null of a class is what the scores are in the other classes, the worst of them: a trigger
leads to few classes, hard samples are everywhere. Of labels, it is what a calibrated network that never saw them expects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from scipy import stats
from scipy.optimize import isotonic_regression
from torch import Tensor

from turncoat.detect.data.base import DataDetector
from turncoat.detect.data.discriminant import are_apart, lumps

STANDS_OUT = 0.1
"""A class stands out where samples score as the worst other class's do at most a tenth as often."""
_LEAST, _LEAST_SHARE = 10, 0.002
"""So many samples have to, and so large a share of their class."""
_SMALL_CLASS = 20
_TAIL = 10
"""The body of a class is like a t distribution of so many degrees of freedom: its tails are heavier than the normal's."""
ORDINARY = 0.04
"""Share of labels that are wrong in ordinary data sets, at most."""
_CLASS_ORDINARY, _CLASS_RATIO, _CLASS_SPREAD = 0.05, 5.0, 2.5
"""More than this share of a class's labels is not ordinary where it is so many times that of the middle one of the others, and so
many times that of all of them but one: some classes are harder than others."""
_LONE, _LONE_RATIO = 0.01, 4.0
"""Nor is more than this share where it is so many times that of every other class."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """probability: float64 ``(N,)``, of being poisoned as far as this method tells.

    classes: those that stand out; -1 among them: the labels of all. The probability means something only where there are some.
    again: the same for the samples at bool ``(N,)`` alone, as if there were no others, whose probability is 0.
    """

    method: DataDetector
    scores: Tensor
    probability: Tensor
    classes: tuple[int, ...]
    again: Callable[[Tensor], Evaluated]

    @property
    def stands_out(self) -> bool:
        return bool(self.classes)

    @property
    def estimated(self) -> float:
        """How many samples it takes for poisoned; 0 where nothing stands out."""
        return float(self.counted.sum())

    @property
    def counted(self) -> Tensor:
        """The probability where something stands out, else 0."""
        return self.probability if self.stands_out else torch.zeros_like(self.probability)

    @property
    def sureness(self) -> float:
        """The mean probability of what it takes for poisoned, 0 to 1."""
        counted = self.counted
        return float(counted.square().sum() / counted.sum().clamp_min(1e-12))


def against_classes(
    method: DataDetector, scores: Tensor, labels: Tensor, classes: int, *, rest: Tensor | None = None
) -> Evaluated:
    """Scores whose null is that of the other classes. rest: bool ``(N,)``, the samples to look at; left out: all."""
    kept = torch.ones_like(labels, dtype=torch.bool) if rest is None else rest
    members = [((labels == label) & kept).nonzero().squeeze(1) for label in range(classes)]
    members = [own[scores[own].argsort(stable=True)] for own in members]
    probability, found = torch.zeros(len(scores), dtype=torch.float64), list[int]()
    for label, own in enumerate(members):
        others = [scores[other] for place, other in enumerate(members) if place != label]
        if len(own) and any(map(len, others)):
            chance, stands_out = _class_chance(method, scores[own], others)
            if stands_out:
                found.append(label)
                probability[own] = chance
    return Evaluated(
        method, scores, probability, tuple(found), lambda rest: against_classes(method, scores, labels, classes, rest=rest)
    )


def _class_chance(method: DataDetector, own: Tensor, others: Sequence[Tensor]) -> tuple[Tensor, bool]:
    """For a class's scores, rising: the chance that each is none of the null's; and whether some stand out.

    A lump far below another one is asked by itself: what is rare elsewhere is no poison because the class has some.
    """
    n = len(own)
    null = _share_from(torch.cat(list(others)).sort().values, own)
    for other in others:
        if len(other) >= _SMALL_CLASS:
            null = torch.maximum(null, _share_from(other, own))
    if method.in_deviations:
        null = torch.maximum(null, torch.from_numpy(np.asarray(cast(Any, stats).t.sf(own.numpy(), _TAIL))))
    share = (n - torch.searchsorted(own, own)).double() / n
    rate = (null / share).clamp_max(1).cummin(0).values
    steps = torch.diff(torch.cat([null, torch.zeros(1, dtype=torch.float64)]).neg()) * n
    local = torch.from_numpy(np.array(cast(Any, isotonic_regression(steps.numpy(), increasing=False)).x)).clamp(0, 1)
    chance, least = torch.where(rate <= 0.5, 1 - local, 0.0), max(_LEAST, _LEAST_SHARE * n)
    stands_out = int(((rate <= STANDS_OUT) & (own >= method.floor)).sum()) >= least
    unlike = int((rate > 0.5).sum())
    low, high = lumps(own[unlike:])
    if stands_out and len(high) >= least and are_apart(low, high):
        below = unlike + len(low)
        alone, low_stands_out = _class_chance(method, own[:below], others)
        chance[:below] = alone if low_stands_out else 0.0
    return chance, stands_out


def _share_from(ordered: Tensor, values: Tensor) -> Tensor:
    """The share of sorted scores at or above each value, one more counted."""
    return (len(ordered) - torch.searchsorted(ordered, values) + 1).double() / (len(ordered) + 1)


def against_doubt(
    method: DataDetector, scores: Tensor, doubt: Tensor, labels: Tensor, classes: int, *, rest: Tensor | None = None
) -> Evaluated:
    """Scores of labels; the probability is the ``doubt`` of `turncoat.detect.data.doubt`.

    The labels of a class stand out where wrong ones are far more frequent, about, than in the others; those of all where more
    than `ORDINARY` of the remaining ones are wrong.
    """
    kept = torch.ones_like(labels, dtype=torch.bool) if rest is None else rest
    probability = doubt if rest is None else _of_rest(doubt, labels, kept, classes)
    sizes = torch.bincount(labels[kept], minlength=classes)
    expected = torch.zeros(classes, dtype=torch.float64).index_add_(0, labels, probability)
    shares = expected / sizes.clamp_min(1)
    found: list[int] = []
    for label in range(classes):
        others = torch.cat([shares[:label], shares[label + 1 :]])
        if not len(others):
            continue
        usual = max(_CLASS_RATIO * float(others.median()), _CLASS_SPREAD * float(others.topk(min(2, len(others))).values[-1]))
        frequent = shares[label] > max(_CLASS_ORDINARY, usual)
        lone = shares[label] > max(_LONE, _LONE_RATIO * float(others.max()))
        if expected[label] >= _LEAST and (frequent or lone):
            found.append(label)
    named = torch.isin(labels, torch.tensor(found, dtype=torch.int64))
    elsewhere = kept & ~named
    if float(probability[elsewhere].sum()) >= max(_LEAST, ORDINARY * float(elsewhere.sum())):
        found.append(-1)
    elif found:
        probability = torch.where(named, probability, 0.0)
    return Evaluated(
        method, scores, probability, tuple(found), lambda rest: against_doubt(method, scores, doubt, labels, classes, rest=rest)
    )


def _of_rest(doubt: Tensor, labels: Tensor, rest: Tensor, classes: int) -> Tensor:
    """The doubt of the samples at ``rest``, 0 elsewhere, where the others explain their part of the false labels.

    Each class's rate of false labels goes down by as much, which lowers the doubt of all its labels (Bayes' rule, iterated).
    """
    all_of = torch.zeros(classes, dtype=torch.float64).index_add_(0, labels, doubt).clamp_min(1e-12)
    rates = torch.ones(classes, dtype=torch.float64)
    found = doubt
    for _ in range(30):
        rate = rates[labels]
        found = torch.where(rest, rate * doubt / (rate * doubt + 1 - doubt).clamp_min(1e-12), 0.0)
        rates = torch.zeros(classes, dtype=torch.float64).index_add_(0, labels, found) / all_of
    return found
