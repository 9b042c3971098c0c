"""Models of anyone's: what fits opens and answers as it did, what does not is said in one line, and nothing is ever run."""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from files_of_others import CLASSES, SHAPE, Net, images, malicious, trained, zipped
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from turncoat import TurncoatError, open_model
from turncoat.component import members
from turncoat.data.imageset import ImageSet
from turncoat.experiment.weights import save_network, save_siamese
from turncoat.intake.model import Opened
from turncoat.models.base import Model, make_victim
from turncoat.oneshot.networks import Embedder, Head
from turncoat.oneshot.siamese import Siamese, make_siamese

ARCH = "files_of_others:Net"


def saved(folder: Path, content: Any, name: str = "model.pth", **options: Any) -> Path:
    torch.save(content, folder / name, **options)
    return folder / name


def opened(path: Path, **options: Any) -> Opened:
    return open_model(path, **{"arch": ARCH, "allow_factory": True, "shape": SHAPE, **options})


def same(found: Opened, net: nn.Module, x: Tensor | None = None) -> bool:
    x = images() if x is None else x
    with torch.no_grad():
        return torch.allclose(found.network(x), net(x), atol=1e-6)


def state() -> dict[str, Tensor]:
    return dict(trained().state_dict())


WRAPPED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "plain": lambda s: s,
    "ordered": OrderedDict,
    "parameters": lambda s: {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in s.items()},
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "best": 0.9, "args": ["a"]},
    "net": lambda s: {"acc": 93.1, "net": s, "optimizer": {"state": {0: {"momentum": torch.zeros(3)}}}},
    "twice": lambda s: {"model": {"state_dict": s}},
    "data parallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "compiled": lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    "compiled inside": lambda s: {k.replace("conv.", "conv._orig_mod."): v for k, v in s.items()},
    "lightning": lambda s: {"state_dict": {f"model.net.{k}": v for k, v in s.items()}, "hparams": {"lr": 0.1}},
    "averaged": lambda s: {"n_averaged": torch.tensor(3), **{f"module.{k}": v for k, v in s.items()}},
    "half": lambda s: {k: v.to(torch.float64) if v.is_floating_point() else v for k, v in s.items()},
    "before counters": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("how", WRAPPED)
@pytest.mark.parametrize("archive", [True, False])
def test_state_dicts_as_people_save_them(how: str, archive: bool, tmp_path: Path) -> None:
    found = opened(saved(tmp_path, WRAPPED[how](state()), _use_new_zipfile_serialization=archive))
    assert same(found, trained())
    assert found.shape == SHAPE and found.classes == ("0", "1", "2", "3") and not found.named and found.trial is None
    assert not found.network.training and not any(module.training for module in found.network.modules())


def test_safetensors_of_others(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "a.safetensors")
    assert same(opened(tmp_path / "a.safetensors"), trained())


def test_tensors_that_safetensors_leaves_out_because_they_are_shared(tmp_path: Path, factory: Path) -> None:
    net = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    net["b"].weight = net["a"].weight
    save_model(net, str(tmp_path / "a.safetensors"))
    found = opened(tmp_path / "a.safetensors", arch="their_nets:tied", shape=(1, 2, 2))
    assert torch.equal(found.network.a.weight, net["a"].weight)


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with factories of all kinds, importable for one test."""
    (tmp_path / "their_nets.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "from files_of_others import Net\n"
        "def bare(): return Net(4)\n"
        "def keyword(*, num_classes=10, pretrained=False): assert not pretrained; return Net(num_classes)\n"
        "def positional(k): return Net(k)\n"
        "def ours(shape, classes): return Net(classes, shape[0])\n"
        "def renamed(a, b): assert a[1] == a[2]; return Net(b, a[0])\n"
        "def anything(**kwargs): return Net(**kwargs)\n"
        "def stars(*args): return Net(args[1], args[0][0])\n"
        "class Mine(Net):\n"
        "    def __init__(self, in_chans, n_classes, img_size=99): super().__init__(n_classes, in_chans); assert img_size != 99\n"
        "def three(a, b, c): return Net()\n"
        "def broken(): raise RuntimeError('no such thing')\n"
        "def five(): return 5\n"
        "NOT = 5\n"
        "class Tied(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)\n"
        "        self.b.weight = self.a.weight\n"
        "    def forward(self, x): return self.b(self.a(x.flatten(1)))\n"
        "def tied(): return Tied()\n"
        "class Inside(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.net = Net(4)\n"
        "    def forward(self, x): return self.net((x - 0.5) / 0.25)\n"
        "def flat(shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))\n"
        "def two(): \n"
        "    class Two(Net):\n"
        "        def forward(self, x): return x, len(x)\n"
        "    return Two(4)\n"
        "def soft(): return nn.Sequential(Net(4), nn.Softmax(1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("their_nets", None)
    return tmp_path


@pytest.mark.parametrize("name", ["bare", "keyword", "positional", "ours", "renamed", "anything", "stars", "Mine"])
def test_factories_are_called_as_their_signature_wants(name: str, factory: Path) -> None:
    assert same(opened(saved(factory, state()), arch=f"their_nets:{name}"), trained())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("three", "it wants a, b, c"),
        ("broken", "RuntimeError: no such thing"),
        ("five", "must return a torch.nn.Module, it returned int"),
        ("NOT", "NOT is a int, not a function"),
        ("absent", "expected an importable package.module:function"),
        ("two", r"expected logits \(2, classes\) of two images, got a tuple without any"),
    ],
)
def test_factories_that_will_not_do(name: str, told: str, factory: Path) -> None:
    with pytest.raises(TurncoatError, match=told) as caught:
        opened(saved(factory, state()), arch=f"their_nets:{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("their_nets:Tide", "did you mean Tied"),
        ("./their_nets.py:bare", "named as a module, their_nets:bare"),
        ("none:x", "'none'$"),
    ],
)
def test_what_may_have_been_meant(name: str, told: str, factory: Path) -> None:
    with pytest.raises(TurncoatError, match=told):
        opened(saved(factory, state()), arch=name)


def test_a_network_of_linear_layers_tells_its_channels_by_its_size(factory: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(8 * 8, 5))
    found = opened(saved(factory, net.state_dict()), arch="their_nets:flat", shape=None, like=(3, 32, 32))
    assert found.shape == (1, 8, 8) and len(found.classes) == 5


BESIDE: dict[str, Any] = {
    "options": argparse.Namespace(lr=0.1, layers=[3, 4]),
    "numpy": {"best": np.float64(0.9), "curve": np.arange(4.0), "seed": np.int64(3)},
    "paths": [PurePosixPath("runs/1"), datetime(2026, 1, 2, tzinfo=UTC), defaultdict(list)],
}


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("what", BESIDE)
def test_what_scripts_keep_beside_the_weights_is_left_out(what: str, archive: bool, tmp_path: Path) -> None:
    path = saved(tmp_path, {"args": BESIDE[what], "net": state()}, _use_new_zipfile_serialization=archive)
    found = opened(path)
    assert same(found, trained()) and "not read, for it is no tensor" in found.notes[0]
    with pytest.raises(TurncoatError, match="wants to run"):  # the weights themselves are among what is not read
        opened(saved(tmp_path, {"args": argparse.Namespace(net=state())}))


def test_a_factory_is_not_imported_unless_allowed(factory: Path) -> None:
    with pytest.raises(TurncoatError, match="a factory runs code"):
        opened(saved(factory, state()), arch="their_nets:bare", allow_factory=False)
    assert "their_nets" not in sys.modules


def test_a_factory_that_normalises_inside(factory: Path) -> None:
    found = opened(saved(factory, {f"net.{k}": v for k, v in state().items()}), arch="their_nets:Inside")
    with torch.no_grad():
        assert torch.allclose(found.network(images()), trained()((images() - 0.5) / 0.25), atol=1e-6)


def test_preprocessing_comes_before_the_network(tmp_path: Path) -> None:
    path = saved(tmp_path, state())
    x = images()
    cases: list[tuple[dict[str, Any], Tensor]] = [
        ({"mean": [0.5], "std": [0.25]}, (x - 0.5) / 0.25),
        ({"mean": [0.1, 0.2, 0.3]}, x - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)),
        ({"input_range": (0, 255)}, x * 255),
        ({"input_range": (-1, 1)}, x * 2 - 1),
        (
            {"input_range": (0, 255), "mean": [120], "std": [60, 50, 40]},
            (x * 255 - 120) / torch.tensor([60.0, 50, 40]).view(1, 3, 1, 1),
        ),
    ]
    for options, wanted in cases:
        with torch.no_grad():
            assert torch.allclose(opened(path, **options).network(x), trained()(wanted), atol=1e-4), options


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mean": [0.5, 0.5]}, "--mean: expected 1 number or 1 a channel"),
        ({"mean": [123.7]}, "--mean: expected numbers within --input-range, 0 to 1, got 123.7"),
        ({"std": [0.0]}, "--std: expected numbers above 0"),
        ({"mean": [float("nan")]}, "--mean"),
        ({"input_range": (1, 0)}, "--input-range: expected LOW,HIGH"),
        ({"classes": ["a", "b"]}, "weights do not fit|classes"),
        ({"arch": None}, "expected --arch beside weights alone"),
        ({"arch": "resnet-18"}, r"not a known model \(did you mean 'resnet18'"),
        ({"arch": "timm:resnet_18"}, "timm has no 'resnet_18'; nearest: .*resnet18"),
    ],
)
def test_wrong_options(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match=told):
        opened(saved(tmp_path, state()), **options)


def test_one_channel_cannot_take_three_means(tmp_path: Path) -> None:
    path = saved(tmp_path, trained(CLASSES, 1).state_dict())
    with pytest.raises(TurncoatError, match="--mean: expected 1 number or 1, one a channel, got 3"):
        opened(path, shape=(1, 8, 8), mean=[0.1, 0.2, 0.3])


def test_classes_and_channels_are_those_of_the_weights(tmp_path: Path) -> None:
    found = opened(saved(tmp_path, trained(7, 1).state_dict()), shape=None, like=(3, 20, 20))
    assert found.shape == (1, 20, 20) and len(found.classes) == 7 and found.notes == ()


def test_a_size_that_only_one_fits(factory: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, 5))
    found = opened(saved(factory, net.state_dict()), arch="their_nets:flat", shape=None)
    assert found.shape == (3, 28, 28) and len(found.classes) == 5


def test_a_size_that_was_assumed_is_said(tmp_path: Path) -> None:
    found = opened(saved(tmp_path, state()), shape=None)
    assert found.shape == (3, 32, 32) and "32x32 is assumed" in found.notes[0]


def test_names_of_classes(tmp_path: Path) -> None:
    path = saved(tmp_path, state())
    assert opened(path, classes=list("abcd")).classes == tuple("abcd")
    with pytest.raises(TurncoatError, match="4 classes apart, got 2 names"):
        opened(path).with_names(["a", "b"])


def test_networks_of_timm_as_they_are_saved(tmp_path: Path) -> None:
    import timm

    net = timm.create_model("resnet10t", num_classes=6).eval()
    path = saved(tmp_path, {"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}})
    found = open_model(path, arch="timm:resnet10t", like=(3, 40, 40))
    assert found.shape == (3, 40, 40) and same(found, net, images(2, (3, 40, 40)))


def test_transformers_are_opened_at_their_own_size(tmp_path: Path) -> None:
    import timm

    net = timm.create_model("test_vit", num_classes=6).eval()
    found = open_model(saved(tmp_path, net.state_dict()), arch="timm:test_vit", like=(3, 32, 32))
    side = timm.get_pretrained_cfg("test_vit").input_size[-1]
    assert found.shape == (3, side, side) and same(found, net, images(2, found.shape))


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape", "other"])
def test_weights_that_do_not_fit(change: str, tmp_path: Path) -> None:
    weights = state()
    told = {"missing": "missing norm.bias", "unexpected": "unexpected more.weight"}
    told |= {
        "shape": r"of another shape conv.weight \(9, 3, 3, 3\) instead of \(6, 3, 3, 3\)",
        "other": "missing conv.weight, .* and 5 more; unexpected 0.weight",
    }
    if change == "missing":
        del weights["norm.bias"]
    elif change == "unexpected":
        weights["more.weight"] = torch.zeros(3, 3)
    elif change == "shape":
        weights["conv.weight"] = torch.zeros(9, 3, 3, 3)
    else:
        weights = dict(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).state_dict())
    with pytest.raises(TurncoatError, match=told[change]) as caught:
        opened(saved(tmp_path, weights))
    assert str(caught.value).startswith(str(tmp_path)) and "\n" not in str(caught.value)


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    weights = state()
    weights["fc.bias"][1] = float("nan")
    with pytest.raises(TurncoatError, match="NaN or infinite"):
        opened(saved(tmp_path, weights))


def test_standardisation_saved_beside_the_network(tmp_path: Path) -> None:
    beside = {"mean": torch.full((1, 3, 1, 1), 0.4), "std": torch.full((1, 3, 1, 1), 0.2)}
    path = saved(tmp_path, {**beside, **{f"network.{k}": v for k, v in state().items()}})
    found = opened(path)
    with torch.no_grad():
        assert torch.allclose(found.network(images()), trained()((images() - 0.4) / 0.2), atol=1e-5)
    assert "as saved beside the weights" in found.notes[0]


def test_a_softmax_at_the_end_is_taken_off(factory: Path) -> None:
    found = opened(saved(factory, {f"0.{k}": v for k, v in state().items()}), arch="their_nets:soft")
    with torch.no_grad():
        assert torch.allclose(found.network(images()), trained()(images()).log_softmax(1), atol=1e-5)
    assert any("probabilities" in note for note in found.notes)


def data(shape: tuple[int, int, int] = (3, 12, 12)) -> ImageSet:
    pixels = (images(8, shape) * 255).byte()
    return ImageSet(pixels, torch.arange(8) % 4, ("a", "b", "c", "<d>"))


def test_trials_of_ours_say_all_themselves(tmp_path: Path) -> None:
    model = Model.parse("small-cnn")
    victim = make_victim(model, data(), 0).eval()
    save_network(victim, model, data(), tmp_path / "model.safetensors")
    (tmp_path / "trial.json").write_text("not even JSON: it is never read")
    for path in (tmp_path, tmp_path / "model.safetensors"):
        found = open_model(path)
        assert found.shape == (3, 12, 12) and found.classes == ("a", "b", "c", "<d>") and found.named
        assert found.trial == tmp_path and found.bare is None and same(found, victim)
    with pytest.raises(TurncoatError, match="has its standardisation inside"):
        open_model(tmp_path, mean=[0.5])
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(TurncoatError, match="keep_models=victims"):
        open_model(tmp_path)


def test_siamese_networks_of_ours(tmp_path: Path) -> None:
    embedder, head = Embedder.parse("conv4"), Head.parse(sorted(members(Head))[0])
    network = make_siamese(embedder, head, data((1, 28, 28)), 0).eval()
    save_siamese(network, embedder, head, (1, 105, 105), tmp_path / "model.safetensors")
    found = open_model(tmp_path)
    assert found.one_shot and isinstance(found.network, Siamese) and found.shape == (1, 105, 105) and found.classes == ()
    assert torch.allclose(found.network.embed(images(2, (1, 105, 105))), network.embed(images(2, (1, 105, 105))))


def test_a_trial_of_a_factory_wants_it_named_again(factory: Path) -> None:
    model = Model.parse("factory:their_nets:ours", {"allow_factory": True})
    victim = make_victim(model, data(), 0).eval()
    save_network(victim, model, data(), factory / "model.safetensors")
    for options in ({}, {"allow_factory": True}, {"allow_factory": True, "arch": "their_nets:bare"}, {"arch": "their_nets:ours"}):
        with pytest.raises(TurncoatError, match="its factory runs code"):
            open_model(factory, **options)
    assert same(open_model(factory, arch="their_nets:ours", allow_factory=True), victim)


@pytest.mark.parametrize("shape", [[3, 10**9, 10**9], [7, 8, 8], [3, 8], None, [3, 0, 8]])
def test_hostile_metadata(shape: object, tmp_path: Path) -> None:
    told = {"turncoat": json.dumps({"model": {"name": "small-cnn"}, "shape": shape, "classes": ["a", "b"]})}
    save_file(state(), tmp_path / "a.safetensors", metadata=told)
    with pytest.raises(TurncoatError, match=r"a\.safetensors"):
        open_model(tmp_path / "a.safetensors")
    save_file(state(), tmp_path / "b.safetensors", metadata={"turncoat": "[" * 5})
    with pytest.raises(TurncoatError, match=r"b\.safetensors"):
        open_model(tmp_path / "b.safetensors")


def test_malicious_pickles_are_named_and_never_run(tmp_path: Path) -> None:
    for name, (path, wanted) in malicious(tmp_path).items():
        with pytest.raises(TurncoatError, match=f"wants to run .*{wanted}") as caught:
            opened(path)
        assert "nothing was run" in str(caught.value) and "\n" not in str(caught.value), name
        assert not (tmp_path / "ran").exists(), name


def test_the_malicious_ones_would_run() -> None:
    """Else the test above would prove nothing."""
    code = (
        "import sys, tempfile, pathlib, torch; sys.path.insert(0, sys.argv[1])\n"
        "from files_of_others import malicious\n"
        "d = pathlib.Path(tempfile.mkdtemp())\n"
        "for path, _ in malicious(d).values():\n"
        "    if path.name.startswith(('command', 'beside', 'within', 'nested')):\n"
        "        torch.load(path, weights_only=False)\n"
        "        (d / 'ran').unlink()\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(Path(__file__).parent)], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr


def test_programs_are_refused_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 2)))
        torch.jit.save(scripted, str(tmp_path / "scripted.pt"))
        torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), tmp_path / "exported.pt2")
    (tmp_path / "named.pth").write_bytes((tmp_path / "exported.pt2").read_bytes())
    monkeypatch.setattr(torch, "load", _must_not_be_called)
    for name, what in (("scripted.pt", "TorchScript"), ("exported.pt2", "exported program"), ("named.pth", "exported program")):
        with pytest.raises(TurncoatError, match=rf"{what}.*safetensors.*ONNX"):
            opened(tmp_path / name)


def _must_not_be_called(*_: object, **__: object) -> object:
    raise AssertionError


def _header(size: int, text: bytes) -> bytes:
    return struct.pack("<Q", size) + text


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.pth", b"", "an empty one"),
        ("text.pth", b"hello, I am a model", "begins with"),
        ("html.safetensors", b"<html>404 not found</html>", "begins with"),
        ("model.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 64, r"expected a trial's folder, \.safetensors"),
        ("cut.pth", b"PK\x03\x04" + b"\0" * 50, "damaged"),
        ("cut.safetensors", _header(50, b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'), "safetensors"),
        ("huge.safetensors", _header(40 << 20, b'{"a": 1}'), "safetensors"),
        ("pickle.pth", b"\x80\x04]q\x00.", "expected"),
        ("old.pth", b"\x80\x02" + b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "damaged or cut"),
    ],
)
def test_files_that_are_nothing(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TurncoatError, match=told) as caught:
        opened(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_files_cut_anywhere(tmp_path: Path) -> None:
    for archive in (True, False):
        whole = saved(tmp_path, state(), _use_new_zipfile_serialization=archive).read_bytes()
        for share in (0.02, 0.3, 0.6, 0.9, 0.999):
            (tmp_path / "cut.pth").write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(TurncoatError, match=r"cut\.pth"):
                opened(tmp_path / "cut.pth")


def test_archives_that_unpack_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"a/data.pkl": b"\x80\x02}.", "a/version": b"3\n", "a/data/0": b"\0" * (1 << 22)}
    bomb = zipped(tmp_path / "bomb.pth", parts, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr("turncoat.intake.statefile._LIMIT", 1 << 20)
    monkeypatch.setattr(torch, "load", _must_not_be_called)
    with pytest.raises(TurncoatError, match="decompression bomb"):
        opened(bomb)


@pytest.mark.parametrize("value", [[1, 2], 5, {"a": 1}, {}, {"state_dict": [1]}, torch.zeros(3), {"a": torch.zeros(3)}])
def test_checkpoints_without_a_network(value: object, tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match="expected a state dict"):
        opened(saved(tmp_path, value))


@pytest.mark.parametrize("tensor", [torch.zeros(1).expand(10**6, 10**6), torch.eye(3).to_sparse()])
def test_tensors_that_are_not_plain(tensor: Tensor, tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match=r"more than the file holds|expected plain tensors"):
        opened(saved(tmp_path, {**state(), "conv.weight": tensor, "fc.weight": torch.zeros(2, 2)}))


def test_hostile_names_of_files_and_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a\nb\x1b[2J.weight": torch.zeros(2, 2)}, "x\n\x1b[31mred.pth")
    with pytest.raises(TurncoatError, match="do not fit") as caught:
        opened(path)
    assert str(caught.value).isprintable()


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match="No such file"):
        opened(tmp_path / "absent.pth")


def test_net_is_left_as_torch_found_it(tmp_path: Path) -> None:
    """The global random state is nobody's business."""
    path = saved(tmp_path, state())
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    opened(path)
    assert torch.equal(before, torch.random.get_rng_state())
    assert isinstance(Net(), nn.Module)
