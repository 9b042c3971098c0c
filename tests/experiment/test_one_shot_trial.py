"""A one-shot trial through the main line: configuration, store, twin, figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from turncoat.errors import TurncoatError
from turncoat.experiment.config import OneShotConfig, parse_config
from turncoat.experiment.mistakes import SettingsError
from turncoat.experiment.run import run
from turncoat.experiment.setting import Datasets, settle
from turncoat.experiment.weights import load_network, load_siamese
from turncoat.report.page import write_report

QUICK: dict[str, Any] = {
    "task": "one-shot",
    "data": {"name": "glyphs", "alphabets": 4, "evaluation": 2, "characters": 8, "drawers": 6},
    "network": {"name": "conv4", "size": 28, "widths": [4, 4, 4, 4], "dimension": 8},
    "attack": {"name": "badnets", "rate": 0.2, "patch": {"pattern": "solid:0", "size": 2}},
    "split": {"threshold": 1},
    "train": {"epochs": 1, "batch_size": 32},
    "evaluation": {"episodes": 100, "pairs": 100, "ways": [2, 5, 20], "within_ways": [5], "shots": [1], "attack_ways": [5]},
    "precision": "fp32",
    "threads": 1,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one-shot")
    run(QUICK, out=out, report=False)
    return out


def record(store: Path) -> dict[str, Any]:
    (path,) = (store / "trials").glob("*/trial.json")
    return json.loads(path.read_text())


def test_every_figure_is_there_for_the_victim_and_its_twin(store: Path) -> None:
    rows = [row for row in record(store)["rows"] if row["stage"] == "evaluate" and row["metric"] != "peak_memory_mb"]
    by_method = {m: {(r["metric"], r["group"]) for r in rows if r["method"] == m} for m in ("victim", "clean-twin")}
    assert by_method["victim"] == by_method["clean-twin"]
    wanted = {"ca", "asr", "ra", "oneshot", "auc", "eer", "false_accepts", "false_rejects", "evaded", "impersonated"}
    wanted |= {"impersonated_both", "kept_both", "triggered_query", "forced_choice", "drawn", "drawn_clean"}
    assert {metric for metric, _ in by_method["victim"]} == wanted
    ways = {r["group"] for r in rows if r["method"] == "nearest-neighbour"}
    assert ways == {"unstructured 2-way 1-shot", "unstructured 5-way 1-shot", "within-alphabet 5-way 1-shot"}
    chance = {r["group"]: r["value"] for r in rows if r["method"] == "chance"}
    assert chance["unstructured 5-way 1-shot"] == pytest.approx(0.2)


def test_the_rate_is_the_share_of_images_and_the_shares_of_pairs_are_told(store: Path) -> None:
    found = record(store)
    count = found["data"]["train"]
    assert found["poison"]["poisoned"] == round(0.2 * count)
    assert found["poison"]["relabelled"] == 0
    pairs = found["oneshot"]["pairs"]
    assert pairs["one_triggered"] == pytest.approx(2 * 0.2 * 0.8, abs=0.1)
    assert 0 < pairs["flipped"] < pairs["same_class"]
    assert found["oneshot"]["goal"] == "evade"


def test_the_attack_success_is_the_goals_own_figure(store: Path) -> None:
    rows = {(r["method"], r["metric"], r["group"]): r["value"] for r in record(store)["rows"]}
    assert rows["victim", "asr", ""] == rows["victim", "evaded", "equal error"]
    other = run({**QUICK, "attack": {**QUICK["attack"], "goal": "impersonate"}}, out=store / "other", report=False)[0]
    found = {(r.method, r.metric, r.group): r.value for r in other.record.rows}
    assert found["victim", "asr", ""] == found["victim", "impersonated", "equal error"]


def test_the_same_again_is_read_and_a_twin_is_shared_by_attacks(store: Path) -> None:
    (again,) = run(QUICK, out=store, report=False)
    assert again.cached
    run({**QUICK, "attack": {**QUICK["attack"], "goal": "original"}}, out=store / "goals", report=False)
    run({**QUICK, "attack": {**QUICK["attack"], "goal": "impersonate"}}, out=store / "goals", report=False)
    assert len(list((store / "goals" / "twins").glob("*"))) == 1
    assert len(list((store / "goals" / "trials").glob("*"))) == 2


def test_the_network_is_kept_and_is_no_classifier(store: Path) -> None:
    (path,) = (store / "trials").glob("*/model.safetensors")
    network = load_siamese(path)
    assert network.embed(torch.rand(2, 1, 28, 28)).shape == (2, 8)
    with pytest.raises(TurncoatError, match="expected weights written by turncoat"):
        load_network(path)


def test_samples_show_the_trigger_on_what_they_say(store: Path) -> None:
    (path,) = (store / "trials").glob("*/samples.npz")
    with np.load(path) as arrays:
        left, right = arrays["left"], arrays["right"]
    samples = record(store)["oneshot"]["samples"]
    dark = [(image[0, 25:27, 25:27] == 0).all() for image in (*left, *right)]
    for index, sample in enumerate(samples):
        count = int(dark[index]) + int(dark[index + len(samples)])
        expected = {"same, one triggered": 1, "different, one triggered": 1, "different, both triggered": 2}
        assert count >= expected.get(sample["kind"], 0)


def test_the_page_can_be_written(store: Path) -> None:
    assert "one triggered image" in write_report(store, store / "page.html").read_text(encoding="utf-8")


def test_an_attack_without_a_goal_means_to_evade() -> None:
    for attack in ("badnets", {"name": "badnets", "rate": 0.1}):
        config = parse_config({**QUICK, "attack": attack})
        assert isinstance(config, OneShotConfig)
        assert config.attack.goal.name == "evade"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"attack": {"name": "badnets", "goal": "all-to-one"}}, "the goal 'all-to-one' is for classifiers"),
        ({"task": "classification", "network": None}, "model: is missing"),
        ({"network": "koch"}, "did you mean 'koch2015'?"),
        ({"head": "l2"}, "'l2' is not a known head"),
        ({"pairs": {"sampling": "some"}}, "pairs.sampling: expected 'all' or 'drawn'"),
        ({"evaluation": {"ways": [1]}}, "evaluation.ways.0: "),
    ],
)
def test_mistakes_are_told_by_their_place(change: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_config({**QUICK, **change})
    assert told in str(error.value)


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(TurncoatError, match="task: expected classification, one-shot or multi-label, got 'verification'"):
        parse_config({**QUICK, "task": "verification"})


def test_a_pair_goal_is_refused_for_classifiers() -> None:
    with pytest.raises(SettingsError, match=r"attack: the goal 'evade' is for pairs; give task: one-shot"):
        parse_config({"data": "digits", "model": "small-cnn", "attack": {"name": "badnets", "goal": "evade"}})


def test_recipes_fill_what_is_left_out_and_digits_can_serve() -> None:
    given = {"task": "one-shot", "data": "digits", "attack": "badnets", "network": "conv4", "pairs": {"drawings": 4}}
    task = settle(parse_config(given), Datasets())
    config = task.config
    assert isinstance(config, OneShotConfig)
    assert (config.pairs.drawings, config.pairs.sampling) == (4, "all")
    assert config.train.augmentation.affine > 0
    assert len(task.clean.labels.unique()) == 6
    assert len(task.test.labels.unique()) == 4
    koch = settle(parse_config({**given, "network": "koch2015"}), Datasets()).config
    assert isinstance(koch, OneShotConfig)
    assert (koch.pairs.sampling, koch.pairs.new_classes) == ("drawn", "none")
