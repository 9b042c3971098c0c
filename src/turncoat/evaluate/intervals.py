"""Wilson's 95% interval of a proportion. Intervals over seeds are in `turncoat.report.summary`."""

from __future__ import annotations

import math

_Z = 1.959963984540054  # the normal distribution's 97.5% quantile; scipy.stats would cost every command a second


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Bounds of a proportion by Wilson's score interval; (0, 1) where nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + _Z**2 / (2 * n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + _Z**2 / n), (centre + half) / (1 + _Z**2 / n)
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)
