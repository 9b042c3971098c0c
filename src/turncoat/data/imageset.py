"""`ImageSet`: labelled uint8 images, all that a victim or a defender ever sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from turncoat.errors import TurncoatError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images. A change makes a new value; nothing in the package writes into its tensors.

    images: uint8 ``(N, C, H, W)``, C being 1 or 3; may be memory-mapped. uint8, so that no trigger hides below what an
    image file can hold. labels: int64 ``(N,)`` in ``[0, len(classes))``. classes: at least two distinct names.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise TurncoatError(f"images: expected uint8 (N, C, H, W), got {_describe(images)}")
        if images.shape[1] not in (1, 3):
            raise TurncoatError(f"images: expected 1 (grey) or 3 (RGB) channels, got {images.shape[1]}")
        if len(images) == 0:
            raise TurncoatError("images: expected at least one image, got none")
        if labels.dtype != torch.int64 or labels.ndim != 1 or len(labels) != len(images):
            raise TurncoatError(f"labels: expected int64 ({len(images)},), one an image, got {_describe(labels)}")
        if len(self.classes) < 2:
            raise TurncoatError(f"classes: expected at least two, got {len(self.classes)}: {list(self.classes)}")
        if len(set(self.classes)) != len(self.classes):
            raise TurncoatError("classes: expected distinct names, got a name twice")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(self.classes):
            raise TurncoatError(
                f"labels: expected 0 to {len(self.classes) - 1} for {len(self.classes)} classes, got {low} to {high}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        channels, height, width = self.shape
        return f"ImageSet({len(self):,} images {channels}x{height}x{width}, {len(self.classes)} classes)"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pixels, labels and class names: equal exactly if the content is."""
        digest = hashlib.sha256(repr((tuple(self.images.shape), self.classes)).encode())
        for start in range(0, len(self), 1024):  # mapped or strided images are never copied as a whole
            digest.update(_bytes(self.images[start : start + 1024]))
        digest.update(_bytes(self.labels))
        return digest.hexdigest()

    def subset(self, index: Tensor) -> ImageSet:
        """The images at ``index``: int64 positions in that order, or a bool mask ``(N,)``."""
        return replace(self, images=self.images[index], labels=self.labels[index])

    def with_labels(self, labels: Tensor) -> ImageSet:
        return replace(self, labels=labels)

    def class_index(self, which: int | str, role: str) -> int:
        """A class given by index or by name, as its index; ``role`` names the setting in the error."""
        if isinstance(which, str) and which in self.classes:
            return self.classes.index(which)
        number = int(which) if isinstance(which, int) or which.isdecimal() else -1
        if 0 <= number < len(self.classes):
            return number
        names = ", ".join(self.classes[:12]) + (", ..." if len(self.classes) > 12 else "")
        raise TurncoatError(f"{role}: expected a class, 0 to {len(self.classes) - 1} or one of {names}; got {which!r}")


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set as a source delivers it: ``train`` and ``test`` agree in image shape and classes."""

    train: ImageSet
    test: ImageSet

    def __post_init__(self) -> None:
        if self.train.shape != self.test.shape:
            raise TurncoatError(
                f"test images: expected {self.train.shape} (C, H, W) like the training images, got {self.test.shape}"
            )
        if self.train.classes != self.test.classes:
            raise TurncoatError("test classes: expected the same as in training")

    @cached_property
    def fingerprint(self) -> str:
        """One hash over both sets."""
        return hashlib.sha256((self.train.fingerprint + self.test.fingerprint).encode()).hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().view(-1).numpy().data


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
