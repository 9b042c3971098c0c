"""`Downloaded`: a published data set, fetched once or read from a local copy."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from turncoat.data.cache import Cache, Workspace
from turncoat.data.download import RemoteFile, fetch
from turncoat.data.imageset import Splits
from turncoat.data.listing import Listing, list_file
from turncoat.data.places import data_home
from turncoat.data.source import Source
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent


class Downloaded(Source):
    """A published data set. ``path`` names a local copy, packed as published or unpacked; it is not checksummed."""

    downloads: ClassVar[bool] = True
    files: ClassVar[tuple[RemoteFile, ...]]

    path: Path | None = Field(default=None, description="a local copy, packed as published or unpacked; left out: downloaded")

    @abstractmethod
    def read(self, root: Path, progress: Progress) -> Splits:
        """The data set from ``root``, a local copy."""

    def load(self, progress: Progress = silent) -> Splits:
        return self.read(self.root(progress), progress)

    def root(self, progress: Progress = silent) -> Path:
        """Where it lies: the local copy, else the downloaded files, fetched where they are missing."""
        if self.path is not None:
            return self.path.expanduser()
        return self.home() if self.is_here() else self.fetch(progress)

    @classmethod
    def home(cls) -> Path:
        """Where the downloaded files lie."""
        return data_home() / str(cls.model_fields["name"].default)

    @classmethod
    def is_here(cls) -> bool:
        """Whether all files are downloaded (they were checked then)."""
        return all((cls.home() / remote.name).is_file() for remote in cls.files)

    @classmethod
    def fetch(cls, progress: Progress = silent) -> Path:
        """Download what is missing and check what is there; the folder. Raises `TurncoatError`."""
        for remote in cls.files:
            fetch(remote, cls.home(), progress)
        return cls.home()


def locate(root: Path, folders: Sequence[str], names: Sequence[str]) -> Path:
    """The first of ``names`` in ``root`` or one of its ``folders``; ``root`` itself where it is one of them.

    Raises `TurncoatError` naming what was looked for.
    """
    if root.is_file() and root.name in names:
        return root
    for folder in ("", *folders):
        for name in names:
            if (root / folder / name).exists():
                return root / folder / name
    if not root.exists():
        raise TurncoatError(f"{shown(root)}: expected a local copy with {' or '.join(names)}, got nothing there")
    raise TurncoatError(
        f"{shown(root)}: expected {' or '.join(names)} in it, found neither"
        if len(names) > 1
        else f"{shown(root)}: expected {names[0]} in it, found none"
    )


class Arrays(NamedTuple):
    """A data set that is published as pixels: images uint8 ``(N, C, H, W)``, labels ``(N,)``."""

    classes: tuple[str, ...]
    train: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    test: tuple[NDArray[np.uint8], NDArray[np.uint8]]


def cached_arrays(files: Sequence[Path], version: str, parse: Callable[[], Arrays], cache: Cache | None = None) -> Splits:
    """What ``parse`` makes of the files, through the cache. version: of the parser."""

    def content() -> str:
        return hashlib.sha256(b"".join(_hashes(files))).hexdigest()

    def build(workspace: Workspace) -> None:
        arrays = parse()
        for split, (images, _) in (("train", arrays.train), ("test", arrays.test)):
            count, channels, height, width = images.shape
            workspace.array(split, (count, channels, height, width))[:] = images
        workspace.describe(arrays.classes, train=arrays.train[1].astype(np.int64), test=arrays.test[1].astype(np.int64))

    listing = Listing.join(Listing.of(file.parent, [list_file(file)]) for file in files)
    return (cache or Cache()).splits(listing, {"version": version}, content, build)


def _hashes(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            yield hashlib.file_digest(file, "sha256").digest()
