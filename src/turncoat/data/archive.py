"""Members of a zip or tar archive, read into memory: nothing is unpacked, so nothing can land outside a folder."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from turncoat.errors import TurncoatError, shown

_ROOM = 1 << 30
_RATIO = 100

Member = tuple[str, bytes]


def read_members(path: Path, keep: Callable[[str], bool]) -> Iterator[Member]:
    """Name and content of the files in an archive whose name ``keep`` accepts, in the archive's order.

    Every name is checked, kept or not. Raises `TurncoatError` for what is no archive, a damaged one, a member that leads out of
    the archive's folder, a link or device, or members that unpack to over 1 GiB and over 100 times the archive's size.
    """
    try:
        size = path.stat().st_size
        reader = _read_zip if zipfile.is_zipfile(path) else _read_tar
        total = 0
        for name, length, read in reader(path):
            if not keep(name):
                continue
            total += length
            if total > max(_ROOM, _RATIO * size):
                raise TurncoatError(f"{shown(path)}: expected at most {_RATIO} times its {size} bytes, got a decompression bomb")
            yield name, read()
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        reason = " ".join(shown(error).split()) or type(error).__name__
        raise TurncoatError(f"{shown(path)}: expected a whole zip or tar archive, got: {reason}") from error


Entry = tuple[str, int, Callable[[], bytes]]


def _read_zip(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            link = (info.external_attr >> 16) & 0o170000 == 0o120000
            _check(path, info.filename, plain=not link)
            if not info.is_dir():
                yield info.filename, info.file_size, lambda info=info: archive.read(info)


def _read_tar(path: Path) -> Iterator[Entry]:
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            _check(path, info.name, plain=info.isfile() or info.isdir())
            if info.isfile():
                file = archive.extractfile(info)
                assert file is not None
                yield info.name, info.size, file.read


def _check(path: Path, name: str, *, plain: bool) -> None:
    outside = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or name.startswith("\\")
    if outside or ".." in name.replace("\\", "/").split("/"):
        raise TurncoatError(f"{shown(path)}: expected members below one folder, got '{shown(name)}', which escapes it")
    if not plain:
        raise TurncoatError(f"{shown(path)}: expected plain files and folders, got a link or device '{shown(name)}'")
