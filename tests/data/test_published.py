"""Published data sets, from small files in their published formats."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from turncoat.component import members
from turncoat.data import Source, Splits, load
from turncoat.data.archive import read_members
from turncoat.data.cifar10 import Cifar10
from turncoat.data.downloaded import Downloaded
from turncoat.data.mnist import read_idx
from turncoat.errors import TurncoatError

pytestmark = pytest.mark.usefixtures("home")


def unpack(root: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_every_download_has_a_checksum_and_an_address() -> None:
    sources = [source for source in members(Source).values() if issubclass(source, Downloaded)]
    names = {str(source.model_fields["name"].default) for source in sources}
    assert names == {"cifar10", "mnist", "fashion-mnist", "gtsrb", "flowers", "omniglot", "lake-runs"}
    for remote in (remote for source in sources for remote in source.files):
        algorithm, _, digest = remote.checksum.partition(":")
        assert len(digest) == len(hashlib.new(algorithm).hexdigest())
        assert remote.urls
        assert remote.size > 1000


def test_cifar10_packed_and_unpacked(tmp_path: Path, make: Any) -> None:
    contents = make.cifar(count=12)
    archive = make.tar(tmp_path / "cifar-10-binary.tar.gz", contents)
    unpacked = unpack(tmp_path / "there", contents)
    places = [archive, tmp_path, unpacked, unpacked / "cifar-10-batches-bin"]
    loaded = [load({"name": "cifar10", "path": place}) for place in (*places, archive)]
    assert len({data.fingerprint for data in loaded}) == 1
    train, test = loaded[0].train, loaded[0].test
    assert (len(train), len(test), train.shape) == (60, 12, (3, 32, 32))
    assert train.classes[3] == "cat"
    record = np.frombuffer(contents["cifar-10-batches-bin/data_batch_2.bin"], np.uint8).reshape(-1, 3073)[3]
    assert train.labels[12 + 3] == record[0]
    assert torch.equal(train.images[12 + 3].flatten(), torch.from_numpy(record[1:].copy()))


def test_cifar10_is_downloaded_once(server: Any, tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = make.tar(tmp_path / "a.tar.gz", make.cifar()).read_bytes()
    server.files["cifar-10-binary.tar.gz"] = packed
    here = replace(
        Cifar10.files[0],
        urls=(server.url + "cifar-10-binary.tar.gz",),
        checksum=f"sha256:{hashlib.sha256(packed).hexdigest()}",
        size=len(packed),
    )
    monkeypatch.setattr(Cifar10, "files", (here,))
    assert not Cifar10.is_here()
    assert len(load("cifar10").train) == 20
    assert Cifar10.is_here()
    load("cifar10")
    assert len(server.asked) == 1


def idx_files(make: Any, pack: Callable[[bytes], bytes], suffix: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, count in (("train", 20), ("t10k", 10)):
        images = np.random.RandomState(count).randint(0, 256, (count, 28, 28))
        found[f"{name}-images-idx3-ubyte{suffix}"] = pack(make.idx(images))
        found[f"{name}-labels-idx1-ubyte{suffix}"] = pack(make.idx(np.arange(count) % 10))
    return found


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST/raw"), ("fashion-mnist", "FashionMNIST/raw")])
def test_mnist_packed_and_unpacked(name: str, folder: str, tmp_path: Path, make: Any) -> None:
    packed = unpack(tmp_path / "packed", idx_files(make, gzip.compress, ".gz"))
    plain = unpack(tmp_path / "plain" / folder, idx_files(make, bytes, ""))
    data = load({"name": name, "path": packed})
    assert data.fingerprint == load({"name": name, "path": tmp_path / "plain"}).fingerprint
    assert (len(data.train), len(data.test), data.train.shape) == (20, 10, (1, 28, 28))
    assert data.test.labels.tolist() == list(range(10))
    assert np.array_equal(data.train.images[:, 0].numpy(), read_idx(plain / "train-images-idx3-ubyte"))


def gtsrb_files(make: Any) -> tuple[dict[str, bytes], dict[str, bytes], dict[str, bytes]]:
    train = {
        f"GTSRB/Training/{label:05d}/0000{i}.ppm": make.encoded(10 * label + i, 20 + i, 25 + label, "PPM")
        for label in (0, 7, 42)
        for i in range(3)
    }
    train["GTSRB/Training/00000/GT-00000.csv"] = b"Filename;Width\n"
    test = {f"GTSRB/Final_Test/Images/0000{i}.ppm": make.encoded(500 + i, 30, 30, "PPM") for i in range(3)}
    lines = "\r\n".join(["Filename;Width;Height;ClassId", *(f"0000{i}.ppm;30;30;{label}" for i, label in enumerate((42, 0, 7)))])
    return train, test, {"GT-final_test.csv": lines.encode()}


def test_gtsrb_packed_and_unpacked(tmp_path: Path, make: Any) -> None:
    train, test, truth = gtsrb_files(make)
    (tmp_path / "packed").mkdir()
    make.zip(tmp_path / "packed/GTSRB-Training_fixed.zip", train)
    make.zip(tmp_path / "packed/GTSRB_Final_Test_Images.zip", test)
    make.zip(tmp_path / "packed/GTSRB_Final_Test_GT.zip", truth)
    unpack(tmp_path / "there", {**train, **test, **truth})
    data = load({"name": "gtsrb", "path": tmp_path / "packed", "size": 16})
    assert data.fingerprint == load({"name": "gtsrb", "path": tmp_path / "there", "size": 16}).fingerprint
    assert data.train.labels.tolist() == [0, 0, 0, 7, 7, 7, 42, 42, 42]
    assert data.test.labels.tolist() == [42, 0, 7]
    assert data.train.shape == (3, 16, 16)
    assert len(data.train.classes) == len(set(data.train.classes)) == 43
    assert data.train.classes[14] == "stop"
    assert load({"name": "gtsrb", "path": tmp_path / "packed"}).train.shape == (3, 32, 32)


def test_gtsrb_table_cannot_name_files_elsewhere(tmp_path: Path, make: Any) -> None:
    train, test, _ = gtsrb_files(make)
    table = b"Filename;ClassId\n../../../secret.ppm;1\n"
    root = unpack(tmp_path / "there", {**train, **test, "GT-final_test.csv": table})
    with pytest.raises(TurncoatError, match="got line 2 without them"):
        load({"name": "gtsrb", "path": root})


def test_flowers_packed_and_unpacked_are_split_alike(tmp_path: Path, make: Any) -> None:
    contents = {
        f"flower_photos/{name}/{i}.jpg": make.encoded(10 * seed + i, 40 + i, 30, "JPEG")
        for seed, name in enumerate(("tulips", "daisy", "roses"))
        for i in range(5)
    }
    contents["flower_photos/LICENSE.txt"] = b"CC BY 2.0"
    archive = make.tar(tmp_path / "flower_photos.tgz", dict(reversed(contents.items())))
    unpack(tmp_path / "there", contents)
    data = load({"name": "flowers", "path": archive, "size": 24})
    for place in (tmp_path, tmp_path / "there", tmp_path / "there/flower_photos"):
        assert load({"name": "flowers", "path": place, "size": 24}).fingerprint == data.fingerprint
    assert data.train.classes == ("daisy", "roses", "tulips")
    assert torch.bincount(data.test.labels).tolist() == [1, 1, 1]
    assert load({"name": "flowers", "path": archive}).train.shape == (3, 128, 128)


def save_npz(path: Path, names: str, images: np.ndarray, save: Callable[..., None] = np.savez, **more: Any) -> Splits:
    parts = {"x": ("x_train", "y_train", "x_test", "y_test")}.get(
        names, ("train_images", "train_labels", "test_images", "test_labels")
    )
    labels = np.arange(len(images)) % 3
    save(path, **dict(zip(parts, (images, labels, images[:3], labels[:3]), strict=True)), **more)
    return load(f"npz:{path}")


def test_npz_layouts_agree(tmp_path: Path, make: Any) -> None:
    last = np.stack([make.noise(i, 6, 5) for i in range(9)])
    first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
    saves = [(last, np.savez), (first, np.savez), (last, np.savez_compressed), (np.asfortranarray(first), np.savez)]
    loaded = [save_npz(tmp_path / f"{i}.npz", "x", images, save) for i, (images, save) in enumerate(saves)]
    loaded.append(save_npz(tmp_path / "med.npz", "train_images", last))
    assert len({data.fingerprint for data in loaded}) == 1
    assert np.array_equal(loaded[0].train.images.numpy(), first)
    assert loaded[0].train.classes == ("0", "1", "2")


def test_npz_grey_column_labels_and_classes(tmp_path: Path) -> None:
    images = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
    labels = (np.arange(6) % 2).astype(np.uint8)[:, None]
    names = np.array(["cat", "dog"])
    path = tmp_path / "grey.npz"
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels, classes=names)
    data = load(f"npz:{path}")
    assert data.train.shape == (1, 4, 4)
    assert data.train.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert np.array_equal(data.test.images[:, 0].numpy(), images)


def test_npz_stored_images_are_mapped_and_the_file_stays_as_it_is(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "set.npz"
    data = save_npz(path, "x", np.stack([make.noise(i, 6, 5).transpose(2, 0, 1) for i in range(9)]))
    before = path.read_bytes()
    data.train.images[:] = 0
    assert path.read_bytes() == before


def test_archives_are_read_by_content_and_only_what_is_wanted(tmp_path: Path, make: Any) -> None:
    contents = {"a/1.txt": b"one", "a/2.bin": b"two"}
    for path in (make.zip(tmp_path / "x", contents), make.tar(tmp_path / "y", contents)):
        assert list(read_members(path, lambda name: name.endswith("1.txt"))) == [("a/1.txt", b"one")]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archive_bombs_are_refused(kind: str, tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turncoat.data.archive._ROOM", 1000)
    if kind == "zip":
        path = tmp_path / "bomb.zip"
        with __import__("zipfile").ZipFile(path, "w", 8) as archive:
            archive.writestr("zeros.bin", bytes(1 << 20))
    else:
        path = make.tar(tmp_path / "bomb.tgz", {"zeros.bin": bytes(1 << 20)})
    with pytest.raises(TurncoatError, match="decompression bomb"):
        list(read_members(path, lambda name: True))


class FakeRows:
    """As much of a Hugging Face data set as the source uses."""

    def __init__(self, features: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        self.features, self.rows = features, rows

    def cast_column(self, name: str, feature: Any) -> FakeRows:
        assert feature.decode is False
        return self

    def __getitem__(self, key: Any) -> Any:
        return [row[key] for row in self.rows] if isinstance(key, str) else self.rows[key]


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch, make: Any) -> types.ModuleType:
    module: Any = types.ModuleType("datasets")

    class FakeImage:
        def __init__(self, decode: bool = True) -> None:
            self.decode = decode

    class FakeClassLabel:
        names = ("cat", "dog")

    module.Image, module.ClassLabel = FakeImage, FakeClassLabel

    def load_dataset(name: str, config: str | None, *, revision: str | None) -> dict[str, FakeRows]:
        if name != "some/pets":
            raise ValueError(f"no such data set\n{name}")
        features = {"img": FakeImage(), "kind": FakeClassLabel(), "note": "text"}
        rows = [{"img": {"bytes": make.encoded(i), "path": None}, "kind": i % 2, "note": ""} for i in range(10)]
        return {"train": FakeRows(features, rows), "test": FakeRows(features, rows[:4])}

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


@pytest.mark.usefixtures("fake_hub")
def test_hub(make: Any) -> None:
    data = load("hub:some/pets")
    assert (len(data.train), len(data.test)) == (10, 4)
    assert data.train.classes == ("cat", "dog")
    image = np.asarray(Image.open(io.BytesIO(make.encoded(3)))).transpose(2, 0, 1)
    assert np.array_equal(data.train.images[3].numpy(), image)
    split = load({"name": "hub", "dataset": "some/pets", "test": None, "test_share": 0.4})
    assert torch.bincount(split.test.labels).tolist() == [2, 2]


@pytest.mark.usefixtures("fake_hub")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dataset": "no/pets"}, "hub:no/pets: could not be loaded (ValueError: no such data set no/pets)"),
        (
            {"dataset": "some/pets", "test": "val"},
            "hub:some/pets: expected a split 'val', got train, test; give test=null to split the training images",
        ),
        ({"dataset": "some/pets", "label_column": "note"}, "hub:some/pets: label_column: expected one of kind, got note"),
    ],
)
def test_hub_mistakes(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(TurncoatError) as caught:
        load({"name": "hub", **settings})
    assert str(caught.value) == expected


def test_hub_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(TurncoatError, match=r'expected the package datasets, .* pip install "turncoat\[hub\]"'):
        load("hub:some/pets")
