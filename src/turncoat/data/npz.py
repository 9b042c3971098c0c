"""A NumPy archive."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from turncoat.data.imageset import ImageSet, Splits
from turncoat.data.mapped import map_npy, read_npy_header
from turncoat.data.source import Source
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent

_NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)
_LIMIT = 1 << 30
_RATIO = 100


class Npz(Source):
    """Arrays from a .npz file: `x_train`, `y_train`, `x_test`, `y_test`, or `train_images`, `train_labels`, ... (MedMNIST).

    Images are uint8 (N, H, W), (N, H, W, C) or (N, C, H, W), C being 1 or 3; labels integers (N,) or (N, 1); ``classes``, if
    there, names. Nothing pickled is read. What `numpy.savez` stored uncompressed is memory-mapped.
    """

    name: Literal["npz"] = "npz"
    shorthand: ClassVar[str | None] = "path"

    path: Path = Field(description="the .npz file")

    def load(self, progress: Progress = silent) -> Splits:
        path = self.path.expanduser()
        try:
            with zipfile.ZipFile(path) as archive:
                splits = _load(archive, path)
        except OSError as error:
            raise TurncoatError(f"{shown(path)}: expected a .npz file, got: {error.strerror or error}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise TurncoatError(f"{shown(path)}: expected a whole .npz file, got: {shown(error)}") from None
        progress("reading", 1, 1)
        return splits


def _load(archive: zipfile.ZipFile, path: Path) -> Splits:
    there = sorted(name.removesuffix(".npy") for name in archive.namelist())
    names = next((names for names in _NAMES if set(names) <= set(there)), None)
    if names is None:
        raise TurncoatError(
            f"{shown(path)}: expected arrays {', '.join(_NAMES[0])} or {', '.join(_NAMES[1])}, got {shown(', '.join(there[:8]))}"
        )
    train, test = (_channels_first(_array(archive, path, names[i]), f"{shown(path)}, {names[i]}") for i in (0, 2))
    labels, test_labels = (_labels(_array(archive, path, names[i]), f"{shown(path)}, {names[i]}") for i in (1, 3))
    classes = _classes(archive, path) if "classes" in there else tuple(str(i) for i in range(max(int(labels.max()) + 1, 0)))
    for images, given, name in ((train, labels, names[1]), (test, test_labels, names[3])):
        if len(images) != len(given):
            raise TurncoatError(f"{shown(path)}, {name}: expected {len(images)} labels, one an image, got {len(given)}")
        if given.min() < 0 or given.max() >= len(classes):
            raise TurncoatError(
                f"{shown(path)}, {name}: expected labels 0 to {len(classes) - 1}, got {given.min()} to {given.max()}"
            )
    absent = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
    if len(absent):
        raise TurncoatError(f"{shown(path)}, {names[1]}: expected images of every class, got none of '{classes[absent[0]]}'")
    try:
        return Splits(ImageSet(train, torch.from_numpy(labels), classes), ImageSet(test, torch.from_numpy(test_labels), classes))
    except TurncoatError as error:
        raise TurncoatError(f"{shown(path)}: {error}") from None


def _array(archive: zipfile.ZipFile, path: Path, name: str) -> Tensor | NDArray[Any]:
    """An array of the archive: a mapped tensor where it is stored uncompressed as uint8, else in memory."""
    info = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.NameToInfo else name)
    if info.file_size > max(_LIMIT, _RATIO * info.compress_size):
        raise TurncoatError(f"{shown(path)}, {name}: expected at most {_RATIO} times its packed size, got a decompression bomb")
    with archive.open(info) as member:
        file = cast(BinaryIO, member)
        shape, fortran, dtype = read_npy_header(file, path)
        if dtype.hasobject:
            raise TurncoatError(f"{shown(path)}, {name}: expected numbers or text, got pickled objects, which are never read")
        if info.compress_type == zipfile.ZIP_STORED and dtype == np.uint8 and not fortran and len(shape) > 1:
            return map_npy(path, _data_offset(path, info))
        data = np.frombuffer(bytearray(file.read()), dtype)
    if data.size != np.prod(shape, dtype=np.int64):
        raise TurncoatError(f"{shown(path)}, {name}: expected an array {shape}, got {data.size} values")
    return data.reshape(shape, order="F" if fortran else "C")


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a stored member's content begins: after its local header, whose two variable lengths stand at its end."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        lengths = file.read(4)
    return info.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")


def _channels_first(array: Tensor | NDArray[Any], name: str) -> Tensor:
    if array.dtype not in (torch.uint8, np.dtype(np.uint8)):
        hint = "; scale to 0..255 and store as uint8" if "float" in str(array.dtype) else ""
        kind = str(array.dtype).removeprefix("torch.")
        raise TurncoatError(f"{name}: expected uint8 images, got {kind} {tuple(array.shape)}{hint}")
    images = array if isinstance(array, Tensor) else torch.from_numpy(np.ascontiguousarray(array))
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4:
        raise TurncoatError(f"{name}: expected images (N, H, W), (N, H, W, C) or (N, C, H, W), got {tuple(images.shape)}")
    first, last = images.shape[1] in (1, 3), images.shape[3] in (1, 3)
    if first == last:
        which = "both could be" if first else "neither is"
        raise TurncoatError(f"{name}: expected 1 or 3 channels, first or last, but {which}: {tuple(images.shape)}")
    return images if first else images.permute(0, 3, 1, 2)


def _labels(array: Tensor | NDArray[Any], name: str) -> NDArray[np.int64]:
    labels = array.numpy() if isinstance(array, Tensor) else array
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        hint = "; take argmax(1) of one-hot labels" if labels.ndim == 2 else ""
        raise TurncoatError(f"{name}: expected integer labels (N,), got {labels.dtype} {labels.shape}{hint}")
    return labels.astype(np.int64)


def _classes(archive: zipfile.ZipFile, path: Path) -> tuple[str, ...]:
    names = _array(archive, path, "classes")
    if isinstance(names, Tensor) or names.dtype.kind != "U" or names.ndim != 1:
        raise TurncoatError(f"{shown(path)}, classes: expected names as text (C,), got {names.dtype} {tuple(names.shape)}")
    return tuple(str(name) for name in names)
