"""ONNX graphs answer as the networks did that they were made of, and gradients flow through them."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
import torch
from files_of_others import CLASSES, SHAPE, images, trained
from torch import nn

from turncoat import TurncoatError, open_model
from turncoat.train.layers import head, hidden_layers

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx2torch")
pytestmark = pytest.mark.filterwarnings("ignore")


def exported(
    net: nn.Module, path: Path, shape: tuple[int, ...] = SHAPE, version: int | None = None, dynamic: bool = True
) -> Path:
    axes = {"x": {0: "n"}} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(),
            (torch.zeros(1, *shape),),
            str(path),
            dynamo=False,
            input_names=["x"],
            dynamic_axes=axes,
            opset_version=version,
        )
    return path


class Unbiased(nn.Module):
    """Its head is a plain product; two of its tensors are equal, which the exporter notices."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.again = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 5, 1)
        self.conv.bias = nn.Parameter(torch.ones(5))
        self.again.bias = nn.Parameter(torch.ones(5))
        self.fc = nn.Linear(5, CLASSES, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.again(self.conv(x)).relu().mean((2, 3))) * 2


@pytest.mark.parametrize("net", [trained(), Unbiased()], ids=["net", "unbiased"])
@pytest.mark.parametrize("version", [None, 13])
def test_it_answers_as_it_did(net: nn.Module, version: int | None, tmp_path: Path) -> None:
    found = open_model(exported(net, tmp_path / "a.onnx", version=version))
    x = images().requires_grad_()
    logits = found.network(x)
    assert torch.allclose(logits, net(x), atol=1e-5) and found.shape == SHAPE and len(found.classes) == CLASSES
    logits[:, 0].sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert head(found.network).out_features == CLASSES and len(hidden_layers(found.network)) >= 1


def test_preprocessing_comes_before_it(tmp_path: Path) -> None:
    found = open_model(exported(trained(), tmp_path / "a.onnx"), mean=[0.5], std=[0.25])
    with torch.no_grad():
        assert torch.allclose(found.network(images()), trained()((images() - 0.5) / 0.25), atol=1e-5)


def test_channels_last(tmp_path: Path) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = trained()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x.permute(0, 3, 1, 2))

    found = open_model(exported(Last(), tmp_path / "a.onnx", (12, 12, 3)))
    with torch.no_grad():
        assert found.shape == SHAPE and torch.allclose(found.network(images()), trained()(images()), atol=1e-5)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exported(trained(), tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnx2torch", None)
    with pytest.raises(TurncoatError, match=r'pip install "turncoat\[onnx\]"'):
        open_model(path)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "junk.onnx").write_bytes(b"\x08\x07junk, not a graph")
    whole = exported(trained(), tmp_path / "a.onnx")
    (tmp_path / "cut.onnx").write_bytes(whole.read_bytes()[:200])
    for name in ("junk.onnx", "cut.onnx"):
        with pytest.raises(TurncoatError, match=name) as caught:
            open_model(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(TurncoatError, match="leave --arch out"):
        open_model(whole, arch="small-cnn")
    with pytest.raises(TurncoatError, match=r"takes images of 3x12x12, --shape says 3x99x99"):
        open_model(whole, shape=(3, 99, 99))


def test_weights_in_other_files_are_not_looked_for(tmp_path: Path) -> None:
    model = onnx.load(str(exported(trained(), tmp_path / "a.onnx")))
    onnx.save_model(model, str(tmp_path / "b.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(TurncoatError, match="references to others"):
        open_model(tmp_path / "b.onnx")


class Flattens(nn.Module):
    """Written for any number of images, exported for one: the number is in the graph. Answers with two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 5, 3), nn.Linear(500, CLASSES)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.conv(x).relu()
        features = features.view(features.size(0), -1)
        return self.fc(features), features


def test_exported_for_one_image_it_takes_any_number(tmp_path: Path) -> None:
    net = Flattens().eval()
    found = open_model(exported(net, tmp_path / "a.onnx", dynamic=False))
    with torch.no_grad():
        assert torch.allclose(found.network(images(6)), net(images(6))[0], atol=1e-5)
    assert len(found.classes) == CLASSES and not any("at a time" in note for note in found.notes)
