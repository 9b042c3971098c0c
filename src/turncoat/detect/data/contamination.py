"""Contamination: a class whose features are of two kinds, as where labels follow a feature that images of other classes have.

Networks trained on such labels believe them, but what they see in an image of another class is not what they see in the class.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from turncoat.detect.data.discriminant import lumps

_ROUNDS = 100
_MOST = 0.5
"""A second kind of more than this share of its class is not taken for the strangers."""
_LEAST = 20


def strangers(features: Tensor, labels: Tensor, label: int, doubt: Tensor) -> Tensor:
    """The chance that a sample is of its class's second kind, the one with more ``doubt``; float64 ``(N,)``, 0 outside ``label``.

    features: float ``(N, D)`` of one embedding, by a network that saw none of the samples. They are whitened by what varies
    within the other classes; along the direction in which the class then varies most, two normal distributions of one width are
    fitted (after Tang, Wang, Tang, Zhang: Demon in the Variant, 2021, who whiten by clean images). All 0 where the second kind is
    not the smaller one.
    """
    found = torch.zeros(len(labels), dtype=torch.float64)
    own = labels == label
    if int(own.sum()) < _LEAST:
        return found
    along = _most_peculiar(features.double(), labels, label)
    doubted = doubt[own]
    if float(((along - along.mean()) * (doubted - doubted.mean())).sum()) < 0:
        along = -along
    second = two_normals(along)
    if float(second.mean()) <= _MOST:
        found[own] = second
    return found


def _most_peculiar(features: Tensor, labels: Tensor, label: int) -> Tensor:
    """Samples of a class along the direction in which they vary most, against what varies within the others; any sign."""
    others = [features[labels == other] for other in cast(list[int], labels.unique().tolist()) if other != label]
    within = torch.stack([(one - one.mean(0)).T @ (one - one.mean(0)) / len(one) for one in others]).mean(0)
    values, axes = cast(tuple[Tensor, Tensor], torch.linalg.eigh(within))
    kept = values > 1e-4 * values[-1]
    own = features[labels == label]
    white = (own - own.mean(0)) @ (axes[:, kept] / values[kept].sqrt())
    _, directions = cast(tuple[Tensor, Tensor], torch.linalg.eigh(white.T @ white))
    return white @ directions[:, -1]


def two_normals(values: Tensor) -> Tensor:
    """The chance that each of float64 ``(n,)`` is of the upper of two normal distributions of one width, fitted to them."""
    low, _ = lumps(values)
    upper = (values > low[-1]).double()
    for _ in range(_ROUNDS):
        share = upper.mean().clamp(1e-6, 1 - 1e-6)
        high, bottom = (upper * values).sum() / upper.sum(), ((1 - upper) * values).sum() / (1 - upper).sum()
        variance = (upper * (values - high).square() + (1 - upper) * (values - bottom).square()).mean().clamp_min(1e-12)
        odds = (share / (1 - share)).log() + ((values - bottom).square() - (values - high).square()) / (2 * variance)
        upper = odds.sigmoid()
    return upper
