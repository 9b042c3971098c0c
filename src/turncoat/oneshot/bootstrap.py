"""Intervals that resample characters: episodes and pairs reuse them, so a thousand episodes are not a thousand experiments.

Percentile bootstrap, 2,000 replicates, 95%. The character of an episode is its query's, of a pair its left image's. Replicates
are drawn by a generator of their own with a fixed seed, so that an interval is a function of the figures alone. Where every
replicate gives the same value (a share of 0 or 1, or one character) the bootstrap knows nothing; there the bounds are Wilson's
with n = the number of characters.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from turncoat.evaluate.intervals import wilson
from turncoat.oneshot.verification import auc, curve, equal_error

REPLICATES = 2000
_SEED = 20151220  # Lake et al. appeared in Science in December 2015
_BLOCK = 100
_TAILS = (0.025, 0.975)

Figure = tuple[float, float, float]
"""Value, low and high."""


@lru_cache(maxsize=8)
def resamples(characters: int, replicates: int = REPLICATES) -> Tensor:
    """How often each character is drawn, float32 ``(replicates, characters)``; each row sums to ``characters``."""
    generator = torch.Generator().manual_seed(_SEED)
    drawn = torch.randint(characters, (replicates, characters), generator=generator)
    return torch.zeros(replicates, characters).scatter_add_(1, drawn, torch.ones(drawn.shape))


def share_interval(hit: Tensor, characters: Tensor) -> Figure:
    """The share of ``hit``, bool ``(n,)``, with its bounds. characters: int64 ``(n,)``, any numbering. n > 0."""
    total, count = _by_character(hit.double(), characters)
    weights = resamples(len(count)).double()
    value = float(hit.double().mean())
    return value, *_bounds(value, (weights @ total) / (weights @ count), len(count))


def paired_difference(first: Tensor, second: Tensor, characters: Tensor) -> Figure:
    """Share of ``first`` minus share of ``second``, bool ``(n,)``, two methods on the same episodes, with its bounds.

    Where all replicates agree, the bounds are the value plus and minus Wilson's upper bound of 0 in n = number of characters.
    """
    difference = first.double() - second.double()
    total, count = _by_character(difference, characters)
    weights = resamples(len(count)).double()
    value = float(difference.mean())
    replicates = (weights @ total) / (weights @ count)
    if _agree(replicates):
        slack = wilson(0, len(count))[1]
        return value, max(-1.0, value - slack), min(1.0, value + slack)
    return value, *_quantiles(replicates)


def verification_intervals(
    same: Tensor, different: Tensor, same_characters: Tensor, different_characters: Tensor
) -> tuple[Figure, Figure]:
    """AUC and equal error rate of scores ``(n,)`` and ``(m,)``, each with its bounds; one resample of characters serves both."""
    whole = curve(same, different)
    index, number = _numbered(torch.cat([same_characters, different_characters]))
    drawn = resamples(number)
    areas: list[Tensor] = []
    errors: list[Tensor] = []
    for start in range(0, len(drawn), _BLOCK):
        weights = drawn[start : start + _BLOCK][:, index]
        part = curve(same, different, weights[:, : len(same)], weights[:, len(same) :])
        areas.append(auc(part))
        errors.append(equal_error(part)[0])
    return _figure(auc(whole), areas, number), _figure(equal_error(whole)[0], errors, number)


def _figure(value: Tensor, replicates: list[Tensor], characters: int) -> Figure:
    drawn = torch.cat(replicates).double()
    return float(value), *_bounds(float(value), drawn[drawn.isfinite()], characters)


def _by_character(values: Tensor, characters: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and number of each character's values, float64 ``(C,)``."""
    index, number = _numbered(characters)
    return torch.zeros(number, dtype=torch.float64).index_add_(0, index, values), torch.bincount(index).double()


def _numbered(characters: Tensor) -> tuple[Tensor, int]:
    """The same characters numbered from 0, and how many there are."""
    index = torch.from_numpy(np.unique(characters.numpy(), return_inverse=True)[1])
    return index, int(index.max()) + 1


def _bounds(value: float, replicates: Tensor, characters: int) -> tuple[float, float]:
    if not _agree(replicates):
        return _quantiles(replicates)
    low, high = wilson(round(value * characters), characters)
    return min(low, value), max(high, value)


def _agree(replicates: Tensor) -> bool:
    return len(replicates) == 0 or bool(replicates.max() - replicates.min() < 1e-9)


def _quantiles(replicates: Tensor) -> tuple[float, float]:
    bounds = torch.quantile(replicates, torch.tensor(_TAILS, dtype=replicates.dtype))
    return float(bounds[0]), float(bounds[1])
