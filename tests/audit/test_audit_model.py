"""`audit_model` and its command, on networks whose backdoor is known."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from planted_columns import CLASSES, SHAPE, make_clean, make_network
from typer.testing import CliRunner

from turncoat.audit.model import audit_model
from turncoat.cli import app
from turncoat.errors import TurncoatError
from turncoat.intake.model import Opened
from turncoat.train.placement import place

FACTORY = "planted_columns:make_columns"


def opened(backdoor: int | None) -> Opened:
    return Opened(make_network(backdoor), SHAPE, CLASSES, True, "a test's")


def write_model(folder: Path, backdoor: int | None) -> Path:
    path = folder / "model.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in make_network(backdoor).state_dict().items()}}, path)
    return path


@pytest.fixture(scope="module")
def clean_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, clean = tmp_path_factory.mktemp("clean"), make_clean()
    for place_, (image, label) in enumerate(zip(clean.images, clean.labels.tolist(), strict=True)):
        (folder / CLASSES[label]).mkdir(exist_ok=True)
        Image.fromarray(image[0].numpy()).save(folder / CLASSES[label] / f"{place_}.png")
    return folder


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit-model", *map(str, arguments), "--methods", "neural-cleanse", "--device", "cpu"])
    return result.exit_code, result.output


def test_command_finds_the_backdoor_of_anyones_model(tmp_path: Path, clean_folder: Path) -> None:
    code, told = run(write_model(tmp_path, 4), "--arch", FACTORY, "--clean", clean_folder, "--out", tmp_path / "audit", "--json")
    assert code == 3, told
    found = json.loads(told)
    assert (found["verdict"], found["target"], found["target_name"]) == ("suspicious", 4, "e")
    assert found["p_value"] <= 0.01 and found["clean_accuracy"] == 1.0 and found["seconds"] > 0
    assert [method["name"] for method in found["methods"]] == ["neural-cleanse"]
    with Image.open(found["trigger"]) as picture:
        assert picture.size == (13, 13) and picture.mode == "RGBA"
    page = (tmp_path / "audit" / "report.html").read_text()
    assert "Suspicious" in page and 'src="http' not in page and 'href="http' not in page


def test_command_leaves_the_clean_counterpart_alone(tmp_path: Path, clean_folder: Path) -> None:
    code, told = run(
        write_model(tmp_path, None), "--arch", FACTORY, "--clean", clean_folder, "--out", tmp_path / "audit", "--json"
    )
    found = json.loads(told)
    assert code == 0 and found["verdict"] == "clean" and found["target"] is None and found["trigger"] is None


def test_command_in_words(tmp_path: Path, clean_folder: Path) -> None:
    code, told = run(write_model(tmp_path, 2), "--arch", FACTORY, "--clean", clean_folder, "--out", tmp_path / "audit")
    assert code == 3 and "a trigger towards 'c'" in told and "n = 60" in told


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--methods", "neural-cleanse"], "need clean images; give --clean DIR"),
        (["--methods", "astrology"], "expected some of"),
        (["--references", "9"], "expected --clean DIR as well"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path: Path, arguments: list[str], why: str) -> None:
    model = write_model(tmp_path, None)
    result = CliRunner().invoke(app, ["audit-model", str(model), "--arch", FACTORY, "--shape", "1,13,13", *arguments])
    assert result.exit_code == 2 and why in result.output and "Traceback" not in result.output


def test_an_alpha_that_is_none() -> None:
    with pytest.raises(TurncoatError, match="between 0 and 1"):
        audit_model(opened(None), make_clean(), alpha=1.5)


def test_many_clean_images_are_thinned_alike_for_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turncoat.audit.model._MOST", 12)
    found = audit_model(opened(None), make_clean(), methods=["neural-cleanse"], placement=place("cpu", "fp32"))
    assert found.clean is not None and found.clean.labels.bincount().tolist() == [2] * 6
    assert found.accuracy is not None and found.accuracy.n == 60


def test_all_methods_that_can_are_run_and_the_network_stays_as_it_was() -> None:
    model = opened(1)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    found = audit_model(model, None, placement=place("cpu", "fp32"))
    assert found.findings and "neural-cleanse" not in found.findings and found.accuracy is None
    assert all(torch.equal(before[key], value) for key, value in model.network.state_dict().items())


def test_a_network_that_fails_in_one_method_is_examined_by_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from turncoat.detect.models.mm_bd import MMBD

    def fail(*_: object) -> None:
        raise RuntimeError("no such\nimages")

    monkeypatch.setattr(MMBD, "examine", fail)
    found = audit_model(opened(2), make_clean(), methods=["mm-bd", "neural-cleanse"], placement=place("cpu", "fp32"))
    assert found.refused == {"mm-bd": "mm-bd: the network fails: RuntimeError: no such"}
    assert list(found.findings) == ["neural-cleanse"] and found.verdict.target == 2
    with pytest.raises(TurncoatError, match="no method can look into this model"):
        audit_model(opened(2), None, methods=["mm-bd"], placement=place("cpu", "fp32"))


def test_figures_that_are_none_are_null() -> None:
    from dataclasses import replace

    from turncoat.audit.written import as_json

    found = audit_model(opened(2), make_clean(), methods=["neural-cleanse"], placement=place("cpu", "fp32"))
    findings = {name: replace(one, details={"success": float("nan")}) for name, one in found.findings.items()}
    written = as_json(replace(found, findings=findings), None)
    assert json.loads(json.dumps(written, allow_nan=False))["methods"][0]["details"] == {"success": None}


def test_weights_that_get_other_pixels_than_in_their_training_are_not_judged() -> None:
    """Without --mean and --std a clean CIFAR-10 network was called suspicious, p = 0.0035."""
    clean = make_clean()
    strangers = clean.with_labels(torch.randint(len(CLASSES), (len(clean),), generator=torch.Generator().manual_seed(1)))
    model = Opened(make_network(2), SHAPE, CLASSES, True, "a test's", bare=make_network(2))
    with pytest.raises(TurncoatError, match=r"not judged, .*: .* near chance \(17%\)"):
        audit_model(model, strangers, methods=["neural-cleanse"], placement=place("cpu", "fp32"))
    found = audit_model(model, None, methods=["mm-bd"], placement=place("cpu", "fp32"))
    assert any("cannot be seen whether --mean" in note for note in found.notes)
