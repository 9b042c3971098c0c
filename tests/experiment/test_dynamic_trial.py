"""A c-BaN on digits from training to new triggers: every class is reached, and what was saved makes triggers that work."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from quick_trial import QUICK
from safetensors import safe_open
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor
from typer.testing import CliRunner

from turncoat import run
from turncoat.cli import app
from turncoat.errors import TurncoatError
from turncoat.evaluate.predict import predict
from turncoat.experiment.maketriggers import bare_patches, make_triggers
from turncoat.experiment.weights import load_network
from turncoat.report.page import write_report
from turncoat.report.read import Trial
from turncoat.train.placement import place

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits-c-ban.yaml"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dynamic")


@pytest.fixture(scope="module")
def trial(store: Path) -> Trial:
    return run(EXAMPLE, ["precision=fp32", "device=cpu"], out=store, report=False)[0]


def figures(trial: Trial, method: str) -> dict[tuple[str, str], float]:
    rows = [row for row in trial.record.rows if row.method == method]
    return {(row.metric, row.group): row.value for row in rows if row.value is not None}


def test_every_class_is_reached_and_by_the_victim_alone(trial: Trial):
    victim, twin = figures(trial, "victim"), figures(trial, "clean-twin")
    reached = [victim["asr", f"to {digit}"] for digit in range(10)]
    assert min(reached) >= 0.9
    assert max(twin["asr", f"to {digit}"] for digit in range(10)) < 0.35
    assert abs(victim["asr", ""] - sum(reached) / 10) < 0.05
    assert twin["asr", ""] < 0.15
    assert victim["ca", ""] > twin["ca", ""] - 0.03
    sizes = {row.n for row in trial.record.rows if row.group.startswith("to ")}
    assert min(size for size in sizes if size is not None) > 300


def test_the_record_says_that_nothing_stored_was_poisoned(trial: Trial, store: Path):
    record = trial.record
    assert record.poison is not None
    assert (record.poison.poisoned, record.poison.rate, record.poison.relabelled) == (0, 0, 0)
    assert record.attack.threat_model == "training"
    assert figures(trial, "trigger")["linf", ""] > 100, "measured on the trained generator, after the training"
    page = write_report(store).read_text()
    assert "the class that the attacker chose" in page
    assert "With 0% of the training images poisoned" not in page
    assert "By target" in page


def made(folder: Path, kind: str) -> Tensor:
    return torch.stack([pil_to_tensor(Image.open(path)) for path in sorted((folder / kind).glob("*.png"))])


def test_new_triggers_of_a_saved_generator_lead_to_their_target(trial: Trial, tmp_path: Path):
    network, classes = load_network(trial.folder / "model.safetensors")
    for seed in (1, 2):
        out = tmp_path / f"threes-{seed}"
        told = make_triggers(trial.folder, out, target=3, count=64, seed=seed)
        assert (told.count, told.patch) == (64, (2, 2))
        triggered, clean, bare = (made(out, kind) for kind in ("triggered", "clean", "trigger"))
        predicted = predict(network, triggered, place("cpu", "fp32")).argmax(1)
        assert (predicted == classes.index("3")).float().mean() > 0.9
        assert ((triggered != clean).flatten(1).sum(1) <= 4).all(), "a patch of 2x2 pixels"
        assert bare.shape == (64, 1, 2, 2), "a trained generator may have come to one patch a target, pixel for pixel"
        with (out / "manifest.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["target"] for row in rows} == {"3"}
        assert "3" not in {row["true_label"] for row in rows}
        assert [row["number"] for row in rows] == [path.stem for path in sorted((out / "clean").glob("*.png"))]
    assert not torch.equal(made(tmp_path / "threes-1", "triggered"), triggered)


def test_the_command_and_its_mistakes(trial: Trial, store: Path, tmp_path: Path):
    def command(*given: str | Path) -> tuple[int, str]:
        answer = CliRunner().invoke(app, ["trigger", *map(str, given), "--out", str(tmp_path / "out")])
        return answer.exit_code, answer.output

    code, output = command(store, "--count", "3")
    assert code == 0, output
    assert "3 images: triggered/, clean/, trigger/ 2x2 pixels each, manifest.csv" in " ".join(output.split())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clean", "manifest.csv", "trigger", "triggered"]
    assert command(store)[0] == 2, "there is a folder with files already"
    shutil.rmtree(tmp_path / "out")
    broken = tmp_path / "broken"
    shutil.copytree(trial.folder, broken)
    (broken / "attack.safetensors").unlink()
    for given, line in (
        ((store, "--target", "11"), "--target: expected a class, 0 to 9"),
        ((store, "--count", "5000"), "--count: expected at most 360"),
        ((tmp_path / "nowhere",), "expected a folder (a store, or a single trial), found none"),
        ((broken,), "expected attack.safetensors in it, found none"),
    ):
        code, output = command(*given)
        assert (code, line in output) == (2, True), output
    (broken / "attack.safetensors").write_bytes(b"\x80\x04 a pickle")
    assert "expected the state of a c-ban attack written by turncoat" in command(broken)[1]
    assert list(tmp_path.iterdir()) == [broken], "nothing half written"


def test_the_generator_is_saved_as_tensors_with_its_attacks_name(trial: Trial):
    with safe_open(str(trial.folder / "attack.safetensors"), framework="pt") as file:
        assert '"c-ban"' in file.metadata()["turncoat"]
        assert all(name.startswith("generator.") for name in file.keys())  # noqa: SIM118


def test_a_trial_without_state_makes_its_triggers_too_and_knows_its_one_target(tmp_path: Path):
    trial = run(QUICK, out=tmp_path / "runs", report=False)[0]
    assert not (trial.folder / "attack.safetensors").exists()
    told = make_triggers(trial.folder, tmp_path / "out", count=5)
    assert told.patch == (2, 2)
    assert torch.equal(made(tmp_path / "out", "trigger"), torch.tensor([[255, 0], [0, 255]]).expand(5, 1, 2, 2))
    with pytest.raises(TurncoatError, match="--target: this trial's attack leads to 0; got 3"):
        make_triggers(trial.folder, tmp_path / "other", target=3)


def test_a_bare_trigger_is_shown_only_where_it_is_one_rectangle():
    black, white = torch.zeros(2, 3, 6, 6, dtype=torch.uint8), torch.full((2, 3, 6, 6), 255, dtype=torch.uint8)
    assert bare_patches(black, white) is None, "covers nothing"
    assert bare_patches(black, black) is None, "covers all"
    patch = torch.arange(18, dtype=torch.uint8).view(3, 2, 3)
    for x in (black, white):
        x[0, :, 1:3, 2:5] = patch
        x[1, :, 4:6, 3:6] = patch
    found = bare_patches(black, white)
    assert found is not None
    assert torch.equal(found, torch.stack([patch, patch]))
    for x in (black, white):
        x[1, :, 0, 0] = 9
    assert bare_patches(black, white) is None, "one of them is no rectangle"
