"""MNIST and Fashion-MNIST, which share one file format (IDX)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from turncoat.data.download import RemoteFile
from turncoat.data.downloaded import Arrays, Downloaded, cached_arrays, locate
from turncoat.data.imageset import Splits
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_LIMIT = 1 << 30


def _published(mirrors: tuple[str, ...], *files: tuple[str, int]) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(f"{name}.gz", tuple(f"{mirror}{name}.gz" for mirror in mirrors), f"sha256:{digest}", size)
        for name, (digest, size) in zip(_FILES, files, strict=True)
    )


class _Idx(Downloaded):
    labels: ClassVar[tuple[str, ...]]
    folders: ClassVar[tuple[str, ...]]

    def read(self, root: Path, progress: Progress) -> Splits:
        files = [locate(root, self.folders, [f"{name}.gz", name]) for name in _FILES]
        progress("reading", 0, 0)

        def parse() -> Arrays:
            train, train_labels, test, test_labels = (read_idx(file) for file in files)
            train, test = (_images(array, file) for array, file in ((train, files[0]), (test, files[2])))
            _check_labels(train_labels, len(train), len(self.labels), files[1])
            _check_labels(test_labels, len(test), len(self.labels), files[3])
            return Arrays(self.labels, (train, train_labels), (test, test_labels))

        return cached_arrays(files, "idx-1", parse)


class Mnist(_Idx):
    """Handwritten digits, 28x28 grey, 60,000 + 10,000. LeCun, Cortes and Burges (1998)."""

    name: Literal["mnist"] = "mnist"
    labels: ClassVar[tuple[str, ...]] = tuple(str(digit) for digit in range(10))
    folders: ClassVar[tuple[str, ...]] = ("raw", "MNIST/raw")
    files: ClassVar[tuple[RemoteFile, ...]] = _published(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
        ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
        ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
        ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
    )


class FashionMnist(_Idx):
    """Pictures of clothes, 28x28 grey, 60,000 + 10,000. Xiao, Rasul and Vollgraf, Fashion-MNIST (2017), arXiv:1708.07747."""

    name: Literal["fashion-mnist"] = "fashion-mnist"
    labels: ClassVar[tuple[str, ...]] = (
        *("t-shirt or top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )
    folders: ClassVar[tuple[str, ...]] = ("raw", "FashionMNIST/raw")
    files: ClassVar[tuple[RemoteFile, ...]] = _published(
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
        ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
        ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
        ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The bytes of an IDX file, gzipped or not, in its shape. Raises `TurncoatError` for any other file."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                data = file.read(_LIMIT)
    except (OSError, EOFError, zlib.error) as error:
        raise TurncoatError(f"{shown(path)}: expected a whole gzip file, got: {shown(error)}") from None
    rank = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    shape = tuple(int(side) for side in np.frombuffer(data, ">u4", rank, 4)) if len(data) >= 4 + 4 * rank else ()
    if rank == 0 or not shape or math.prod(shape) != len(data) - 4 - 4 * rank:
        raise TurncoatError(f"{shown(path)}: expected an IDX file of bytes, got {len(data)} bytes that begin with {data[:8]!r}")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _images(array: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    if array.ndim != 3:
        raise TurncoatError(f"{shown(path)}: expected images (N, H, W), got {array.shape}")
    return array[:, np.newaxis]


def _check_labels(labels: NDArray[np.uint8], images: int, classes: int, path: Path) -> None:
    if labels.shape != (images,):
        raise TurncoatError(f"{shown(path)}: expected {images} labels, one an image, got {labels.shape}")
    if labels.max() >= classes:
        raise TurncoatError(f"{shown(path)}: expected labels 0 to {classes - 1}, got {labels.max()}")
