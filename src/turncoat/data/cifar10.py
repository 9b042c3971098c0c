"""CIFAR-10."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from turncoat.data.archive import read_members
from turncoat.data.download import RemoteFile
from turncoat.data.downloaded import Arrays, Downloaded, cached_arrays, locate
from turncoat.data.imageset import Splits
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_ARCHIVE = "cifar-10-binary.tar.gz"
_FOLDER = "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_RECORD = 1 + 3 * 32 * 32


class Cifar10(Downloaded):
    """Small photographs of ten kinds of animals and vehicles, 32x32 RGB, 50,000 + 10,000.

    Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009). Read from the binary version; the Python version
    is pickled and therefore refused.
    """

    name: Literal["cifar10"] = "cifar10"
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            _ARCHIVE,
            (f"https://www.cs.toronto.edu/~kriz/{_ARCHIVE}",),
            "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            170_052_171,
        ),
    )

    def read(self, root: Path, progress: Progress) -> Splits:
        for pickled in ("cifar-10-python.tar.gz", "cifar-10-batches-py"):
            if root.name == pickled:
                raise TurncoatError(
                    f"{shown(root)}: expected the binary version ({_ARCHIVE}), got the Python version, which is pickled: "
                    "unpickling can run code"
                )
        found = locate(root, ["", _FOLDER], [_ARCHIVE, _TRAIN[0]]) if not _is_archive(root) else root
        if found.name == _TRAIN[0]:
            files = [found.parent / name for name in (*_TRAIN, _TEST)]
            return cached_arrays(files, "cifar10-1", lambda: _parse({f.name: f.read_bytes() for f in files}, found.parent))

        def unpack() -> Arrays:
            members = read_members(found, lambda name: name.endswith(".bin"))
            return _parse({name.rpartition("/")[2]: data for name, data in members}, found)

        progress("reading", 0, 0)
        return cached_arrays([found], "cifar10-1", unpack)


def _is_archive(path: Path) -> bool:
    return path.is_file() and re.search(r"\.(tar(\.\w+)?|tgz|zip)$", path.name) is not None


def _parse(batches: Mapping[str, bytes], origin: Path) -> Arrays:
    for name in (*_TRAIN, _TEST):
        if name not in batches:
            raise TurncoatError(f"{shown(origin)}: expected {name} of CIFAR-10's binary version in it, found none")
    train = [_parse_batch(batches[name], f"{origin}/{name}") for name in _TRAIN]
    images, labels = zip(*train, strict=True)
    return Arrays(_CLASSES, (np.concatenate(images), np.concatenate(labels)), _parse_batch(batches[_TEST], f"{origin}/{_TEST}"))


def _parse_batch(data: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if not data or len(data) % _RECORD:
        raise TurncoatError(f"{shown(name)}: expected records of {_RECORD} bytes, got {len(data)} bytes")
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    if records[:, 0].max() >= len(_CLASSES):
        raise TurncoatError(f"{shown(name)}: expected labels 0 to {len(_CLASSES) - 1}, got {records[:, 0].max()}")
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]
