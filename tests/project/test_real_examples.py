"""The examples that need real images, trained briefly: they run and count what they say (CIFAR-10: test_real_defences)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from turncoat.experiment.run import run

EXAMPLES = Path(__file__).parents[2] / "examples"


def overall(trial: Any) -> dict[tuple[str, str], Any]:
    return {(row.method, row.metric): row for row in trial.record.rows if row.group == "" and row.stage == "evaluate"}


@pytest.mark.real
def test_folder_badnets_on_flowers(real_data: Path, tmp_path: Path) -> None:
    overrides = [f"data.path={real_data / 'flowers-160'}", "data.size=32", "train.epochs=1", "keep_models=none"]
    (trial,) = run(EXAMPLES / "folder-badnets.yaml", overrides, out=tmp_path)
    document = json.loads((trial.folder / "trial.json").read_text())
    assert document["data"]["shape"] == [3, 32, 32]
    assert (document["data"]["train"], document["data"]["test"]) == (2934, 736)
    assert document["poison"]["poisoned"] == round(0.1 * 2934)
    assert overall(trial)["victim", "ca"].value > 0.2  # five classes
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.real
def test_omniglot_backdoor_on_the_whole_of_omniglot(real_data: Path, tmp_path: Path) -> None:
    overrides = [f"data.path={real_data / 'omniglot'}", "train.epochs=4", "evaluation.ways=[5,20]", "keep_models=none"]
    (trial,) = run(EXAMPLES / "omniglot-backdoor.yaml", overrides, out=tmp_path)
    document = json.loads((trial.folder / "trial.json").read_text())
    assert (document["data"]["train"], document["data"]["test"]) == (803 * 20, 659 * 20)
    assert document["poison"]["poisoned"] == round(0.08 * 803 * 20)
    rows = {(row.method, row.metric, row.group): row for row in trial.record.rows if row.stage == "evaluate"}
    twenty = "unstructured 20-way 1-shot"
    neighbour = rows["nearest-neighbour", "oneshot", twenty].value
    assert 0.15 < neighbour < 0.3
    for method in ("victim", "clean-twin"):
        assert rows[method, "oneshot", twenty].value > neighbour + 0.3
        assert rows[method, "oneshot", "Lake's runs 20-way 1-shot"].n == 400
    assert rows["victim", "asr", ""].value > rows["clean-twin", "asr", ""].value + 0.3, "in four epochs, already"
    assert (tmp_path / "report.html").stat().st_size > 50_000
