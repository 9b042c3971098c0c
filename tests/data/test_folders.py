"""Folders of class folders."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from turncoat.data import ImageSet, Splits, load
from turncoat.data.classtree import scan_classes
from turncoat.errors import TurncoatError

pytestmark = pytest.mark.usefixtures("home")


def split_tree(save_tree: Any, **settings: Any) -> Path:
    return save_tree("train/cat", "train/dog", "test/cat", "test/dog", **settings)


def test_train_and_test_folders(save_tree: Any, make: Any) -> None:
    data = load(f"folder:{split_tree(save_tree, count=3)}")
    assert data.train.classes == data.test.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.images[4].numpy().tolist() == make.noise(101, 6, 6).transpose(2, 0, 1).tolist()
    assert data.test.images[0].numpy().tolist() == make.noise(200, 6, 6).transpose(2, 0, 1).tolist()


@pytest.mark.parametrize("name", ["val", "validation"])
def test_val_stands_in_for_test(save_tree: Any, name: str) -> None:
    root = save_tree("train/cat", "train/dog", f"{name}/cat", f"{name}/dog")
    assert len(load(f"folder:{root}").test) == 4


def test_one_tree_is_split(save_tree: Any) -> None:
    root = save_tree("cat", "dog", "train", count=10)
    data = load(f"folder:{root}")
    assert data.train.classes == ("cat", "dog", "train")
    assert torch.bincount(data.train.labels).tolist() == [8, 8, 8]
    assert torch.bincount(data.test.labels).tolist() == [2, 2, 2]
    assert load(f"folder:{root}").fingerprint == data.fingerprint
    assert load({"name": "folder", "path": root, "split_seed": 1}).fingerprint != data.fingerprint
    assert len(load({"name": "folder", "path": root, "test_share": 0.5}).test) == 15


def test_subfolders_links_and_other_files(save_tree: Any, tmp_path: Path, make: Any) -> None:
    root = split_tree(save_tree)
    (root / "README.md").write_text("about")
    (root / "preview.png").write_bytes(make.encoded(0))
    cat = root / "train/cat"
    for name in ("labels.csv", "Thumbs.db", ".DS_Store", "._0.png", "NOTES"):
        (cat / name).write_text("no image")
    (cat / "more/deep").mkdir(parents=True)
    (cat / "more/deep/A.JPEG").write_bytes(make.encoded(1, kind="JPEG"))
    (cat / "really-a-gif.png").write_bytes(make.encoded(1, kind="GIF"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/0.png").write_bytes(make.encoded(2))
    (cat / "linked.png").symlink_to(tmp_path / "elsewhere/0.png")
    (cat / "folder-link").symlink_to(tmp_path / "elsewhere")
    (root / "train/.hidden").mkdir()
    names = [file.name for file in scan_classes(root / "train").files[0]]
    assert names == [
        *("cat/0.png", "cat/1.png", "cat/folder-link/0.png", "cat/linked.png"),
        *("cat/more/deep/A.JPEG", "cat/really-a-gif.png"),
    ]
    assert torch.bincount(load(f"folder:{root}").train.labels).tolist() == [6, 2]


def test_deeper_classes(save_tree: Any) -> None:
    root = save_tree("Greek/alpha", "Greek/beta", "Latin/a")
    assert scan_classes(root, depth=2).classes == ("Greek/alpha", "Greek/beta", "Latin/a")


def test_a_stray_image_beside_class_folders_is_not_dropped(save_tree: Any, make: Any) -> None:
    root = save_tree("cat", "dog")
    (root / "stray.png").write_bytes(make.encoded(0))
    with pytest.raises(TurncoatError, match="got one beside them"):
        load(f"folder:{root}")


def test_grey_sets_have_one_channel_and_mixed_ones_three(save_tree: Any, make: Any) -> None:
    root = split_tree(save_tree, channels=1)
    assert load(f"folder:{root}").train.shape == (1, 6, 6)
    assert load({"name": "folder", "path": root, "grey": False}).train.shape == (3, 6, 6)
    (root / "test/dog/2.png").write_bytes(make.encoded(0))
    assert load(f"folder:{root}").train.shape == (3, 6, 6)
    assert load({"name": "folder", "path": root, "grey": True}).train.shape == (1, 6, 6)


def test_size_makes_mixed_images_alike(save_tree: Any, make: Any) -> None:
    root = split_tree(save_tree)
    (root / "test/dog/2.png").write_bytes(make.encoded(0, 20, 30))
    assert load({"name": "folder", "path": root, "size": 4}).train.shape == (3, 4, 4)
    assert load({"name": "folder", "path": root, "size": [4, 9]}).test.shape == (3, 4, 9)


def test_progress_tells_reading_and_decoding(save_tree: Any) -> None:
    heard: list[tuple[str, int, int]] = []
    load(f"folder:{split_tree(save_tree)}", lambda *step: heard.append(step))
    assert heard[0] == ("reading", 0, 8)
    assert ("reading", 8, 8) in heard
    assert heard[-1] == ("decoding", 4, 4)


def test_moved_copy_is_the_same_data(save_tree: Any, tmp_path: Path) -> None:
    root = split_tree(save_tree)
    shutil.copytree(root, tmp_path / "copy")
    assert load(f"folder:{root}").fingerprint == load(f"folder:{tmp_path / 'copy'}").fingerprint


def test_digits_do_not_hang_on_where_scikit_learn_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    direct = load("digits").fingerprint
    monkeypatch.setattr("turncoat.data.digits.find_spec", lambda name: None)
    assert load("digits").fingerprint == direct


def test_fingerprint_follows_pixels_labels_and_names() -> None:
    images = torch.zeros(4, 3, 2, 2, dtype=torch.uint8)
    labels = torch.tensor([0, 1, 0, 1])
    base = ImageSet(images, labels, ("a", "b"))
    other = images.clone()
    other[3, 2, 1, 1] = 1
    changed = [
        ImageSet(other, labels, ("a", "b")),
        ImageSet(images, 1 - labels, ("a", "b")),
        ImageSet(images, labels, ("a", "c")),
    ]
    assert len({base.fingerprint, *(s.fingerprint for s in changed)}) == 4


def test_fingerprint_of_strided_images_is_that_of_their_copy(make: Any) -> None:
    images = torch.from_numpy(np.stack([make.noise(i, 5, 4) for i in range(3)])).permute(0, 3, 1, 2)
    labels = torch.tensor([0, 1, 0])
    assert not images.is_contiguous()
    strided, copied = (ImageSet(x, labels, ("a", "b")) for x in (images, images.contiguous()))
    assert strided.fingerprint == copied.fingerprint


def test_digits_are_the_real_ones_and_always_split_alike() -> None:
    data: Splits = load("digits")
    assert (len(data.train), len(data.test), data.train.shape) == (1437, 360, (1, 8, 8))
    assert data.train.images.max() == 255
    assert (torch.bincount(data.test.labels) >= 34).all()
    assert data.fingerprint.startswith("531bfadaeb556d07")
