"""Figures over seeds: pure functions from numbers to estimates with 95% intervals, and the verdict on a backdoor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["one seed", "t", "equal seeds", "none"]
Verdict = Literal["shown", "not shown", "unknown"]

_T_95 = (
    *(12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146),
    *(2.4469118511449786, 2.364624251592784, 2.306004135204166, 2.262157162798205, 2.228138851986274),
    *(2.200985160091639, 2.1788128296672284, 2.1603686564627913, 2.144786687917804, 2.131449545559776),
    *(2.1199052992212546, 2.1098155778333156, 2.1009220402410382, 2.0930240544083087, 2.085963447265864),
)
"""Student's 97.5% quantiles for 1 to 20 degrees of freedom: scipy would cost every table a quarter of a second."""


@dataclass(frozen=True)
class Measured:
    """One seed's proportion with its Wilson bounds over n images."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval, which ``kind`` explains.

    ``one seed``: Wilson, over ``n`` images. ``t``: Student's, over ``seeds``, the seed being the unit. ``equal seeds``: all seeds
    gave one value, so that Student's interval would have no width; the widest of their own intervals stands in. ``none``: no
    interval. n is of one seed (the largest).
    """

    value: float
    low: float | None
    high: float | None
    seeds: int
    n: int | None
    kind: Kind


def t_quantile(freedom: int, level: float) -> float:
    """Half the width of the interval of this level, in standard errors, for so many degrees of freedom."""
    if level == 0.95 and freedom <= len(_T_95):
        return _T_95[freedom - 1]
    from scipy.special import stdtrit  # noqa: PLC0415

    return float(stdtrit(freedom, (1 + level) / 2))


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean and its t bounds, for at least two values."""
    count = len(values)
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = t_quantile(count - 1, level) * math.sqrt(variance / count)
    return mean, mean - half, mean + half


def estimate(
    measured: Sequence[Measured], bounds: tuple[float, float] = (-math.inf, math.inf), level: float = 0.95
) -> Estimate | None:
    """One figure of all its seeds' values; ``bounds`` are those the figure itself cannot leave, (0, 1) for a share.

    level: of the t interval; an interval that a single seed brought stays as it is.

    NaN values (nothing was counted) are left out; None where nothing is left.
    """
    kept = [one for one in measured if not math.isnan(one.value)]
    if not kept:
        return None
    n = max((one.n for one in kept if one.n is not None), default=None)
    values = [one.value for one in kept]
    if len(kept) == 1:
        only = kept[0]
        return Estimate(only.value, only.low, only.high, 1, only.n, "none" if only.low is None else "one seed")
    if not all(math.isfinite(value) for value in values):
        return Estimate(math.fsum(values) / len(values), None, None, len(kept), n, "none")
    if min(values) == max(values):
        lows = [one.low for one in kept if one.low is not None]
        highs = [one.high for one in kept if one.high is not None]
        low, high = min(lows, default=values[0]), max(highs, default=values[0])
        return Estimate(values[0], low, high, len(kept), n, "equal seeds")
    mean, low, high = t_interval(values, level)
    return Estimate(mean, max(low, bounds[0]), min(high, bounds[1]), len(kept), n, "t")


def share(measured: Sequence[Measured]) -> Estimate | None:
    """`estimate` of a proportion."""
    return estimate(measured, (0.0, 1.0))


def paired_difference(victim: Mapping[int, Measured], twin: Mapping[int, Measured]) -> Estimate | None:
    """Victim minus twin, paired by seed, with its t interval; None without a seed that both have."""
    seeds = sorted(victim.keys() & twin.keys())
    return estimate([Measured(victim[seed].value - twin[seed].value) for seed in seeds], (-1.0, 1.0))


def backdoor_verdict(victim: Estimate | None, twin: Estimate | None) -> Verdict:
    """Whether the victim's attack success is above its clean twin's, their whole intervals told apart.

    ``unknown`` where either has no interval (no twin, nothing counted).
    """
    if victim is None or twin is None or victim.low is None or twin.high is None:
        return "unknown"
    return "shown" if victim.low > twin.high else "not shown"
