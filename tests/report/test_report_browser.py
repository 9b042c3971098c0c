"""The pages in a real browser: complete, quiet, legible, sortable, and asking nothing of anyone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, browser, find_browser
from PIL import Image
from report_records import write_trial
from study_records import crossed, fading, trial

from turncoat.report.page import write_report

CHROMIUM = find_browser()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome here")

CONTRASTS = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  return [...document.querySelectorAll(".heat td[style], .scale [style]")].map((cell) => {
    const { color, backgroundColor } = getComputedStyle(cell);
    const [one, other] = [light(color), light(backgroundColor)];
    return Math.max(one, other) / Math.min(one, other);
  });
})()"""

CUT = """[...document.querySelectorAll("svg.chart")].flatMap((chart) => {
  const box = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("text")].filter((text) => {
    const own = text.getBoundingClientRect();
    return own.left < box.left - 2 || own.right > box.right + 2 || own.top < box.top - 2 || own.bottom > box.bottom + 2;
  }).map((text) => text.textContent);
})"""

OVERLAPPING = """[...document.querySelectorAll("svg.chart")].flatMap((chart) => {
  const texts = [...chart.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  return texts.flatMap(([name, a], i) => texts.slice(i + 1).filter(([, b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4
  ).map(([other]) => `${name} / ${other}`));
})"""

OVERFLOWING = """[...document.querySelectorAll(".heat th, .heat td")].filter(
  (cell) => cell.scrollWidth > cell.clientWidth + 1
).map((cell) => cell.textContent)"""

COLUMN = """(table, name) => {
  const heads = [...table.tHead.rows[0].cells];
  const place = heads.findIndex((head) => head.textContent.trim() === name);
  return [...table.tBodies[0].rows].map((row) => row.cells[place].dataset.v ?? row.cells[place].textContent.trim());
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study with every kind of figure, every kind of hole, and retrained trials."""
    store = tmp_path_factory.mktemp("study")
    for record in (*crossed(), *fading(0.05)):
        write_trial(store, record)
    return write_report(store)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study with as many columns in its heat map as there may be, and long names."""
    store = tmp_path_factory.mktemp("wide")
    for attack, model in product(range(2), range(10)):
        name = f"an-attack-of-{'many-words-and-' * 4}{attack}"
        write_trial(store, trial(f"{attack}-{model}", attack=name, model=f"some-model-{model}"))
    return write_report(store)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with browser(CHROMIUM, tmp_path_factory.mktemp("profile")) as found:
        yield found


def overview(chromium: Browser, name: str) -> list[str]:
    return chromium.ask(f"({COLUMN})(document.querySelector('table.overview'), {name!r})")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_drawn_quietly_and_asks_for_nothing(chromium: Browser, page: Path, dark: bool) -> None:
    chromium.open(page, dark=dark)
    drawn = np.asarray(Image.open(io.BytesIO(chromium.picture())).convert("RGB"))
    assert drawn.shape[0] > 3000
    assert drawn.shape[1] == 1200
    sampled = drawn[::5, ::5].reshape(-1, 3).astype(np.int64)
    assert (np.median(sampled) < 60) == dark
    assert len(np.unique(sampled @ [65536, 256, 1])) > 200
    assert chromium.complaints == []
    assert [address for address in chromium.requests if not address.startswith("data:")] == [page.as_uri()]


def test_what_a_page_asks_for_would_be_seen(chromium: Browser, tmp_path: Path) -> None:
    asking = tmp_path / "asking.html"
    asking.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('x'); missing()</script>", encoding="utf-8")
    chromium.open(asking)
    assert "http://127.0.0.1:9/x.png" in chromium.requests
    assert len(chromium.complaints) >= 2


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_numbers_can_be_read_on_every_colour(chromium: Browser, page: Path, dark: bool) -> None:
    chromium.open(page, dark=dark)
    found = chromium.ask(CONTRASTS)
    assert len(found) > 100
    assert min(found) >= 4.5
    assert chromium.ask("new Set([...document.querySelectorAll('.heat td[style]')].map((c) => c.className)).size") >= 5


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("study", ["page", "wide"])
def test_nothing_is_cut_or_lies_on_something_else(
    chromium: Browser, request: pytest.FixtureRequest, study: str, width: int
) -> None:
    chromium.open(request.getfixturevalue(study), width)
    chromium.ask("for (const one of document.querySelectorAll('details')) one.open = true")
    assert chromium.ask("document.documentElement.scrollWidth") <= width
    assert chromium.ask(CUT) == []
    assert chromium.ask(OVERLAPPING) == []
    assert chromium.ask(OVERFLOWING) == []


def test_a_table_sorts_by_the_keyboard_alone(chromium: Browser, page: Path) -> None:
    chromium.open(page)
    before = overview(chromium, "ASR")
    chromium.ask("document.querySelector('table.overview').parentElement.focus()")
    for _ in range(20):
        chromium.press("Tab")
        if chromium.ask("document.activeElement.closest('th')?.textContent.trim()") == "ASR":
            break
    assert chromium.ask("document.activeElement.tagName") == "BUTTON"
    assert chromium.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    chromium.press("Enter")
    rising = overview(chromium, "ASR")
    assert rising != before
    numbers = [float(value) for value in rising if value]
    assert numbers == sorted(numbers)
    assert rising[-1] == ""  # what diverged stands last, either way
    head = "document.activeElement.closest('th').getAttribute('aria-sort')"
    assert chromium.ask(head) == "ascending"
    chromium.press(" ")
    falling = [float(value) for value in overview(chromium, "ASR") if value]
    assert falling == sorted(numbers, reverse=True)
    assert overview(chromium, "ASR")[-1] == ""
    assert chromium.ask(head) == "descending"
    assert sorted(map(int, overview(chromium, "No."))) == list(range(1, len(before) + 1))


def test_without_scripts_it_is_a_plain_page(chromium: Browser, page: Path) -> None:
    chromium.open(page, scripts=False)
    root = chromium.call("DOM.getDocument")["root"]["nodeId"]

    def count(selector: str) -> int:
        return len(chromium.call("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"])

    assert count("table.overview button") == 0
    assert count("table.overview tbody tr") > 60
    assert count(".heat td") > 50
    assert count("svg.chart") > 10


def test_a_link_opens_its_configuration(chromium: Browser, page: Path) -> None:
    chromium.open(page)
    assert chromium.ask("document.getElementById('c5').open") is False
    chromium.ask("document.querySelector('table.overview a[href=\"#c5\"]').click()")
    assert chromium.ask("document.getElementById('c5').open") is True
