"""A study's charts of lines: what is in which chart, bands, and clean retraining on both pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from report_records import Make, document, row
from study_records import crossed, fading, retrained, trial

from turncoat.report import words
from turncoat.report.cells import Cell, group, starts, telling_keys, without_starts
from turncoat.report.curves import LineFigures, rate_figures, retraining_figures
from turncoat.report.lines import EPOCHS, Point, Series, line_chart, rounded_range
from turncoat.report.page import write_report
from turncoat.report.read import read_trials
from turncoat.report.record import TrialRecord
from turncoat.report.summary import Estimate


def cells(store: Path) -> list[Cell]:
    return group(read_trials(store))


def against_rate(store: Path) -> list[LineFigures]:
    found = cells(store)
    return rate_figures(found, telling_keys(found))


def test_attacks_share_a_chart_with_bands(make: Make) -> None:
    rates = [trial(f"{a}{r}{s}", s, attack=a, rate=r, asr=0.5 + r + s / 50) for a in "xy" for r in (0.01, 0.1) for s in (0, 1)]
    success, accuracy = against_rate(make(*rates))
    assert [len(one.charts) for one in (success, accuracy)] == [1, 1]
    assert [name for _, name in success.legend] == ["x", "y"]
    chart = success.charts[0].chart
    assert chart.count('class="band ') == 2
    assert "whisker" not in chart  # the bands say it
    assert "x, rate 1%: 52.0% [" in chart
    assert "the axis does not start at 0" in accuracy.title


def test_one_rate_alone_has_a_whisker(make: Make) -> None:
    records = [trial("a", rate=0.01), trial("b", rate=0.1), trial("c", attack="blended", rate=0.1)]
    chart = against_rate(make(*records))[0].charts[0].chart
    assert chart.count('class="band ') == 1
    assert chart.count('class="whisker s1"') == 1


def test_many_lines_get_a_chart_a_panel_in_the_same_colours(make: Make) -> None:
    records = [record for record in crossed(1) if not record["key"].startswith("111")]  # blended is not in one panel
    success, accuracy = against_rate(make(*records))
    assert len(success.charts) == len(accuracy.charts) == 6
    assert "nasnet-mobile, regulariser none" in [one.caption for one in success.charts]
    assert [name for _, name in success.legend] == ["badnets", "blended", "sig"]
    assert all(re.search(r'class="mark s2"[^/]*?><title>sig,', one.chart) for one in success.charts)
    ranges = {re.search(r">9\d<", one.chart) is not None for one in accuracy.charts}
    assert ranges == {True}  # all span the same


def test_nothing_against_one_rate(make: Make) -> None:
    assert against_rate(make(trial("a"), trial("b", attack="blended"))) == []


def test_more_charts_than_a_page_can_take_are_told(make: Make) -> None:
    records = [document(f"{a}-{r}", attack=f"attack{a}", rate=r) for a in range(26) for r in (0.01, 0.02)]
    success = against_rate(make(*records))[0]
    assert (len(success.charts), success.left_out) == (24, 2)


def test_a_retrained_trial_stands_for_what_it_began_from(make: Make) -> None:
    found = cells(make(*fading()))
    assert len(found) == 4
    kept = without_starts(found)
    assert [len(cell.epochs) for cell in kept] == [4, 4]
    other = trial("more", 7, attack="badnets")  # a seed that was not retrained
    assert len(without_starts(cells(make(other)))) == 3


def test_a_start_with_more_seeds_than_were_retrained_stays(make: Make) -> None:
    bases = [trial(f"a{seed}", seed) for seed in range(3)]
    store = make(*bases, retrained(bases[0], [0.9, 0.5], [0.9, 0.9]))
    assert [len(cell.done) for cell in without_starts(cells(store))] == [3, 1]


def test_one_cell_a_start_whatever_followed(make: Make) -> None:
    base = trial("a")
    store = make(
        retrained(base, [0.9, 0.5], [0.9, 0.9], lr=0.01),
        retrained(base, [0.9, 0.1], [0.9, 0.9], lr=0.1) | {"key": "b"},
        retrained(trial("c", 1), [0.9, 0.1], [0.9, 0.9], lr=0.1),
    )
    found = cells(store)
    assert [len(cell.done) for cell in found] == [1, 2]
    assert [len(cell.done) for cell in starts(found)] == [2]


def test_persistence_of_several_attacks_in_one_chart(make: Make) -> None:
    found = without_starts(cells(make(*fading())))
    success, accuracy = retraining_figures(found, telling_keys(found))
    assert [name for _, name in success.legend] == ["badnets", "blended"]
    chart = success.charts[0].chart
    assert "badnets, epoch 0: 91.0%" in chart
    assert "badnets, epoch 3: 12.2%" in chart
    assert "blended, epoch 3: 66.6%" in chart
    assert ", twin 1.0%" in chart
    assert "badnets, epoch 1: 88" in accuracy.charts[0].chart


def test_the_words_of_a_retraining(make: Make) -> None:
    found = without_starts(cells(make(*fading())))
    told = words.retraining(found[0])
    assert told.startswith(
        "The finished victim, and its clean twin, trained on for 3 epochs with 5% of the training set, clean, all layers, at a "
        "learning rate of 0.01. Attack success went from 91.0% ["
    )
    assert "] to 12.2% [" in told
    assert "(twin 1.0% to 1.0%); clean accuracy went from 90" in told
    [alone] = cells(make(trial("z", attack="sig")))[-1:]
    assert words.retraining(alone) == ""


def test_both_pages_have_the_curves(make: Make) -> None:
    store = make(*fading())
    page = write_report(store).read_text(encoding="utf-8")
    assert "<h1>2 configurations</h1>" in page
    assert page.count("Attack success by epoch of clean retraining</title>") == 3  # of all, and of each
    assert "Retraining</th>" in page
    assert "retrain, victim" in page
    alone = write_report(store / "trials" / "badnets0-re").read_text(encoding="utf-8")
    assert alone.count("by epoch of clean retraining</title>") == 2
    assert "Retrained on clean images" not in write_report(store / "trials" / "badnets0").read_text(encoding="utf-8")


def test_seconds_of_retraining_are_those_of_training(make: Make) -> None:
    [cell] = cells(make(retrained(trial("a"), [0.9, 0.5], [0.9, 0.9])))
    found = cell.seconds("retrain", "victim", "epochs")
    assert found is not None
    assert found.value == 4.0


def test_shares_after_retraining_are_checked(make: Make) -> None:
    record = trial("a")
    record["rows"].append(row("victim", "asr", 1.5, "epoch 1", "retrain"))
    with pytest.raises(ValidationError, match=r"asr is a share in \[0, 1\], not 1.5"):
        TrialRecord.model_validate(record)
    record["rows"][-1] = row("victim", "ca", 0.5, "epoch 1e9", "retrain")
    assert cells(make(record))[0].epochs == []


def test_a_long_line_has_few_marks_and_its_ends() -> None:
    def at(value: float) -> Estimate:
        return Estimate(value, value - 0.05, value + 0.05, 3, 100, "t")

    points = tuple(Point(float(epoch), at(0.9 - epoch / 2000), at(0.1)) for epoch in range(1001))
    chart = line_chart("x", "A title", EPOCHS, [Series("", points)])
    assert chart.count("<circle") <= 15
    assert "epoch 0: 90.0%" in chart
    assert "epoch 1000: 40.0%" in chart
    assert len(chart) < 20_000
    assert rounded_range([Series("", points)]) == (0.0, 1.0)
