"""The cache of decoded images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from turncoat.data import decoding
from turncoat.data.cache import Cache, Workspace
from turncoat.data.folder import load_folder
from turncoat.errors import TurncoatError


@pytest.fixture
def root(save_tree: Any) -> Path:
    return save_tree("train/cat", "train/dog", "test/cat", "test/dog", count=40, size=(16, 16))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "decoded", settle=0)


class Count:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = self.decoded = 0
        read_header, decode = decoding.read_header, decoding.decode

        def counted_header(*args: Any) -> Any:
            self.read += 1
            return read_header(*args)

        def counted_decode(*args: Any) -> Any:
            self.decoded += 1
            return decode(*args)

        monkeypatch.setattr(decoding, "read_header", counted_header)
        monkeypatch.setattr(decoding, "decode", counted_decode)

    def since(self) -> tuple[int, int]:
        """Files read and images decoded since the last call."""
        done = self.read, self.decoded
        self.read = self.decoded = 0
        return done


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    return Count(monkeypatch)


def entries(cache: Cache) -> list[Path]:
    return [path for path in cache.root.iterdir() if path.name != "index"]


def test_second_load_reads_and_decodes_nothing(root: Path, cache: Cache, count: Count) -> None:
    first = load_folder(root, cache=cache)
    assert count.since() == (160, 160)
    second = load_folder(root, cache=cache)
    assert count.since() == (0, 0)
    assert first.fingerprint == second.fingerprint
    assert second.train.classes == ("cat", "dog")


def test_a_changed_file_is_seen_though_size_and_time_are_set_back(root: Path, cache: Cache, count: Count, make: Any) -> None:
    path = root / "train/cat/0.png"
    path.write_bytes(make.encoded(0, 16, 16, "BMP"))
    first = load_folder(root, cache=cache)
    before = path.stat()
    path.write_bytes(make.encoded(1, 16, 16, "BMP"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    count.since()
    assert load_folder(root, cache=cache).fingerprint != first.fingerprint
    assert count.since() == (160, 160)


def test_touched_files_are_read_but_not_decoded(root: Path, cache: Cache, count: Count) -> None:
    load_folder(root, cache=cache)
    count.since()
    (root / "train/cat/0.png").touch()
    load_folder(root, cache=cache)
    assert count.since() == (160, 0)
    load_folder(root, cache=cache)
    assert count.since() == (0, 0)


def test_files_changed_just_now_are_not_trusted_by_their_times(root: Path, tmp_path: Path, count: Count) -> None:
    cache = Cache(tmp_path / "decoded", settle=60)
    load_folder(root, cache=cache)
    count.since()
    load_folder(root, cache=cache)
    assert count.since() == (160, 0)


def test_settings_that_change_the_pixels_have_entries_of_their_own(root: Path, cache: Cache) -> None:
    settings = [(size, grey) for size in (None, (8, 8)) for grey in (None, True)]
    shapes = [load_folder(root, cache=cache, size=size, grey=grey).train.shape for size, grey in settings]
    assert shapes == [(3, 16, 16), (1, 16, 16), (3, 8, 8), (1, 8, 8)]
    assert len(entries(cache)) == 4


def _truncate(entry: Path) -> None:
    os.truncate(entry / "train.npy", 1000)


def _flip(entry: Path) -> None:
    data = bytearray((entry / "train.npy").read_bytes())
    data[-1] ^= 1
    (entry / "train.npy").write_bytes(data)


def _mislabel(entry: Path) -> None:
    data = bytearray((entry / "train-labels.npy").read_bytes())
    data[-8] ^= 1
    (entry / "train-labels.npy").write_bytes(data)


def _forget(entry: Path) -> None:
    (entry / "entry.json").unlink()


def _garble(entry: Path) -> None:
    (entry / "entry.json").write_text('{"schema": 1, "classes": 3}')


@pytest.mark.parametrize("damage", [_truncate, _flip, _mislabel, _forget, _garble])
def test_a_damaged_entry_is_made_anew(root: Path, cache: Cache, count: Count, damage: Any) -> None:
    first = load_folder(root, cache=cache).fingerprint
    damage(entries(cache)[0])
    count.since()
    assert load_folder(root, cache=cache).fingerprint == first
    assert count.since() == (160, 160)
    load_folder(root, cache=cache)
    assert count.since() == (0, 0)


def test_without_a_place_to_write_images_are_decoded_into_memory(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data = load_folder(root, cache=Cache(tmp_path / "file" / "decoded", settle=0))
    assert len(data.train) == 80


def test_without_room_images_are_decoded_into_memory(root: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert len(load_folder(root, cache=cache).train) == 80
    assert entries(cache) == []


def test_an_interrupted_load_leaves_nothing(root: Path, cache: Cache) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "decoding" and done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_folder(root, cache=cache, progress=stop)
    assert entries(cache) == []


def test_what_a_killed_process_left_goes_after_a_day(root: Path, cache: Cache) -> None:
    old, young = cache.root / "making-old", cache.root / "making-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "train.npy").write_text("half")
    os.utime(old, (0, 0))
    load_folder(root, cache=cache)
    assert not old.exists()
    assert young.exists()


def test_a_file_that_changes_between_reading_and_decoding_is_an_error(root: Path, cache: Cache, make: Any) -> None:
    def meddle(what: str, done: int, total: int) -> None:
        if what == "decoding" and done == 0:
            (root / "train/cat/39.png").write_bytes(make.encoded(1, 16, 16))
            (root / "train/cat/0.png").write_bytes(make.encoded(1, 16, 16))

    with pytest.raises(TurncoatError, match=r"0\.png: expected the file to stay as it is"):
        load_folder(root, cache=cache, progress=meddle)
    assert entries(cache) == []


def test_images_are_mapped_and_writing_to_them_never_reaches_the_file(root: Path, cache: Cache) -> None:
    data = load_folder(root, cache=cache)
    data.train.images[:] = 7
    assert load_folder(root, cache=cache).train.images.ne(7).any()


def test_workspace_without_folder_stays_in_memory() -> None:
    workspace = Workspace(None)
    for split in ("train", "test"):
        workspace.array(split, (2, 1, 2, 2))[:] = 3
    workspace.describe(["a", "b"], train=[0, 1], test=[1, 0])
    splits = workspace.splits()
    assert splits.test.labels.tolist() == [1, 0]
    assert not workspace.complete(splits)
