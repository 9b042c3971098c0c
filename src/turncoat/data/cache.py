"""Decoded images on disk, keyed by content: decoded once, memory-mapped ever after.

``decoded/ENTRY/`` holds ``train.npy``, ``test.npy`` (uint8 NCHW), their labels and ``entry.json``; it is named after a hash
of the files' content and of all settings that change the pixels. ``decoded/index/LISTING`` spares reading the files again: it
leads from a hash of their names, sizes and times to the entry. A damaged entry is made anew; where nothing can be written,
images are decoded into memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from turncoat.data.imageset import ImageSet, Splits
from turncoat.data.listing import Listing
from turncoat.data.mapped import map_npy
from turncoat.data.places import decoded_home
from turncoat.errors import TurncoatError

_SCHEMA = 1
_STALE = 24 * 3600.0

Pixels = NDArray[np.uint8]


class Workspace:
    """Room for one entry's arrays while they are decoded: files in ``folder``, or memory where that is None."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._arrays: dict[str, Pixels] = {}
        self._labels: dict[str, NDArray[np.int64]] = {}
        self._classes: tuple[str, ...] = ()

    def array(self, split: str, shape: tuple[int, int, int, int]) -> Pixels:
        """A writable uint8 array ``(N, C, H, W)`` for the images of ``split`` ('train' or 'test')."""
        array = _file_array(self.folder / f"{split}.npy", shape) if self.folder else None
        if array is None:
            self.folder = None
            array = np.empty(shape, np.uint8)
        self._arrays[split] = array
        return array

    def describe(self, classes: Sequence[str], **labels: Sequence[int] | NDArray[np.int64]) -> None:
        """Class names, and the labels of ``train`` and ``test``."""
        self._classes = tuple(classes)
        self._labels = {split: np.array(given, dtype=np.int64) for split, given in labels.items()}

    def splits(self) -> Splits:
        train, test = (
            ImageSet(torch.from_numpy(self._arrays[split]), torch.from_numpy(self._labels[split]), self._classes)
            for split in ("train", "test")
        )
        return Splits(train, test)

    def complete(self, splits: Splits) -> bool:
        """Write all that is not there yet; whether the folder now holds a whole entry."""
        if self.folder is None:
            return False
        try:
            for split, labels in self._labels.items():
                array = self._arrays[split]
                if isinstance(array, np.memmap):
                    array.flush()
                np.save(self.folder / f"{split}-labels.npy", labels, allow_pickle=False)
            record = {
                "schema": _SCHEMA,
                "classes": self._classes,
                "fingerprints": {"train": splits.train.fingerprint, "test": splits.test.fingerprint},
            }
            (self.folder / "entry.json").write_text(json.dumps(record))
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Cache:
    """The decoded images below ``root``. Files changed less than ``settle`` seconds ago are not trusted by their times."""

    root: Path = field(default_factory=decoded_home)
    settle: float = 2.0

    def splits(
        self,
        listing: Listing | None,
        settings: Mapping[str, Any],
        content: Callable[[], str],
        build: Callable[[Workspace], None],
    ) -> Splits:
        """What ``build`` makes, from the cache where it is there.

        listing: of the files (None: not known). settings: all that changes the result besides the files. content: hash of
        the files' content, asked only when the listing is new. build: decodes into a `Workspace`.
        """
        chosen = json.dumps(settings, sort_keys=True)
        settled = listing is not None and listing.newest < time.time_ns() - int(self.settle * 1e9)
        index = self.root / "index" / _hash(listing.key if listing else "", chosen)
        if settled and (known := _read_index(index)) and (found := self._read(known)):
            return found
        key = _hash(content(), chosen)
        splits = self._read(key) or self._make(key, build)
        if settled:
            with suppress(OSError):
                _write_index(index, key)
        return splits

    def _read(self, key: str) -> Splits | None:
        """The entry if it is whole, to the last bit."""
        folder = self.root / key
        try:
            record = json.loads((folder / "entry.json").read_text())
            if record["schema"] != _SCHEMA:
                return None
            sets = {split: _read_set(folder, split, tuple(record["classes"])) for split in ("train", "test")}
            if any(sets[split].fingerprint != record["fingerprints"][split] for split in sets):
                return None
            return Splits(sets["train"], sets["test"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, TurncoatError):
            return None

    def _make(self, key: str, build: Callable[[Workspace], None]) -> Splits:
        folder = self._temporary()
        try:
            workspace = Workspace(folder)
            build(workspace)
            splits = workspace.splits()
            if folder is None or not workspace.complete(splits):
                return splits
            with suppress(OSError):
                if (self.root / key).exists() and self._read(key) is None:
                    shutil.rmtree(self.root / key)
                folder.rename(self.root / key)
            return self._read(key) or splits
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _temporary(self) -> Path | None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for left in self.root.glob("making-*"):  # by a process that was killed
                if time.time() - left.stat().st_mtime > _STALE:
                    shutil.rmtree(left, ignore_errors=True)
            return Path(tempfile.mkdtemp(prefix="making-", dir=self.root))
        except OSError:
            return None


def _file_array(path: Path, shape: tuple[int, int, int, int]) -> Pixels | None:
    """A new ``.npy`` file as an array; None where the disk has no room (found out now, not by a bus error later)."""
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            offset = file.tell()
            size = int(np.prod(shape, dtype=np.int64))
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), offset, size)
            else:
                file.truncate(offset + size)
        return np.memmap(path, np.uint8, "r+", offset, shape)
    except OSError:
        return None


def _read_set(folder: Path, split: str, classes: tuple[str, ...]) -> ImageSet:
    labels = np.load(folder / f"{split}-labels.npy", allow_pickle=False)
    return ImageSet(map_npy(folder / f"{split}.npy"), torch.from_numpy(labels), classes)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _read_index(path: Path) -> str | None:
    try:
        key = path.read_text()
    except (OSError, ValueError):
        return None
    return key if len(key) == 64 and key.isalnum() else None


def _write_index(path: Path, key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(key)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
