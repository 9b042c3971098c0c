"""Class folders: which image files lie under which class. Reads names and times only, no file's content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from turncoat.data.listing import ListedFile, Listing
from turncoat.data.picture import EXTENSIONS
from turncoat.errors import TurncoatError, shown

_UNREADABLE = frozenset(
    f".{name}"
    for name in (
        *("heic", "heif", "avif", "jp2", "j2k", "jxl", "psd", "svg", "eps", "ico", "tga", "exr", "hdr", "dcm"),
        *("dng", "cr2", "nef", "arw", "raw", "npy", "npz", "pt", "tfrecord"),
    )
)
"""Images (or arrays) that are not read: refused rather than silently left out."""


@dataclass(frozen=True)
class ClassTree:
    """Class folders of images. ``files[i]`` are the images of ``classes[i]``; both are sorted by name."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[tuple[ListedFile, ...], ...]

    @cached_property
    def listing(self) -> Listing:
        """Names, sizes and times of all files: unchanged as long as no file is touched."""
        return Listing.of(self.root, (file for files in self.files for file in files))

    @property
    def labelled(self) -> list[tuple[ListedFile, int]]:
        """All files with their class's index, class after class."""
        return [(file, label) for label, files in enumerate(self.files) for file in files]


def scan_classes(root: Path, depth: int = 1) -> ClassTree:
    """The class folders in ``root`` and all images below each, in any subfolder.

    depth: how many folders make a class; 2 makes classes ``alphabet/character`` of an Omniglot tree. Hidden files and folders
    are passed over, and so are files that are no images by name (``README.txt``, ``labels.csv``, ``Thumbs.db``). Links are
    followed. Raises `TurncoatError` for a missing or empty folder, fewer than two classes, images outside class folders,
    broken or circular links and image formats that are not read.
    """
    if not root.is_dir():
        got = "a file" if root.exists() else "nothing there"
        raise TurncoatError(f"{shown(root)}: expected a folder of class folders, got {got}")
    folders = list(_class_folders(str(root), "", depth))
    if not folders:
        raise TurncoatError(f"{shown(root)}: expected class folders of images, got none")
    for name, _ in folders:
        if not name.isprintable():
            raise TurncoatError(f"{shown(root)}: expected class folders with printable names, got '{shown(name)}'")
    if len(folders) == 1:
        raise TurncoatError(
            f"{shown(root)}: expected at least two class folders, got one, '{folders[0][0]}'{_deeper(folders[0][1])}"
        )
    files: list[tuple[ListedFile, ...]] = []
    for name, folder in folders:
        found = tuple(sorted(_images(folder, name + "/", (_identity(folder),)), key=lambda file: file.name))
        if not found:
            raise TurncoatError(f"{shown(folder)}: expected images of class '{name}', got an empty class folder")
        files.append(found)
    return ClassTree(root, tuple(name for name, _ in folders), tuple(files))


def subfolders(root: Path) -> list[str]:
    """Names of the folders in ``root`` that are not hidden, sorted."""
    return [entry.name for entry in _entries(str(root)) if _is_folder(entry)]


def _deeper(folder: str) -> str:
    inner = [entry.name for entry in _entries(folder) if _is_folder(entry)]
    return f"; did you mean {shown(folder)}?" if len(inner) > 1 else ""


def _class_folders(folder: str, prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for entry in _entries(folder):
        if _is_folder(entry):
            if depth == 1:
                yield prefix + entry.name, entry.path
            else:
                yield from _class_folders(entry.path, f"{prefix}{entry.name}/", depth - 1)
        elif _suffix(entry.name) in EXTENSIONS:
            raise TurncoatError(f"{shown(entry.path)}: expected images inside class folders, got one beside them")


def _images(folder: str, prefix: str, above: Sequence[tuple[int, int]]) -> Iterator[ListedFile]:
    for entry in _entries(folder):
        if _is_folder(entry):
            identity = _identity(entry.path)
            if identity in above:
                raise TurncoatError(f"{shown(entry.path)}: expected a folder, got a link that leads back to a folder it lies in")
            yield from _images(entry.path, f"{prefix}{entry.name}/", (*above, identity))
        elif _suffix(entry.name) in EXTENSIONS:
            yield _image(entry, prefix)
        elif _suffix(entry.name) in _UNREADABLE:
            raise TurncoatError(
                f"{shown(entry.path)}: expected JPEG, PNG, BMP, GIF, WebP, TIFF or PPM images, "
                f"got {_suffix(entry.name)}; convert it or take it out"
            )


def _image(entry: os.DirEntry[str], prefix: str) -> ListedFile:
    found = entry.stat()
    if not stat.S_ISREG(found.st_mode):
        raise TurncoatError(f"{shown(entry.path)}: expected an image file, got something that is not a plain file")
    return ListedFile(entry.path, prefix + entry.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not entry.name.startswith((".", "__MACOSX"))), key=lambda e: e.name)
    except OSError as error:
        raise TurncoatError(f"{shown(folder)}: expected a folder that can be read, got: {error.strerror}") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Follows links; a broken or circular one is an error, or a class could go missing unseen."""
    try:
        if entry.is_dir():
            return True
        if entry.is_symlink():
            Path(entry.path).stat()
        return False
    except OSError as error:
        raise TurncoatError(f"{shown(entry.path)}: expected a file or folder, got a broken link ({error.strerror})") from None


def _identity(folder: str) -> tuple[int, int]:
    found = Path(folder).stat()
    return found.st_dev, found.st_ino


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if stem and dot else ""
