"""The decision rule on planted numbers."""

from __future__ import annotations

import math

import pytest

from turncoat.report.summary import Measured
from turncoat.reproductions.claims import Condition, Range, average, difference, equivalent, judge, ratio, share, told

OVER = Range(above=0.4)


def seeds(*values: float, width: float | None = 0.01) -> dict[int, Measured]:
    bounds = [(None, None) if width is None else (value - width, value + width) for value in values]
    return {seed: Measured(value, *bound, 1000) for seed, (value, bound) in enumerate(zip(values, bounds, strict=True))}


def zeros(count: int) -> dict[int, Measured]:
    return seeds(*[0.0] * count)


@pytest.mark.parametrize(
    ("wanted", "low", "high", "verdict"),
    [
        (OVER, 0.41, 0.5, "holds"),
        (OVER, 0.4, 0.5, "not decided"),
        (OVER, 0.39, 0.5, "not decided"),
        (OVER, 0.3, 0.4, "does not hold"),
        (OVER, 0.3, 0.39, "does not hold"),
        (Range(above=0.7, closed=True), 0.7, 0.8, "holds"),
        (Range(above=0.7, closed=True), 0.6, 0.7, "not decided"),
        (Range(above=0.7, closed=True), 0.6, 0.69, "does not hold"),
        (Range(below=0.05), 0.0, 0.049, "holds"),
        (Range(below=0.05), 0.0, 0.05, "not decided"),
        (Range(below=0.05), 0.05, 0.06, "does not hold"),
        (Range(-0.03, 0.03), -0.029, 0.029, "holds"),
        (Range(-0.03, 0.03), -0.03, 0.0, "not decided"),
        (Range(-0.03, 0.03), -0.05, 0.05, "not decided"),
        (Range(-0.03, 0.03), -0.05, -0.03, "does not hold"),
        (Range(-0.03, 0.03), 0.031, 0.05, "does not hold"),
        (OVER, math.nan, 0.5, "not decided"),
        (OVER, math.nan, math.nan, "not decided"),
    ],
)
def test_the_whole_interval_decides(wanted: Range, low: float, high: float, verdict: str) -> None:
    assert wanted.verdict(low, high) == verdict


def test_slack_is_measured_at_the_nearer_end() -> None:
    assert Range(-0.03, 0.03).slack(-0.01, 0.02) == pytest.approx(0.01)
    assert OVER.slack(0.3, 0.9) == pytest.approx(-0.1)
    assert Range(below=0.2).slack(0.0, 0.05) == pytest.approx(0.15)


def test_a_share_of_several_seeds_has_the_t_interval_over_seeds() -> None:
    found = share("", seeds(0.41, 0.43, 0.45), OVER)
    assert found.figure is not None
    half = 4.302652729911275 * 0.02 / math.sqrt(3)  # t of 2 degrees of freedom at 97.5%
    assert (found.figure.low, found.figure.high) == (pytest.approx(0.43 - half), pytest.approx(0.43 + half))
    assert found.verdict == "not decided"
    assert share("", seeds(0.49, 0.50, 0.51), OVER).verdict == "holds"
    assert share("", seeds(0.29, 0.30, 0.31), OVER).verdict == "does not hold"


def test_one_seed_has_its_own_interval_and_is_called_one_seed() -> None:
    claim = judge("X", "", "", [share("", seeds(0.42), OVER)])
    assert (claim.verdict, claim.low, claim.high, claim.seeds, claim.n) == ("holds", 0.42 - 0.01, 0.42 + 0.01, 1, 1000)
    assert "one seed" in claim.note
    assert judge("X", "", "", [share("", seeds(0.405), OVER)]).verdict == "not decided"


def test_one_seed_does_not_decide_a_paired_difference() -> None:
    claim = judge("X", "", "", [difference("", seeds(0.9), zeros(1), OVER)])
    assert (claim.verdict, claim.value, claim.low, claim.high) == ("not decided", 0.9, None, None)
    assert "a paired difference needs at least 2 seeds, got 1" in claim.note


def test_differences_are_paired_by_seed() -> None:
    first, second = seeds(0.5, 0.7, 0.9), seeds(0.09, 0.27, 0.48)  # 0.41, 0.43, 0.42: unpaired, hopeless
    assert difference("", first, second, Range(above=0.39)).verdict == "holds"
    shuffled = {0: second[2], 1: second[0], 2: second[1]}
    assert difference("", first, shuffled, Range(above=0.39)).verdict == "not decided"
    lone = difference("", first, {1: second[1], 7: second[0]}, OVER)
    assert lone.figure is not None
    assert (lone.figure.value, lone.figure.seeds) == (pytest.approx(0.43), 1)


def test_a_ratio_is_of_each_seed_and_bounded_by_both_intervals_where_there_is_one() -> None:
    wanted = Range(above=0.7, closed=True)
    several = ratio("", seeds(0.8, 0.4), seeds(1.0, 0.5), wanted)
    assert several.figure is not None
    assert several.figure.value == pytest.approx(0.8)
    one = ratio("", seeds(0.72), seeds(0.99), wanted)
    assert one.figure is not None
    assert (one.figure.low, one.figure.high) == (pytest.approx(0.71 / 1.0), pytest.approx(0.73 / 0.98))
    assert one.verdict == "holds"
    assert ratio("", seeds(0.5), seeds(0.0), wanted).figure is None


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ((0.01, 0.011, 0.009, 0.0105, 0.0095), "holds"),
        ((-0.01, 0.011, -0.009, 0.0105, 0.0), "holds"),
        ((0.02, 0.04, 0.01, 0.03, 0.05), "not decided"),
        ((0.05, 0.051, 0.049, 0.05, 0.052), "does not hold"),
        ((-0.05, -0.051, -0.049, -0.05, -0.052), "does not hold"),
        ((0.01, 0.011, 0.009, 0.0105), "not decided"),
        ((0.05, 0.051, 0.049, 0.05), "not decided"),
    ],
)
def test_equivalence_is_two_one_sided_tests_on_at_least_five_seeds(differences: tuple[float, ...], verdict: str) -> None:
    found = equivalent("", seeds(*differences), zeros(len(differences)), 0.03)
    assert found.verdict == verdict
    assert ("at least 5 seeds, got 4" in found.why) == (len(differences) == 4)


def test_equivalence_has_a_90_percent_interval() -> None:
    values = (0.01, 0.02, 0.0, 0.015, 0.005)
    found = equivalent("", seeds(*values), zeros(5), 0.03).figure
    assert found is not None and found.high is not None
    half = 2.13184678632665 * math.sqrt(sum((value - 0.01) ** 2 for value in values) / 4 / 5)  # t of 4 at 95%
    assert found.high == pytest.approx(0.01 + half)


def test_equal_seeds_have_the_widest_of_their_own_intervals_or_none() -> None:
    claim = judge("X", "", "", [share("", seeds(1.0, 1.0, 1.0), Range(above=0.995))])
    assert (claim.verdict, claim.low) == ("not decided", 0.99)
    assert "all seeds gave one value" in claim.note
    same = difference("", seeds(0.7, 0.8), seeds(0.2, 0.3), Range(above=0.47))  # 0.5 twice, up to rounding
    assert same.figure is not None
    assert (same.figure.kind, same.verdict) == ("equal seeds", "holds")
    assert (same.figure.low, same.figure.high) == (pytest.approx(0.48), pytest.approx(0.52))
    assert difference("", seeds(0.7, 0.8), seeds(0.2, 0.3), Range(above=0.49)).verdict == "not decided"
    assert share("", seeds(0.9, 0.9, width=None), OVER).verdict == "not decided"


def test_the_mean_over_tasks_is_of_the_seeds_that_have_all() -> None:
    found = average([seeds(0.9, 0.8), seeds(0.7, 0.6, 0.5)])
    assert {seed: one.value for seed, one in found.items()} == {0: pytest.approx(0.8), 1: pytest.approx(0.7)}
    assert (found[0].low, found[0].high) == (pytest.approx(0.79), pytest.approx(0.81))
    assert average([seeds(0.9), {}]) == {}
    assert average([seeds(0.9, width=None)])[0].low is None


def test_several_conditions_hold_only_if_each_does_and_the_tightest_is_shown() -> None:
    wide, tight = share("wide", seeds(0.89, 0.9, 0.91), OVER), share("tight", seeds(0.49, 0.5, 0.51), OVER)
    open_, broken = share("open", seeds(0.3, 0.4, 0.5), OVER), share("broken", seeds(0.09, 0.1, 0.11), OVER)
    missing = share("missing", {}, OVER)
    both = judge("X", "", "", [wide, tight])
    assert (both.verdict, both.value) == ("holds", pytest.approx(0.5))
    assert "of 2 conditions, which must all hold, the tightest: tight" in both.note
    assert judge("X", "", "", [wide, open_, tight]).verdict == "not decided"
    assert judge("X", "", "", [wide, open_, broken, missing]).verdict == "does not hold"
    nothing = judge("X", "", "", [wide, missing], ["also told"])
    assert (nothing.verdict, nothing.value, nothing.seeds, nothing.n) == ("not decided", None, 0, None)
    assert nothing.note.endswith("tightest: missing; no finished trial has this figure; also told")


def test_what_keeps_a_condition_open_outweighs_its_interval() -> None:
    found = share("", seeds(0.89, 0.9, 0.91), OVER)
    assert Condition("", found.figure, OVER, "too few").verdict == "not decided"


def test_figures_in_words() -> None:
    assert told(share("", seeds(0.42), OVER).figure) == "0.4200 [0.4100, 0.4300]"
    assert told(difference("", seeds(0.0, 0.0), seeds(0.5, 0.4, width=None), OVER).figure).startswith("\N{MINUS SIGN}0.4500 [")
    assert told(None) == "not measured"
