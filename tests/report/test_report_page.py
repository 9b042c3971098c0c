"""The page as a whole: what it says, what it must not do, how it is written."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_records import Make, diverged, document, write_trial

from turncoat.errors import TurncoatError
from turncoat.report import page as page_module
from turncoat.report.page import write_report

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "cat</style><b>", "{{ 7 * 7 }}", "\u202ednib\x00")


class Page(HTMLParser):
    """Elements with their attributes, text by element, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.stack: list[str] = []
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.stack[-1] if self.stack else "", data.strip()))

    @property
    def text(self) -> str:
        return " ".join(" ".join(text for tag, text in self.texts if tag not in ("style", "script")).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def report(store: Path) -> tuple[str, Page]:
    html = write_report(store).read_text(encoding="utf-8")
    return html, Page(html)


def three_seeds() -> list[dict[str, Any]]:
    return [document("a", 0, asr=0.7), document("b", 1, asr=0.8), document("c", 2, asr=0.9), diverged("d", 3)]


def grid() -> list[dict[str, Any]]:
    return [
        document(f"{attack}{rate}{seed}".replace(".", "-"), seed, asr=asr + seed / 100, rate=rate, attack=attack)
        for attack in ("badnets", "blended")
        for rate, asr in ((0.001, 0.1), (0.01, 0.6), (0.1, 0.95))
        for seed in range(2)
    ]


def test_one_configuration(make: Make) -> None:
    store = make(*three_seeds())
    html, page = report(store)
    assert write_report(store) == store / "report.html"
    headings = [text for tag, text in page.texts if tag in ("h1", "h2")]
    assert headings == [
        "badnets on digits, small-cnn", "Figures", "What was attacked, and how", "Triggered test images", "By class", "Training",
        "Visibility and cost",
    ]  # fmt: skip
    for words in (
        "80.0% [55.2, 100] of triggered test images are called 'airplane'",  # t(2; 0.975) * 0.1 / sqrt(3) = 0.248
        "training diverged in 1 of 4 trials (seed 3)",
        "victim: NaN at epoch 1, step 3",
        "+79.0 [+54.2, +100]",  # paired with a twin that is always 1%
        "training images and their labels",
        "50 of 5,000 training images (1%); 1% of all labels changed",
        "enlarged 5-fold",
        "27.5",
        "12 s",
        "2 min 0 s",  # four trials of 30 s
    ):
        assert words in page.text, words
    assert len(page.all("svg")) == 3
    assert len(page.all("img")) == 6 * 3 + 2
    assert "nan" not in html.lower().replace("nan at epoch", "")


def test_one_seed_is_said(make: Make) -> None:
    _, page = report(make(document("a")))
    assert "One seed: the 95% intervals (Wilson)" in page.text
    assert "Each seed" not in page.text


def test_a_trial_folder_alone(make: Make) -> None:
    store = make(document("a"), document("b", rate=0.05))
    path = write_report(store / "trials" / "a")
    assert path == store / "trials" / "a" / "report.html"
    assert "All configurations" not in path.read_text(encoding="utf-8")


def test_a_study(make: Make) -> None:
    _, page = report(make(*grid()))
    assert "12 trials of 6 configurations. The backdoor is shown in" in page.text
    overview = next(attributes for attributes in page.all("table") if "overview" in str(attributes.get("class")))
    assert "sortable" in str(overview["class"])
    identities = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    targets = [str(attributes["href"]) for attributes in page.all("a") if str(attributes["href"]).startswith("#")]
    assert targets == [f"#c{index}" for index in range(1, 7)]
    assert {target[1:] for target in targets} <= identities
    titles = [text for tag, text in page.texts if tag == "title"]
    assert "Attack success against rate" in titles
    assert any("badnets, rate 1%: 60.5%" in text for text in titles)
    assert len(page.all("details")) >= 6


def test_many_lines_get_a_chart_each(make: Make) -> None:
    _, page = report(make(*(document(f"t{i}-{r}", rate=r, attack=f"attack{i}") for i in range(7) for r in (0.01, 0.02))))
    assert sum(text.startswith("Attack success against rate: attack") for tag, text in page.texts if tag == "title") == 7


def test_no_chart_where_no_line_has_two_rates(make: Make) -> None:
    _, page = report(make(document("a"), document("b", rate=0.02, attack="blended")))
    assert "Against the poisoning rate" not in page.text


def test_a_cell_that_only_diverged(make: Make) -> None:
    _, page = report(make(document("a"), diverged("b", 0, rate=0.02), diverged("c", 1, rate=0.02)))
    assert "No figure: training diverged in all 2 trials (seeds 0, 1)." in page.text
    assert "2 diverged" in page.text
    assert "2 trials diverged." in page.text
    _, alone = report_alone(make, diverged("z", 0))
    assert "No figure" in alone.text


def report_alone(make: Make, record: dict[str, Any]) -> tuple[str, Page]:
    store = make(record)
    html = write_report(store / "trials" / record["key"]).read_text(encoding="utf-8")
    return html, Page(html)


def test_sixty_trials_stay_small(make: Make) -> None:
    records = []
    for index in range(60):
        record = document(f"t{index}", rate=(index + 1) / 1000)
        record["data"]["shape"] = [3, 96, 96]
        records.append(record)
    path = write_report(make(*records))
    assert path.stat().st_size < 10_000_000


@pytest.mark.parametrize("study", [False, True])
def test_what_strangers_wrote_is_shown_not_run(make: Make, study: bool) -> None:
    hostile = document("a", classes=HOSTILE, attack=HOSTILE[0])
    for part, field in (
        ("attack", "paper"),
        ("attack", "repr"),
        ("attack", "threat_model"),
        ("attack", "goal"),
        ("data", "name"),
    ):
        hostile[part][field] = HOSTILE[1]
    hostile |= {"model": HOSTILE[0], "created": HOSTILE[1]}
    hostile["environment"]["machine"] = HOSTILE[1]
    hostile["config"]["train"] = {HOSTILE[0]: HOSTILE[1], "nested": {HOSTILE[1]: [HOSTILE[0]]}}
    lost = diverged("b", 1, classes=HOSTILE, attack=HOSTILE[0]) | {"error": HOSTILE[0]}
    others = [document("c", rate=0.5, attack=HOSTILE[1]), document("d", rate=0.1, attack=HOSTILE[1])] if study else []
    html, page = report(make(hostile, lost, *others))
    assert "<script>alert" not in html
    assert len(page.all("script")) == 1
    assert HOSTILE[0] in page.text
    assert all(str(attributes["src"]).startswith("data:image/png;base64,") for attributes in page.all("img"))
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "{{ 7 * 7 }}" in page.text
    assert "\x00" not in html
    assert "\u202e" not in html
    assert len(page.all("style")) == 1


def test_no_request_leaves_the_page(make: Make) -> None:
    html, page = report(make(*grid()))
    policy = next(
        attributes["content"] for attributes in page.all("meta") if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert str(policy).startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'")
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "data", "action", "poster", "xlink:href", "background"):
            assert str(attributes.get(name, "data:")).startswith("data:"), (tag, attributes)
        if "href" in attributes:
            assert tag == "a"
            assert re.match(r"#c\d+$|https://arxiv\.org/abs/", str(attributes["href"]))
    assert not page.all("link")
    assert "@import" not in html
    assert "url(" not in html
    assert not re.search(r"\bfetch\(|XMLHttpRequest|sendBeacon|import\(", html)


@pytest.mark.parametrize("records", [three_seeds(), grid()], ids=["one", "study"])
def test_anyone_can_read_it(make: Make, records: list[dict[str, Any]]) -> None:
    _, page = report(make(*records))
    assert page.all("html")[0]["lang"] == "en"
    assert any(attributes.get("name") == "viewport" for attributes in page.all("meta"))
    assert all(attributes.get("alt") for attributes in page.all("img"))
    identities = [str(attributes["id"]) for _, attributes in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    assert any(attributes.get("role") == "img" for attributes in page.all("svg"))
    for attributes in page.all("svg"):
        assert "aria-labelledby" in attributes or attributes.get("aria-hidden") == "true"
    named = [str(attributes["aria-labelledby"]) for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert set(" ".join(named).split()) <= set(identities)
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_same_store_same_bytes(make: Make) -> None:
    store = make(*grid())
    first = write_report(store).read_bytes()
    assert write_report(store).read_bytes() == first
    assert write_report(store, store / "again.html").read_bytes() == first


def test_written_whole_or_not_at_all(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(document("a"))
    before = write_report(store).read_bytes()

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(TurncoatError, match=r"report\.html: cannot be written: No space left"):
            write_report(store)
    assert (store / "report.html").read_bytes() == before
    assert sorted(path.name for path in store.iterdir()) == ["report.html", "trials"]
    monkeypatch.setattr(page_module, "render", lambda trials, claims: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(store)
    assert sorted(path.name for path in store.iterdir()) == ["report.html", "trials"]


def test_out(make: Make, tmp_path: Path) -> None:
    store = make(document("a"))
    assert write_report(store, tmp_path / "x.html") == tmp_path / "x.html"
    assert not (store / "report.html").exists()
    with pytest.raises(TurncoatError, match="expected a file to write the report to, got a folder"):
        write_report(store, tmp_path)
    with pytest.raises(TurncoatError, match=r"missing/x\.html: cannot be written: No such file"):
        write_report(store, tmp_path / "missing" / "x.html")


def test_without_samples_history_or_poison(make: Make) -> None:
    bare = document("a") | {"samples": [], "history": {}, "poison": None, "environment": {}}
    _, page = report(make(bare))
    assert "Triggered test images" not in page.text
    assert len(page.all("svg")) == 1


def test_a_trigger_that_changes_nothing_and_a_source(make: Make) -> None:
    record = document("a")
    record["attack"] |= {"source": "dog", "goal": "source-specific"}
    record["rows"].append(
        {"stage": "evaluate", "method": "victim", "metric": "leakage", "value": 0.02, "low": 0.01, "high": 0.03, "n": 500}
    )
    store = make(record)
    images = np.zeros((8, 1, 8, 8), np.uint8)
    np.savez(store / "trials" / "a" / "samples.npz", clean=images, triggered=images)
    _, page = report(store)
    assert "The trigger changes no pixel of the images shown." in page.text
    assert "Of the other classes, 2.0% [1.0, 3.0] are too." in page.text
    assert "Leakage" in page.text


def test_a_trial_being_written_is_left_out(make: Make) -> None:
    store = make(document("a"))
    write_trial(store, document("b", rate=0.5) | {"key": ".partial"})
    (store / "trials" / "empty").mkdir()
    _, page = report(store)
    assert "All configurations" not in page.text
