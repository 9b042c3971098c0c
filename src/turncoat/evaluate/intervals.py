"""95% intervals: Wilson's for a proportion, Student's over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from scipy import stats


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of a proportion by Wilson's score interval; (0, 1) where nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    low, high = cast(tuple[float, float], stats.binomtest(successes, n).proportion_ci(confidence, method="wilson"))
    return float(low), float(high)


def t_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean and its t bounds over seeds, the seed being the unit; bounds are NaN for one value, which has no spread."""
    sample = np.asarray(values, dtype=float)
    mean = float(sample.mean())
    if len(sample) < 2:
        return mean, float("nan"), float("nan")
    error = float(sample.std(ddof=1)) / len(sample) ** 0.5
    half = float(stats.t.ppf(0.5 + confidence / 2, len(sample) - 1)) * error
    return mean, mean - half, mean + half
