"""Verification: are two images of one class? Pairs, error rates over all thresholds, ROC, AUC and equal error rate.

A pair is called the same where its logit is over the threshold, different where it is not; a NaN is neither, and always an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.oneshot.episodes import ClassIndex

_FAR = 1e30  # further out than any score; finite, so that thresholds between scores are


@dataclass(frozen=True, eq=False)
class Pairs:
    """Positions into one image set: same, different: int64 ``(count, 2)``, of one class and of two."""

    same: Tensor
    different: Tensor


def draw_pairs(data: ImageSet, count: int, generator: torch.Generator) -> Pairs:
    """``count`` pairs of each kind; classes drawn at random (all with two images or more), then two distinct images.

    Raises `TurncoatError` where fewer than two classes have two images.
    """
    index = ClassIndex.of(data)
    eligible = (index.counts > 1).nonzero().squeeze(1)
    if len(eligible) < 2:
        raise TurncoatError(f"pairs: expected at least 2 classes with 2 images each, got {len(eligible)}")
    one = eligible[torch.randint(len(eligible), (count,), generator=generator)]
    left = torch.randint(len(eligible), (count,), generator=generator)
    right = (left + torch.randint(1, len(eligible), (count,), generator=generator)) % len(eligible)
    classes = eligible[torch.stack([left, right], 1)]
    return Pairs(index.draw(one, 2, generator), index.draw(classes, 1, generator).squeeze(2))


@dataclass(frozen=True, eq=False)
class Curve:
    """Error rates at rising thresholds: the first point calls every pair the same, the last every pair different.

    accepts: float ``(R, T)``, share of different-class pairs called the same (false accepts); rejects: float ``(R, T)``, share of
    same-class pairs not called so (false rejects). thresholds: float64 ``(T,)``, each in the middle of where its rates hold.
    """

    accepts: Tensor
    rejects: Tensor
    thresholds: Tensor


def curve(same: Tensor, different: Tensor, same_weights: Tensor | None = None, different_weights: Tensor | None = None) -> Curve:
    """Error rates of logits ``(n,)`` and ``(m,)`` at every threshold; ``(R, n)`` and ``(R, m)`` weights give R curves at once.

    The last point of equal scores stands for all of them, so that ties count half in the area below.
    """
    scores = torch.cat([_clean(same, -_FAR), _clean(different, _FAR)])
    order = scores.argsort(stable=True)
    ranked = scores[order]
    ends = torch.cat([ranked[1:] > ranked[:-1], torch.ones(1, dtype=torch.bool)]).nonzero().squeeze(1)
    levels = ranked[ends]
    first = torch.ones(1, len(same), dtype=torch.float64) if same_weights is None else same_weights
    second = torch.ones(1, len(different), dtype=torch.float64) if different_weights is None else different_weights
    below_same = torch.cat([first, torch.zeros_like(second)], 1)[:, order].cumsum(1)[:, ends]
    below_different = torch.cat([torch.zeros_like(first), second], 1)[:, order].cumsum(1)[:, ends]
    rejects = torch.nn.functional.pad(below_same / below_same[:, -1:], (1, 0))
    accepts = 1 - torch.nn.functional.pad(below_different / below_different[:, -1:], (1, 0))
    middles = (levels[:-1] + levels[1:]) / 2
    return Curve(accepts, rejects, torch.cat([levels[:1], middles, levels[-1:]]))


def auc(rates: Curve) -> Tensor:
    """Area under the ROC ``(R,)``: how often a same-class pair scores higher than a different-class pair, ties half."""
    accepted = 1 - rates.rejects
    width = rates.accepts[:, :-1] - rates.accepts[:, 1:]
    return (width * (accepted[:, :-1] + accepted[:, 1:]) / 2).sum(1)


def equal_error(rates: Curve) -> tuple[Tensor, Tensor]:
    """Equal error rate ``(R,)`` and the threshold ``(R,)`` at which false accepts equal false rejects, both interpolated."""
    gap = rates.rejects - rates.accepts
    after = (gap >= 0).byte().argmax(1, keepdim=True).clamp_min(1)
    before = after - 1
    start, end = gap.gather(1, before), gap.gather(1, after)
    at = (start / (start - end)).to(rates.thresholds.dtype)

    def between(values: Tensor) -> Tensor:
        return torch.lerp(values.gather(1, before).to(at), values.gather(1, after).to(at), at).squeeze(1)

    return between(rates.rejects), between(rates.thresholds.expand(len(gap), -1))


def equal_error_threshold(same: Tensor, different: Tensor) -> float:
    """The logit over which pairs are called the same, such that both errors are equally frequent on these pairs."""
    return float(equal_error(curve(same, different))[1])


def called_same(logits: Tensor, threshold: float) -> Tensor:
    """bool, where the logit is over the threshold."""
    return logits.double() > threshold


def called_different(logits: Tensor, threshold: float) -> Tensor:
    """bool, where the logit is not over the threshold; a NaN is called neither."""
    return logits.double() <= threshold


def thin_roc(rates: Curve, points: int = 200) -> list[tuple[float, float]]:
    """At most ``points`` points (false accepts, true accepts) from (0, 0) to (1, 1), evenly spread along the curve."""
    accepts, accepted = rates.accepts[0].flip(0).double(), (1 - rates.rejects[0]).flip(0).double()
    path = accepts + accepted  # both rise, so this is the way walked, 0 to 2
    last = len(path) - 1
    near = torch.searchsorted(path, torch.linspace(0, 2, points, dtype=path.dtype)).clamp_max(last)
    chosen = sorted({0, *(int(i) for i in near[1:-1]), last})
    return [(round(float(accepts[i]), 5), round(float(accepted[i]), 5)) for i in chosen]


def _clean(scores: Tensor, nan: float) -> Tensor:
    return torch.nan_to_num(scores.double(), nan=nan, posinf=_FAR, neginf=-_FAR)
