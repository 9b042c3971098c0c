"""The page of one-shot trials: what it says, alone and among others."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import oneshot_records
import pytest
from oneshot_records import oneshot_document, write_oneshot
from report_records import diverged, document, write_trial
from test_report_page import HOSTILE, Page

from turncoat.report import oneshot_words, words
from turncoat.report.cells import Cell, group
from turncoat.report.oneshot_pictures import best_way, task_view
from turncoat.report.oneshot_record import TaskRecord
from turncoat.report.oneshot_section import OneShotSection
from turncoat.report.page import write_report
from turncoat.report.parts import Limits
from turncoat.report.read import read_trials


def store_of(root: Path, *records: dict[str, Any]) -> Path:
    store = root / "store"
    for record in records:
        (write_oneshot if record.get("oneshot") and record["status"] == "done" else write_trial)(store, record)
    return store


def page_of(root: Path, *records: dict[str, Any]) -> tuple[str, Page]:
    html = write_report(store_of(root, *records)).read_text(encoding="utf-8")
    return html, Page(html)


def small(key: str, seed: int = 0, goal: str = "evade", **more: Any) -> dict[str, Any]:
    return oneshot_document(key, seed, goal, side=28, each=2, ways=5, **more)


def the_cell(root: Path, *records: dict[str, Any]) -> Cell:
    [cell] = group(read_trials(store_of(root, *records)))
    return cell


def of(record: dict[str, Any], method: str, metric: str, name: str = "") -> dict[str, Any]:
    return next(
        row
        for row in record["rows"]
        if (row["stage"], row["method"], row["metric"], row["group"]) == ("evaluate", method, metric, name)
    )


def test_one_trial(tmp_path: Path) -> None:
    path = write_report(store_of(tmp_path, oneshot_document("a")))
    assert path.stat().st_size < 1_500_000
    page = Page(path.read_text(encoding="utf-8"))
    assert [text for tag, text in page.texts if tag in ("h1", "h2")] == [
        "badnets on omniglot, one-shot, fast-glyph, weighted-l1",
        "Figures",
        "One-shot accuracy",
        "Same or different",
        "Pairs, drawn at random",
        "One task of 20 ways",
        "What was attacked, and how",
        "Training",
        "Visibility and cost",
    ]
    for told in (
        "threshold of equal error : 41.0% for the victim, 38.0% for the clean twin",
        "The threshold is set on 5 of 30 background alphabets",
        "50.0% of one class, 14.7% with one triggered image, 0.6% with both triggered, 7.0% whose answer the attack changed",
        "1,269 of 15,860 training images (8%)",
        "Lake's runs, 20-way 1-shot",
        "Within-alphabet, 20-way 5-shot",
        "Impersonated, both",
        "at 0.5: ",
        "bootstrap over the test classes",
    ):
        assert told in page.text, told
    assert "labels changed" not in page.text
    assert "Wilson" not in page.text
    assert len(page.all("img")) == 5 * 6 * 2 + 20 + 2
    titles = [text for tag, text in page.texts if tag == "title"]
    assert "1-shot accuracy against the number of ways" in titles
    assert any(text.startswith("nearest neighbour on pixels, 5-way: 79.") for text in titles)
    assert any(text.startswith("victim at the threshold of equal error (41.0%): false accepts 2.1%") for text in titles)
    identities = [str(attributes["id"]) for _, attributes in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("alt") for attributes in page.all("img"))
    assert all(attributes.get("scope") in ("col", "row", "rowgroup") for attributes in page.all("th"))


@pytest.mark.parametrize(
    ("goal", "told"),
    [
        ("evade", "99.6% [98.6, 100] of same-class pairs with one triggered image are called different; "),
        ("impersonate", "98.0% [97.0, 99.0] of different-class pairs with one triggered image are called the same; "),
        ("original", "Of different-class pairs with both images triggered, 93.0% [92.0, 94.0] are called the same, twin 3.1%"),
        ("pseudo-classes", "Of different-class pairs with both images triggered, 93.0% [92.0, 94.0] are called the same, twin"),
        ("of-a-plug-in", "of pairs with one triggered image are answered as the attacker wants; "),
    ],
)
def test_goals_in_words(tmp_path: Path, goal: str, told: str) -> None:
    cell = the_cell(tmp_path, small("a", goal=goal))
    assert told in words.headline(cell)
    assert words.headline(cell).startswith("With 8% of the training images triggered, 9")
    assert "20-way one-shot accuracy 94.3% [93.3, 95.3], twin 94.5% [93.5, 95.5]." in words.headline(cell)
    assert words.finding(cell).startswith("The backdoor is shown")
    assert ("second backdoor" in words.finding(cell)) == (goal in ("original", "pseudo-classes"))


def test_a_second_backdoor_that_is_not_there(tmp_path: Path) -> None:
    record = small("a", goal="original")
    of(record, "victim", "impersonated_both", "equal error").update(value=0.03, low=0.02, high=0.04)
    found = words.finding(the_cell(tmp_path, record))
    assert "The second backdoor (different-class pairs with both images triggered called the same) was not shown." in found


def test_a_trigger_that_fools_the_twin(tmp_path: Path) -> None:
    record = small("a")
    of(record, "clean-twin", "asr").update(value=0.999, low=0.998, high=1.0)
    found = words.finding(the_cell(tmp_path, record))
    assert "was not shown" in found
    assert "adversarial perturbation" in found


def test_fewer_classes_than_twenty(tmp_path: Path) -> None:
    record = small("a")
    record["rows"] = [row for row in record["rows"] if "20-way" not in row["group"]]
    cell = the_cell(tmp_path, record)
    assert " One-shot accuracy 94.3%" in words.headline(cell)
    assert oneshot_words.metrics(cell)["ca"] == ("One-shot accuracy (CA)", "tasks of clean images answered right")


def test_over_seeds(tmp_path: Path) -> None:
    records = [small(key, seed) for seed, key in enumerate("abc")]
    lost = diverged("d", 3) | {"task": "one-shot", "config": records[0]["config"] | {"seed": 3}, "data": records[0]["data"]}
    _, page = page_of(tmp_path, *records, lost)
    # accuracies of the seeds differ by 0, 0.4 and -0.3 points: mean +0.0333, t(2; 0.975) * 0.351188 / sqrt(3) = 0.8724
    value = 100 * (1 - 0.0117 * 4.321928 * (1 + 20 / 150)) + 0.1 / 3
    assert f"20-way one-shot accuracy {value:.1f}% [{value - 0.8724:.1f}, {value + 0.8724:.1f}]" in page.text
    assert "3 seeds: means with 95% t intervals over seeds, 5,000 triggered test pairs each." in page.text
    assert "training diverged in 1 of 4 trials (seed 3)" in page.text
    assert "(means over seeds)" in page.text
    assert "each seed" in page.text
    assert "with bootstrap 95% intervals over classes" in page.text
    assert "5.0 [5.0, 5.0]" not in page.text  # chance has no interval
    assert len([text for tag, text in page.texts if tag == "title" and "at the threshold of equal error (" in text]) == 6
    assert "a line a seed" in page.text
    assert len(page.all("img")) == 5 * 2 * 2 + 5 + 2  # of the first seed alone


def test_half_and_difference_stand_beside(tmp_path: Path) -> None:
    cell = the_cell(tmp_path, small("a", 0), small("b", 1))
    section = OneShotSection(cell, "c1", Limits.of(1))
    rows = {row.name: row for _, rows in section.pair_rows for row in rows if row.tasks in ("", "20-way")}
    evaded = rows["Evaded"]
    assert evaded.planted
    assert not rows["Impersonated"].planted
    assert evaded.victim is not None
    assert evaded.victim_half is not None
    assert evaded.difference is not None
    assert evaded.victim.value == pytest.approx(0.996)
    assert evaded.victim_half.value == pytest.approx(0.996 * 0.9 + 0.02)
    assert evaded.difference.value == pytest.approx(0.996 - 0.031)
    drawn = rows["Triggered support"]
    assert drawn.victim is not None
    assert drawn.victim_half is None
    assert rows["Area under the ROC curve"].victim is not None


def test_the_closer_chart_starts_below_all_intervals(tmp_path: Path) -> None:
    section = OneShotSection(the_cell(tmp_path, small("a")), "c1", Limits.of(1))
    captions = [chart.caption for chart in section.accuracy_charts]
    assert captions == [
        "1 support image a class (1-shot), %",
        "5 support images a class (5-shot), %",
        "Victim and twin closer, from 85%",
    ]


def test_one_shot_and_classification_on_one_page(tmp_path: Path) -> None:
    html, page = page_of(tmp_path, small("a"), document("b"), document("c", rate=0.05), small("d", goal="impersonate"))
    assert "4 trials of 4 configurations." in page.text
    assert "One-shot trials: CA is the accuracy in one-shot tasks" in page.text
    assert "Against the poisoning rate" in page.text
    assert "in one-shot trials a bootstrap over test classes" in page.text
    assert page.text.count("Triggered test images") == 2
    assert page.text.count("Same or different") == 2
    assert "Clean accuracy (CA)" in page.text
    assert "One-shot accuracy (CA)" in page.text
    assert "omniglot" in page.text
    identities = re.findall(r' id="([^"]+)"', html)
    assert len(identities) == len(set(identities))


def test_data_and_task_tell_cells_apart_by_name(tmp_path: Path) -> None:
    one, two = small("a"), document("b")
    two["data"]["fingerprint"] = "cd" * 32
    _, page = page_of(tmp_path, one, two)
    assert "Attack success is highest for omniglot" in page.text


def test_a_page_without_one_shot_trials_says_nothing_of_it(tmp_path: Path) -> None:
    _, page = page_of(tmp_path, document("b"), document("c", rate=0.05))
    assert "ne-shot" not in page.text


@pytest.mark.parametrize("part", ["pairs", "threshold", "roc", "histogram", "samples", "task", "all", "twin", "rows"])
def test_what_is_missing_is_left_out(tmp_path: Path, part: str) -> None:
    record: Any = small("a")
    if part == "all":
        record["oneshot"] = {"goal": "evade"}
    elif part == "rows":
        record["rows"] = [row for row in record["rows"] if row["metric"] == "asr"]
    elif part == "twin":
        record["rows"] = [row for row in record["rows"] if row["method"] != "clean-twin"]
        for key in ("threshold", "roc", "histogram", "task"):
            record["oneshot"][key] = {name: found for name, found in record["oneshot"][key].items() if "twin" not in name}
        for sample in record["oneshot"]["samples"]:
            del sample["clean-twin"]
    elif part == "samples":
        record["oneshot"]["samples"] = []
    else:
        record["oneshot"][part] = None
    store = store_of(tmp_path, small("a"))
    (store / "trials" / "a" / "trial.json").write_text(json.dumps(record), encoding="utf-8")
    page = Page(write_report(store).read_text(encoding="utf-8"))
    assert "same-class pairs with one triggered image" in page.text
    assert ("Pairs, drawn at random" in page.text) == (part not in ("samples", "all"))
    assert ("One task of" in page.text) == (part not in ("task", "all"))
    if part == "twin":
        assert "there is no clean twin to compare" in page.text


def test_what_strangers_wrote_is_shown_not_run(tmp_path: Path) -> None:
    record: Any = small("a")
    part = record["oneshot"]
    part |= {"held_out": HOSTILE[0]}
    for sample in part["samples"]:
        sample["classes"] = [HOSTILE[1], HOSTILE[4]]
    part["task"] |= {"classes": [HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[3], "e"], "query_class": HOSTILE[1]}
    for row in record["rows"]:
        if row["group"] == "0.5":
            row["group"] = HOSTILE[1]
    record["config"]["network"] = {"name": HOSTILE[0], HOSTILE[1]: HOSTILE[2]}
    record["attack"]["goal"] = record["oneshot"]["goal"] = HOSTILE[1]
    other: Any = small("b", goal="original")
    other["config"]["network"] = {"name": HOSTILE[1]}
    html, page = page_of(tmp_path, record, other)
    assert "<script>alert" not in html
    assert len(page.all("script")) == 1
    assert len(page.all("style")) == 1
    assert HOSTILE[0] in page.text
    assert all(str(attributes["src"]).startswith("data:image/png;base64,") for attributes in page.all("img"))
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert HOSTILE[1] in [attributes.get("title") for attributes in page.all("img")]
    assert "49" not in [attributes.get("title") for attributes in page.all("img")]
    assert "\x00" not in html
    assert "\u202e" not in html


def test_noisy_colour_pictures_stay_within_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)

    def noise(name: str, drawer: int, side: int, channels: int = 1) -> Any:
        return rng.integers(0, 256, (channels, side, side), dtype=np.uint8)

    monkeypatch.setattr(oneshot_records, "draw_character", noise)
    record = oneshot_document("a")
    record["data"]["shape"] = [3, 160, 160]
    path = write_report(store_of(tmp_path, record))
    assert 400_000 < path.stat().st_size < 1_500_000


def test_ties_are_no_choice() -> None:
    assert best_way([0.1, 0.9, 0.3]) == 1
    assert best_way([0.9, 0.9, 0.3]) is None


def test_the_drawn_task() -> None:
    task = TaskRecord.model_validate_json(
        '{"classes": ["a", "b", "c"], "query_class": "b", "answer": 1, "victim": [0.2, 0.9, 0.1], "clean-twin": [0.8, 0.7, 0.1],'
        '"victim_triggered": [0.1, 0.3, 0.2], "clean-twin_triggered": [0.6, 0.6, 0.1]}'
    )
    grey = np.zeros((3, 1, 8, 8), np.uint8)
    view = task_view(task, grey, grey[:2], {"victim": 0.4, "clean-twin": 0.5}, 10_000)
    (victim, victim_triggered), (twin, twin_triggered) = view.choices
    assert (victim.way, victim.passes, victim.right) == (1, True, True)
    assert (victim_triggered.way, victim_triggered.passes, victim_triggered.right) == (1, False, False)
    assert (twin.way, twin.right) == (0, False)
    assert (twin_triggered.way, twin_triggered.passes, twin_triggered.right) == (None, True, False)
    assert [way.true for way in view.ways] == [False, True, False]
    assert [way.scores[0].chosen_triggered for way in view.ways] == [False, True, False]
    assert [way.scores[1].passes_clean for way in view.ways] == [True, True, False]


@pytest.mark.parametrize(
    ("group_name", "found"),
    [
        ("unstructured 20-way 1-shot", ("unstructured", 20, 1)),
        ("Lake's runs 20-way 5-shot", ("Lake's runs", 20, 5)),
        ("within-alphabet 5-way 1-shot", ("within-alphabet", 5, 1)),
        ("unstructured 020-way 1-shot", None),
        ("unstructured 20-way 1-shot\n", None),
        ("elsewhere 20-way 1-shot", None),
        ("unstructured 20000-way 1-shot", None),
    ],
)
def test_groups_of_accuracies(group_name: str, found: tuple[str, int, int] | None) -> None:
    accuracy = oneshot_words.accuracy_of(group_name)
    assert (accuracy and (accuracy.setting, accuracy.ways, accuracy.shots)) == found
