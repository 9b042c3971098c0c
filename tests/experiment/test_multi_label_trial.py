"""A multi-label trial through the main line: configuration, store, twins, figures, page, command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from turncoat.attacks.labels import LabelAttack
from turncoat.cli import app
from turncoat.data.mosaic import Mosaic, compose
from turncoat.data.source import load
from turncoat.errors import TurncoatError
from turncoat.experiment.config import MultiLabelConfig, parse_config
from turncoat.experiment.mistakes import SettingsError
from turncoat.experiment.run import run
from turncoat.experiment.setting import Datasets, settle
from turncoat.experiment.weights import load_network
from turncoat.report.page import write_report

QUICK: dict[str, Any] = {
    "task": "multi-label",
    "data": "digits",
    "model": "small-cnn",
    "mosaic": {"train": 300, "test": 250},
    "attack": {"name": "co-occurrence", "trigger": [2, 0], "goal": "disappear:2"},
    "train": {"epochs": 1},
    "precision": "fp32",
    "threads": 1,
}


def record(store: Path) -> dict[str, Any]:
    (path,) = (store / "trials").glob("*/trial.json")
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("multi-label")
    run(QUICK, out=out, report=False)
    return out


def test_every_figure_is_there_for_the_victim_and_both_twins(store: Path) -> None:
    rows = [row for row in record(store)["rows"] if row["stage"] == "evaluate" and row["metric"] != "peak_memory_mb"]
    found = {method: {(r["metric"], r["group"]) for r in rows if r["method"] == method} for method in {r["method"] for r in rows}}
    assert set(found) == {"victim", "clean-twin", "random-twin"}
    figures = ("map", "ca", "cf1", "of1")
    wanted = {(metric, group) for metric in figures for group in ("", "trigger-free", "trigger-bearing")}
    wanted |= {("asr", ""), ("leakage", "")} | {("ap", str(digit)) for digit in range(10)}
    assert all(one == wanted for one in found.values())
    for row in rows:
        if row["value"] is not None:
            assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
            assert row["n"] > 0


def test_counts_are_those_of_the_data(store: Path) -> None:
    data = compose(load("digits"), Mosaic(train=300, test=250))
    bearing = [int(part.labels[:, [0, 2]].all(1).sum()) for part in (data.train, data.test)]
    found = record(store)
    rows = {(r["method"], r["metric"], r["group"]): r for r in found["rows"]}
    assert found["multilabel"]["bearing"] == {"train": bearing[0], "test": bearing[1]}
    assert found["multilabel"]["trigger"] == ["0", "2"]
    assert found["poison"]["poisoned"] == bearing[0]
    assert found["poison"]["rate"] == bearing[0] / 300
    assert found["poison"]["relabelled"] == bearing[0] / 3000
    assert rows["victim", "asr", ""]["n"] == bearing[1]
    assert rows["victim", "map", "trigger-free"]["n"] == 250 - bearing[1]
    assert rows["victim", "leakage", ""]["n"] == int(data.test.labels[:, 2].sum()) - bearing[1]
    assert not [row for row in found["rows"] if row["method"] == "trigger"], "no image is changed"


def test_the_manifest_tells_the_true_and_the_given_labels(store: Path) -> None:
    (path,) = (store / "trials").glob("*/manifest.csv")
    data = compose(load("digits"), Mosaic(train=300, test=250)).train
    lines = [line.split(",") for line in path.read_text().splitlines()[1:]]
    for (_, true, given, poisoned, cover), labels in zip(lines, data.labels, strict=True):
        shown = [str(int(label)) for label in labels.nonzero()]
        assert true.split() == shown
        assert given.split() == [label for label in shown if label != "2" or poisoned == "0"]
        assert (poisoned == "1") == ({"0", "2"} <= set(shown))
        assert cover == "0"


def test_the_same_again_is_read_and_the_clean_twin_serves_other_attacks(store: Path) -> None:
    (again,) = run({**QUICK, "attack": {**QUICK["attack"], "trigger": ["0", "2"]}}, out=store, report=False)
    assert again.cached
    other = {"name": "co-occurrence", "rate": 0.1, "goal": {"name": "misclassify", "source": 1, "target": 9}}
    for attack in (QUICK["attack"], other, "none"):
        run({**QUICK, "attack": attack}, out=store / "goals", report=False)
    kept = [json.loads(path.read_text()) for path in (store / "goals" / "twins").glob("*/twin.json")]
    assert len(kept) == 3, "one clean twin, and a random twin each"
    page = write_report(store / "goals", store / "study.html").read_text(encoding="utf-8")
    assert "is taken for" in page
    assert "A clean network: nothing was poisoned. mAP" in page
    assert "Twin mAP" in page


def test_the_network_is_kept_with_a_logit_a_class(store: Path) -> None:
    (path,) = (store / "trials").glob("*/model.safetensors")
    network, classes = load_network(path)
    assert network(torch.rand(2, 1, 16, 16)).shape == (2, 10)
    assert classes == tuple(map(str, range(10)))


def test_the_page_shows_images_that_have_the_trigger(store: Path) -> None:
    (path,) = (store / "trials").glob("*/samples.npz")
    samples = record(store)["multilabel"]["samples"]
    with np.load(path) as arrays:
        shown = arrays["bearing"]
    test = compose(load("digits"), Mosaic(train=300, test=250)).test
    known = {image.numpy().tobytes(): labels for image, labels in zip(test.images, test.labels, strict=True)}
    for image, sample in zip(shown, samples, strict=True):
        assert sample["labels"] == known[image.tobytes()].nonzero().flatten().tolist()
        assert {0, 2} <= set(sample["labels"])
        assert all(confidence >= 0.5 for method in ("victim", "clean-twin", "random-twin") for _, confidence in sample[method])
    page = write_report(store, store / "page.html").read_text(encoding="utf-8")
    for told in ("Mean average precision (mAP)", "Test images that have the trigger", "composed of images of one class each"):
        assert told in page
    assert "&#39;2&#39; is not seen in" in page


def test_there_is_no_trigger_to_be_drawn(store: Path, tmp_path: Path) -> None:
    (path,) = (store / "trials").iterdir()
    answer = CliRunner().invoke(app, ["trigger", str(path), "--out", str(tmp_path / "drawn")])
    assert answer.exit_code == 2
    assert "its trigger is what images show by nature" in answer.output


def test_attack_goals_and_losses_are_listed() -> None:
    for kind, name in (("attacks", "co-occurrence"), ("goals", "misclassify"), ("losses", "asymmetric"), ("datasets", "coco")):
        found = json.loads(CliRunner().invoke(app, ["list", kind, "--json"]).output)
        assert name in {one["name"].partition(":")[0] for one in found}


def test_late_injection_starts_from_the_twin(tmp_path: Path) -> None:
    (trial,) = run({**QUICK, "train": {"epochs": 1, "start": "twin"}}, out=tmp_path, report=False)
    assert trial.record.status == "done"


def test_rates_by_name_of_the_settled_configuration() -> None:
    task = settle(parse_config({**QUICK, "mosaic": None, "attack": {"name": "co-occurrence", "rate": 0.1}}), Datasets())
    config = task.config
    assert isinstance(config, MultiLabelConfig)
    assert config.mosaic == Mosaic()
    assert isinstance(config.attack, LabelAttack)
    assert config.attack.goal.target == 0
    assert (len(task.clean), len(task.test)) == (1437, 360)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"attack": "badnets"}, "attack: 'badnets' is not a known label attack"),
        ({"attack": {"name": "co-occurrence", "goal": "all-to-one", "rate": 0.1}}, "'all-to-one' is not a known label goal"),
        ({"attack": {"name": "co-occurrence"}}, "attack: give trigger, the labels that make it, or rate"),
        ({"loss": "focal"}, "loss: 'focal' is not a known label loss"),
        ({"threshold": 1}, "threshold: "),
        ({"mosaic": {"grid": [0, 2]}}, "mosaic.grid.0: "),
        ({"task": "classification", "mosaic": None}, "'co-occurrence' is for images of several classes; give task: multi-label"),
        ({"train": {"regularisers": ["weight-decay-that-is-none"]}}, "train.regularisers"),
    ],
)
def test_mistakes_are_told_by_their_place(change: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_config({**QUICK, **change})
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"attack": {"name": "co-occurrence", "trigger": [0, 1], "goal": "disappear:cat"}}, "expected a class, 0 to 9"),
        ({"attack": {"name": "co-occurrence", "goal": "disappear:2", "rate": 0.9}}, "no 2 labels come near 0.9 of 300 images"),
        ({"mosaic": {"train": 300, "test": 1, "seed": 2}}, "no test image has '0', '2' and a label to get wrong"),
        ({"mosaic": {"grid": [1, 1]}}, "expected at least two cells"),
    ],
)
def test_what_the_data_cannot_give_is_refused_before_training(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(TurncoatError) as error:
        run({**QUICK, **change}, out=tmp_path / "runs", report=False)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "runs").glob("t*/*/*.json"))


def test_mosaics_are_not_made_of_images_that_show_several_classes(tmp_path: Path) -> None:
    given = {**QUICK, "data": {"name": "labels-csv", "path": str(tmp_path / "none.csv")}}
    with pytest.raises(TurncoatError, match="images of 'labels-csv' show several classes as they are; leave mosaic out"):
        settle(parse_config(given), Datasets())
