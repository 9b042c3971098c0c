"""What a trial tells about poison that hides: clean labels, and cover samples."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from experiment_helpers import document
from quick_trial import QUICK

from turncoat import load, run
from turncoat.experiment.store import open_store


def finished(out: Path, attack: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, str]], str]:
    """The record, the manifest and the page of one trial."""
    run({**QUICK, "attack": attack}, out=out)
    (trial,) = open_store(out).trials()
    with (trial.folder / "manifest.csv").open() as file:
        manifest = list(csv.DictReader(file))
    return document(out, trial.record.key), manifest, (out / "report.html").read_text()


def test_a_clean_label_attack_tells_the_share_of_the_target_class(tmp_path: Path) -> None:
    attack = {"name": "sig", "rate": 0.05, "amplitude": 100, "goal": "all-to-one:8"}
    record, manifest, page = finished(tmp_path, attack)
    eights = int((load("digits").train.labels == 8).sum())
    share = 72 / eights
    assert record["poison"] == {
        "poisoned": 72, "cover": 0, "rate": 72 / 1437, "class_rate": share, "relabelled": 0.0,
    }  # fmt: skip
    (row,) = [row for row in record["rows"] if row["metric"] == "class_rate"]
    assert (row["stage"], row["value"]) == ("poison", pytest.approx(share))
    assert {line["true_label"] for line in manifest if line["poisoned"] == "1"} == {"8"}
    assert all(line["given_label"] == line["true_label"] for line in manifest)
    assert f"72 of 1,437 training images (5.01%; {share:.1%} of the target class); 0% of all labels changed" in page
    assert "images alone: every label stays true (clean label)" in page


def test_cover_is_told_from_poison(tmp_path: Path) -> None:
    record, manifest, page = finished(tmp_path, {"name": "wanet", "rate": 0.05})
    cover = round(0.05 * 2 * 1437)
    assert (record["poison"]["poisoned"], record["poison"]["cover"]) == (72, cover)
    assert record["poison"]["class_rate"] is None
    assert not any(row["metric"] == "class_rate" for row in record["rows"])
    covering = [line for line in manifest if line["cover"] == "1"]
    assert len(covering) == cover
    assert all(line["poisoned"] == "0" and line["given_label"] == line["true_label"] for line in covering)
    poisoned = [line for line in manifest if line["poisoned"] == "1"]
    assert len(poisoned) == 72
    assert {line["given_label"] for line in poisoned} == {"0"}
    assert f"and {cover} cover images (triggered, with their true labels); 5.01% of all labels changed" in page
