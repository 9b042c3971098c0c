"""``turncoat repair``: new weights beside the old, a table of before and after, mistakes in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_helpers import write
from quick_trial import QUICK
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner, Result

import turncoat
from turncoat.cli import app
from turncoat.experiment.repaired import without

runner = CliRunner()


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repair")
    small = {"name": "small-cnn", "width": 8}
    config = {**QUICK, "model": small, "train": {"epochs": 5, "batch_size": 64}, "keep_models": "victims"}
    write(folder / "config.yaml", config)
    made = runner.invoke(app, ["run", str(folder / "config.yaml"), "--out", str(folder / "runs"), "--no-report"])
    assert made.exit_code == 0, made.output
    clean = turncoat.load("digits").train
    np.savez(folder / "clean.npz", images=clean.images[:200].permute(0, 2, 3, 1).numpy(), labels=clean.labels[:200].numpy())
    (found,) = (folder / "runs" / "trials").iterdir()
    return found


def invoke(*arguments: str | Path) -> Result:
    return runner.invoke(app, ["repair", *map(str, arguments), "--device", "cpu"])


def test_a_trial_is_repaired_and_its_attack_measured_afterwards(trial: Path, tmp_path: Path) -> None:
    weights = (trial / "model.safetensors").read_bytes()
    out = tmp_path / "repaired.safetensors"
    found = invoke(trial, "--clean", "digits", "--method", "clp", "--out", out, "--json")
    assert found.exit_code == 3, found.output  # of eight channels none can be three deviations from the mean
    told: dict[str, Any] = json.loads(found.stdout)
    assert told["method"]["name"] == "clp" and told["out"] == str(out)
    assert told["left_as_it_came"] == told["attempts"][0]["left_as_it_came"] == "no channel stands out"
    assert told["known_attack"] is None and "all of its test images" in told["notes"][-1]  # digits by name are its test images
    assert 0 <= told["before"]["accuracy"]["low"] <= told["before"]["accuracy"]["value"] <= 1
    assert told["before"]["accuracy"]["n"] == 72 and told["seconds"] > 0
    assert (trial / "model.safetensors").read_bytes() == weights
    _, classes = turncoat.load_network(out)
    assert len(classes) == 10
    page = out.with_suffix(".html").read_text()
    assert "Before and after" in page and "://" not in page.replace("http://www.w3.org", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repaired.html", "repaired.safetensors"]


def test_images_of_the_defender_that_are_no_test_images_leave_all_to_evaluate_on(trial: Path, tmp_path: Path) -> None:
    source = turncoat.load("digits")
    folder = tmp_path / "clean"
    for label, name in enumerate(source.train.classes):
        (folder / name).mkdir(parents=True)
        for place in (source.train.labels == label).nonzero().flatten()[:20].tolist():
            from PIL import Image

            Image.fromarray(source.train.images[place, 0].numpy()).save(folder / name / f"{place}.png")
    out = tmp_path / "out" / "repaired.safetensors"
    found = invoke(trial, "--clean", folder, "--method", "consistency", "--out", out)
    assert found.exit_code == 0, found.output
    for expected in ("Repaired by consistency", "accuracy, validation images", "attack success rate", f"weights {out}"):
        assert expected in found.stdout
    both = load_file(out), load_file(trial / "model.safetensors")
    assert both[0].keys() == both[1].keys()
    assert any(not torch.equal(value, both[1][key]) for key, value in both[0].items())


def test_no_test_image_of_the_defender_is_evaluated_on() -> None:
    splits = turncoat.load("digits")
    used = splits.test.subset(torch.arange(100))
    left = without(splits.test, used, Path("trial"))
    known = {image.numpy().tobytes() for image in used.images}
    assert len(left) <= len(splits.test) - 100
    assert not any(image.numpy().tobytes() in known for image in left.images)


def test_weights_of_someone_else_keep_their_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))\n"
    )
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    save_file(network.state_dict(), tmp_path / "theirs.safetensors")
    monkeypatch.chdir(tmp_path)
    found = invoke(
        "theirs.safetensors", "--arch", "theirs:make", "--method", "clp", "--shape", "1,8,8", "--mean", "0.5", "--std", "0.5"
    )
    assert found.exit_code == 3 and "no channel stands out" in found.stdout, found.output
    made = load_file(tmp_path / "repairs" / "theirs.safetensors")
    assert {key: value.shape for key, value in made.items()} == {k: v.shape for k, v in network.state_dict().items()}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--method", "nonsense"], "'nonsense' is not a known repair"),
        (["--method", "fine-tuning"], "needs clean images"),
        (["--out", "weights.pth"], "ends in .safetensors"),
        (["--method", "clp", "--out", "OWN"], "is the model that is repaired"),
    ],
)
def test_mistakes_are_told_in_a_line(trial: Path, arguments: list[str], expected: str) -> None:
    given = [str(trial / "model.safetensors") if one == "OWN" else one for one in arguments]
    found = invoke(trial, *given)
    assert found.exit_code == 2
    assert expected in found.stderr and len(found.stderr.strip().splitlines()) == 1
