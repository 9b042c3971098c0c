"""How the statistics of model detectors spread over the classes of clean models, and the prior that this gives: by moments.

Smyth's (2004) estimate: the logarithm of a model's variance over classes varies by chance, as its degrees of freedom tell, and
by as much more as models differ. Kinds of model, a data set with a recipe, weigh alike however many models there are of each:
that a spread holds for another data set is what a prior is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from benchmarks.audits import Audited
from turncoat.detect.models.moderated import Spread, outlier

_ENDLESS = 1000.0
_LEAST = 1e-3
Spreads = Mapping[str, Sequence[float]]
"""Standard deviations over the classes but the most extreme, by kind of model."""


def moments(spreads: Spreads, freedom: int) -> Spread:
    """freedom: of each standard deviation."""
    logs = [torch.tensor(some, dtype=torch.float64).square().log() for some in spreads.values() if some]
    values = torch.cat(logs) - _shift(freedom)
    weights = torch.cat([torch.full((len(some),), 1 / len(some) / len(logs), dtype=torch.float64) for some in logs])
    mean = float((weights * values).sum())
    worth = _with_variance(float((weights * (values - mean).square()).sum()) - _variance(freedom))
    return Spread(math.exp((mean + _shift(worth)) / 2), worth)


def _shift(freedom: float) -> float:
    """By how much the logarithm of an estimated variance is off in the mean."""
    return float(torch.digamma(torch.tensor(freedom / 2, dtype=torch.float64))) - math.log(freedom / 2)


def _variance(freedom: float) -> float:
    """Of the logarithm of an estimated variance."""
    return float(torch.polygamma(1, torch.tensor(freedom / 2, dtype=torch.float64)))


def _with_variance(wanted: float) -> float:
    """The freedom that gives it, by halving; at most `_ENDLESS`."""
    low, high = _LEAST, _ENDLESS
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _variance(middle) > wanted else (low, middle)
    return high


def rows(clean: Sequence[Audited]) -> list[list[str]]:
    """Of each statistic: the middle spread of each kind, the prior of all, of the even- and of the odd-numbered models."""
    found: list[list[str]] = []
    for name, by_model in _statistics(clean).items():
        kinds = {kind: _of(clean, by_model, kind) for kind in dict.fromkeys(map(_kind, clean))}
        middles = ", ".join(f"{float(torch.tensor(some).median()):.2f}" for some in kinds.values() if some)
        priors = [moments({kind: _of(clean, by_model, kind, half) for kind in kinds}, 8) for half in (None, 0, 1)]
        found.append([name, middles, *(f"{one.deviation:.2f}, {_freedom(one)}" for one in priors)])
    return found


def kinds(clean: Sequence[Audited]) -> str:
    """Their names, in the order of the rows."""
    return ", ".join(dict.fromkeys(map(_kind, clean)))


def _freedom(spread: Spread) -> str:
    return "endless" if spread.freedom > _ENDLESS - 1 else f"{spread.freedom:.1f}"


def _kind(one: Audited) -> str:
    return f"{one.trained.animal.data} {one.trained.animal.recipe}"


def _of(clean: Sequence[Audited], by_model: Mapping[str, float], kind: str, half: int | None = None) -> list[float]:
    names = [one.trained.animal.name for one in clean if _kind(one) == kind]
    return [by_model[name] for name in names if name in by_model and (half is None or int(name[-1]) % 2 == half)]


def _statistics(clean: Sequence[Audited]) -> dict[str, dict[str, float]]:
    """The spread over classes by statistic, then by model."""
    found: dict[str, dict[str, float]] = {"neural-cleanse": {}, "mm-bd": {}, "pixels": {}, "channels": {}, "both": {}}
    for one in clean:
        for method, finding in one.findings.items():
            for name in ("pixels", "channels", "both"):
                if f"{name}_spread" in finding.details:
                    found[name][one.trained.animal.name] = finding.details[f"{name}_spread"]
            if method in found:
                found[method][one.trained.animal.name] = _spread(torch.tensor(finding.class_scores))
    return found


def _spread(scores: Tensor) -> float:
    return outlier(scores, "high", Spread(1.0, 1.0)).spread
