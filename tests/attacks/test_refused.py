"""Bad input of attacks: refused on the command line with one line and exit code 2, before anything is trained."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from quick_trial import QUICK
from typer.testing import CliRunner

from turncoat.attacks import Attack, surrogate
from turncoat.cli import app
from turncoat.component import members
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.experiment import task
from turncoat.experiment.config import parse_config
from turncoat.triggers.addition import left

RUN = CliRunner()
ATTACKS = sorted(members(Attack))


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> None:
        raise AssertionError("a training was started")

    monkeypatch.setattr(task, "train", train)
    monkeypatch.setattr(surrogate, "train", train)


def refusal(folder: Path, attack: dict[str, Any]) -> str:
    """What ``turncoat run`` says of this attack on the digits (8x8, grey): a line, with exit code 2."""
    config = folder / "config.yaml"
    config.write_text(json.dumps({**QUICK, "attack": attack}))
    found = RUN.invoke(app, ["run", str(config), "--out", str(folder / "runs")])
    assert found.exit_code == 2, (attack, found.output, found.exception)
    assert found.stdout == ""
    (line,) = found.stderr.strip().splitlines()
    assert not (folder / "runs" / "trials").exists()
    return line


def of(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, **settings}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("target", ["cat", 10, -1])
def test_a_target_that_is_no_class(tmp_path: Path, name: str, target: int | str) -> None:
    line = refusal(tmp_path, of(name, goal={"name": "all-to-one", "target": target}))
    assert "attack.goal.target: expected a class, 0 to 9 or one of 0, 1, 2" in line
    assert line.endswith(f"got {target!r}")


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.0001, "attack.rate: 0.0001 of 1,437 images is none; use at least"),
        (-0.1, "attack.rate: expected greater than 0, got -0.1"),
        (1.5, "attack.rate: expected less than 1, got 1.5"),
        ("nan", "attack.rate: expected a finite number, got 'nan'"),
    ],
)
def test_a_rate_that_is_none(tmp_path: Path, name: str, rate: float | str, words: str) -> None:
    assert words in refusal(tmp_path, of(name, rate=rate))


@pytest.mark.parametrize("name", [name for name in ATTACKS if members(Attack)[name].threat_model != "training"])
def test_a_rate_that_no_pool_can_give(tmp_path: Path, name: str) -> None:
    eligible, most = (142, "0.0988") if members(Attack)[name].clean_label else (1295, "0.901")
    line = refusal(tmp_path, of(name, rate=0.99))
    assert (
        f"attack.rate: 0.99 needs 1,423 of 1,437 images, but only {eligible:,} are eligible for this goal; use at most {most}"
        in line
    )


SIZES: dict[str, list[tuple[dict[str, Any], str]]] = {
    "badnets": [
        ({"patch": {"size": 9}}, "attack.patch: 9x9 pixels at bottom-right with a margin of 1 do not fit into images of 8x8"),
        ({"patch": {"size": [3, 20]}}, "attack.patch: 3x20 pixels"),
        ({"patch": {"size": 3, "place": [7, 7]}}, "attack.patch: 3x3 pixels at row 7, column 7 do not fit into images of 8x8"),
    ],
    "label-consistent": [({"patch": {"size": 9}}, "attack.patch: 9x9 pixels")],
    "random-backdoor": [
        ({"size": 9}, "attack.size: a patch of 9x9 pixels does not fit into images of 8x8"),
        ({"size": 3, "goal": "many-targets"}, "attack.size: 10 targets want a place each, but there is room for 4 such patches"),
        (
            {"size": 1, "places": 65},
            "attack.places: 65 for each of 1 targets, but there is room for 64 such patches; use at most 64",
        ),
        (
            {"size": 1, "places": 7, "goal": "many-targets"},
            "attack.places: 7 for each of 10 targets, but there is room for 6 such patches; use at most 6",
        ),
    ],
    "ban": [({"size": 9}, "attack.size: a patch of 9x9 pixels does not fit into images of 8x8")],
    "c-ban": [
        ({"size": 9}, "attack.size: a patch of 9x9 pixels does not fit into images of 8x8"),
        ({"size": 3}, "attack.size: 10 targets want a place each, but there is room for 4 such patches"),
    ],
    "adaptive-blend": [({"pieces": 9}, "attack.pieces: 9 x 9 pieces do not fit into images of 8x8")],
    "wanet": [({"grid": 9}, "attack.grid: 9 x 9 points do not fit into images of 8x8")],
    "clean-image": [
        (
            {"feature": {"name": name, "window": 9}},
            "attack.feature.window: 9x9 pixels at bottom-right do not fit into images of 8x8",
        )
        for name in ("random-kernel", "learned-kernel")
    ],
}


@pytest.mark.parametrize(("name", "settings", "words"), [(name, *case) for name, cases in SIZES.items() for case in cases])
def test_what_does_not_fit_into_the_images(tmp_path: Path, name: str, settings: dict[str, Any], words: str) -> None:
    assert words in refusal(tmp_path, of(name, rate=0.05, **settings))


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        (
            "sig",
            {"amplitude": 255, "test_amplitude": 30},
            "attack.amplitude: 255 of 255 levels clips everything and leaves nothing",
        ),
        ("sig", {"amplitude": 30, "test_amplitude": 255}, "attack.test_amplitude: 255 of 255 levels clips everything"),
        ("sig", {"amplitude": 300}, "attack.amplitude: expected less than or equal to 255, got 300"),
        ("hidden-static", {"amplitude": 128}, "attack.amplitude: expected less than or equal to 127, got 128"),
        ("hidden-adaptive", {"bound": 128}, "attack.bound: expected less than or equal to 127, got 128"),
        (
            "hidden-adaptive",
            {"bound": 0.4, "norm": "linf"},
            "attack.bound: 0.4 levels leave nothing of a mask once it is rounded",
        ),
        (
            "hidden-adaptive",
            {"bound": 0.1},
            "attack.bound: 0.1 levels leave nothing of a mask once it is rounded; use at least 1",
        ),
        ("blended", {"alpha": 1}, "attack.alpha: 1 of the pattern leaves nothing of the image; use at most 0.95"),
        ("blended", {"test_alpha": 0.96}, "attack.test_alpha: 0.96 of the pattern leaves nothing of the image; use at most 0.95"),
        ("adaptive-blend", {"alpha": 1}, "attack.alpha: 1 of the pattern leaves nothing"),
        ("adaptive-blend", {"test_alpha": 1}, "attack.test_alpha: 1 of the pattern leaves nothing"),
        ("clean-image", {"bound": {"size": 256}}, "attack.bound.size: expected whole levels, 1 to 255, for norm linf, got 256"),
    ],
)
def test_a_strength_that_leaves_nothing(tmp_path: Path, name: str, settings: dict[str, Any], words: str) -> None:
    assert words in refusal(tmp_path, of(name, rate=0.05, **settings))


def test_the_most_that_is_named_is_taken_and_the_next_is_not() -> None:
    """On images of all levels an amplitude is refused from the level on where less than a twentieth is left."""
    levels = torch.arange(256).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    train = ImageSet(levels, torch.arange(256) % 2, ("a", "b"))

    def fit(amplitude: float) -> None:
        Attack.parse(of("sig", rate=0.1, amplitude=amplitude, frequency=1)).fit(train, torch.Generator())

    with pytest.raises(TurncoatError, match="use at most ") as caught:
        fit(255)
    most = int(str(caught.value).rpartition(" ")[2])
    fit(most)
    with pytest.raises(TurncoatError, match=f"use at most {most}"):
        fit(most + 1)
    signal = torch.full((1, 1, 1), 0.5)
    half = levels[:128].float().div(255).var(0).sum().sqrt()
    assert left(torch.zeros(1, 1, 1), levels) == 1
    assert left(signal, levels) == pytest.approx(float(half / levels.float().div(255).var(0).sum().sqrt()), rel=0.3)


COLOURED = [
    ("badnets", {"patch": {"pattern": "PICTURE"}}),
    ("label-consistent", {"patch": {"pattern": "PICTURE"}}),
    ("blended", {"pattern": "PICTURE"}),
    ("adaptive-blend", {"pattern": "PICTURE"}),
]


@pytest.mark.parametrize(("name", "settings"), COLOURED)
def test_a_coloured_picture_on_grey_images(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    path = tmp_path / "trigger.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 6, 3), dtype=np.uint8)).save(path)
    filled = json.loads(json.dumps(settings).replace("PICTURE", f"image:{path}"))
    assert f"the trigger's picture {path} is in colour and cannot be shown on grey images" in refusal(
        tmp_path, of(name, **filled)
    )


@pytest.mark.parametrize(("name", "settings"), COLOURED)
def test_a_colour_on_grey_images(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    filled = json.loads(json.dumps(settings).replace("PICTURE", "solid:red"))
    assert "the trigger's colour [255, 0, 0] cannot be shown on grey images" in refusal(tmp_path, of(name, **filled))


def test_a_grey_picture_goes_on_any_images(tmp_path: Path) -> None:
    path = tmp_path / "trigger.png"
    grey = np.random.default_rng(0).integers(0, 255, (6, 6), dtype=np.uint8)
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(path)
    for channels in (1, 3):
        train = ImageSet(torch.zeros(20, channels, 8, 8, dtype=torch.uint8), torch.arange(20) % 2, ("a", "b"))
        attack = Attack.parse(of("badnets", rate=0.1, patch={"pattern": f"image:{path}"}))
        changed = attack.fit(train, torch.Generator()).poison(train).data.images
        assert changed.amax(1).equal(changed.amin(1))
        assert changed.any()


def numbers(name: str) -> list[str]:
    """Settings of an attack that are numbers."""
    value = Attack.parse(name).model_dump(mode="json")
    return [key for key, found in value.items() if isinstance(found, int | float) and not isinstance(found, bool)]


@pytest.mark.parametrize(("name", "setting"), [(name, setting) for name in ATTACKS for setting in numbers(name)])
@pytest.mark.parametrize("value", [-1, "nan", "inf"])
def test_no_number_may_be_negative_or_none(name: str, setting: str, value: float | str) -> None:
    with pytest.raises(TurncoatError, match=rf"^attack\.{setting}: expected .*got [^\n]*$"):
        parse_config({**QUICK, "attack": of(name, **{setting: value})})


def test_images_of_a_few_pixels_give_a_line_and_never_a_traceback() -> None:
    for shape in ((1, 1, 1), (3, 2, 2), (1, 1, 9), (1, 3, 40)):
        draw = torch.Generator().manual_seed(0)
        train = ImageSet(
            torch.randint(0, 256, (60, *shape), dtype=torch.uint8, generator=draw), torch.arange(60) % 3, tuple("abc")
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            looked_through = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(train.images[0].numel(), 3)).eval()
        for name in ATTACKS:
            steps = {"steps": 1} if "steps" in members(Attack)[name].model_fields else {}
            with suppress(TurncoatError):
                fitted = Attack.parse(of(name, rate=0.1, **steps)).fit(train, torch.Generator(), looked_through)
                assert fitted.poison(train).data.images.shape == train.images.shape
