import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from turncoat.attacks.request import parse_request
from turncoat.cli import app
from turncoat.data import load
from turncoat.errors import TurncoatError


def poison(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["poison", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_digits_poisoned_and_read_back(tmp_path: Path):
    out = tmp_path / "out"
    code, told, errors = poison("digits", "attack.rate=0.05", "--attack", "badnets", "--out", str(out), "--seed", "3")
    assert (code, errors) == (0, "")
    assert "1,437 training images, 72 poisoned (5.01%)" in told
    assert "360 clean test images" in told
    with (tmp_path / "out.truth" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(row["poisoned"] == "1" for row in rows) == 72
    assert len(load(f"folder:{out}").train) == 1437

    again = tmp_path / "again"
    code, _, _ = poison(str(out), "data.size=12", "--attack", "{name: blended, rate: 0.1}", "--out", str(again))
    assert code == 0
    assert load(f"folder:{again}").train.shape == (1, 12, 12)


def test_attack_from_a_file(tmp_path: Path):
    trial, alone = tmp_path / "trial.yaml", tmp_path / "alone.yml"
    trial.write_text("data: digits\nmodel: small-cnn\nattack: {name: blended, rate: 0.2}\n")
    alone.write_text("name: blended\nrate: 0.2\n")
    for file in (trial, alone):
        assert parse_request("digits", str(file)).attack.rate == 0.2
        assert parse_request("digits", str(file), ["attack.rate=0.3"]).attack.rate == 0.3


@pytest.mark.parametrize(
    ("data", "attack", "overrides", "lines"),
    [
        ("digits", "badnet", [], ["attack: 'badnet' is not a known attack (did you mean 'badnets'?)"]),
        ("nothing", "badnets", [], ["data: 'nothing' is not a known source"]),
        ("digits", "badnets", ["rate=0.1"], ["rate: expected a setting of attack or data, such as attack.rate"]),
        ("digits", "badnets", ["attack.rate"], ["'attack.rate': expected a setting as path=value"]),
        ("digits", "nothing.yaml", [], ["nothing.yaml: there is no such file"]),
        (
            "digits",
            "badnets",
            ["attack.rate=2", "attack.patch.margin=-1", "attack.goal.target=1.5", "attack.patch.size=1.5", "attack.x=1"],
            [
                "attack.rate: ",
                "attack.goal.target: ",
                "attack.patch.size: expected pixels",
                "attack.patch.margin: ",
                "attack.x: ",
            ],
        ),
        (
            "digits",
            "badnets",
            ["attack.patch.pattern=image:nothing.png"],
            ["attack.patch.pattern.path: nothing.png: expected an image"],
        ),
        ("digits", "badnets", ["attack.patch.pattern=solid:reddish"], ["attack.patch.pattern.color: expected a colour"]),
    ],
)
def test_mistakes_in_the_settings_each_in_a_line_with_its_path(data: str, attack: str, overrides: list[str], lines: list[str]):
    with pytest.raises(TurncoatError) as caught:
        parse_request(data, attack, overrides)
    told = str(caught.value).splitlines()
    assert len(told) == len(lines)
    for line, begin in zip(told, lines, strict=True):
        assert line.startswith(begin)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("attack.patch.size=9", "attack.patch: 9x9 pixels at bottom-right with a margin of 1 do not fit into images of 8x8"),
        ("attack.patch.pattern=solid:red", "the trigger's colour [255, 0, 0] cannot be shown on grey images"),
        ("attack.goal=all-to-one:17", "attack.goal.target: expected a class, 0 to 9"),
        ("attack.goal=evade", "attack.goal: 'evade' falsifies pairs, which class folders do not hold; give all-to-one, say"),
        ("attack.rate=0.95", "attack.rate: 0.95 needs 1,365 of 1,437 images, but only"),
        ("attack.rate=0.0001", "attack.rate: 0.0001 of 1,437 images is none; use at least 0.000696"),
    ],
)
def test_what_does_not_fit_the_data_ends_in_one_line_and_leaves_nothing(tmp_path: Path, override: str, line: str):
    code, told, errors = poison("digits", override, "--attack", "badnets", "--out", str(tmp_path / "out"))
    assert code == 2
    assert told == ""
    assert errors.startswith(f"turncoat: {line}")
    assert errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
