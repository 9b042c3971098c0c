"""The options of a model and its clean images, as the commands share them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from turncoat import TurncoatError
from turncoat.cli.opening import open_both
from turncoat.data.imageset import ImageSet
from turncoat.experiment.weights import save_network
from turncoat.models.base import Model, make_victim


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a network whose factory lies in the folder that the command is called in."""
    (tmp_path / "net_from_here.py").write_text(
        "from torch import nn\n"
        "def make(num_classes, in_channels=3):\n"
        "    head = nn.Linear(4, num_classes)\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)\n"
    )
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    torch.save(net.state_dict(), tmp_path / "net.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return tmp_path / "net.pth"


def test_others_get_names_and_size_from_the_clean_images(theirs: Path) -> None:
    found = open_both(theirs, "digits", arch="net_from_here:make", input_range="0,255", mean="33", std="78")
    assert found.model.shape == (1, 8, 8) and found.model.classes == tuple("0123456789") and found.model.named
    assert found.clean is not None and found.clean.shape == (1, 8, 8) and any("test images" in note for note in found.notes)
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        assert found.model.bare is not None
        assert torch.allclose(found.model.network(x), found.model.bare((x * 255 - 33) / 78), atol=1e-5)


def test_shape_overrides_the_images(theirs: Path) -> None:
    found = open_both(theirs, "digits", arch="net_from_here:make", shape="1,20,20")
    assert found.clean is not None and found.clean.shape == found.model.shape == (1, 20, 20)


def test_without_clean_images(theirs: Path) -> None:
    found = open_both(theirs, None, arch="net_from_here:make", shape="1,20,20")
    assert found.clean is None and found.model.classes[9] == "9" and not found.model.named


def test_another_number_of_classes(theirs: Path, tmp_path: Path) -> None:
    from PIL import Image

    for name in "ab":
        (tmp_path / "d" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "d" / name / "x.png")
    with pytest.raises(TurncoatError, match="tells 10 classes apart, the images have 2"):
        open_both(theirs, str(tmp_path / "d"), arch="net_from_here:make")


def test_some_folders_named_by_numbers(theirs: Path, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("7", "2"):
        (tmp_path / "d" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "d" / name / "x.png")
    found = open_both(theirs, str(tmp_path / "d"), arch="net_from_here:make")
    assert found.clean is not None and found.clean.labels.tolist() == [2, 7] and len(found.clean.classes) == 10
    assert any("names of the class folders are taken as the numbers" in note for note in found.notes)


def test_ours_need_nothing(tmp_path: Path) -> None:
    images: Tensor = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    data = ImageSet(images, torch.arange(20) % 10, tuple("0123456789"))
    model = Model.parse("small-cnn")
    save_network(make_victim(model, data, 0), model, data, tmp_path / "model.safetensors")
    found = open_both(tmp_path, "digits")
    assert found.clean is not None and found.clean.classes == found.model.classes == data.classes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mean": "a,b"}, "--mean: expected numbers with commas, got 'a,b'"),
        ({"std": ""}, "--std: expected numbers"),
        ({"input_range": "0"}, "--input-range: expected 2 numbers"),
        ({"shape": "32"}, "--shape: expected C,H,W"),
        ({"shape": "2,8,8"}, "--shape: expected 1 or 3 channels"),
    ],
)
def test_options_that_are_no_numbers(options: dict[str, Any], told: str, theirs: Path) -> None:
    with pytest.raises(TurncoatError, match=told):
        open_both(theirs, "digits", **{"arch": "net_from_here:make", **options})
