"""What the file system says of files without opening them: enough to know that none was touched."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from turncoat.errors import TurncoatError, shown


class ListedFile(NamedTuple):
    """A file as it was listed. ``name``: path below the folder that was listed, with ``/``."""

    path: str
    name: str
    size: int
    modified: int
    """When its content last changed, in nanoseconds since 1970."""
    recorded: int
    """The same of the file's record, which cannot be set back."""


class Listing(NamedTuple):
    """``key``: SHA-256 over place, names, sizes and times. ``newest``: the last change, in nanoseconds since 1970."""

    key: str
    newest: int

    @classmethod
    def of(cls, root: Path, files: Iterable[ListedFile]) -> Listing:
        """The listing of files below ``root``, in the order given."""
        files = list(files)
        digest = hashlib.sha256(os.fsencode(root.resolve()))
        digest.update(os.fsencode("".join(f"\n{file.name}\0{file.size} {file.modified} {file.recorded}" for file in files)))
        return cls(digest.hexdigest(), max((max(file.modified, file.recorded) for file in files), default=0))

    @classmethod
    def join(cls, listings: Iterable[Listing]) -> Listing:
        """Several listings as one."""
        keys, newest = zip(*listings, strict=True)
        return cls(hashlib.sha256("".join(keys).encode()).hexdigest(), max(newest))


def list_file(path: Path) -> ListedFile:
    """One file by its path. Raises `TurncoatError` where there is none."""
    try:
        found = path.stat()
    except OSError as error:
        raise TurncoatError(f"{shown(path)}: expected a file, got: {error.strerror}") from None
    return ListedFile(str(path), path.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
