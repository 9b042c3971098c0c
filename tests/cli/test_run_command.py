from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import write
from quick_trial import QUICK
from typer.testing import CliRunner, Result

from turncoat.cli import app

runner = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("command")
    write(folder / "config.yaml", QUICK)
    return folder


def invoke(folder: Path, *arguments: str) -> Result:
    return runner.invoke(app, ["run", str(folder / "config.yaml"), "--out", str(folder / "runs"), *arguments])


@pytest.fixture(scope="module")
def first(folder: Path) -> dict[str, Any]:
    found = invoke(folder, "--json", "--seeds", "2")
    assert found.exit_code == 0, found.output
    assert found.stderr == ""
    return json.loads(found.stdout)


def test_json_is_one_object_over_all_seeds(first: dict[str, Any], folder: Path) -> None:
    assert set(first) == {"config", "rows", "seconds", "peak_memory_mb", "cached"}
    assert first["cached"] is False
    assert first["seconds"] > 0
    assert first["config"]["attack"]["rate"] == 0.1
    columns = ["seed", "stage", "method", "metric", "group", "value", "low", "high", "n", "seconds"]
    assert all(list(row) == columns for row in first["rows"])
    for method in ("victim", "clean-twin"):
        for metric in ("ca", "asr", "ra"):
            rows = [row for row in first["rows"] if (row["method"], row["metric"], row["group"]) == (method, metric, "")]
            assert [row["seed"] for row in rows] == [0, 1]
            assert all(row["stage"] == "evaluate" and row["low"] <= row["value"] <= row["high"] for row in rows)
    assert (folder / "runs" / "report.html").is_file()


def test_the_same_again_is_read(first: dict[str, Any], folder: Path) -> None:
    found = invoke(folder, "--json", "--seeds", "2", "--no-report")
    again = json.loads(found.stdout)
    assert again.pop("cached") is True
    assert {key: value for key, value in first.items() if key != "cached"} == again


def test_the_table_has_victim_and_twin_side_by_side(first: dict[str, Any], folder: Path) -> None:
    one = invoke(folder).stdout
    for expected in (
        "clean accuracy",
        "attack success rate",
        "still right",
        "victim",
        "clean twin",
        "One seed",
        "read from the store",
    ):
        assert expected in one
    assert str(folder / "runs" / "report.html") in one.replace("\n", "")
    assert "2 seeds: means with 95% t intervals" in invoke(folder, "--seeds", "2", "--no-report").stdout


def test_overrides_reach_the_trial(folder: Path) -> None:
    found = invoke(folder, "attack.rate=0.2", "seed=5", "keep_models=none", "--json", "--no-report")
    document = json.loads(found.stdout)
    assert (document["config"]["attack"]["rate"], document["config"]["seed"]) == (0.2, 5)


def test_all_mistakes_are_on_standard_error_with_code_2(folder: Path) -> None:
    found = invoke(folder, "attack.rate=2", "seed=x", "modle=small-cnn", "--json")
    assert found.exit_code == 2
    assert found.stdout == ""
    lines = found.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"turncoat: {folder / 'config.yaml'}: ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attack.rate"], "expected a setting as path=value"),
        (["data=folder:/nowhere/at/all"], "/nowhere/at/all"),
        (["device=cuda:99"], "cuda:99 is not there"),
        (["--model-factory", "nowhere_to_be_found:make"], "nowhere_to_be_found"),
        (["model=factory:os:system"], "--model-factory"),
        (["attack.goal=all-to-one:11"], "attack.goal.target"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, arguments: list[str], message: str) -> None:
    found = invoke(folder, *arguments)
    assert found.exit_code == 2, found.output
    assert message in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_divergence_is_told_with_code_1(folder: Path) -> None:
    found = invoke(folder, "train.lr=1e30", "train.schedule=constant", "--no-report")
    assert found.exit_code == 1
    assert "training diverged" in found.stderr


def test_a_model_of_the_current_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net_of_this_folder.py").write_text(
        "from torch import nn\n"
        "def make(shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    found = invoke(folder, "--model-factory", "net_of_this_folder:make", "--json", "--no-report")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["config"]["model"] == {"name": "factory", "factory": "net_of_this_folder:make"}
