"""Figures over seeds, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from turncoat.report.summary import (
    Estimate,
    Measured,
    backdoor_verdict,
    estimate,
    paired_difference,
    share,
    t_interval,
    t_quantile,
)


def test_t_interval_by_hand() -> None:
    # mean 0.8, s = 0.1, t(2; 0.975) = 4.302653; half = 4.302653 * 0.1 / sqrt(3)
    mean, low, high = t_interval([0.7, 0.8, 0.9])
    assert (mean, low, high) == pytest.approx((0.8, 0.8 - 0.248414, 0.8 + 0.248414), abs=1e-6)


def test_share_over_seeds_ignores_wilson_and_stays_a_share() -> None:
    found = share([Measured(value, 0.0, 1.0, 100) for value in (0.7, 0.8, 0.9)])
    assert found is not None
    assert (found.kind, found.seeds, found.n) == ("t", 3, 100)
    assert (found.low, found.high) == pytest.approx((0.551586, 1.0), abs=1e-6)


def test_one_seed_keeps_its_wilson_interval() -> None:
    assert share([Measured(0.9, 0.85, 0.93, 200)]) == Estimate(0.9, 0.85, 0.93, 1, 200, "one seed")
    assert estimate([Measured(27.5)]) == Estimate(27.5, None, None, 1, None, "none")


def test_equal_seeds_do_not_claim_certainty() -> None:
    found = share([Measured(1.0, 0.996, 1.0, 900), Measured(1.0, 0.99, 1.0, 300)])
    assert found == Estimate(1.0, 0.99, 1.0, 2, 900, "equal seeds")


def test_nothing_counted() -> None:
    assert share([]) is None
    assert share([Measured(math.nan, 0, 1, 0)]) is None
    found = share([Measured(math.nan, 0, 1, 0), Measured(0.5, 0.4, 0.6, 100)])
    assert found is not None
    assert found.seeds == 1


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_quantiles_are_students(level: float) -> None:
    for freedom in range(1, 40):
        assert t_quantile(freedom, level) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-12)


def test_infinite_values_have_no_interval() -> None:
    assert estimate([Measured(math.inf), Measured(30.0)]) == Estimate(math.inf, None, None, 2, None, "none")


def test_paired_difference_by_hand() -> None:
    # differences 0.1, 0.2, 0.3 by seed; seed 9 has no twin: mean 0.2, s = 0.1
    victim = {1: Measured(0.5), 2: Measured(0.7), 3: Measured(0.6), 9: Measured(0.0)}
    twin = {3: Measured(0.3), 2: Measured(0.5), 1: Measured(0.4)}
    found = paired_difference(victim, twin)
    assert found is not None
    assert (found.value, found.low, found.high, found.seeds) == pytest.approx((0.2, -0.048414, 0.448414, 3), abs=1e-6)
    assert paired_difference(victim, {}) is None


@pytest.mark.parametrize(
    ("victim", "twin", "expected"),
    [
        ((0.9, 0.8, 0.95), (0.1, 0.05, 0.15), "shown"),
        ((0.2, 0.1, 0.3), (0.15, 0.05, 0.25), "not shown"),
        ((0.2, 0.15, 0.3), (0.1, 0.05, 0.15), "not shown"),  # touching
        ((0.1, 0.05, 0.15), (0.9, 0.8, 0.95), "not shown"),
        ((0.9, None, None), (0.1, 0.05, 0.15), "unknown"),
    ],
)
def test_verdict(victim: tuple[float, float, float], twin: tuple[float, float, float], expected: str) -> None:
    assert backdoor_verdict(Estimate(*victim, 1, 100, "one seed"), Estimate(*twin, 1, 100, "one seed")) == expected
    assert backdoor_verdict(Estimate(*victim, 1, 100, "one seed"), None) == "unknown"
