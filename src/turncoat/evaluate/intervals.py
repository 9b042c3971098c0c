"""Wilson's 95% interval of a proportion. Intervals over seeds are in `turncoat.report.summary`."""

from __future__ import annotations

from typing import cast

from scipy import stats


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of a proportion by Wilson's score interval; (0, 1) where nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    low, high = cast(tuple[float, float], stats.binomtest(successes, n).proportion_ci(confidence, method="wilson"))
    return float(low), float(high)
