"""The input-aware attack on digits from training to new triggers: it works, and another image's trigger does not."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from safetensors import safe_open

from turncoat import run
from turncoat.data import Source
from turncoat.experiment.maketriggers import make_triggers
from turncoat.report.page import write_report
from turncoat.report.read import Trial

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits-input-aware.yaml"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("input-aware")


@pytest.fixture(scope="module")
def trial(store: Path) -> Trial:
    return run(EXAMPLE, ["precision=fp32", "device=cpu"], out=store, report=False)[0]


def test_own_triggers_work_on_the_victim_alone_and_others_do_nothing(trial: Trial):
    rows = {(row.method, row.metric): row for row in trial.record.rows if row.group == "" and row.stage == "evaluate"}
    figures = {key: row.value or 0.0 for key, row in rows.items()}
    assert figures["victim", "asr"] > 0.8
    assert figures["clean-twin", "asr"] < 0.1
    assert figures["victim", "cross_accuracy"] > 0.65
    assert figures["victim", "ra"] < 0.2, "what the cross-trigger accuracy would be if any trigger worked"
    assert figures["victim", "ca"] > figures["clean-twin", "ca"] - 0.05
    counted = int((Source.parse("digits").load().test.labels != 0).sum())
    assert rows["victim", "cross_accuracy"].n == rows["victim", "asr"].n == counted
    assert rows["clean-twin", "cross_accuracy"].n == counted
    groups = {row.group for row in trial.record.rows if row.metric == "cross_accuracy"}
    assert groups == {"", *map(str, range(1, 10))}


def test_the_record_and_the_page_say_so(trial: Trial, store: Path):
    assert trial.record.poison is not None
    assert (trial.record.poison.poisoned, trial.record.poison.relabelled) == (0, 0)
    assert "Cross-trigger accuracy" in write_report(store).read_text()
    with safe_open(str(trial.folder / "attack.safetensors"), framework="pt") as file:
        assert {name.split(".")[0] for name in file.keys()} == {"pattern", "mask"}  # noqa: SIM118


def test_triggers_are_made_again_and_are_no_patch(trial: Trial, tmp_path: Path):
    told = make_triggers(trial.folder, tmp_path / "out", count=5)
    assert (told.count, told.patch) == (5, None)
    with (tmp_path / "out" / "manifest.csv").open() as file:
        assert {row["target"] for row in csv.DictReader(file)} == {"0"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clean", "manifest.csv", "triggered"]
