"""What the samples of one class share against all others, learnt on a half of them and looked for in the other half."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from turncoat.detect.data.robust import centre_and_scale
from turncoat.train.placement import split

_OUTLYING = 5.0
"""How many deviations of the class means a value's mean must lie from those of the other classes to count as peculiar."""
_FEW = 4
"""With fewer classes, the means of others tell too little: values of the same kind are the measure."""

_QUARTILE = 1.4826  # of a normal distribution, standard deviations between the median and the lower quartile
_MANY, _LUMPS = 0.3, 4.0
"""An upper lump of this share of its class, so many deviations from the lower one (see `are_apart`), is not the class's body."""


def peculiar(
    values: Callable[[Tensor], Tensor], labels: Tensor, classes: int, half: Tensor, *, sample: Tensor, kinds: Tensor
) -> Tensor:
    """Each sample along its own class's peculiar direction, in deviations of the other classes' samples; float64 ``(N,)``.

    A direction is the class's mean value less the middle of the other classes' means, where it lies far outside their spread:
    what classes naturally differ in mostly drops out, what was added to a part of one class stays. It is learnt on one half and
    asked of the other, so that no sample scores for its own noise. values: of the samples at int64 ``(n,)``, float32 ``(n, D)``.
    half: bool ``(N,)``. sample: some positions, enough to tell each value's middle and spread. kinds: int64 ``(D,)``, which
    values are alike. Classes without a peculiar value score 0.
    """
    count = len(labels)
    parts = split(torch.arange(count), 1024)
    centre, scale = centre_and_scale(torch.cat([values(part) for part in split(sample, 1024)]), least=1e-4)
    place = labels * 2 + half.long()

    def scaled(part: Tensor) -> Tensor:
        z = (values(part) - centre) / scale
        return z * (1 + (z / 3).square()).rsqrt()  # heavy tails are drawn in

    sums = torch.zeros(classes * 2, len(centre), dtype=torch.float64)
    for part in parts:
        sums.index_add_(0, place[part], scaled(part).double())
    counts = torch.bincount(place, minlength=classes * 2)
    means = (sums / counts.clamp_min(1)[:, None]).view(classes, 2, -1)
    counts = counts.view(classes, 2)
    directions = torch.stack([_directions(means[:, other], counts[:, other], kinds) for other in (1, 0)])
    along = torch.empty(count, classes)
    for part in parts:
        z, own = scaled(part), half[part]
        both = z @ directions[0].T.float(), z @ directions[1].T.float()  # learnt on the half; on the rest
        along[part] = torch.where(own[:, None], both[1], both[0])
    return _in_deviations(along.double(), labels, half, directions)


def _directions(means: Tensor, counts: Tensor, kinds: Tensor) -> Tensor:
    """float64 ``(classes, D)``, of length 1 or 0, of means ``(classes, D)`` of so many samples each."""
    found = torch.zeros_like(means)
    for label in range(len(means)):
        others = torch.cat([means[:label], means[label + 1 :]])
        apart = means[label] - others.median(0).values
        spread = others.std(0) if len(means) >= _FEW else _of_kind(apart.abs(), kinds) * 1.4826
        error = float(1 / counts[label].clamp_min(1))
        far = apart.abs() > _OUTLYING * (spread.square() + error).sqrt()
        found[label] = torch.nn.functional.normalize(apart * far, dim=0)
    return found


def _of_kind(values: Tensor, kinds: Tensor) -> Tensor:
    """Each value's kind's median."""
    found = torch.empty_like(values)
    for kind in range(int(kinds.max()) + 1):
        own = kinds == kind
        if own.any():
            found[own] = values[own].median()
    return found


def _in_deviations(along: Tensor, labels: Tensor, half: Tensor, directions: Tensor) -> Tensor:
    scores = torch.zeros(len(labels), dtype=torch.float64)
    for label in range(along.shape[1]):
        for one, learnt in ((half, directions[1]), (~half, directions[0])):
            own, others = one & (labels == label), one & (labels != label)
            if own.any() and others.any() and learnt[label].any():
                scores[own] = above_body(along[own, label], along[others, label])
    return scores


def above_body(own: Tensor, others: Tensor) -> Tensor:
    """How far the values of a class lie above its own body, in deviations of that or of the other classes' values, the larger.

    The body is what lies around the class's median, so that a class which is peculiar as a whole does not count; where the values
    fall into two lumps that are far apart, it is the lower one, so that poison may be over half of the class.
    """
    centre = own.median()
    scale = (centre - own.quantile(0.25)) * _QUARTILE
    low, high = lumps(own)
    if len(high) > _MANY * len(own) and are_apart(low, high):
        centre, scale = low.median(), (low - low.median()).abs().median() * 1.4826
    _, elsewhere = centre_and_scale(others)
    return (own - centre) / torch.maximum(scale, elsewhere)


def lumps(values: Tensor) -> tuple[Tensor, Tensor]:
    """Two lumps of float ``(n,)``, the lower and the upper one, rising: the split that leaves least variance within."""
    ordered = values.sort().values
    n = len(ordered)
    if n < 2:
        return ordered, ordered[:0]
    below = torch.arange(1, n, dtype=ordered.dtype)
    sums = ordered.cumsum(0)
    between = (sums[-1] * below / n - sums[:-1]).square() / (below * (n - below))
    place = int(between.argmax()) + 1
    return ordered[:place], ordered[place:]


def are_apart(low: Tensor, high: Tensor) -> bool:
    """Whether two lumps of values are farther apart than the halves of one would be."""
    return min(len(low), len(high)) > 3 and bool(high.mean() - low.mean() > _LUMPS * (low.std() + high.std()) / 2)
