from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from turncoat.errors import TurncoatError
from turncoat.experiment.grid import Cell, read_study
from turncoat.experiment.mistakes import SettingsError


def cells(tmp_path: Path, document: object, *overrides: str) -> list[Cell]:
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(document))
    return read_study(path, overrides)


def test_axes_are_crossed_in_their_order(tmp_path: Path, quick: dict[str, Any]) -> None:
    grid = cells(tmp_path, {"base": quick, "axes": {"attack.rate": [0.1, 0.2], "seed": [0, 1, 2]}})
    assert [(cell.config.attack.rate, cell.config.seed) for cell in grid] == [(r, s) for r in (0.1, 0.2) for s in (0, 1, 2)]
    assert grid[4].label == "attack.rate=0.2, seed=1"


@pytest.mark.parametrize("order", [("attack", "attack.rate"), ("attack.rate", "attack")])
def test_a_broad_axis_does_not_undo_a_narrow_one(tmp_path: Path, quick: dict[str, Any], order: tuple[str, str]) -> None:
    values: dict[str, Any] = {"attack": ["badnets", {"name": "blended", "alpha": 0.3}], "attack.rate": [0.2, 0.3]}
    grid = cells(tmp_path, {"base": quick, "axes": {axis: values[axis] for axis in order}})
    found = {(cell.config.attack.name, cell.config.attack.rate) for cell in grid}
    assert found == {(name, rate) for name in ("badnets", "blended") for rate in (0.2, 0.3)}


def test_what_attacks_share_stays_when_the_attack_changes(tmp_path: Path, quick: dict[str, Any]) -> None:
    quick["attack"] = {"name": "badnets", "rate": 0.2, "goal": "all-to-all", "patch": {"size": 1}}
    for axis in ("attack", "attack.name"):
        grid = cells(tmp_path, {"base": quick, "axes": {axis: ["badnets", "blended"]}})
        assert {(cell.config.attack.rate, cell.config.attack.goal.name) for cell in grid} == {(0.2, "all-to-all")}
        assert grid[0].config.attack.model_dump()["patch"]["size"] == 1


def test_the_base_may_be_a_file_beside_the_study(tmp_path: Path, quick: dict[str, Any]) -> None:
    (tmp_path / "base.yaml").write_text(json.dumps(quick))
    assert len(cells(tmp_path, {"base": "base.yaml", "axes": {"seed": [3, 4]}})) == 2
    assert len(cells(tmp_path, {"base": "base.yaml"})) == 1


def test_overrides_change_the_base_and_the_axes(tmp_path: Path, quick: dict[str, Any]) -> None:
    study = {"base": quick, "axes": {"attack.rate": [0.1, 0.2], "seed": [0, 1]}}
    grid = cells(tmp_path, study, "train.epochs=3", "axes.attack.rate=[0.4]", "axes.model=[small-cnn, resnet20]")
    assert {(cell.config.train.epochs, cell.config.attack.rate) for cell in grid} == {(3, 0.4)}
    assert len(grid) == 4
    with pytest.raises(TurncoatError, match=r"seed: is an axis of .*axes\.seed="):
        cells(tmp_path, study, "seed=4")


def test_all_mistakes_of_all_cells_are_told_once_each(tmp_path: Path, quick: dict[str, Any]) -> None:
    quick["train"] = {"lr": "fast"}
    axes = {"attack": ["badnets", "blendd"], "attack.rate": [0.1, 2, -1], "seed": [0, 1], "modle": ["small-cnn"]}
    with pytest.raises(SettingsError) as caught:
        cells(tmp_path, {"base": quick, "axes": axes})
    paths = [path for path, _ in caught.value.mistakes]
    assert sorted(paths) == ["axes.attack.rate[1]", "axes.attack.rate[2]", "axes.attack[1]", "axes.modle[0]", "base.train.lr"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"axes": {}}, "base: is missing"),
        ({"base": {}, "axis": {}}, "axis: unknown setting"),
        ({"base": 3}, "base: expected settings"),
        ({"base": {}, "axes": [1]}, "axes: expected a setting and its values"),
        ({"base": {}, "axes": {"seed": 3}}, "axes.seed: expected a list of values, got 3"),
        ({"base": {}, "axes": {"seed": []}}, "axes.seed: expected a list of values"),
        ({"base": {}, "axes": {"seed": [1, 1]}}, "axes.seed: 1 is given twice"),
        ({"base": "nowhere.yaml"}, "nowhere.yaml: there is no such file"),
    ],
)
def test_a_study_that_is_none(tmp_path: Path, document: object, message: str) -> None:
    with pytest.raises(TurncoatError) as caught:
        cells(tmp_path, document)
    assert message in str(caught.value)
