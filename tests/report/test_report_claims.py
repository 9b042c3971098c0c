"""Claims on the page, and files of claims that are not what they should be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from report_records import Make, document

from turncoat.errors import TurncoatError
from turncoat.report import claims
from turncoat.report.page import write_report


def record(**more: Any) -> dict[str, Any]:
    claim = {
        "id": "S1",
        "statement": "It falls slowly",
        "expected": "at least 0.7",
        "value": 0.95,
        "low": 0.9,
        "high": 1.0,
        "n": 1000,
        "seeds": 5,
        "verdict": "holds",
        "note": "victim too",
    }
    return {"schema": 1, "name": "one-shot", "summary": "What it is.", "fast": True, "trials": ["a"], "claims": [claim | more]}


def write(store: Path, content: object, name: str = "one-shot.json") -> Path:
    path = store / "claims" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def section(store: Path) -> str:
    page = write_report(store).read_text()
    found = re.search(r'<section aria-labelledby="h-claims">.*?</section>', page, re.DOTALL)
    return found[0] if found else ""


@pytest.mark.parametrize("trials", [1, 2])
def test_claims_stand_near_the_top(make: Make, trials: int) -> None:
    store = make(*[document(f"k{rate}", rate=0.01 * (rate + 1)) for rate in range(trials)])
    assert section(store) == ""
    write(store, record())
    shown = section(store)
    for expected in ("S1. It falls slowly", "victim too", "at least 0.7", "0.9500", "[0.9000, 1.0000]", "1,000", "fast form"):
        assert expected in shown
    assert '<span class="tag holds">holds</span>' in shown
    page = (store / "report.html").read_text()
    assert page.index("h-claims") < min(
        page.index(f'id="{name}"') for name in ("h-all", "c1-h-figures") if f'id="{name}"' in page
    )


@pytest.mark.parametrize(
    ("verdict", "tag"), [("holds", "holds"), ("does not hold", "does-not-hold"), ("not decided", "not-decided")]
)
def test_each_verdict_has_its_tag(make: Make, verdict: str, tag: str) -> None:
    store = make(document("a"))
    write(store, record(verdict=verdict))
    assert f'<span class="tag {tag}">{verdict}</span>' in section(store)


def test_what_was_not_measured_has_no_figure_and_several_files_have_a_table_each(make: Make) -> None:
    store = make(document("a"))
    write(store, record(value=None, low=None, high=None, n=None, seeds=0, verdict="not decided"))
    write(store, record(value=-0.01234, low=-0.02, high=-0.001, verdict="does not hold"), "other.json")
    write(store, "half written", ".other.json.tmp")
    shown = section(store)
    assert shown.count("<table") == 2
    assert "\N{MINUS SIGN}0.0123" in shown
    assert "None" not in shown


def test_everything_is_escaped(make: Make) -> None:
    store = make(document("a"))
    bad = "<script>alert(1)</script>\u202erl"
    content = record(id=bad, statement=bad, expected=bad, note=bad) | {"name": bad, "summary": bad}
    write(store, content)
    shown = section(store)
    assert "<script>" not in shown and "\u202e" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": "sure"}, "claims.0.verdict: Input should be 'holds'"),
        ({"value": "0.9"}, "claims.0.value: Input should be a valid number"),
        ({"value": float("inf")}, "claims.0.value: Input should be a finite number"),
        ({"low": float("nan")}, "claims.0.low: Input should be a finite number"),
        ({"n": -1}, "claims.0.n: "),
        ({"seeds": None}, "claims.0.seeds: "),
        ({"low": 0.99, "high": 0.9}, "low is at most high, not 0.99 and 0.9"),
        ({"low": None}, "a claim that holds has a value and its interval"),
        ({"value": None, "verdict": "does not hold"}, "a claim that does not hold has a value and its interval"),
        ({"statement": "x" * 10_001}, "claims.0.statement: String should have at most 10000 characters"),
    ],
)
def test_odd_claims(make: Make, change: dict[str, Any], words: str) -> None:
    store = make(document("a"))
    write(store, record(**change))
    with pytest.raises(TurncoatError) as caught:
        write_report(store)
    message = str(caught.value)
    assert "claims/one-shot.json: " in message and words in message and "\n" not in message
    assert not (store / "report.html").exists()


def comparison(**more: Any) -> dict[str, Any]:
    figure = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 100, "seeds": 3, "kind": "t"}
    return {"setting": "a setting", "metric": "ASR", "victim": figure, "clean_twin": figure | {"value": 0.1, "low": 0.0}} | more


def test_comparisons_have_the_columns_that_there_is_something_for(make: Make) -> None:
    store = make(document("a"))
    write(store, record() | {"comparisons": [comparison()], "source": "their logs"})
    shown = section(store)
    assert "a setting" in shown and "[0.8000, 0.9500]" in shown
    assert "Random twin" not in shown and "Published" not in shown and "their logs" not in shown
    more = comparison(random_twin=comparison()["victim"], published=0.5, least=0.25, greatest=0.75)
    write(store, record() | {"comparisons": [comparison(), more], "source": "their logs"})
    shown = section(store)
    for expected in ("Random twin", "Published", "their logs", "0.2500 to 0.7500", 'colspan="5"'):
        assert expected in shown
    assert shown.count('colspan="5"') == 1, "lines of one setting stand together"
    assert "None" not in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": None}, "comparisons.0.metric: "),
        ({"published": "0.5"}, "comparisons.0.published: "),
        ({"victim": {"value": 0.1}}, "comparisons.0.victim.low: "),
        ({"random_twin": comparison()["victim"] | {"low": 0.99}}, "low is at most high"),
    ],
)
def test_odd_comparisons(make: Make, change: dict[str, Any], words: str) -> None:
    store = make(document("a"))
    write(store, record() | {"comparisons": [comparison(**change)]})
    with pytest.raises(TurncoatError, match=words):
        write_report(store)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", "[" * 100_000, json.dumps({"schema": 2, "name": "x", "claims": []})])
def test_not_claims(make: Make, content: str) -> None:
    store = make(document("a"))
    write(store, content)
    with pytest.raises(TurncoatError, match=r"claims/one-shot.json: .*reproduce it again, or remove the file"):
        write_report(store)


def test_too_large_a_file(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(document("a"))
    write(store, record())
    monkeypatch.setattr(claims, "MAX_BYTES", 100)
    with pytest.raises(TurncoatError, match="expected at most"):
        write_report(store)
