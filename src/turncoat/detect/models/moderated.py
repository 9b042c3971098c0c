"""An outlier among few classes, its spread known from other models too: a moderated t, as in the analysis of gene expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from turncoat.errors import TurncoatError

_LEAST = 1e-300


@dataclass(frozen=True)
class Spread:
    """What clean models have shown: the standard deviation of a statistic over classes, and how many degrees of freedom that is
    worth for a model that was not among them (few where models differ much in it)."""

    deviation: float
    freedom: float


@dataclass(frozen=True)
class Outlier:
    """The most extreme of some values: its place, how likely clean classes have one as extreme, and its distance from the others
    in standard deviations, those of a normal distribution whatever the freedom: comparable between statistics.

    spread: the standard deviation of the others, without the prior.
    """

    place: int
    p_value: float
    deviations: float
    spread: float


def moderated_p(values: Tensor, tail: Literal["low", "high"], prior: Spread) -> tuple[int, float]:
    """Place and p-value of the `outlier`."""
    found = outlier(values, tail, prior)
    return found.place, found.p_value


def outlier(values: Tensor, tail: Literal["low", "high"], prior: Spread) -> Outlier:
    """The most extreme of ``values``, finite ``(K,)``, and how likely clean classes have one as extreme.

    The extreme is told in standard deviations from the others' mean, where the variance is the others' own, weighted with the
    prior's by degrees of freedom (Smyth 2004); p is that of Student's t with both freedoms together, times K. Ten classes alone
    cannot tell an outlier of six deviations from a heavy tail; a hundred clean models can.
    """
    from scipy import stats  # noqa: PLC0415 - a second to import

    x = _checked(values, tail)
    index = int(x.argmax())
    centre, squares, own = _others(x, index)
    count = own + 1
    variance = (prior.freedom * prior.deviation**2 + squares) / (prior.freedom + own) * (1 + 1 / count)
    beyond = float(stats.t.sf(float(x[index] - centre) / variance**0.5, prior.freedom + own))
    deviations = float(stats.norm.isf(max(beyond, _LEAST)))
    return Outlier(index, min(1.0, len(x) * beyond), deviations, (squares / max(own, 1)) ** 0.5)


def standing(values: Tensor, tail: Literal["low", "high"], prior: Spread) -> Tensor:
    """How far each of ``values`` stands out, higher being further into the tail: from the mean of all but the most extreme, in
    moderated standard deviations; float64 ``(K,)``. So statistics of different kinds can be added up, class by class.
    """
    x = _checked(values, tail)
    centre, squares, own = _others(x, int(x.argmax()))
    return (x - centre) / ((prior.freedom * prior.deviation**2 + squares) / (prior.freedom + own)) ** 0.5


def _checked(values: Tensor, tail: Literal["low", "high"]) -> Tensor:
    x = values.detach().double().flatten().cpu()
    if len(x) < 2 or not bool(x.isfinite().all()):
        raise TurncoatError(f"outlier: expected at least two finite statistics, one a class, got {x.tolist()}")
    return x if tail == "high" else -x


def _others(x: Tensor, index: int) -> tuple[float, float, int]:
    """Without the value at ``index``: mean, sum of squares around it, and degrees of freedom."""
    others = torch.cat([x[:index], x[index + 1 :]])
    return float(others.mean()), float((others - others.mean()).square().sum()), len(others) - 1
