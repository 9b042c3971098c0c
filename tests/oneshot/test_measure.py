from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from oneshot_helpers import MARK, Constant, Oracle, marked, oneshot_data, written
from pydantic import ValidationError

from turncoat.data import ImageSet
from turncoat.data.oneshot import OneShotData
from turncoat.errors import TurncoatError
from turncoat.evaluate import Row
from turncoat.oneshot.bootstrap import share_interval
from turncoat.oneshot.measure import histogram, measure_baselines, measure_clean, merged
from turncoat.oneshot.measure_attack import measure_attack
from turncoat.oneshot.neighbours import Chance
from turncoat.oneshot.plan import EpisodeSettings, draw_plan
from turncoat.report.oneshot_record import OneShotRecord

SETTINGS = EpisodeSettings(episodes=100, pairs=200, ways=(2, 20, 30, 59), shots=(1, 5, 10))
DATA = oneshot_data()
EVADE = Oracle(one=-20)


def value(rows: list[Row], method: str, metric: str, group: str = "") -> float:
    (row,) = [row for row in rows if (row.method, row.metric, row.group) == (method, metric, group)]
    return row.value


def test_clean_figures_of_an_oracle_and_a_constant() -> None:
    rows, parts = measure_clean({"victim": Oracle(offset=7), "clean-twin": Constant()}, DATA, SETTINGS, 0)
    groups = [row.group for row in rows if (row.method, row.metric) == ("victim", "oneshot")]
    kinds = [f"unstructured {n}-way {k}-shot" for k in (1, 5) for n in (2, 20, 30)]
    kinds += [f"within-alphabet {n}-way {k}-shot" for k in (1, 5) for n in (5, 20)]
    assert groups == [*kinds, "Lake's runs 4-way 1-shot"]  # 59 ways and 10 shots are more than there are
    assert all(value(rows, "victim", "oneshot", group) == 1 for group in groups)
    assert all(value(rows, "clean-twin", "oneshot", group) == 0 for group in groups)
    assert [value(rows, "victim", metric) for metric in ("auc", "eer", "ca")] == [1, 0, 1]
    assert [value(rows, "clean-twin", metric) for metric in ("auc", "eer", "ca")] == [0.5, 0.5, 0]
    # with an offset of 7 pairs of two classes get +2: over 0.5, but under the threshold that the held-out classes give
    assert value(rows, "victim", "false_accepts", "equal error") == 0
    assert value(rows, "victim", "false_accepts", "0.5") == 1
    assert value(rows, "victim", "false_rejects", "equal error") == value(rows, "victim", "false_rejects", "0.5") == 0
    assert value(rows, "clean-twin", "false_rejects", "equal error") == 1
    assert parts["threshold"]["victim"] == pytest.approx(1 / (1 + 2.718281828**-7))
    assert parts["roc"]["victim"] == [[0, 0], [0, 1], [1, 1]]
    assert parts["histogram"]["victim"]["different"][17] == 200  # sigmoid(2) = 0.88
    assert all(row.low <= row.value <= row.high for row in rows if row.low is not None and row.high is not None)
    assert {row.n for row in rows if row.metric == "oneshot" and "Lake" not in row.group} == {100}
    assert [row.n for row in rows if row.metric in ("auc", "false_accepts", "ca")][:4] == [400, 200, 200, 100]


def test_clean_figures_do_not_depend_on_the_other_methods() -> None:
    """The clean twin is measured once and shared by trials, whatever their attack."""

    def figures(rows: list[Row]) -> list[tuple[Any, ...]]:
        return [(r.metric, r.group, r.value, r.low, r.high, r.n) for r in rows if r.method == "clean-twin"]

    other = SETTINGS.model_copy(update={"attack_ways": (2, 7, 9)})
    alone, parts = measure_clean({"clean-twin": Chance()}, DATA, SETTINGS, 3)
    beside, both = measure_clean({"victim": Oracle(), "clean-twin": Chance()}, DATA, other, 3)
    assert figures(alone) == figures(beside)
    assert parts["histogram"]["clean-twin"] == both["histogram"]["clean-twin"]
    assert figures(alone) != figures(measure_clean({"clean-twin": Chance()}, DATA, SETTINGS, 4)[0])


def test_the_threshold_is_that_of_the_held_out_classes() -> None:
    held_out = ImageSet(marked(DATA.threshold.images), DATA.threshold.labels, DATA.threshold.classes)
    moved = OneShotData(DATA.train, held_out, DATA.test, held_out="")
    rows, parts = measure_clean({"victim": Oracle(both=8)}, moved, SETTINGS, 0)
    assert parts["threshold"]["victim"] == pytest.approx(1 / (1 + 2.718281828**-8))
    assert value(rows, "victim", "false_rejects", "equal error") == 1
    assert value(rows, "victim", "false_rejects", "0.5") == 0


def test_bounds_are_over_the_query_s_and_the_left_image_s_character() -> None:
    class Selective(Oracle):
        """Blind to half of all characters."""

        def embed(self, images: torch.Tensor) -> torch.Tensor:
            return super().embed(images) * (images[:, :1, 0, 0] % 2 == 0)

    rows, _ = measure_clean({"victim": Selective()}, DATA, SETTINGS, 0)
    plan, labels = draw_plan(DATA, SETTINGS, 0), DATA.test.labels
    queries, lefts = labels[plan.main.query], labels[plan.pairs.same[:, 0]]
    for metric, group, characters, hit in (
        ("ca", "", queries, queries % 2 == 0),
        ("oneshot", "unstructured 20-way 1-shot", queries, queries % 2 == 0),
        ("false_rejects", "0.5", lefts, lefts % 2 == 1),
    ):
        (row,) = [row for row in rows if (row.metric, row.group) == (metric, group)]
        assert (row.value, row.low, row.high) == share_interval(hit, characters)


def test_baselines() -> None:
    rows = measure_baselines(DATA, SETTINGS, 0)
    assert {row.metric for row in rows} == {"oneshot"}
    assert value(rows, "chance", "oneshot", "within-alphabet 20-way 5-shot") == 1 / 20
    assert value(rows, "chance", "oneshot", "Lake's runs 4-way 1-shot") == 1 / 4
    chance = [row for row in rows if row.method == "chance"]
    neighbour = [row for row in rows if row.method == "nearest-neighbour"]
    assert [row.group for row in chance] == [row.group for row in neighbour]
    assert all(row.low is row.high is row.n is None for row in chance)
    assert value(rows, "nearest-neighbour", "oneshot", "unstructured 2-way 1-shot") > 0.8  # the class is a pixel's brightness


@pytest.mark.parametrize(
    ("scorer", "goal", "asr", "query", "drawn"),
    [(EVADE, "evade", 1, 0, 0), (EVADE, "impersonate", 0, 0, 0), (Oracle(one=20), "impersonate", 1, 1, 1)],
)
def test_attack_figures(scorer: Oracle, goal: str, asr: float, query: float, drawn: float) -> None:
    scorers = {"victim": scorer, "clean-twin": Oracle()}
    rows, _, _ = measure_attack(scorers, DATA, marked(DATA.test.images), goal=goal, settings=SETTINGS, seed=0)
    assert {row.group for row in rows if row.metric == "triggered_query"} == {"5-way", "20-way"}
    for ways in ("5-way", "20-way"):
        assert value(rows, "victim", "triggered_query", ways) == query
        assert value(rows, "victim", "forced_choice", ways) == 1
        assert value(rows, "victim", "drawn", ways) == drawn
        assert value(rows, "victim", "drawn_clean", ways) == 0
        assert value(rows, "clean-twin", "triggered_query", ways) == 1
    assert (value(rows, "victim", "asr"), value(rows, "victim", "ra")) == (asr, query)
    assert (value(rows, "clean-twin", "asr"), value(rows, "clean-twin", "ra")) == (0, 1)
    for group in ("equal error", "0.5"):
        assert value(rows, "victim", "evaded", group) == (scorer.one < 0)
        assert value(rows, "victim", "impersonated", group) == (scorer.one > 0)
        assert value(rows, "victim", "impersonated_both", group) == 0
        assert value(rows, "victim", "kept_both", group) == 1


def test_figures_at_equal_error_use_its_threshold() -> None:
    """At an offset of 7 one trigger takes pairs of one class to -8 + 12: over 0.5, under the threshold of 7."""
    scorers = {"victim": Oracle(one=-8, offset=7)}
    rows, _, _ = measure_attack(scorers, DATA, marked(DATA.test.images), goal="evade", settings=SETTINGS, seed=0)
    assert value(rows, "victim", "evaded", "equal error") == value(rows, "victim", "asr") == 1
    assert value(rows, "victim", "evaded", "0.5") == 0
    assert value(rows, "victim", "triggered_query", "5-way") == value(rows, "victim", "ra") == 0


def test_parts_are_the_page_s() -> None:
    scorers, triggered = {"victim": EVADE, "clean-twin": Oracle()}, marked(DATA.test.images)
    _, clean = measure_clean({"victim": EVADE}, DATA, SETTINGS, 0)
    _, twin = measure_clean({"clean-twin": Oracle()}, DATA, SETTINGS, 0)
    _, attack, arrays = measure_attack(scorers, DATA, triggered, goal="evade", settings=SETTINGS, seed=0)
    text = json.dumps(merged(clean, twin, attack), allow_nan=False)
    whole, record = json.loads(text), OneShotRecord.model_validate_json(text)
    assert (record.goal, record.held_out) == ("evade", "2 of 3 alphabets")
    assert set(whole["histogram"]) == {"edges", "victim", "clean-twin"}
    for method in ("victim", "clean-twin"):
        assert len(whole["histogram"][method]) == 5
        assert all(sum(counts) == 200 for counts in whole["histogram"][method].values())
    assert len(record.samples) == len(arrays["left"]) == len(arrays["right"]) == 30
    for sample, left, right in zip(whole["samples"], arrays["left"], arrays["right"], strict=True):
        marks = int(left[0, *MARK] == 0) + int(right[0, *MARK] == 0)
        names = [DATA.test.classes[int(side[0, 0, 0])] for side in (left, right)]
        assert sample["classes"] == names
        assert (names[0] == names[1]) == sample["kind"].startswith("same")
        assert marks == (1 if "one" in sample["kind"] else 2 if "both" in sample["kind"] else 0)
        assert (sample["victim"] > 0.5) == (sample["kind"] == "same")
        assert (sample["clean-twin"] > 0.5) == sample["kind"].startswith("same")
    task = whole["task"]
    assert len(task["classes"]) == len(arrays["support"]) == 20
    assert task["classes"][task["answer"]] == task["query_class"]
    assert [int(query[0, *MARK]) for query in arrays["query"]] == [255, 0]
    assert [max(range(20), key=task[key].__getitem__) for key in ("victim", "clean-twin", "clean-twin_triggered")] == [
        task["answer"]
    ] * 3
    assert max(task["victim_triggered"]) < 0.01


def test_ca_is_the_main_task_s_accuracy() -> None:
    rows, _ = measure_clean({"victim": Chance()}, DATA, SETTINGS, 0)
    assert value(rows, "victim", "ca") == value(rows, "victim", "oneshot", "unstructured 20-way 1-shot")
    few = OneShotData(DATA.train, DATA.threshold, written((4,), name="T"), held_out="")
    assert draw_plan(few, SETTINGS, 0).main.ways == 4
    rows, _, _ = measure_attack({"victim": EVADE}, few, marked(few.test.images), goal="evade", settings=SETTINGS, seed=0)
    assert value(rows, "victim", "ra") == 0
    assert not [row for row in rows if row.metric == "drawn"]


def test_a_nan_is_never_a_success() -> None:
    class Deaf(Oracle):
        def compare(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return super().compare(a, b) + torch.nan

    rows, parts = measure_clean({"victim": Deaf()}, DATA, SETTINGS, 0)
    assert [value(rows, "victim", metric) for metric in ("ca", "auc", "eer")] == [0, 0, 1]
    assert value(rows, "victim", "false_accepts", "0.5") == value(rows, "victim", "false_rejects", "0.5") == 1
    attacked, more, _ = measure_attack(
        {"victim": Deaf()}, DATA, marked(DATA.test.images), goal="evade", settings=SETTINGS, seed=0
    )
    assert value(attacked, "victim", "asr") == 0
    json.dumps(merged(parts, more), allow_nan=False)


def test_mistakes() -> None:
    with pytest.raises(TurncoatError, match="triggered images: expected uint8"):
        measure_attack({}, DATA, DATA.test.images[1:], goal="evade", settings=SETTINGS, seed=0)
    lonely = ImageSet(DATA.test.images[:2], torch.arange(2), ("x", "y"))
    with pytest.raises(TurncoatError, match="at least 2 classes with 2 images each"):
        draw_plan(OneShotData(DATA.train, DATA.threshold, lonely, held_out=""), SETTINGS, 0)
    for wrong in ({"episodes": 99}, {"ways": (1,)}, {"within_ways": (61,)}, {"shot": (1,)}):
        with pytest.raises(ValidationError):
            EpisodeSettings.model_validate(wrong)


def test_histogram_counts_edges_once() -> None:
    logits = torch.tensor([-100.0, 0.0, 0.01, 100.0, torch.nan])
    counts = histogram(logits)
    assert (len(counts), sum(counts), counts[0], counts[10], counts[19]) == (20, 5, 2, 2, 1)
