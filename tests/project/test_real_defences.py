"""BadNets on CIFAR-10, planted, found and removed: in a network that has learnt real photographs, and from the shell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from turncoat.cli import app
from turncoat.experiment.run import run
from turncoat.experiment.trial import TrialResult

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def trial(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialResult:
    """Towards class 0, and the clean twin; five epochs each, since an audit sees nothing after one."""
    overrides = ["data.name=folder", f"data.path={real_data / 'cifar10-jpeg'}", "train.preset=quick", "keep_models=all"]
    (found,) = run(EXAMPLES / "cifar10-badnets.yaml", overrides, out=tmp_path_factory.mktemp("cifar"), report=False)
    return found


@pytest.fixture(scope="module")
def clean(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the engineer has: 50 images of each class that took no part in the training."""
    folder = tmp_path_factory.mktemp("clean")
    for of_class in sorted((real_data / "cifar10-jpeg" / "test").iterdir()):
        (folder / of_class.name).mkdir()
        for image in sorted(of_class.iterdir())[:50]:
            shutil.copyfile(image, folder / of_class.name / image.name)
    return folder


LOOSE = "0.05"
"""For the victim, so that a processor that rounds otherwise does not decide: p was 0.004 where this was measured.
That of its twin, which is asked at the default of 0.01, was 0.08."""


def told(expected: int, *arguments: str | Path) -> dict[str, Any]:
    found = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert found.exit_code == expected, (found.output, found.exception)
    return json.loads(found.stdout)


def test_the_trial_counts_what_it_says(trial: TrialResult) -> None:
    poison, found = trial.record.poison, {(row.method, row.metric): row for row in trial.record.rows if row.group == ""}
    assert poison is not None and poison.poisoned == 500
    assert (found["victim", "ca"].n, found["victim", "asr"].n) == (10_000, 9_000)
    assert found["victim", "ca"].value > 0.8 and found["clean-twin", "ca"].value > 0.8
    assert found["victim", "asr"].value > 0.95 and found["clean-twin", "asr"].value < 0.1


def test_the_audit_finds_the_target(trial: TrialResult, clean: Path, tmp_path: Path) -> None:
    found = told(3, "audit-model", trial.folder, "--clean", clean, "--alpha", LOOSE, "--out", tmp_path)
    assert (found["verdict"], found["target"], found["target_name"]) == ("suspicious", 0, "airplane")
    assert (tmp_path / "report.html").is_file()


def test_the_audit_does_not_accuse_the_clean_twin(trial: TrialResult, clean: Path, tmp_path: Path) -> None:
    twin = trial.folder.parents[1] / "twins" / trial.record.twin
    found = told(0, "audit-model", twin, "--clean", clean, "--out", tmp_path)
    assert (found["verdict"], found["target"]) == ("clean", None)


def test_a_repair_removes_the_backdoor(trial: TrialResult, clean: Path, tmp_path: Path) -> None:
    found = told(0, "repair", trial.folder, "--clean", clean, "--method", "consistency", "--out", tmp_path / "new.safetensors")
    ca, asr = found["known_attack"]["ca"], found["known_attack"]["asr"]
    assert asr["before"]["value"] > 0.9 and asr["after"]["value"] < 0.2
    assert ca["before"]["value"] > 0.8 and ca["after"]["value"] > ca["before"]["value"] - 0.06
    assert (tmp_path / "new.safetensors").is_file()
