"""The page of a study: which figures it has, and what it says of what is missing."""

from __future__ import annotations

import re
from pathlib import Path

from report_records import Make
from study_records import Record, crossed, fading, trial

from turncoat.report.page import write_report
from turncoat.report.scatter import MOST_TOLD, Dot, scatter_chart
from turncoat.report.summary import Estimate


def report(store: Path) -> str:
    return write_report(store).read_text(encoding="utf-8")


def headings(page: str) -> list[str]:
    return re.findall(r'<h2 id="[^"]+">([^<]+)</h2>', page)


def grid(metric: str, page: str) -> str:
    return "".join(re.findall(rf'aria-label="{metric}: .*?</table>', page, re.DOTALL))


def test_a_full_study_has_every_figure(make: Make) -> None:
    page = report(make(*crossed(), *fading(0.05)))
    assert headings(page) == [
        "All configurations",
        "Against the poisoning rate",
        "Attack × model",  # noqa: RUF001
        "Attack × regulariser",  # noqa: RUF001
        "Retrained on clean images",
        "What the attack costs in clean accuracy",
        "Cost",
        "Each configuration",
    ]
    for why in ("not run", "no twin", "diverged"):
        assert f">{why}</td>" in grid("CA drop", page)
    assert ">not run</td>" in grid("ASR", page)
    assert ">no twin</td>" not in grid("ASR", page)


def test_a_figure_appears_only_where_there_is_what_it_shows(make: Make) -> None:
    page = report(make(trial("a"), trial("b", attack="blended")))
    assert headings(page) == ["All configurations", "What the attack costs in clean accuracy", "Cost", "Each configuration"]


def test_a_study_without_twins(make: Make) -> None:
    page = report(make(trial("a", twin_ca=None), trial("b", twin_ca=None, model="resnet50")))
    assert "What the attack costs" not in page
    assert "CA drop" not in page
    assert grid("ASR", page).count(">97.0<") == 2


def test_clean_networks_are_in_the_table_alone(make: Make) -> None:
    clean = trial("a", model="resnet50")
    clean["attack"] = {"name": "none"}
    clean["config"]["attack"] = None
    clean["rows"] = [one for one in clean["rows"] if one["metric"] != "asr"]
    page = report(make(clean, trial("b"), trial("c", rate=0.1)))
    assert "<h1>3 configurations</h1>" in page
    assert "Attack × model" not in page  # noqa: RUF001
    assert len(re.findall(r"<title>rate \d+%: \d", page)) == 4  # two rates, two metrics


def test_the_table_has_lost_accuracy_and_sorts_what_is_missing_last(make: Make) -> None:
    page = report(make(trial("a", ca=0.9, twin_ca=0.93), trial("b", twin_ca=None, rate=0.1)))
    overview = page[page.index('<table class="sortable overview">') : page.index("</table>")]
    assert "CA drop</th>" in overview
    assert '<span class="value">+3.0</span>' in overview
    assert 'data-v=""' in overview


def test_what_each_configuration_cost(make: Make) -> None:
    slow: Record = trial("a")
    for one in slow["rows"]:
        if one["stage"] == "train" and one["method"] == "victim":
            one["seconds"] = 48.0
    page = report(make(slow, trial("b", rate=0.1), trial("c", 1, rate=0.1)))
    cost = page[page.index('id="h-cost"') : page.index('id="h-each"')]
    assert 'data-v="48.0"><span class="bar-cell"><i style="--w:100.0%">' in cost
    assert 'data-v="12.0"><span class="bar-cell"><i style="--w:25.0%">' in cost
    assert ">60 s</td>" in cost  # two trials of 30 s
    assert ">812</td>" in cost
    assert "Retraining" not in cost


def test_a_page_of_two_hundred_stays_small_and_complete(make: Make) -> None:
    records = [
        trial(f"{a}-{m}-{r}", attack=f"attack{a}", model=f"model{m}", regulariser=r)
        for a in range(5)
        for m in range(5)
        for r in ("", *(f"way{i}" for i in range(7)))
    ]
    store = make(*records)
    page = report(store)
    assert len(page) < 5_000_000
    assert page.count('<details class="cell"') == 200
    assert "6 of 8 panels, evenly spread" in page
    assert '<div class="scroll tall" tabindex="0" role="group" aria-label="Table of all configurations">' in page
    assert "200 configurations, each with its figures in the table" in page


def dot(name: str, drop: float, success: float, half: float | None = None) -> Dot:
    def estimate(value: float) -> Estimate:
        bounds = (None, None) if half is None else (value - half, value + half)
        return Estimate(value, *bounds, 3, 100, "t" if half is not None else "none")

    return Dot(name, 0, estimate(drop), estimate(success))


def test_the_scatter_tells_each_point_and_cuts_whiskers_at_its_edge() -> None:
    chart = scatter_chart("x", [dot("one", 0.01, 0.5), dot("two", -0.02, 0.9, 0.5)])
    assert "one: ASR 50.0%, CA drop +1.0 points; two: ASR 90.0% [40.0, 140.0]" in chart
    assert chart.count("whisker") == 2
    ends = [float(end) for end in re.findall(r'x[12]="([\d.]+)"', chart)]
    assert min(ends) >= 40
    assert max(ends) <= 604
    assert "\N{MINUS SIGN}2" in chart


def test_a_scatter_of_many_is_summed_up_in_words() -> None:
    chart = scatter_chart("x", [dot(f"cell {i}", i / 1000, i / 100) for i in range(MOST_TOLD + 1)])
    description = re.search(r"<desc[^>]*>(.*?)</desc>", chart)
    assert description is not None
    assert description[1] == (
        "41 configurations, each with its figures in the table of all configurations. CA drop from 0 to +4.0 points, "
        "ASR from 0% to 40.0%."
    )
    assert "<title>cell 7: ASR 7.0%" in chart  # each still says what it is
