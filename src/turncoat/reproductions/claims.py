"""Claims and the rule that judges them: pure functions from figures over seeds to verdicts.

A condition holds only if its whole 95% interval lies on the claimed side, does not hold if the whole interval lies on the other,
and is not decided otherwise. The seed is the unit: t intervals over the seeds, differences and ratios paired by seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from turncoat.report.claims import decimal
from turncoat.report.summary import Estimate, Measured, estimate

Verdict = Literal["holds", "does not hold", "not decided"]
Seeds = Mapping[int, Measured]
"""One figure by seed."""

EQUIVALENCE_SEEDS = 5
_DIGITS = 12  # equal differences come out equal
_WORST_FIRST: tuple[Verdict, ...] = ("does not hold", "not decided", "holds")


@dataclass(frozen=True)
class Claim:
    """A judged statement. value, low, high: a share in [0, 1], a difference or a ratio of shares; n: of one seed.

    expected: what the statement asks of the value, in words. note: what else is told.
    """

    id: str
    statement: str
    expected: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    seeds: int
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True)
class Range:
    """The claimed side: values between ``above`` and ``below``, the ends themselves only where it is ``closed``."""

    above: float = -math.inf
    below: float = math.inf
    closed: bool = False

    def verdict(self, low: float, high: float) -> Verdict:
        """Of an interval from ``low`` to ``high``, ends included. NaN decides nothing."""
        if self._has(low) and self._has(high):
            return "holds"
        beyond = high < self.above or low > self.below
        if not self.closed:
            beyond = beyond or high == self.above or low == self.below
        return "does not hold" if beyond else "not decided"

    def slack(self, low: float, high: float) -> float:
        """How far inside the interval lies, at its nearer end; negative where it reaches outside."""
        return min(low - self.above, self.below - high)

    def _has(self, value: float) -> bool:
        return self.above <= value <= self.below if self.closed else self.above < value < self.below


@dataclass(frozen=True)
class Condition:
    """A figure and where it is claimed to lie. why: what keeps it from being decided, whatever its interval."""

    name: str
    figure: Estimate | None
    wanted: Range
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        found = self.figure
        if self.why or found is None or found.low is None or found.high is None:
            return "not decided"
        return self.wanted.verdict(found.low, found.high)

    @property
    def slack(self) -> float:
        """`Range.slack` of the interval, or of the value where there is none; minus infinity without a figure."""
        found = self.figure
        if found is None or math.isnan(found.value):
            return -math.inf
        low = found.value if found.low is None else found.low
        return self.wanted.slack(low, found.value if found.high is None else found.high)


def share(name: str, seeds: Seeds, wanted: Range) -> Condition:
    """A proportion lies in ``wanted``. Of one seed its own interval counts."""
    return Condition(name, _over_seeds(list(seeds.values()), (0.0, 1.0)), wanted)


def difference(name: str, first: Seeds, second: Seeds, wanted: Range) -> Condition:
    """``first`` minus ``second``, paired by seed, lies in ``wanted``; one seed does not decide it."""
    figure, why = _several(_over_seeds(paired(first, second, _minus), (-1.0, 1.0)), 2, "a paired difference")
    return Condition(name, figure, wanted, why)


def ratio(name: str, over: Seeds, under: Seeds, wanted: Range) -> Condition:
    """``over`` divided by ``under``, paired by seed, lies in ``wanted``. Of one seed the widest ratio of its bounds counts."""
    return Condition(name, _over_seeds(paired(over, under, _divided), (0.0, math.inf)), wanted)


def equivalent(name: str, first: Seeds, second: Seeds, margin: float) -> Condition:
    """``first`` and ``second`` differ by less than ``margin``: two one-sided tests of 5%, which is a paired 90% t interval.

    Fewer than 5 seeds do not decide it.
    """
    figure = _over_seeds(paired(first, second, _minus), (-1.0, 1.0), level=0.9)
    figure, why = _several(figure, EQUIVALENCE_SEEDS, "equivalence")
    return Condition(name, figure, Range(-margin, margin), why)


def average(figures: Sequence[Seeds]) -> dict[int, Measured]:
    """The mean of several proportions by seed; a seed that lacks one is left out. Its bounds are the means of theirs."""
    found: dict[int, Measured] = {}
    for seed in sorted(set[int].intersection(*(set(one) for one in figures))):
        every = [one[seed] for one in figures]
        lows, highs = [one.low for one in every], [one.high for one in every]
        value = math.fsum(one.value for one in every) / len(every)
        found[seed] = Measured(value, _mean(lows), _mean(highs), every[0].n)
    return found


def judge(identity: str, statement: str, expected: str, conditions: Sequence[Condition], notes: Sequence[str] = ()) -> Claim:
    """The claim that all ``conditions`` are true: holds if each does, does not hold if one does not (intersection-union).

    The figures are of the tightest: the one with the worst verdict and, among those, the least slack.
    """
    tightest = min(conditions, key=lambda one: (_WORST_FIRST.index(one.verdict), one.slack))
    found = tightest.figure
    remarks = (
        [f"of {len(conditions)} conditions, which must all hold, the tightest: {tightest.name}"] if len(conditions) > 1 else []
    )
    remarks += [remark for remark in (tightest.why, _basis(found)) if remark]
    note = "; ".join([*remarks, *notes])
    value, low, high = (None, None, None) if found is None else (found.value, found.low, found.high)
    count, seeds = (None, 0) if found is None else (found.n, found.seeds)
    return Claim(identity, statement, expected, value, low, high, count, seeds, tightest.verdict, note)


def told(figure: Estimate | None) -> str:
    """``0.9871 [0.9850, 0.9892]``, or "not measured"."""
    if figure is None:
        return "not measured"
    text = decimal(figure.value)
    return text if figure.low is None or figure.high is None else f"{text} [{decimal(figure.low)}, {decimal(figure.high)}]"


def paired(first: Seeds, second: Seeds, of_both: Callable[[Measured, Measured], Measured]) -> list[Measured]:
    """``of_both`` for every seed that has both, in the order of the seeds."""
    return [of_both(first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]


def _minus(first: Measured, second: Measured) -> Measured:
    """Its bounds are as far apart as those of both allow."""
    low = None if first.low is None or second.high is None else first.low - second.high
    high = None if first.high is None or second.low is None else first.high - second.low
    return Measured(round(first.value - second.value, _DIGITS), low, high, first.n)


def _divided(over: Measured, under: Measured) -> Measured:
    low = over.low / under.high if over.low is not None and under.high else None
    high = over.high / under.low if over.high is not None and under.low else None
    return Measured(round(over.value / under.value, _DIGITS) if under.value else math.nan, low, high, over.n)


def _over_seeds(measured: Sequence[Measured], bounds: tuple[float, float], level: float = 0.95) -> Estimate | None:
    """`estimate`, but equal values without intervals of their own get none: a t interval without width would claim too much."""
    figure = estimate(measured, bounds, level)
    if figure is None or figure.kind != "equal seeds" or all(one.low is not None and one.high is not None for one in measured):
        return figure
    return replace(figure, low=None, high=None, kind="none")


def _several(figure: Estimate | None, least: int, what: str) -> tuple[Estimate | None, str]:
    """The figure, without an interval if it is of one seed, and why too few seeds decide nothing."""
    if figure is None or figure.seeds >= least:
        return figure, ""
    if figure.seeds == 1:
        figure = replace(figure, low=None, high=None, kind="none")
    return figure, f"{what} needs at least {least} seeds, got {figure.seeds}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None


def _basis(figure: Estimate | None) -> str:
    if figure is None:
        return "no finished trial has this figure"
    return {
        "one seed": "one seed: its own interval, which says nothing about others",
        "equal seeds": "all seeds gave one value: the widest of their own intervals",
    }.get(figure.kind, "")
