"""From each method's probabilities to one a sample: one method that is loud suffices, and what it explains counts once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from turncoat.detect.data.base import DataDetector
from turncoat.detect.data.evaluated import Evaluated

_EXPLAINED = 0.5
"""A sample that a method finds more probable than this is asked of no other."""
_TIER = 1e-2
"""How much less the other evidence counts in the ranking than the probability."""


@dataclass(frozen=True, eq=False)
class Combined:
    """probability: float64 ``(N,)``. score: the same, ties settled by what every method that stands out says.

    told: the methods that the probability is from, the surest first.
    """

    evaluated: tuple[Evaluated, ...]
    told: tuple[DataDetector, ...]
    probability: Tensor
    score: Tensor

    @property
    def stands_out(self) -> bool:
        return any(one.stands_out for one in self.evaluated)

    @property
    def estimated(self) -> float:
        """How many are poisoned, about."""
        return float(self.probability.sum())

    def false_discovery_rate(self, first: int) -> float:
        """The expected share of clean samples among the ``first`` suspects."""
        return float(1 - self.probability.sort(descending=True).values[:first].mean()) if first else 0.0

    def to_inspect(self, share: float = 0.95) -> int:
        """How many of the first suspects to look at to have seen that share of the estimated poison; 0 where there is none."""
        if self.estimated <= 0:
            return 0
        found = self.probability.sort(descending=True).values.cumsum(0)
        return int((found < share * float(found[-1])).sum()) + 1


def combine(evaluated: Sequence[Evaluated], labels: Tensor) -> Combined:
    """Join the methods: silent ones do not drown one that is loud, and several that find the same poison do not add up.

    The surest method says its probabilities; what it is sure of is set aside and the others are asked about the rest, where they
    count only if the rest still stands out.
    """
    first = _agreed(evaluated, labels)
    probability, rest = torch.zeros(len(labels), dtype=torch.float64), torch.ones(len(labels), dtype=torch.bool)
    told, asked = list[DataDetector](), first
    while any(one.stands_out for one in asked):
        surest = max(asked, key=lambda one: (one.stands_out, round(one.sureness, 3), one.estimated))
        told.append(surest.method)
        probability = torch.maximum(probability, surest.counted)
        rest &= probability <= _EXPLAINED
        asked = _agreed([one.again(rest) for one in first if one.method not in told], labels)
    loud = [one for one in first if one.stands_out]
    ranks = torch.stack([_percentile(one.scores) for one in loud or first]).mean(0)
    largest = torch.stack([one.counted for one in first]).amax(0)
    score = probability + _TIER * largest + _TIER**2 * ranks
    return Combined(tuple(first), tuple(told), probability, score / (1 + _TIER + _TIER**2))


def _agreed(evaluated: Sequence[Evaluated], labels: Tensor) -> list[Evaluated]:
    """A method that does not convict by itself counts for the classes in which one of another kind stands out too."""
    return [one if one.method.convicts else _supported(one, evaluated, labels) for one in evaluated]


def _supported(one: Evaluated, evaluated: Sequence[Evaluated], labels: Tensor) -> Evaluated:
    others = {label for other in evaluated if other.method.rests_on != one.method.rests_on for label in other.classes}
    kept = tuple(label for label in one.classes if label in others)
    own = torch.isin(labels, torch.tensor(kept, dtype=torch.int64)) | (-1 in kept)
    return replace(one, probability=torch.where(own, one.probability, 0.0), classes=kept)


def _percentile(values: Tensor) -> Tensor:
    ordered = values.sort().values
    return (torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True)).double() / (2 * len(values))
