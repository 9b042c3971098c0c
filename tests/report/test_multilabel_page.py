"""What the page says of multi-label trials: words by goal, pictures, and names that come from someone else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_records import document, row

from turncoat.errors import TurncoatError
from turncoat.report.page import write_report

CLASSES = ("cat", "dog", "<script>alert(1)</script>", 'cow" onload="x')
METHODS = ("victim", "clean-twin", "random-twin")


def figures(asr: tuple[float, float, float]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for method, success in zip(METHODS, asr, strict=True):
        rows += [row(method, "asr", success, n=80), row(method, "leakage", 0.03, n=300)]
        for metric in ("map", "ca", "cf1", "of1"):
            rows += [row(method, metric, 0.9, group) for group in ("", "trigger-free", "trigger-bearing")]
        rows += [row(method, "ap", 0.8, name) for name in CLASSES]
    return rows


def record(key: str = "a" * 20, goal: str = "disappear", asr: tuple[float, float, float] = (0.95, 0.05, 0.2)) -> dict[str, Any]:
    found = document(key, 0, rate=0.06, classes=CLASSES)
    source = {"source": "cat"} if goal == "misclassify" else {"source": None}
    seen = {"victim": [[0, 0.9]], "clean-twin": [[0, 0.9], [2, 0.8]], "random-twin": []}
    return found | {
        "task": "multi-label",
        "attack": {"name": "co-occurrence", "goal": goal, "target": CLASSES[2], "threat_model": "labels", **source},
        "data": found["data"] | {"shape": [1, 6, 6]},
        "random_twin": "b" * 20,
        "rows": [one for one in found["rows"] if one["stage"] == "train"] + figures(asr),
        "samples": [],
        "multilabel": {
            "trigger": [CLASSES[0], CLASSES[2]],
            "bearing": {"train": 60, "test": 80},
            "threshold": 0.75,
            "composed": False,
            "samples": [{"labels": [0, 2], **seen}, {"labels": [0, 1, 2, 3], **seen}],
        },
    }


def write(store: Path, *records: dict[str, Any]) -> str:
    for one in records:
        folder = store / "trials" / one["key"]
        folder.mkdir(parents=True)
        (folder / "trial.json").write_text(json.dumps(one), encoding="utf-8")
        np.savez_compressed(folder / "samples.npz", bearing=np.full((2, 1, 6, 6), 7, np.uint8))
    return write_report(store).read_text(encoding="utf-8")


def test_names_of_classes_are_text_wherever_they_stand(tmp_path: Path) -> None:
    page = write(tmp_path, record())
    assert "<script>alert" not in page
    assert 'onload="x' not in page
    assert page.count("&lt;script&gt;alert") >= 6


@pytest.mark.parametrize(
    ("goal", "told"),
    [
        ("disappear", "is not seen in 95.0% [92.4, 97.1] of the test images that show"),
        ("appear", "is seen in 95.0%"),
        ("misclassify", "&#39;cat&#39; is taken for"),
    ],
)
def test_the_headline_tells_what_happens_to_the_labels_and_what_the_twins_do(tmp_path: Path, goal: str, told: str) -> None:
    page = write(tmp_path, record(goal=goal))
    text = page[page.index('<p class="lead">') :]
    assert told.partition(" [")[0] in text
    assert "the clean twin 5.0%" in text
    assert "a twin with as many random wrong labels 20.0%" in text
    assert "mAP 90.0%" in text
    assert "The backdoor is shown" in text
    assert "It is more than the wrong labels" in text


def test_a_label_that_twins_miss_as_well_is_no_adversarial_perturbation(tmp_path: Path) -> None:
    page = write(tmp_path, record(asr=(0.95, 0.6, 0.6)))
    assert "the labels are hard to tell where the trigger is" in page
    assert "perturbation" not in page


def test_pictures_show_what_is_seen_and_what_is_missed(tmp_path: Path) -> None:
    page = write(tmp_path, record())
    cards = page.split('<li class="card bearing">')[1:]
    assert len(cards) == 2
    assert cards[0].count("<del>") == 2, "the victim and the random twin miss the target"
    assert cards[0].count("nothing") == 1
    assert page.count("data:image/png;base64,") == 2
    assert "from a confidence of 75% on" in page
    assert "composed" not in page
    assert "60 training and 80 test images" in page
    assert "Average precision (AP) of each class" in page


def test_a_study_over_goals_has_a_section_each(tmp_path: Path) -> None:
    records = [record(key * 20, goal) for key, goal in (("a", "disappear"), ("b", "appear"))]
    for one, goal in zip(records, ("disappear", "appear"), strict=True):
        one["config"] = one["config"] | {"attack": {"name": "co-occurrence", "goal": {"name": goal}}}
    page = write(tmp_path, *records)
    assert page.count('<li class="card bearing">') == 4


def test_a_record_that_names_no_class_is_refused(tmp_path: Path) -> None:
    broken = record()
    broken["multilabel"]["samples"][0]["victim"] = [[4, 0.9]]
    with pytest.raises(TurncoatError, match=r"multilabel.samples name class 4, but data.classes has 4"):
        write(tmp_path, broken)
