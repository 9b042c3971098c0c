"""The charts of a one-shot trial: where things are drawn, against places worked out by hand."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest

from turncoat.report.oneshot_figures import (
    Histogram,
    RocCurve,
    WaysLine,
    accuracy_chart,
    histogram_chart,
    hugs_corner,
    roc_chart,
)
from turncoat.report.summary import Estimate


def measured(value: float, half: float | None = None) -> Estimate:
    return Estimate(value, None if half is None else value - half, None if half is None else value + half, 1, 100, "one seed")


def paths(svg: str, style: str) -> list[list[tuple[float, float]]]:
    """Points of each path of this class."""
    found = re.findall(rf'<path d="([^"]*)" class="{style}"', svg)
    return [[(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)] for path in found]


def test_accuracy_against_ways() -> None:
    victim = WaysLine("victim", ((2, measured(1.0, 0.0)), (20, measured(0.5, 0.25)), (60, measured(0.25, 0.05))))
    chance = WaysLine("chance", tuple((ways, measured(1 / ways)) for ways in (2, 20, 60)))
    svg = accuracy_chart("a", "Accuracy", [chance, victim])
    [line] = paths(svg, "line v")
    assert [y for _, y in line] == pytest.approx([12.0, 125.0, 181.5])  # 12 is 100%, 238 is 0
    assert (line[1][0] - line[0][0]) / (line[2][0] - line[0][0]) == pytest.approx(math.log(10) / math.log(30), abs=0.01)
    [band] = paths(svg, "band v")
    assert [y for _, y in band[:3]] == pytest.approx([12.0, 68.5, 170.2])  # upper bounds, left to right
    assert [y for _, y in band[3:]] == pytest.approx([192.8, 181.5, 12.0])  # lower bounds, back again
    assert not paths(svg, "band c")
    assert len(paths(svg, "line c")) == 1
    assert "victim, 20-way: 50.0% [25.0, 75.0]" in svg
    assert "chance, 60-way: 1.7%" in svg
    assert svg.count("<circle") == 3


def test_close_ways_are_not_written_over_each_other() -> None:
    ways = (2, 5, 9, 19, 20, 21, 29, 39, 40, 49, 59, 60)
    svg = accuracy_chart("a", "Accuracy", [WaysLine("victim", tuple((at, measured(0.9)) for at in ways))])
    labels = {int(text): float(x) for x, text in re.findall(r'<text x="([\d.]+)" y="256" [^>]*>(\d+)</text>', svg)}
    assert {2, 5, 20, 40, 60} <= set(labels)
    assert {19, 21, 59}.isdisjoint(labels)
    places = sorted(labels.values())
    assert min(after - before for before, after in pairwise(places)) >= 22


def test_line_ends_are_named_once_and_apart() -> None:
    lines = [
        WaysLine(method, ((2, measured(0.99)), (60, measured(value))), end)
        for method, value, end in (
            ("victim", 0.95, "1-shot"),
            ("clean-twin", 0.95, "1-shot"),
            ("victim", 0.951, "5-shot"),
            ("clean-twin", 0.951, "5-shot"),
        )
    ]
    svg = accuracy_chart("a", "Accuracy", lines, lowest=0.8)
    ends = re.findall(r'y="([\d.]+)" text-anchor="start" class="label">(\d-shot)<', svg)
    assert [name for _, name in ends] == ["5-shot", "1-shot"]
    assert float(ends[1][0]) - float(ends[0][0]) >= 14


def test_histogram_bars_are_square_roots_of_shares() -> None:
    edges = (0.0, 0.25, 0.5, 0.75, 1.0)
    svg = histogram_chart("h", [Histogram("Same class", edges, (0, 0, 1, 3), (4, 0, 0, 0))], {"victim": 0.5, "clean-twin": 0.25})
    bars = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" class="bar (\w)">', svg)
    heights = [(style, round(float(height), 1)) for *_, height, style in bars]
    assert heights == [("v", 17.0), ("v", round(34 * 0.75**0.5, 1)), ("t", 34.0)]  # a quarter is half as high as all
    middle = float(bars[2][1])
    assert [float(y) + float(height) for _, y, _, height, style in bars if style == "v"] == pytest.approx([middle] * 2, abs=0.01)
    assert "victim: 75.0% of pairs at 75\N{EN DASH}100%" in svg
    assert "Same class, victim: about 0% of pairs below the threshold" in svg
    assert "Same class, clean twin: about 100% of pairs below the threshold" in svg
    assert len(re.findall('class="threshold v"', svg)) == 1


def test_histogram_without_twin_or_pairs() -> None:
    svg = histogram_chart("h", [Histogram("Same class", (0.0, 1.0), (0,), None)], {})
    assert "<rect" not in svg
    assert "threshold" not in svg


def test_roc_on_a_linear_scale_where_it_does_not_hug_the_corner() -> None:
    weak = RocCurve("victim", ((0.0, 0.0), (0.25, 0.5), (1.0, 1.0)), (0.25, 0.5), "victim here")
    assert not hugs_corner([weak])
    svg = roc_chart("r", [weak])
    [line] = paths(svg, "line v")
    assert line == [(48.0, 322.0), (122.5, 175.0), (346.0, 28.0)]
    assert "logarithmic" not in svg
    assert 'cx="122.5" cy="175"' in svg


def test_roc_on_logarithmic_axes_near_the_corner() -> None:
    good = RocCurve("victim", ((0.0, 0.5), (0.01, 0.9), (0.1, 0.99), (1.0, 1.0)), (0.01, 0.99), "victim here")
    assert hugs_corner([good])
    assert not hugs_corner([])
    svg = roc_chart("r", [good])
    [line] = paths(svg, "line v")
    # least is 1%: a factor of ten is half an axis; no error at all lies on the edge
    assert line[1:] == [(48.0, 175.0), (197.0, 28.0), (346.0, 28.0)]
    assert "(both axes logarithmic)" in svg
    assert 'cx="48" cy="28"' in svg
    assert "\N{LESS-THAN OR EQUAL TO}1<" in svg
    assert "\N{GREATER-THAN OR EQUAL TO}99<" in svg
