from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from turncoat.errors import TurncoatError
from turncoat.experiment.config import lay_over, parse_config, read_config
from turncoat.experiment.mistakes import SettingsError

GOOD = "data: digits\nmodel: small-cnn\nattack: {name: badnets, rate: 0.05, goal: all-to-one:3}\n"

MISTAKES: list[tuple[str, str, str]] = [
    ("attack.rate=2", "attack.rate", "less than 1, got 2"),
    ("attack.rate=often", "attack.rate", "got 'often'"),
    ("attack.rate=.nan", "attack.rate", "finite"),
    ("attack.goal.target=[1, 2]", "attack.goal.target", "a valid integer or a valid string, got [1, 2]"),
    ("attack.goal=al-to-one", "attack.goal", "did you mean 'all-to-one'?"),
    ("attack.goal=all-to-all:3", "attack.goal", "takes no ':argument'"),
    ("attack.rat=0.1", "attack.rat", "unknown setting (did you mean 'rate'?)"),
    ("attack.patch.size=0", "attack.patch.size", "got 0"),
    ("attack.patch.pattern={name: solid, colour: 1}", "attack.patch.pattern.colour", "did you mean 'color'?"),
    ("attack=3", "attack", "expected a name or a mapping with a name, got int"),
    ("attack={rate: 0.1, name: null}", "attack", "not a known attack"),
    ("data=didgits", "data", "did you mean 'digits'?"),
    ("data=folder", "data.path", "is missing"),
    ("model={name: timm}", "model.arch", "is missing"),
    ("model=factory:os:system", "model.factory", "--model-factory"),
    ("model={name: factory, factory: 'os:system'}", "model.factory", "--model-factory"),
    ("train.epochs=.inf", "train.epochs", "finite"),
    ("train.augmentation.flip=sideways", "train.augmentation.flip", "'none', 'random' or 'alternate'"),
    ("train=quick", "train", "got 'quick'"),
    ("seed=-1", "seed", "greater than or equal to 0, got -1"),
    ("threads=0", "threads", "got 0"),
    ("precision=fp16", "precision", "'auto', 'fp32' or 'bf16', got 'fp16'"),
    ("keep_models=some", "keep_models", "got 'some'"),
    ("modle=small-cnn", "modle", "did you mean 'model'?"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize(("override", "path", "message"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_one_line_with_its_dotted_path(config: Path, override: str, path: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_config(config, [override])
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{config}: {path}: ")
    assert message in line


def test_all_mistakes_are_told_at_once(config: Path) -> None:
    overrides = ["attack.rate=2", "seed=-1", "train.lr=fast", "modle=x", "data=folder", "attack.goal.target=[1]"]
    with pytest.raises(SettingsError) as caught:
        read_config(config, overrides)
    paths = {path for path, _ in caught.value.mistakes}
    assert paths == {"attack.rate", "seed", "train.lr", "modle", "data.path", "attack.goal.target"}
    assert len(str(caught.value).splitlines()) == len(paths)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("seed: 1\n")
    with pytest.raises(SettingsError) as caught:
        read_config(path)
    assert [line for line, _ in caught.value.mistakes] == ["data", "attack", "model"]


def test_overrides_win_and_the_file_stays_underneath(config: Path) -> None:
    read = read_config(config, ["attack.rate=0.2", "train.epochs=2", "seed=7"])
    assert (read.attack.rate, read.train.epochs, read.seed) == (0.2, 2, 7)
    assert read.attack.goal.model_dump()["target"] == "3"


@pytest.mark.parametrize("change", ["attack=blended", "attack.name=blended", "attack={name: blended}"])
def test_another_attack_is_compared_at_the_same_rate_and_goal(config: Path, change: str) -> None:
    read = read_config(config, [change])
    assert read.attack.name == "blended"
    assert read.attack.rate == 0.05
    assert read.attack.goal.model_dump()["target"] == "3"
    assert read_config(config, [change, "attack.rate=0.3"]).attack.rate == 0.3


def test_lay_over_changes_neither_side() -> None:
    base: dict[str, Any] = {"attack": {"name": "badnets", "rate": 0.1, "patch": {"size": 2}}}
    change = {"attack": "blended"}
    assert lay_over(base, change) == {"attack": {"name": "blended", "rate": 0.1}}
    assert base == {"attack": {"name": "badnets", "rate": 0.1, "patch": {"size": 2}}}
    assert change == {"attack": "blended"}


def test_numbers_that_yaml_reads_as_text(config: Path) -> None:
    assert read_config(config, ["train.lr=1e-3"]).train.lr == 1e-3


def test_a_resolved_configuration_parses_to_itself(config: Path) -> None:
    first = read_config(config, ["attack.patch.place=[1, 2]", "data=folder:some/where"])
    again = parse_config(first.model_dump(mode="json"))
    assert again == first


def test_a_factory_is_imported_only_when_named_apart(config: Path) -> None:
    read = read_config(config, [], model_factory="some.where:make")
    assert read.model.model_dump() == {"name": "factory", "factory": "some.where:make"}
    with pytest.raises(TurncoatError, match="--model-factory"):
        parse_config(read.model_dump(mode="json"))
